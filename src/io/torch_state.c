/* torch_state.c - from pickled values to tensors.
 *
 * A tensor is _rebuild_tensor_v2(storage, offset, size, stride, ...), in elements; a
 * storage is the persistent id ("storage", type, key, location, numel[, view]),
 * whose bytes the container keeps under `key`.  A new dtype is a row below. */
#include "io/torch_state.h"

#include <string.h>

#include "base/size.h"
#include "io/utf8.h"

enum { MAX_KEY = 4096 };

/* What a row of the allow-list means.  Storages come first, as dtypes. */
enum { MEANS_TENSOR = ATM_DTYPE_COUNT, MEANS_PARAMETER, MEANS_DICT, MEANS_NOTHING };

#define ROWS(ROW) \
    ROW("torch.FloatStorage",    MERE_NAME, ATM_F32)  ROW("torch.DoubleStorage", MERE_NAME, ATM_F64) \
    ROW("torch.HalfStorage",     MERE_NAME, ATM_F16)  ROW("torch.BFloat16Storage", MERE_NAME, ATM_BF16) \
    ROW("torch.LongStorage",     MERE_NAME, ATM_I64)  ROW("torch.IntStorage",    MERE_NAME, ATM_I32) \
    ROW("torch.ByteStorage",     MERE_NAME, ATM_U8)   ROW("torch.BoolStorage",   MERE_NAME, ATM_BOOL) \
    ROW("torch._utils._rebuild_tensor_v2",              CALLABLE,   MEANS_TENSOR) \
    ROW("torch._utils._rebuild_tensor",                 CALLABLE,   MEANS_TENSOR) \
    ROW("torch._utils._rebuild_parameter",              CALLABLE,   MEANS_PARAMETER) \
    ROW("torch._utils._rebuild_parameter_with_state",   CALLABLE,   MEANS_PARAMETER) \
    ROW("collections.OrderedDict",                      MAKES_DICT, MEANS_DICT) \
    ROW("torch.Size",                                   CALLABLE,   MEANS_NOTHING) \
    ROW("torch.device",                                 CALLABLE,   MEANS_NOTHING) \
    ROW("torch.float32",  MERE_NAME, MEANS_NOTHING)  ROW("torch.float64", MERE_NAME, MEANS_NOTHING) \
    ROW("torch.float16",  MERE_NAME, MEANS_NOTHING)  ROW("torch.bfloat16", MERE_NAME, MEANS_NOTHING)

static const atm_pickle_global allowed[] = {
#define ROW(name, use, meaning) { name, ATM_PICKLE_##use },
    ROWS(ROW)
#undef ROW
};
static const int means[] = {
#define ROW(name, use, meaning) meaning,
    ROWS(ROW)
#undef ROW
};
enum { ALLOWED = sizeof allowed / sizeof allowed[0] };

typedef atm_torch_key slice;
typedef atm_torch_storage storage;
typedef atm_torch_reader reader;

static atm_status fail(const char *reason) { return atm_fail(ATM_E_DATA, "torch file: %s", reason); }
static atm_status no_memory(void) { return atm_fail(ATM_E_MEMORY, "no memory for a torch file"); }

atm_status atm_torch_read_pickle(reader *r, const void *bytes, size_t size, atm_pickle *out)
{
    return atm_pickle_read(bytes, size, allowed, ALLOWED, &r->scratch, out);
}

/* ------------------------------------------------------------------ storages */

static bool is_size(const atm_pickle_value *v) { return v->kind == ATM_PICKLE_INT && v->integer >= 0; }

atm_status atm_torch_read_id(const atm_pickle_value *persistent, slice *key, storage *s)
{
    const atm_pickle_value *id = persistent->item[0];
    if (id->kind != ATM_PICKLE_TUPLE || id->n < 5 || !atm_pickle_is_text(id->item[0], "storage"))
        return fail("a persistent object that is no storage (a whole module? save its state_dict)");
    const atm_pickle_value *type = id->item[1], *name = id->item[2], *numel = id->item[4];
    if (type->kind != ATM_PICKLE_GLOBAL || means[type->global] >= ATM_DTYPE_COUNT ||
        name->kind != ATM_PICKLE_TEXT || !is_size(numel)) return fail("a storage's id is broken");
    *key = (slice){ name->text, name->n };
    *s = (storage){ .dtype = (atm_dtype)means[type->global], .numel = (size_t)numel->integer };
    return atm_mul_size(s->numel, atm_dtype_size(s->dtype), &s->bytes) ? ATM_OK : fail("a storage too big");
}

