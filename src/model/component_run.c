/* component_run.c - one component on tensors of a file: `arttomus forward`. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "io/safetensors.h"
#include "model/component.h"

static const char GRAD_OUTPUT[] = "grad_output.", GRAD_WEIGHT[] = "weight.";

typedef struct {
    const atm_component *component;
    const atm_component_request *request;
    atm_json config;
    atm_tensor_file *file;
    const char **trainable;             /* the globs of "weight.GLOB" */
    atm_params params;
    atm_component_call call;
    atm_named_tensor cotangent[ATM_COMPONENT_MAX_TENSORS];      /* named as in the file */
    int n_cotangents;
    atm_arena arena;
} job;

static const char *after(const char *name, const char *start)
{
    const size_t n = strlen(start);
    return strncmp(name, start, n) == 0 ? name + n : NULL;
}

/* ------------------------------------------------------------------ opening */

static atm_status no_memory(void) { return atm_fail(ATM_E_MEMORY, "no memory to run a component"); }

static atm_status unknown_component(const char *name)
{
    char known[512] = "";
    size_t n = 0;
    for (int i = 0; i < atm_n_components && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", atm_components[i].name);
    return atm_fail(ATM_E_USAGE, "there is no component \"%s\"; known are %s", name, known);
}

static atm_status list_trainable(job *j)
{
    size_t n = 0, used = 0;
    const char *const *grad = j->request->grad;
    while (grad && grad[n]) n++;
    j->trainable = atm_arena_alloc(&j->arena, n + 1, sizeof *j->trainable);
    if (!j->trainable) return no_memory();
    for (size_t i = 0; i < n; i++)
        if (after(grad[i], GRAD_WEIGHT)) j->trainable[used++] = after(grad[i], GRAD_WEIGHT);
    return ATM_OK;
}

static atm_status open_files(job *j)
{
    const atm_component_request *r = j->request;
    const char *config = atm_arena_printf(&j->arena, "%s/config.json", r->weights);
    if (!config) return no_memory();
    j->component = atm_component_find(r->component);
    if (!j->component) return unknown_component(r->component);
    TRY_RETURN(list_trainable(j));
    TRY_RETURN(atm_json_load(config, &j->config));
    TRY_RETURN(atm_tensor_file_open(r->inputs, &j->file));
    return atm_params_open(r->weights, &j->component->rules, j->trainable, &j->params);
}

/* ------------------------------------------------------------------ the plan */

static bool is_known(const job *j, const char *name)
{
    const char *of_output = after(name, GRAD_OUTPUT);
    for (int i = 0; i < j->call.n_inputs; i++)
        if (strcmp(name, j->call.input[i].name) == 0) return true;
    for (int i = 0; i < j->call.n_outputs; i++)
        if (strcmp(of_output ? of_output : name, j->call.output[i].name) == 0) return true;
    return !of_output && strchr(name, '.');
}

/* A misspelt optional input would change the result in silence.  Outputs and
 * other dotted names may be there: files of comparisons carry them. */
static atm_status check_names(const job *j)
{
    for (size_t i = 0; i < atm_tensor_file_count(j->file); i++) {
        const char *name = atm_tensor_file_at(j->file, i)->name;
        if (!is_known(j, name))
            return atm_fail(ATM_E_DATA, "%s: \"%s\" is no input of %s", j->request->inputs, name,
                            j->component->name);
    }
    return ATM_OK;
}

static atm_status build(job *j, atm_device *device)
{
    TRY_RETURN(atm_plan_create(device, &j->call.plan));
    atm_plan_params(j->call.plan, &j->params.source);
    j->call.config = &j->config;
    j->call.file = j->file;
    j->call.grad = j->request->grad;
    TRY_RETURN(j->component->build(&j->call));
    if (j->call.status != ATM_OK) return j->call.status;
    if (atm_plan_failed(j->call.plan)) return ATM_OK;       /* atm_plan_finish says why */
    TRY_RETURN(check_names(j));
    return atm_params_check(&j->params);
}

/* ------------------------------------------------------------------ gradients */

static bool same_shape(const atm_file_tensor *a, atm_tensor b)
{
    bool same = a->rank == b.rank;
    for (int i = 0; same && i < b.rank; i++) same = a->dim[i] == b.dim[i];
    return same;
}

static atm_status declare_cotangents(job *j, atm_tensor *y, atm_tensor *dy)
{
    for (int i = 0; i < j->call.n_outputs; i++) {
        const atm_named_tensor output = j->call.output[i];
        const char *name = atm_arena_printf(&j->arena, "%s%s", GRAD_OUTPUT, output.name);
        if (!name) return no_memory();
        const atm_file_tensor *given = atm_tensor_file_find(j->file, name);
        if (!given) continue;
        if (!same_shape(given, output.t))
            return atm_fail(ATM_E_DATA, "%s: \"%s\" has not the shape of \"%s\"", j->request->inputs, name,
                            output.name);
        y[j->n_cotangents] = output.t;
        dy[j->n_cotangents] = atm_input(j->call.plan, name, ATM_INPUT_VARIES, output.t.rank, output.t.dim);
        j->cotangent[j->n_cotangents] = (atm_named_tensor){ name, dy[j->n_cotangents] };
        j->n_cotangents++;
    }
    if (j->n_cotangents) return ATM_OK;
    return atm_fail(ATM_E_USAGE, "%s: gradients need \"%s%s\" among the inputs", j->request->inputs,
                    GRAD_OUTPUT, j->call.n_outputs ? j->call.output[0].name : "NAME");
}

/* Keeps the gradient of t under "grad.[weight.]NAME"; false: nothing depends on t. */
static bool keep_gradient(job *j, const char *kind, atm_named_tensor of)
{
    const atm_tensor g = atm_grad(j->call.plan, of.t);
    const char *name = atm_arena_printf(&j->arena, "grad.%s%s", kind, of.name);
    if (name && atm_present(g)) atm_output(j->call.plan, name, g);
    return atm_present(g);
}

static bool keep_input_gradient(job *j, const char *name)
{
    for (int i = 0; i < j->call.n_inputs; i++)
        if (strcmp(name, j->call.input[i].name) == 0) return keep_gradient(j, "", j->call.input[i]);
    return false;
}

static bool keep_weight_gradients(job *j, const char *glob)
{
    bool found = false;
    for (int i = 0; i < atm_plan_n_params(j->call.plan); i++) {
        const atm_named_tensor param = atm_plan_param_at(j->call.plan, i);
        if (atm_matches_any(param.name, (const char *const[]){ glob, NULL }))
            found |= keep_gradient(j, GRAD_WEIGHT, param);
    }
    return found;
}

static atm_status add_gradients(job *j)
{
    atm_tensor y[ATM_COMPONENT_MAX_TENSORS], dy[ATM_COMPONENT_MAX_TENSORS];
    const char *const *grad = j->request->grad;
    if (!grad || !*grad || atm_plan_failed(j->call.plan)) return ATM_OK;
    TRY_RETURN(declare_cotangents(j, y, dy));
    atm_plan_backward(j->call.plan, j->n_cotangents, y, dy);
    for (; *grad && !atm_plan_failed(j->call.plan); grad++) {
        const char *glob = after(*grad, GRAD_WEIGHT);
        if (!(glob ? keep_weight_gradients(j, glob) : keep_input_gradient(j, *grad)))
            return atm_fail(ATM_E_USAGE, "no gradient by \"%s\": not an input or weight of %s on which the"
                            " outputs depend", *grad, j->component->name);
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ running */

static atm_status write_tensor(job *j, atm_named_tensor to)
{
    const atm_file_tensor *from = atm_tensor_file_find(j->file, to.name);
    const size_t n = atm_count(to.t);
    void *host = malloc(n * atm_dtype_size(to.t.dtype));
    if (!host) return no_memory();
    atm_convert(host, to.t.dtype, from->data, from->dtype, n);
    const atm_status status = atm_plan_write(j->call.plan, to.t, host);
    free(host);
    return status;
}

static atm_status run(job *j)
{
    for (int i = 0; i < j->call.n_inputs; i++) TRY_RETURN(write_tensor(j, j->call.input[i]));
    for (int i = 0; i < j->n_cotangents; i++) TRY_RETURN(write_tensor(j, j->cotangent[i]));
    return atm_plan_run(j->call.plan);
}

/* ------------------------------------------------------------------ writing */

static atm_status read_output(atm_plan *plan, atm_named_tensor from, atm_arena *arena, atm_file_tensor *to)
{
    const size_t n = atm_count(from.t), size = atm_dtype_size(from.t.dtype);
    void *host = atm_arena_alloc(arena, n, size);
    if (!host) return no_memory();
    *to = (atm_file_tensor){ .name = from.name, .dtype = from.t.dtype, .rank = from.t.rank,
                             .data = host, .bytes = n * size };
    for (int i = 0; i < from.t.rank; i++) to->dim[i] = from.t.dim[i];
    return atm_plan_read(plan, from.t, host);
}

atm_status atm_component_write_outputs(atm_plan *plan, const char *component, const char *path)
{
    atm_status status = ATM_OK;
    atm_arena arena = { 0 };
    const size_t n = (size_t)atm_plan_n_outputs(plan);
    const atm_text_pair metadata = { "component", component };
    atm_file_tensor *tensor = atm_arena_alloc(&arena, n, sizeof *tensor);
    if (!tensor) return no_memory();
    for (size_t i = 0; i < n; i++) TRY(read_output(plan, atm_plan_output_at(plan, (int)i), &arena, &tensor[i]));
    status = atm_safetensors_write(path, tensor, n, &metadata, 1);
done:
    atm_arena_free(&arena);
    return status;
}

atm_status atm_component_run(atm_device *device, const atm_component_request *request)
{
    atm_status status = ATM_OK;
    job j = { .request = request };
    TRY(open_files(&j));
    TRY(build(&j, device));
    TRY(add_gradients(&j));
    TRY(atm_plan_finish(j.call.plan, request->options));
    TRY(run(&j));
    TRY(atm_component_write_outputs(j.call.plan, j.component->name, request->outputs));
done:
    atm_params_forget(device, j.call.plan);
    atm_plan_destroy(j.call.plan);
    atm_params_close(&j.params);
    atm_tensor_file_close(j.file);
    atm_json_free(&j.config);
    atm_arena_free(&j.arena);
    return status;
}
