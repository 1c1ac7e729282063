/* train_step.c - see train_step.h. */
#include "train/train_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "model/component.h"
#include "train/diffusion_loss.h"
#include "train/group.h"

static const char *const adapter[] = { "adapter.*", NULL };

typedef struct {
    atm_param_source source;            /* first member: weights with the globs' ones trainable */
    const atm_train_step_request *request;
    const char *const *grad;
    atm_group_source weights;
    atm_model_dir model;
    atm_conditioning conditioning;      /* of the inputs; empty: the model's */
    atm_tensor_file *file;
    const atm_file_tensor *embeds, *latents, *noise, *timestep;
    atm_plan *plan;
    atm_tensor z, one;
    atm_diffusion_net net;
    atm_arena arena;
} job;

/* ------------------------------------------------------------------ opening */

static atm_param_data find(atm_param_source *source, const char *name, int rank, const int *dim, atm_dtype dtype)
{
    job *j = (job *)(void *)source;
    atm_param_data found = j->weights.source.find(&j->weights.source, name, rank, dim, dtype);
    found.trainable = atm_matches_any(name, j->grad);
    return found;
}

static void prepared(atm_param_source *source, const void *data, size_t bytes)
{
    job *j = (job *)(void *)source;
    j->weights.source.prepared(&j->weights.source, data, bytes);
}

static atm_status open_model(job *j)
{
    static const char *const component[] = { "adapter", "language-model", "unet" };
    TRY_RETURN(atm_model_dir_open(j->request->model, &j->model));
    for (size_t i = 0; i < sizeof component / sizeof *component; i++)
        TRY_RETURN(atm_group_source_open(&j->weights, &j->model, component[i]));
    return ATM_OK;
}

static atm_status take(job *j, const char *name, int rank, const int *dim, const atm_file_tensor **out)
{
    char found[ATM_SHAPE_TEXT], wanted[ATM_SHAPE_TEXT];
    int64_t size[ATM_MAX_RANK];
    const atm_file_tensor *t = *out = atm_tensor_file_find(j->file, name);
    bool fits = t && t->rank == rank;
    for (int i = 0; i < rank; i++) {
        size[i] = dim[i];
        fits = fits && t->dim[i] == dim[i];
    }
    if (fits) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: input \"%s\" is %s; needed is %s", j->request->inputs, name,
                    t ? atm_shape_text(found, t->dim, t->rank) : "missing", atm_shape_text(wanted, size, rank));
}

/* The batch and the frames are those of the latents. */
static atm_status take_inputs(job *j)
{
    const atm_model_config *c = &j->model.config;
    const atm_file_tensor *latents = atm_tensor_file_find(j->file, "latents");
    const bool sized = latents && latents->rank == 4 && latents->dim[0] > 0 && latents->dim[0] < 1 << 20
                       && latents->dim[2] > 0 && latents->dim[2] < 1 << 20;
    const int n = sized ? (int)latents->dim[0] : 1, frames = sized ? (int)latents->dim[2] : 1;
    const int shape[] = { n, atm_model_latent_channels(c), frames, atm_model_latent_mels(c) };
    TRY_RETURN(take(j, "latents", 4, shape, &j->latents));
    TRY_RETURN(take(j, "noise", 4, shape, &j->noise));
    TRY_RETURN(take(j, "timestep", ATM_DIMS(n), &j->timestep));
    return take(j, "image_embeds", ATM_DIMS(n, c->adapter.in_dim), &j->embeds);
}

static atm_status take_conditioning(job *j)
{
    const atm_conditioning *own = &j->model.conditioning, *given = &j->conditioning;
    if (!atm_tensor_file_find(j->file, "prompt_embeds")) return ATM_OK;
    TRY_RETURN(atm_conditioning_read(j->request->inputs, &j->conditioning));
    if (given->text_dim == own->text_dim && given->loa_dim == own->loa_dim && given->loa_tokens == own->loa_tokens)
        return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: the conditioning has widths %d and %d, the model's %d and %d", j->request->inputs,
                    given->text_dim, given->loa_dim, own->text_dim, own->loa_dim);
}

static const atm_conditioning *conditioning_of(const job *j)
{
    return j->conditioning.text ? &j->conditioning : &j->model.conditioning;
}

/* ------------------------------------------------------------------ the plan */

/* Keeps the gradients of what `glob` matches; false: there are none. */
static bool keep_gradients(job *j, const char *glob)
{
    bool any = false;
    for (int i = 0; i < atm_plan_n_params(j->plan); i++) {
        const atm_named_tensor param = atm_plan_param_at(j->plan, i);
        const atm_tensor gradient = atm_grad(j->plan, param.t);
        if (!atm_present(gradient) || !atm_matches_any(param.name, (const char *const[]){ glob, NULL })) continue;
        const char *name = atm_arena_printf(&j->arena, "grad.%s", param.name);
        if (name) atm_output(j->plan, name, gradient);
        any = true;
    }
    return any;
}

static atm_status keep_all_gradients(job *j)
{
    for (int i = 0; j->grad[i] && !atm_plan_failed(j->plan); i++)       /* atm_plan_finish says why it failed */
        if (!keep_gradients(j, j->grad[i]))
            return atm_fail(ATM_E_USAGE, "no gradient by \"%s\": the loss depends on adapter.*, language_model.* and "
                            "unet.*", j->grad[i]);
    return ATM_OK;
}

