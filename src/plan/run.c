/* run.c - finishing a plan, and running it. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "plan/internal.h"

/* ------------------------------------------------------------------ finishing */

static void set_addresses(atm_plan *p)
{
    for (int i = 1; i < p->n_values; i++) {
        atm_value *v = &p->value[i];
        if (v->kind == VALUE_PARAM || !p->block) continue;
        v->t.data = (char *)p->block + v->offset;
        if (v->kind == VALUE_INPUT) memset(v->t.data, 0, v->bytes);
    }
    for (int i = 0; i < p->n_steps; i++)
        for (int k = 0; k < plan_n_tensors(p->step[i].op); k++) {
            atm_tensor *t = &p->step[i].args.t[k];
            if (t->id) t->data = p->value[t->id].t.data;
        }
}

static void tell_source(const atm_plan *p, const atm_step *s)
{
    for (int k = 0; k < atm_op_table[s->op].n_in; k++) {
        const atm_tensor *t = &s->args.t[k];
        if (t->constant) p->source->prepared(p->source, t->data, p->value[t->id].bytes);
    }
}

static atm_status prepare_step(atm_plan *p, atm_step *s)
{
    const atm_kernel *kernel = &p->device->backend->kernel[s->op];
    if (!kernel->run)
        return atm_fail(ATM_E_DEVICE, "%s: backend %s has no kernel for %s", s->scope, p->device->backend->name,
                        atm_op_table[s->op].name);
    if (!kernel->prepare) return ATM_OK;
    atm_status status = kernel->prepare(p->device, &s->args, &s->prepared);
    if (status != ATM_OK) return atm_fail_in(status, "%s (%s)", s->scope, atm_op_table[s->op].name);
    if (s->prepared.workspace > p->workspace_bytes) p->workspace_bytes = s->prepared.workspace;
    if (p->source && p->source->prepared) tell_source(p, s);
    return ATM_OK;
}

static atm_status prepare_steps(atm_plan *p)
{
    for (int i = 0; i < p->n_steps; i++) TRY_RETURN(prepare_step(p, &p->step[i]));
    return ATM_OK;
}

static const char *missing_weight(const atm_plan *p)
{
    for (int i = 0; i < p->params.n; i++)
        if (!p->params.item[i].t.data) return p->params.item[i].name;
    return NULL;
}

static atm_status allocate(atm_plan *p, size_t bytes, void **out)
{
    size_t limit = p->options.memory_limit;
    if (limit && bytes > limit)
        return atm_fail(ATM_E_MEMORY, "the plan needs %.1f MiB, %.1f MiB are allowed: try a smaller batch or duration",
                        (double)bytes / 0x1p20, (double)limit / 0x1p20);
    *out = atm_device_alloc(bytes ? bytes : 1);
    return *out ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a plan of %.1f MiB: try a smaller batch or duration",
                                    (double)bytes / 0x1p20);
}

/* The workspace is known only after `prepare`, which wants final addresses of
 * the weights but not of the plan's own tensors: so it comes first. */
atm_status atm_plan_finish(atm_plan *p, atm_plan_options options)
{
    if (!plan_ok(p)) return atm_fail(p->status, "%s", p->message);
    if (p->finished) return atm_fail(ATM_E_BUG, "a plan is finished twice");
    p->options = options;
    TRY_RETURN(plan_remove_dead_steps(p));
    TRY_RETURN(plan_hoist(p));
    TRY_RETURN(plan_layout(p));
    if (options.shapes_only) return ATM_OK;
    if (missing_weight(p)) return atm_fail(ATM_E_DATA, "no weights for parameter %s", missing_weight(p));
    TRY_RETURN(prepare_steps(p));
    TRY_RETURN(allocate(p, p->block_bytes + p->workspace_bytes, &p->block));
    set_addresses(p);
    p->finished = true;
    return ATM_OK;
}

