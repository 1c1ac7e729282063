#include "train/export_weights.h"

#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"

enum { PIECE = 1 << 16 };               /* elements converted at a time */

/* A tensor to be written: `value` is new, or what the old file has. */
typedef struct {
    atm_file_tensor spec;
    const float *value;                 /* NULL: spec.data as they are */
    size_t count;
} item;

typedef struct {
    const atm_stage *stage;
    atm_params params;                  /* the old files */
    atm_dtype dtype;
    item *item;
    size_t n, capacity;
} work;

/* ------------------------------------------------------------------ what is written */

static atm_status add(work *w, item x)
{
    if (w->n == w->capacity) {
        const size_t more = w->capacity ? 2 * w->capacity : 256;
        item *grown = realloc(w->item, more * sizeof *grown);
        if (!grown) return atm_fail(ATM_E_MEMORY, "no memory for a list of %zu tensors", more);
        w->item = grown;
        w->capacity = more;
    }
    w->item[w->n++] = x;
    return ATM_OK;
}

/* In the old file's shape, where there is one: [C,C] and [C,C,1,1] are the same to us, not to
 * others who read the file. */
static atm_status add_trained(work *w, const atm_group *group, const atm_group_param *param, const char *name)
{
    const atm_file_tensor *old = atm_weights_tensor(w->params.weights, name);
    item x = { .spec = { .name = name, .dtype = w->dtype, .rank = old ? old->rank : param->rank },
               .value = (group->ema ? group->ema : group->p) + param->offset, .count = param->count };
    for (int i = 0; i < x.spec.rank; i++) x.spec.dim[i] = old ? old->dim[i] : param->dim[i];
    return add(w, x);
}

static atm_status add_group(work *w, const atm_group *group, const char *folder)
{
    const size_t length = strlen(folder);
    for (int i = 0; i < group->n_params; i++) {
        const atm_group_param *param = &group->param[i];
        if (strncmp(param->name, folder, length) != 0 || param->name[length] != '.') continue;
        TRY_RETURN(add_trained(w, group, param, param->name + length + 1));
    }
    return ATM_OK;
}

static int by_address(const void *a, const void *b)
{
    const atm_file_tensor *const *x = a, *const *y = b;
    return (*x > *y) - (*x < *y);
}

/* The old tensors that the first `n` items replace, for bsearch. */
static const atm_file_tensor **replaced_tensors(const work *w, size_t n, size_t *found)
{
    const atm_file_tensor **list = malloc((n + 1) * sizeof *list);
    *found = 0;
    for (size_t i = 0; list && i < n; i++) {
        const atm_file_tensor *old = atm_weights_tensor(w->params.weights, w->item[i].spec.name);
        if (old) list[(*found)++] = old;
    }
    if (list) qsort(list, *found, sizeof *list, by_address);
    return list;
}

static atm_status add_others_of(work *w, const atm_tensor_file *file, const atm_file_tensor **replaced, size_t n)
{
    const char *prefix = atm_weights_prefix(w->params.weights);
    const size_t length = strlen(prefix);
    for (size_t i = 0; i < atm_tensor_file_count(file); i++) {
        const atm_file_tensor *t = atm_tensor_file_at(file, i);
        if (bsearch(&t, replaced, n, sizeof *replaced, by_address)) continue;
        item x = { .spec = *t };
        if (strncmp(t->name, prefix, length) == 0) x.spec.name += length;
        TRY_RETURN(add(w, x));
    }
    return ATM_OK;
}

static atm_status add_others(work *w)
{
    size_t n;
    const atm_weights *old = w->params.weights;
    const atm_file_tensor **replaced = replaced_tensors(w, w->n, &n);
    atm_status status = replaced ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a list of tensors");
    for (size_t f = 0; f < atm_weights_file_count(old) && status == ATM_OK; f++)
        status = add_others_of(w, atm_weights_file(old, f), replaced, n);
    free(replaced);
    return status;
}

/* ------------------------------------------------------------------ writing */

static atm_status append_converted(atm_safetensors_writer *writer, const item *x, void *piece)
{
    for (size_t at = 0; at < x->count; at += PIECE) {
        const size_t n = x->count - at < PIECE ? x->count - at : PIECE;
        atm_convert(piece, x->spec.dtype, x->value + at, ATM_F32, n);
        TRY_RETURN(atm_safetensors_append(writer, piece, n * atm_dtype_size(x->spec.dtype)));
    }
    return ATM_OK;
}

/* Wide dtypes first (safetensors.h); otherwise by name. */
static int by_width(const void *a, const void *b)
{
    const atm_file_tensor *x = &((const item *)a)->spec, *y = &((const item *)b)->spec;
    const size_t wide_x = atm_dtype_size(x->dtype), wide_y = atm_dtype_size(y->dtype);
    return wide_x != wide_y ? (wide_x < wide_y) - (wide_x > wide_y) : strcmp(x->name, y->name);
}

static atm_status begin(work *w, const char *path, atm_safetensors_writer **out)
{
    const atm_text_pair format = { "format", "pt" };
    atm_file_tensor *spec = malloc((w->n + 1) * sizeof *spec);
    if (!spec) return atm_fail(ATM_E_MEMORY, "no memory for a list of %zu tensors", w->n);
    qsort(w->item, w->n, sizeof *w->item, by_width);
    for (size_t i = 0; i < w->n; i++) spec[i] = w->item[i].spec;
    const atm_status status = atm_safetensors_begin(path, spec, w->n, &format, 1, out);
    free(spec);
    return status;
}

static atm_status write_items(work *w, const char *path)
{
    atm_status status = ATM_OK;
    atm_safetensors_writer *writer = NULL;
    float *piece = malloc(PIECE * sizeof *piece);
    if (!piece) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    TRY(begin(w, path, &writer));
    for (size_t i = 0; i < w->n; i++) {
        const item *x = &w->item[i];
        TRY(x->value ? append_converted(writer, x, piece)
                     : atm_safetensors_append(writer, x->spec.data, x->spec.bytes));
    }
    status = atm_safetensors_commit(writer);
    writer = NULL;
done:
    atm_safetensors_abort(writer);
    free(piece);
    return status;
}

atm_status atm_export_weights(const atm_stage *stage, const atm_model_part_info *part, atm_dtype dtype,
                              const char *path)
{
    atm_status status = ATM_OK;
    work w = { .stage = stage, .dtype = dtype };
    TRY(atm_model_dir_params(stage->model, part->component[0], &w.params));
    for (int g = 0; g < stage->n_groups; g++) TRY(add_group(&w, &stage->group[g], part->folder));
    TRY(add_others(&w));
    TRY(write_items(&w, path));
done:
    free(w.item);
    atm_params_close(&w.params);
    return status;
}

bool atm_is_weights_name(const char *name)
{
    static const char *const ending[] = { ".safetensors", ".bin", ".pt", ".pth", ".index.json" };
    const size_t length = strlen(name);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        const size_t n = strlen(ending[i]);
        if (length >= n && strcmp(name + length - n, ending[i]) == 0) return true;
    }
    return false;
}
