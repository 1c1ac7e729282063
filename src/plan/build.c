/* build.c - values, steps, scopes and parameters of a plan under construction. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "plan/internal.h"

/* ------------------------------------------------------------------ errors */

void atm_plan_fail(atm_plan *p, const char *format, ...)
{
    if (!plan_ok(p)) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *scope = p->scope.depth ? p->scope.text : "plan";
    p->status = ATM_E_DATA;
    p->message = atm_arena_printf(&p->arena, "%s: %s", scope, text);
    if (!p->message) p->message = "out of memory";
}

bool atm_plan_failed(const atm_plan *p) { return !plan_ok(p); }

static void fail_memory(atm_plan *p)
{
    if (!plan_ok(p)) return;
    p->status = ATM_E_MEMORY;
    p->message = "out of memory while building a plan";
}

const char *plan_shape_text(atm_tensor t)
{
    static _Thread_local char ring[4][80];
    static _Thread_local unsigned next;
    char *text = ring[next++ % 4];
    size_t n = 0;
    for (int i = 0; i < t.rank; i++)
        n += (size_t)snprintf(text + n, sizeof ring[0] - n, "%s%d", i ? ", " : "[", t.dim[i]);
    snprintf(text + n, sizeof ring[0] - n, t.rank ? "]" : "[]");
    return text;
}

/* ------------------------------------------------------------------ plan */

static void *grow(atm_plan *p, void *array, int n, int *cap, size_t size)
{
    if (n < *cap) return array;
    int wanted = *cap ? *cap * 2 : 64;
    void *bigger = realloc(array, (size_t)wanted * size);
    if (!bigger) { fail_memory(p); return array; }
    *cap = wanted;
    return bigger;
}

atm_status atm_plan_create(atm_device *device, atm_plan **out)
{
    atm_plan *p = calloc(1, sizeof *p);
    if (!p) return atm_fail(ATM_E_MEMORY, "no memory for a plan");
    p->device = device;
    p->scope.name = "";
    p->value = grow(p, NULL, 0, &p->cap_values, sizeof *p->value);
    if (!plan_ok(p)) { free(p); return atm_fail(ATM_E_MEMORY, "no memory for a plan"); }
    p->value[p->n_values++] = (atm_value){ 0 };
    *out = p;
    return ATM_OK;
}

void atm_plan_destroy(atm_plan *p)
{
    if (!p) return;
    atm_device_free(p->block);
    free(p->value);
    free(p->step);
    free(p->outputs.item);
    free(p->params.item);
    atm_arena_free(&p->arena);
    free(p);
}

void atm_plan_params(atm_plan *p, atm_param_source *source) { p->source = source; }

/* ------------------------------------------------------------------ scopes */

static void name_scope(atm_plan *p)
{
    p->scope.name = atm_arena_strdup(&p->arena, p->scope.text);
    if (!p->scope.name) { p->scope.name = ""; fail_memory(p); }
}

void atm_scope(atm_plan *p, const char *format, ...)
{
    enum { DEPTH = sizeof p->scope.length / sizeof *p->scope.length };
    size_t n = strlen(p->scope.text), room = sizeof p->scope.text - n;
    if (p->scope.depth >= DEPTH) { atm_plan_fail(p, "more than %d open scopes", DEPTH); return; }
    p->scope.length[p->scope.depth++] = n;
    if (n && room > 1) { p->scope.text[n++] = '.'; p->scope.text[n] = '\0'; room--; }
    va_list args;
    va_start(args, format);
    int m = vsnprintf(p->scope.text + n, room, format, args);
    va_end(args);
    if (m < 0 || (size_t)m >= room) atm_plan_fail(p, "scope name is longer than %zu bytes", sizeof p->scope.text);
    name_scope(p);
}

void atm_scope_end(atm_plan *p)
{
    if (!p->scope.depth) { atm_plan_fail(p, "a scope is closed that was never opened"); return; }
    p->scope.text[p->scope.length[--p->scope.depth]] = '\0';
    name_scope(p);
}

/* ------------------------------------------------------------------ values */