/* In the older container a storage may be a piece (key, offset, numel) of its root. */
static atm_status apply_view(const atm_pickle_value *id, storage *s)
{
    if (id->n < 6 || id->item[5]->kind == ATM_PICKLE_NONE) return ATM_OK;
    const atm_pickle_value *view = id->item[5];
    if (view->kind != ATM_PICKLE_TUPLE || view->n != 3 || !is_size(view->item[1]) || !is_size(view->item[2]))
        return fail("a storage's view is broken");
    size_t offset = (size_t)view->item[1]->integer, numel = (size_t)view->item[2]->integer;
    if (offset > s->numel || numel > s->numel - offset) return fail("a storage's view is outside of it");
    s->data += offset * atm_dtype_size(s->dtype);
    s->numel = numel;
    return ATM_OK;
}

static atm_status resolve(reader *r, const atm_pickle_value *persistent, storage *s)
{
    slice key;
    if (persistent->kind != ATM_PICKLE_PERSISTENT) return fail("a tensor without storage");
    TRY_RETURN(atm_torch_read_id(persistent, &key, s));
    TRY_RETURN(r->find(r->container, key, s));
    return apply_view(persistent->item[0], s);
}

/* ------------------------------------------------------------------- tensors */

typedef struct {
    int64_t dim[ATM_FILE_RANK_MAX], stride[ATM_FILE_RANK_MAX];
    int rank;
    size_t offset, count;           /* in elements */
} view;

static bool read_sizes(const atm_pickle_value *v, int64_t out[ATM_FILE_RANK_MAX], int *n)
{
    if (v->kind != ATM_PICKLE_TUPLE || v->n > ATM_FILE_RANK_MAX) return false;
    *n = (int)v->n;
    for (int i = 0; i < *n; i++) {
        if (!is_size(v->item[i])) return false;
        out[i] = v->item[i]->integer;
    }
    return true;
}

/* The last element, offset + sum (dim - 1) stride, must lie in the storage. */
static bool fits(const view *v, const storage *s)
{
    size_t last = v->offset, reach;
    if (v->count == 0) return true;
    for (int i = 0; i < v->rank; i++)
        if (!atm_mul_size((size_t)(v->dim[i] - 1), (size_t)v->stride[i], &reach) ||
            !atm_add_size(last, reach, &last)) return false;
    return last < s->numel;
}

/* args: storage, offset, size, stride, ...  A stride of 0 makes gigabytes of one
 * element, so a view may not have more elements than its storage. */
static atm_status read_view(const atm_pickle_value *call, const storage *s, view *v)
{
    int strides;
    if (call->n < 4 || !is_size(call->item[1]) || !read_sizes(call->item[2], v->dim, &v->rank) ||
        !read_sizes(call->item[3], v->stride, &strides) || strides != v->rank)
        return fail("a tensor's shape is broken, or its rank above 8");
    if (call->n > 6 && call->item[6]->kind == ATM_PICKLE_DICT && call->item[6]->n)
        return fail("a tensor is a lazy negative or conjugate");
    v->offset = (size_t)call->item[1]->integer;
    if (!atm_shape_size(v->dim, v->rank, &v->count) || !fits(v, s))
        return fail("a tensor reaches outside its storage");
    return v->count <= s->numel ? ATM_OK : fail("an expanded tensor (save a .clone() of it)");
}

static bool is_row_major(const view *v)
{
    int64_t expected = 1;
    for (int i = v->rank - 1; i >= 0; expected *= v->dim[i--])
        if (v->dim[i] != 1 && v->stride[i] != expected) return false;
    return true;
}

/* Copies in row-major order: `index` counts through the shape like an odometer. */
static void gather(const view *v, const storage *s, char *to)
{
    size_t size = atm_dtype_size(s->dtype);
    int64_t index[ATM_FILE_RANK_MAX] = { 0 };
    size_t at = v->offset;
    for (size_t n = 0; n < v->count; n++, to += size) {
        memcpy(to, s->data + at * size, size);
        for (int i = v->rank - 1; i >= 0; index[i--] = 0) {
            if (++index[i] < v->dim[i]) {
                at += (size_t)v->stride[i];
                break;
            }
            at -= (size_t)(v->dim[i] - 1) * (size_t)v->stride[i];
        }
    }
}