static atm_status build(job *j, atm_device *device)
{
    TRY_RETURN(atm_plan_create(device, &j->plan));
    atm_plan_params(j->plan, &j->source);
    const int64_t *size = j->latents->dim;
    const int dim[] = { (int)size[0], (int)size[1], (int)size[2], (int)size[3] };
    j->z = atm_input(j->plan, "latents", ATM_INPUT_VARIES, 4, dim);
    atm_diffusion_append(j->plan, &(atm_diffusion_options){
        .model = &j->model.config, .conditioning = conditioning_of(j), .guidance = j->request->guidance
    }, j->z, &j->net);
    atm_output(j->plan, "loss", j->net.loss);
    j->one = atm_input(j->plan, "one", ATM_INPUT_STATIC, ATM_DIMS(1));
    atm_plan_backward(j->plan, 1, &j->net.loss, &j->one);
    TRY_RETURN(keep_all_gradients(j));
    return atm_plan_finish(j->plan, (atm_plan_options){ 0 });
}

/* ------------------------------------------------------------------ running */

static atm_status write_numbers(job *j, atm_tensor to, atm_dtype dtype, const void *numbers)
{
    const size_t n = atm_count(to);
    void *host = malloc(n * atm_dtype_size(to.dtype));
    if (!host) return atm_fail(ATM_E_MEMORY, "no memory for %zu numbers", n);
    atm_convert(host, to.dtype, numbers, dtype, n);
    const atm_status status = atm_plan_write(j->plan, to, host);
    free(host);
    return status;
}

static atm_status write_tensor(job *j, atm_tensor to, const atm_file_tensor *from)
{
    return write_numbers(j, to, from->dtype, from->data);
}

/* `row` [width] for each sample. */
static atm_status write_rows(job *j, atm_tensor to, const float *row)
{
    const size_t n = (size_t)to.dim[0], width = atm_count(to) / n;
    float *host = malloc(atm_count(to) * sizeof *host);
    if (!host) return atm_fail(ATM_E_MEMORY, "no memory for %zu numbers", atm_count(to));
    for (size_t i = 0; i < n; i++) memcpy(host + i * width, row, width * sizeof *row);
    const atm_status status = write_numbers(j, to, ATM_F32, host);
    free(host);
    return status;
}

static atm_status check_timestep(const job *j, double t)
{
    const int steps = j->model.config.schedule.num_train_timesteps;
    if (t >= 0 && t < steps && t == (int)t) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: a timestep is %g: whole numbers from 0 to %d are known", j->request->inputs, t,
                    steps - 1);
}

static atm_status write_coefficients(job *j)
{
    const atm_schedule_config *schedule = &j->model.config.schedule;
    const size_t n = (size_t)j->net.timestep.dim[0];
    double *abar = atm_arena_alloc(&j->arena, (size_t)schedule->num_train_timesteps, sizeof *abar);
    double *time = atm_arena_alloc(&j->arena, 6 * n, sizeof *time);
    if (!abar || !time) return atm_fail(ATM_E_MEMORY, "no memory for %zu samples", n);
    double *mix = time + n, *target = mix + 2 * n, *weight = target + 2 * n;
    atm_alphas_cumprod(schedule, abar);
    atm_convert(time, ATM_F64, j->timestep->data, j->timestep->dtype, n);
    for (size_t i = 0; i < n; i++) {
        TRY_RETURN(check_timestep(j, time[i]));
        const atm_diffused x = atm_diffuse(schedule, abar, j->request->snr_gamma, (int)time[i]);
        memcpy(mix + 2 * i, x.mix, sizeof x.mix);
        memcpy(target + 2 * i, x.target, sizeof x.target);
        weight[i] = x.weight;
    }
    TRY_RETURN(write_numbers(j, j->net.timestep, ATM_F64, time));
    TRY_RETURN(write_numbers(j, j->net.mix, ATM_F64, mix));
    TRY_RETURN(write_numbers(j, j->net.target, ATM_F64, target));
    return write_numbers(j, j->net.weight, ATM_F64, weight);
}

static atm_status write_inputs(job *j)
{
    const atm_conditioning *k = conditioning_of(j);
    TRY_RETURN(write_tensor(j, j->z, j->latents));
    TRY_RETURN(write_tensor(j, j->net.noise, j->noise));
    TRY_RETURN(write_tensor(j, j->net.embedding, j->embeds));
    TRY_RETURN(write_coefficients(j));
    TRY_RETURN(write_rows(j, j->net.keep, (const float[]){ 1, 0 }));
    if (atm_present(j->net.text)) TRY_RETURN(write_rows(j, j->net.text, k->text));
    if (atm_present(j->net.mask)) TRY_RETURN(write_rows(j, j->net.mask, k->mask));
    TRY_RETURN(atm_diffusion_write_constants(j->plan, k));
    return write_numbers(j, j->one, ATM_F64, &(double){ 1 });
}

atm_status atm_train_step_forward(atm_device *device, const atm_train_step_request *request)
{
    atm_status status = ATM_OK;
    job j = { .source = { find, prepared }, .request = request, .grad = request->grad ? request->grad : adapter };
    TRY(open_model(&j));
    TRY(atm_tensor_file_open(request->inputs, &j.file));
    TRY(take_inputs(&j));
    TRY(take_conditioning(&j));
    TRY(build(&j, device));
    TRY(write_inputs(&j));
    TRY(atm_plan_run(j.plan));
    TRY(atm_component_write_outputs(j.plan, "train-step", request->outputs));
done:
    atm_params_forget(device, j.plan);
    atm_plan_destroy(j.plan);
    atm_group_source_close(&j.weights);
    atm_conditioning_free(&j.conditioning);
    atm_model_dir_close(&j.model);
    atm_tensor_file_close(j.file);
    atm_arena_free(&j.arena);
    return status;
}