atm_tensor plan_new(atm_plan *p, int rank, const int *dim)
{
    atm_tensor t = { .dtype = p->device->backend->dtype, .rank = rank };
    for (int i = 0; i < rank; i++) t.dim[i] = dim[i];
    return t;
}

atm_tensor plan_like(atm_tensor t)
{
    t.id = 0;
    t.constant = false;
    t.data = NULL;
    return t;
}

bool plan_same_shape(atm_tensor a, atm_tensor b)
{
    return a.rank == b.rank && memcmp(a.dim, b.dim, (size_t)a.rank * sizeof *a.dim) == 0;
}

/* Bytes of t, or false: a dimension is not positive or the size overflows. */
static bool measure(atm_tensor t, size_t *bytes)
{
    size_t n = atm_dtype_size(t.dtype);
    for (int i = 0; i < t.rank; i++)
        if (t.dim[i] < 1 || !atm_mul_size(n, (size_t)t.dim[i], &n)) return false;
    *bytes = n;
    return n <= SIZE_MAX / 4;
}

static atm_tensor add_value(atm_plan *p, atm_tensor t, value_kind kind)
{
    size_t bytes;
    if (!plan_ok(p)) return ATM_NONE;
    if (!measure(t, &bytes)) {
        atm_plan_fail(p, "a tensor of shape %s is empty or too large", plan_shape_text(t));
        return ATM_NONE;
    }
    p->value = grow(p, p->value, p->n_values, &p->cap_values, sizeof *p->value);
    if (!plan_ok(p)) return ATM_NONE;
    t.id = p->n_values++;
    p->value[t.id] = (atm_value){ .t = t, .kind = kind, .origin = t.id, .bytes = bytes,
                                  .first = FOREVER, .last = BEFORE_ALL };
    return t;
}

static void remember(atm_plan *p, atm_named_tensor **item, int *n, int *cap, const char *name, atm_tensor t)
{
    *item = grow(p, *item, *n, cap, sizeof **item);
    if (plan_ok(p)) (*item)[(*n)++] = (atm_named_tensor){ name, t };
}

atm_tensor atm_input(atm_plan *p, const char *name, int flags, int rank, const int *dim)
{
    atm_tensor t = plan_new(p, rank, dim);
    if (flags & ATM_INPUT_INDEX) t.dtype = ATM_I32;
    t = add_value(p, t, VALUE_INPUT);
    if (!t.id) return ATM_NONE;
    atm_value *v = &p->value[t.id];
    v->name = atm_arena_strdup(&p->arena, name);
    v->varies = !(flags & ATM_INPUT_STATIC);
    v->needs_grad = flags & ATM_INPUT_GRAD;
    if (!v->name) fail_memory(p);
    return t;
}

void atm_output(atm_plan *p, const char *name, atm_tensor t)
{
    if (!plan_ok(p) || !t.id) return;
    p->value[t.id].keep = true;
    char *copy = atm_arena_strdup(&p->arena, name);
    if (copy) remember(p, &p->outputs.item, &p->outputs.n, &p->outputs.cap, copy, t);
    else fail_memory(p);
}

/* ------------------------------------------------------------------ parameters */

static uint64_t hash_name(const char *s)        /* FNV-1a */
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return h;
}

static atm_tensor find_param(const atm_plan *p, const char *name)
{
    uint64_t hash = hash_name(name);
    for (int i = 0; i < p->params.n; i++) {
        const atm_value *v = &p->value[p->params.item[i].t.id];
        if (v->hash == hash && strcmp(v->name, name) == 0) return p->params.item[i].t;
    }
    return ATM_NONE;
}

/* The tensor's data is set at once: kernels re-pack weights in `prepare`. */
static void bind_param(atm_plan *p, atm_value *v)
{
    if (!p->source) return;
    atm_param_data found = p->source->find(p->source, v->name, v->t.rank, v->t.dim, v->t.dtype);
    v->t.data = (void *)found.data;             /* kernels never write to inputs */
    v->t.constant = found.data && !found.trainable;
    v->needs_grad = v->varies = found.trainable;
}