/* ------------------------------------------------------------------ running */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Index of the first element that is not finite, or the count. */
static size_t first_bad(atm_tensor t)
{
    size_t n = atm_count(t), i = 0;
    if (t.dtype == ATM_F32) while (i < n && isfinite(((const float *)t.data)[i])) i++;
    else if (t.dtype == ATM_F64) while (i < n && isfinite(((const double *)t.data)[i])) i++;
    else i = n;
    return i;
}

static atm_status check_step(const atm_step *s, int index)
{
    for (int k = atm_op_table[s->op].n_in; k < plan_n_tensors(s->op); k++) {
        atm_tensor t = s->args.t[k];
        size_t bad = t.id ? first_bad(t) : 0;
        if (t.id && bad < atm_count(t))
            return atm_fail(ATM_E_DATA, "step %d, %s (%s): element %zu of a result %s is not finite", index, s->scope,
                            atm_op_table[s->op].name, bad, plan_shape_text(t));
    }
    return ATM_OK;
}

static atm_status run_steps(atm_plan *p, int from, int to)
{
    const atm_backend *backend = p->device->backend;
    atm_run_env env = { .device = p->device, .pool = p->device->pool, .workspace = (char *)p->block + p->block_bytes };
    for (int i = from; i < to; i++) {
        atm_step *s = &p->step[i];
        double start = p->options.profile ? now() : 0;
        env.state = s->prepared.state;
        backend->kernel[s->op].run(&s->args, &env);
        if (p->options.profile) s->seconds += now() - start;
        if (p->options.checked) TRY_RETURN(check_step(s, i));
    }
    return ATM_OK;
}

atm_status atm_plan_run(atm_plan *p)
{
    if (!p->finished) return atm_fail(ATM_E_BUG, "a plan runs before it is finished");
    if (!p->prologue_done) TRY_RETURN(run_steps(p, 0, p->n_prologue));
    p->prologue_done = true;
    p->runs++;
    return run_steps(p, p->n_prologue, p->n_steps);
}

/* ------------------------------------------------------------------ copies */

/* NULL when the finished plan does not hold t between runs: a result that is no
 * output has lent its memory to others. */
static atm_value *held(atm_plan *p, atm_tensor t)
{
    atm_value *v = &p->value[t.id];
    return p->finished && t.id && v->t.data && (v->kind != VALUE_RESULT || v->keep) ? v : NULL;
}

static atm_status for_reading(atm_plan *p, atm_tensor t, const atm_value **out)
{
    *out = held(p, t);
    return *out ? ATM_OK : atm_fail(ATM_E_BUG, "read of a tensor that is no input or output of a finished plan");
}

/* Only inputs: weights belong to their source, and may lie in a read-only file. */
static atm_status for_writing(atm_plan *p, atm_tensor t, const atm_value **out)
{
    *out = held(p, t);
    if (!*out || (*out)->kind != VALUE_INPUT)
        return atm_fail(ATM_E_BUG, "write to a tensor that is no input of a finished plan");
    if (!(*out)->varies) p->prologue_done = false;
    return ATM_OK;
}

atm_status atm_plan_write(atm_plan *p, atm_tensor t, const void *host)
{
    const atm_value *v = NULL;
    TRY_RETURN(for_writing(p, t, &v));
    memcpy(v->t.data, host, v->bytes);
    return ATM_OK;
}

atm_status atm_plan_read(atm_plan *p, atm_tensor t, void *host)
{
    const atm_value *v = NULL;
    TRY_RETURN(for_reading(p, t, &v));
    memcpy(host, v->t.data, v->bytes);
    return ATM_OK;
}

atm_status atm_plan_write_f32(atm_plan *p, atm_tensor t, const float *host)
{
    const atm_value *v = NULL;
    TRY_RETURN(for_writing(p, t, &v));
    atm_convert(v->t.data, v->t.dtype, host, ATM_F32, atm_count(v->t));
    return ATM_OK;
}

atm_status atm_plan_read_f32(atm_plan *p, atm_tensor t, float *host)
{
    const atm_value *v = NULL;
    TRY_RETURN(for_reading(p, t, &v));
    atm_convert(host, ATM_F32, v->t.data, v->t.dtype, atm_count(v->t));
    return ATM_OK;
}
