#include "support/op_instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 256, ALIGN = 64 };

static const uint32_t pattern = 0xffffa5a5u;

static void fill_pattern(void *p, size_t bytes)
{
    for (size_t i = 0; i + sizeof pattern <= bytes; i += sizeof pattern)
        memcpy((char *)p + i, &pattern, sizeof pattern);
}

static bool is_pattern(const unsigned char *p, const unsigned char *end)
{
    for (; p < end; p++)
        if (*p != ((const unsigned char *)&pattern)[(uintptr_t)p % sizeof pattern]) return false;
    return true;
}

static size_t tensor_bytes(atm_tensor t) { return atm_count(t) * atm_dtype_size(t.dtype); }
static size_t round_up(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

/* Gives every tensor its place; returns the size of the block. */
static size_t place(op_instance *x, unsigned char *base)
{
    size_t at = GUARD;
    for (int i = 0; i < op_n_slots(x->c->op); i++) {
        atm_tensor *t = &x->args.t[i];
        if (!atm_present(*t)) continue;
        t->data = base ? base + at : NULL;
        at += round_up(tensor_bytes(*t)) + GUARD;
    }
    return at;
}

static void shape_args(op_instance *x, op_variant variant)
{
    x->args = x->c->args;
    for (int i = 0; i < op_n_slots(x->c->op); i++) {
        atm_tensor *t = &x->args.t[i];
        if (t->dtype == ATM_F32) t->dtype = x->device->backend->dtype;
        if (variant.trainable) t->constant = false;
        if (variant.absent >> i & 1u) *t = (atm_tensor){ 0 };
    }
}

/* A plan prepares its steps before the memory of its own tensors exists. */
static atm_status prepare(op_instance *x)
{
    const atm_kernel *kernel = &x->device->backend->kernel[x->c->op];
    atm_op_args args = x->args;
    for (int i = 0; i < op_n_slots(x->c->op); i++)
        if (!args.t[i].constant) args.t[i].data = NULL;
    if (kernel->prepare) TRY_RETURN(kernel->prepare(x->device, &args, &x->prepared));
    x->workspace = atm_device_alloc(round_up(x->prepared.workspace) + GUARD);
    if (!x->workspace) return atm_fail(ATM_E_MEMORY, "no memory for the workspace");
    return ATM_OK;
}

atm_status op_instance_open(const op_case *c, atm_device *device, op_variant variant, op_instance *out)
{
    *out = (op_instance){ .c = c, .device = device };
    shape_args(out, variant);
    out->bytes = place(out, NULL);
    out->block = atm_device_alloc(out->bytes);
    if (!out->block) return atm_fail(ATM_E_MEMORY, "no memory for %s", c->line);
    fill_pattern(out->block, out->bytes);
    place(out, out->block);
    for (int i = 0; i < atm_op_table[c->op].n_in; i++)
        if (atm_present(out->args.t[i])) op_instance_write(out, i, c->value[i]);
    atm_status status = prepare(out);
    if (status != ATM_OK) op_instance_close(out);
    return status;
}

void op_instance_close(op_instance *x)
{
    if (x->block) atm_device_forget(x->device, x->block, x->bytes);
    atm_device_free(x->block);
    atm_device_free(x->workspace);
    *x = (op_instance){ 0 };
}

void op_instance_compute(op_instance *x)
{
    atm_run_env env = { x->device, x->device->pool, x->prepared.state, x->workspace };
    x->device->backend->kernel[x->c->op].run(&x->args, &env);
}

void op_instance_run(op_instance *x)
{
    for (int i = atm_op_table[x->c->op].n_in; i < op_n_slots(x->c->op); i++)
        if (atm_present(x->args.t[i])) fill_pattern(x->args.t[i].data, round_up(tensor_bytes(x->args.t[i])));
    fill_pattern(x->workspace, round_up(x->prepared.workspace) + GUARD);
    op_instance_compute(x);
}

void op_instance_write(op_instance *x, int slot, const double *from)
{
    atm_convert(x->args.t[slot].data, x->args.t[slot].dtype, from, ATM_F64, atm_count(x->args.t[slot]));
}

void op_instance_read(const op_instance *x, int slot, double *to)
{
    atm_convert(to, ATM_F64, x->args.t[slot].data, x->args.t[slot].dtype, atm_count(x->args.t[slot]));
}

/* ------------------------------------------------------------------ damage */

static bool input_is_intact(const op_instance *x, int slot)
{
    atm_tensor t = x->args.t[slot];
    void *original = malloc(tensor_bytes(t));
    if (!original) return false;
    atm_convert(original, t.dtype, x->c->value[slot], ATM_F64, atm_count(t));
    bool same = memcmp(original, t.data, tensor_bytes(t)) == 0;
    free(original);
    return same;
}

const char *op_instance_damage(const op_instance *x)
{
    static _Thread_local char text[80];
    const unsigned char *at = x->block, *work = x->workspace + x->prepared.workspace;
    const char *before = "the block";
    for (int i = 0; i < op_n_slots(x->c->op); i++) {
        atm_tensor t = x->args.t[i];
        if (!atm_present(t)) continue;
        snprintf(text, sizeof text, "guard words between %s and %s", before, op_slot_of(x->c->op, i).name);
        if (!is_pattern(at, t.data)) return text;
        snprintf(text, sizeof text, "input %s", op_slot_of(x->c->op, i).name);
        if (!op_is_output(x->c->op, i) && !input_is_intact(x, i)) return text;
        at = (unsigned char *)t.data + tensor_bytes(t);
        before = "the last tensor";
    }
    if (!is_pattern(at, x->block + x->bytes)) return "guard words after the last tensor";
    bool intact = is_pattern(work, x->workspace + round_up(x->prepared.workspace) + GUARD);
    return intact ? NULL : "guard words after the workspace";
}