atm_tensor atm_param(atm_plan *p, const char *name, int rank, const int *dim)
{
    if (!plan_ok(p)) return ATM_NONE;
    const char *full = *p->scope.text ? atm_arena_printf(&p->arena, "%s.%s", p->scope.text, name)
                                      : atm_arena_strdup(&p->arena, name);
    if (!full) { fail_memory(p); return ATM_NONE; }
    atm_tensor t = plan_new(p, rank, dim), known = find_param(p, full);
    if (known.id && !plan_same_shape(known, t))
        atm_plan_fail(p, "parameter %s is asked for as %s and as %s", full, plan_shape_text(known), plan_shape_text(t));
    if (known.id) return plan_ok(p) ? known : ATM_NONE;
    t = add_value(p, t, VALUE_PARAM);
    if (!t.id) return ATM_NONE;
    atm_value *v = &p->value[t.id];
    v->name = full;
    v->hash = hash_name(full);
    bind_param(p, v);
    remember(p, &p->params.item, &p->params.n, &p->params.cap, full, v->t);
    return v->t;
}

/* ------------------------------------------------------------------ steps */

static void add_step(atm_plan *p, atm_op op, const atm_op_args *args)
{
    p->step = grow(p, p->step, p->n_steps, &p->cap_steps, sizeof *p->step);
    if (plan_ok(p))
        p->step[p->n_steps++] = (atm_step){ .op = op, .args = *args, .scope = p->scope.name, .segment = p->segment };
}

/* Outputs with a shape (rank > 0) become values; those without stay absent. */
atm_tensor plan_emit(atm_plan *p, atm_op op, atm_op_args *args)
{
    const atm_op_info *info = &atm_op_table[op];
    bool needs_grad = false;
    if (!plan_ok(p)) return ATM_NONE;
    for (int i = 0; i < info->n_in; i++) needs_grad |= p->value[args->t[i].id].needs_grad;
    for (int i = info->n_in; i < plan_n_tensors(op); i++) {
        if (!args->t[i].rank) continue;
        args->t[i] = add_value(p, args->t[i], VALUE_RESULT);
        if (!plan_ok(p)) return ATM_NONE;
        p->value[args->t[i].id].needs_grad = needs_grad && info->has_gradient;
    }
    add_step(p, op, args);
    return args->t[info->n_in];
}

/* An input as the end of a run leaves it: the one op whose output is not new. */
void atm_assign(atm_plan *p, atm_tensor state, atm_tensor x)
{
    if (!plan_ok(p)) return;
    if (p->value[state.id].kind != VALUE_INPUT || !p->value[state.id].varies)
        atm_plan_fail(p, "assign: the state must be an input that varies");
    else if (atm_count(state) != atm_count(x))
        atm_plan_fail(p, "assign: state is %s, the new value %s", plan_shape_text(state), plan_shape_text(x));
    else
        add_step(p, ATM_OP_copy, &(atm_op_args){ .copy = { .x = x, .y = state } });
}

void atm_segment_begin(atm_plan *p)
{
    if (p->segment) atm_plan_fail(p, "segments do not nest");
    p->segment = ++p->n_segments;
}

void atm_segment_end(atm_plan *p) { p->segment = 0; }

/* ------------------------------------------------------------------ looking */

int atm_plan_n_params(const atm_plan *p) { return p->params.n; }
int atm_plan_n_outputs(const atm_plan *p) { return p->outputs.n; }

atm_named_tensor atm_plan_param_at(const atm_plan *p, int i) { return p->params.item[i]; }

atm_named_tensor atm_plan_output_at(const atm_plan *p, int i)
{
    atm_named_tensor o = p->outputs.item[i];
    o.t.data = p->value[o.t.id].t.data;
    return o;
}

atm_tensor atm_plan_find_param(const atm_plan *p, const char *name) { return find_param(p, name); }

atm_tensor atm_plan_find_input(const atm_plan *p, const char *name)
{
    for (int i = 1; i < p->n_values; i++)
        if (p->value[i].kind == VALUE_INPUT && strcmp(p->value[i].name, name) == 0) return p->value[i].t;
    return ATM_NONE;
}