/* Many views of one storage could fill the memory: all copies together may not be
 * larger than the file.  (One alone is not larger than its storage.) */
static atm_status copy_view(reader *r, const view *v, const storage *s, const void **data)
{
    size_t bytes = v->count * atm_dtype_size(s->dtype);
    if (bytes > r->may_copy) return fail("more strided tensors than the file has data");
    char *copy = atm_arena_alloc(&r->set->arena, bytes, 1);
    if (!copy) return no_memory();
    r->may_copy -= bytes;
    gather(v, s, copy);
    *data = copy;
    return ATM_OK;
}

static atm_status make_tensor(reader *r, const atm_pickle_value *call, atm_file_tensor *t)
{
    storage s;
    view v;
    if (call->n < 1) return fail("a tensor without storage");
    TRY_RETURN(resolve(r, call->item[0], &s));
    TRY_RETURN(read_view(call, &s, &v));
    t->dtype = s.dtype;
    t->rank = v.rank;
    memcpy(t->dim, v.dim, (size_t)v.rank * sizeof v.dim[0]);
    t->bytes = v.count * atm_dtype_size(s.dtype);
    t->data = v.count ? s.data + v.offset * atm_dtype_size(s.dtype) : s.data;
    return v.count == 0 || is_row_major(&v) ? ATM_OK : copy_view(r, &v, &s, &t->data);
}

/* -------------------------------------------------------------- state dicts */

/* The tensor below any wrapping Parameter; NULL when `v` is something else. */
static const atm_pickle_value *tensor_call(const atm_pickle_value *v)
{
    while (v->kind == ATM_PICKLE_CALL && means[v->global] == MEANS_PARAMETER && v->n) v = v->item[0];
    return v->kind == ATM_PICKLE_CALL && means[v->global] == MEANS_TENSOR ? v : NULL;
}

static atm_status add_tensor(reader *r, const char *prefix, const atm_pickle_value *key,
                             const atm_pickle_value *call)
{
    atm_file_tensor t = { 0 };
    if (key->kind != ATM_PICKLE_TEXT || key->n > MAX_KEY || memchr(key->text, 0, key->n) ||
        !atm_utf8_valid(key->text, key->n)) return fail("a tensor whose name is no text");
    t.name = atm_arena_printf(&r->set->arena, "%s%.*s", prefix, (int)key->n, key->text);
    if (!t.name) return no_memory();
    atm_status status = make_tensor(r, call, &t);
    return status == ATM_OK ? atm_tensor_set_add(r->set, &t) : atm_fail_in(status, "tensor %s", t.name);
}

/* Each dict once: {"a": d, "b": d, ...} one inside the other would otherwise
 * multiply ("billion laughs"). */
static atm_status claim(atm_pickle_value *dict)
{
    if (dict->visited) return fail("the same dict is there twice");
    dict->visited = true;
    return ATM_OK;
}

/* Tensors of {"state_dict": {...}}; dicts inside these are an optimizer's and the like. */
static atm_status add_group(reader *r, const atm_pickle_value *key, atm_pickle_value *dict)
{
    if (key->kind != ATM_PICKLE_TEXT || key->n > MAX_KEY) return ATM_OK;
    TRY_RETURN(claim(dict));
    const char *prefix = atm_arena_printf(&r->scratch, "%.*s.", (int)key->n, key->text);
    if (!prefix) return no_memory();
    for (size_t i = 0; i + 1 < dict->n; i += 2) {
        const atm_pickle_value *call = tensor_call(dict->item[i + 1]);
        if (call) TRY_RETURN(add_tensor(r, prefix, dict->item[i], call));
    }
    return ATM_OK;
}

atm_status atm_torch_add_state(reader *r, atm_pickle_value *root)
{
    if (root->kind != ATM_PICKLE_DICT) return fail("holds no dict of tensors (save a state_dict)");
    TRY_RETURN(claim(root));
    for (size_t i = 0; i + 1 < root->n; i += 2) {
        const atm_pickle_value *call = tensor_call(root->item[i + 1]);
        if (call) TRY_RETURN(add_tensor(r, "", root->item[i], call));
        else if (root->item[i + 1]->kind == ATM_PICKLE_DICT)
            TRY_RETURN(add_group(r, root->item[i], root->item[i + 1]));
    }
    return ATM_OK;
}
