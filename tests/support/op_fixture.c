#include "support/op_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const atm_file_tensor *find(const op_fixture *f, const char *prefix, int slot)
{
    char name[32];
    snprintf(name, sizeof name, "%s%s", prefix, op_slot_of(f->c.op, slot).name);
    return atm_tensor_file_find(f->file, name);
}

double *op_fixture_read(const op_fixture *f, const char *prefix, int slot)
{
    const atm_file_tensor *t = find(f, prefix, slot);
    size_t n = t ? t->bytes / atm_dtype_size(t->dtype) : 0;
    double *x = n ? malloc(n * sizeof *x) : NULL;
    if (x) atm_convert(x, ATM_F64, t->data, t->dtype, n);
    return x;
}

static void read_tensor(op_fixture *f, int slot)
{
    const atm_file_tensor *from = find(f, "", slot);
    op_slot s = op_slot_of(f->c.op, slot);
    if (!from || from->rank > ATM_MAX_RANK) return;
    atm_tensor *t = &f->c.args.t[slot];
    *t = (atm_tensor){ .id = slot + 1, .dtype = s.fill == OP_FILL_INDEX ? ATM_I32 : ATM_F32,
                       .rank = from->rank, .constant = s.fill == OP_FILL_PARAM };
    for (int i = 0; i < t->rank; i++) t->dim[i] = (int)from->dim[i];
    if (!op_is_output(f->c.op, slot)) f->c.value[slot] = op_fixture_read(f, "", slot);
}

static double scalar_value(const op_scalar *s, const char *text)
{
    if (!text) return s->otherwise;
    return s->type == OP_ACT ? op_act_by_name(text) : strtod(text, NULL);
}

atm_status op_fixture_open(const char *path, op_fixture *out)
{
    *out = (op_fixture){ 0 };
    TRY_RETURN(atm_tensor_file_open(path, &out->file));
    const char *name = atm_tensor_file_metadata(out->file, "op");
    int op = name ? op_by_name(name) : -1;
    if (op < 0) {
        op_fixture_close(out);
        return atm_fail(ATM_E_DATA, "%s: no known op in its metadata", path);
    }
    out->c.op = (atm_op)op;
    out->c.gain = 1;
    snprintf(out->c.line, sizeof out->c.line, "%s", strrchr(path, '/') + 1);
    for (int i = 0; i < op_n_slots(out->c.op); i++) read_tensor(out, i);
    for (int i = 0; i < op_n_scalars; i++) {
        const char *text = atm_tensor_file_metadata(out->file, op_scalars[i].name);
        if (op_scalars[i].op == out->c.op)
            op_scalar_set(&op_scalars[i], &out->c.args, scalar_value(&op_scalars[i], text));
    }
    return ATM_OK;
}

void op_fixture_close(op_fixture *f)
{
    op_case_free(&f->c);
    atm_tensor_file_close(f->file);
    *f = (op_fixture){ 0 };
}
