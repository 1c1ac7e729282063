/* stage_diffusion.c - the stages `adapter` and `diffusion`: predict the noise in a latent,
 * given an artwork.
 *
 *     z = scaling_factor (mean + exp(logvar / 2) n_p),     n, n_p ~ N(0, 1),  t ~ U{0 .. T-1}
 *
 * and the negative vectors instead of the artwork's with probability condition_dropout; the loss is
 * that of diffusion_loss.c.
 *
 * The adapter alone is trained in `adapter`; gradients stop at the first cross-attention. */
#include "train/stages.h"

#include <stdlib.h>
#include <string.h>

#include "train/diffusion_loss.h"

enum { MEAN, LOGVAR, EMBEDDING };           /* columns */

typedef struct {
    atm_plan *plan;
    atm_tensor mean, logvar, posterior_noise;
    atm_diffusion_net io;
} network;

typedef struct {
    atm_group_source source;
    network train, valid;
    double *abar;
    float *host;                            /* scratch of the largest input */
    const atm_conditioning *conditioning;
} diffusion;

/* ------------------------------------------------------------------ the network */

static void append(const atm_stage *s, int frames, network *net)
{
    const atm_model_config *c = &s->model->config;
    const int latent[] = { s->micro_batch, atm_model_latent_channels(c), frames, atm_model_latent_mels(c) };
    atm_plan *p = net->plan;
    net->mean = atm_input(p, "latent_mean", ATM_INPUT_VARIES, 4, latent);
    net->logvar = atm_input(p, "latent_logvar", ATM_INPUT_VARIES, 4, latent);
    net->posterior_noise = atm_input(p, "posterior_noise", ATM_INPUT_VARIES, 4, latent);
    const atm_tensor z = atm_posterior(p, net->mean, net->logvar, net->posterior_noise);
    atm_diffusion_append(p, &(atm_diffusion_options){
        .model = c, .conditioning = &s->model->conditioning, .guidance = s->config->diffusion.guidance_scale,
        .recompute = s->config->train.recompute
    }, atm_affine(p, z, c->vae.scaling_factor, 0), &net->io);
    atm_output(p, "loss", net->io.loss);
}

/* ------------------------------------------------------------------ plans */

static int frames_of(const atm_stage *s)
{
    const atm_column *mean = atm_dataset_find(s->dataset, "clips/latent_mean");
    const int crop = s->config->train.crop;
    return crop && mean && crop < mean->dim[1] ? crop : mean ? mean->dim[1] : 0;
}

static atm_status build(atm_stage *s, network *net, bool backward)
{
    diffusion *d = s->self;
    TRY_RETURN(atm_plan_create(s->device, &net->plan));
    atm_plan_params(net->plan, &d->source.source);
    append(s, frames_of(s), net);
    if (backward) {
        const atm_tensor one = atm_input(net->plan, "one", ATM_INPUT_STATIC, ATM_DIMS(1));
        atm_plan_backward(net->plan, 1, &net->io.loss, &one);
        atm_group_outputs(&s->group[0], net->plan);
        s->plan = net->plan;
    }
    TRY_RETURN(atm_plan_finish(net->plan, (atm_plan_options){ .no_reuse = !s->config->train.reuse_memory,
                                                              .profile = s->profile }));
    if (backward) TRY_RETURN(atm_plan_write_f32(net->plan, atm_plan_find_input(net->plan, "one"), (float[]){ 1 }));
    return atm_diffusion_write_constants(net->plan, &s->model->conditioning);
}

static atm_status list_parameters(atm_stage *s, const char *const *standard)
{
    atm_config_text text;
    const char *list[ATM_STAGE_GLOBS + 1];
    network outline = { 0 };
    TRY_RETURN(atm_plan_create(s->device, &outline.plan));
    append(s, frames_of(s), &outline);
    const atm_status status = atm_group_add(&s->group[0], outline.plan, stage_globs(s, standard, text, list));
    atm_plan_destroy(outline.plan);
    if (status != ATM_OK || s->group[0].n_params) return status;
    return atm_fail(ATM_E_CONFIG, "train.trainable=\"%s\" matches no tensor of the model: try \"adapter.*\"",
                    s->config->train.trainable);
}

static void set_columns(atm_stage *s)
{
    const int crop = s->config->train.crop;
    s->column[MEAN] = (atm_loader_column){ "clips/latent_mean", 1, crop, 1 };
    s->column[LOGVAR] = (atm_loader_column){ "clips/latent_logvar", 1, crop, 1 };
    s->column[EMBEDDING] = (atm_loader_column){ .name = "artworks/embedding" };
    s->n_columns = 3;
    s->metric[0] = "loss";
    s->made_by[0] = "image_encoder";
    s->made_by[1] = "vae";
    s->makes_music = true;
}

static void list_trained(atm_stage *s)
{
    static const char *const folder[] = { "adapter", "language_model", "unet" };
    int n = 0;
    for (size_t i = 0; i < sizeof folder / sizeof *folder; i++)
        for (int k = 0; k < s->group[0].n_params; k++)
            if (strncmp(s->group[0].param[k].name, folder[i], strlen(folder[i])) == 0) {
                s->trained[n++] = folder[i];
                break;
            }
}

/* The dataset's latents must be those of the model, and each mean has its variance. */
static atm_status check_columns(const atm_stage *s)
{
    static const char columns[] = "embedding,latents";
    const atm_model_config *c = &s->model->config;
    int latent[] = { atm_model_latent_channels(c), -1, atm_model_latent_mels(c) };
    TRY_RETURN(stage_check_column(s, "artworks/embedding", ATM_F32, ATM_DIMS(c->adapter.in_dim), columns));
    TRY_RETURN(stage_check_column(s, "clips/latent_mean", ATM_F32, 3, latent, columns));
    latent[1] = atm_dataset_find(s->dataset, "clips/latent_mean")->dim[1];
    return stage_check_column(s, "clips/latent_logvar", ATM_F32, 3, latent, columns);
}

/* Scratch for any one input: latents are the largest but for a long text; the coefficients are the smallest. */
static atm_status allocate(atm_stage *s, diffusion *d)
{
    enum { COEFFICIENTS = 6 };
    const atm_conditioning *k = &s->model->conditioning;
    const size_t latent = atm_dataset_find(s->dataset, "clips/latent_mean")->row_bytes / sizeof *d->host;
    const size_t text = (size_t)k->text_tokens * (size_t)k->text_dim;
    size_t row = latent > text ? latent : text;
    if (row < COEFFICIENTS) row = COEFFICIENTS;
    d->abar = malloc((size_t)s->model->config.schedule.num_train_timesteps * sizeof *d->abar);
    d->host = malloc(row * (size_t)s->micro_batch * sizeof *d->host);
    if (!d->abar || !d->host) return atm_fail(ATM_E_MEMORY, "no memory for a batch of %d", s->micro_batch);
    atm_alphas_cumprod(&s->model->config.schedule, d->abar);
    d->conditioning = k;
    return ATM_OK;
}

static atm_status open_with(atm_stage *s, const char *const *standard)
{
    static const char *const component[] = { "adapter", "language-model", "unet" };
    diffusion *d = s->self = calloc(1, sizeof *d);
    if (!d) return atm_fail(ATM_E_MEMORY, "no memory for a training stage");
    set_columns(s);
    TRY_RETURN(check_columns(s));
    TRY_RETURN(allocate(s, d));
    TRY_RETURN(list_parameters(s, standard));
    list_trained(s);
    s->n_groups = 1;
    d->source.group[0] = &s->group[0];
    for (int i = 0; i < 3; i++) TRY_RETURN(atm_group_source_open(&d->source, s->model, component[i]));
    TRY_RETURN(atm_group_allocate(&s->group[0], s->config->train.use_ema));
    TRY_RETURN(atm_group_load(&s->group[0], &d->source));
    TRY_RETURN(build(s, &d->train, true));
    return build(s, &d->valid, false);
}

static atm_status open_adapter(atm_stage *s)
{
    static const char *const standard[] = { "adapter.*", NULL };
    return open_with(s, standard);
}

static atm_status open_diffusion(atm_stage *s)
{
    static const char *const standard[] = { "adapter.*", "language_model.*", "unet.*", NULL };
    return open_with(s, standard);
}

static void close_stage(atm_stage *s)
{
    diffusion *d = s->self;
    if (!d) return;
    atm_params_forget(s->device, d->train.plan);
    atm_params_forget(s->device, d->valid.plan);
    atm_plan_destroy(d->train.plan);
    atm_plan_destroy(d->valid.plan);
    atm_group_source_close(&d->source);
    free(d->abar);
    free(d->host);
    free(d);
    s->self = NULL;
}

/* ------------------------------------------------------------------ a batch */

/* Stratified: sample k of B draws from the k-th of B equal ranges. */
static int timestep_of(const atm_stage *s, const atm_loaded *batch, int i, bool stratified, int of)
{
    const int steps = s->model->config.schedule.num_train_timesteps;
    float u;
    atm_uniform(stage_rng(s, ATM_STREAM_TIMESTEP, batch, i), &u, 1);
    if (stratified) u = ((float)(batch->first + i) + u) / (float)of;
    const int t = (int)(u * (float)steps);
    return t < steps ? t : steps - 1;
}

static atm_status write_coefficients(const atm_stage *s, const network *net, const atm_loaded *batch, bool training)
{
    const diffusion *d = s->self;
    const bool stratified = s->config->diffusion.stratified_timesteps || !training;
    const int of = training ? s->config->train.batch_size : s->micro_batch * atm_comm_size(s->comm);
    float *mix = d->host, *target = mix + 2 * batch->n, *weight = target + 2 * batch->n, *time = weight + batch->n;
    for (int i = 0; i < batch->n; i++) {
        const int t = timestep_of(s, batch, i, stratified, of);
        const atm_diffused x = atm_diffuse(&s->model->config.schedule, d->abar, s->config->diffusion.snr_gamma, t);
        for (int k = 0; k < 2; k++) {
            mix[2 * i + k] = (float)x.mix[k];
            target[2 * i + k] = (float)x.target[k];
        }
        weight[i] = (float)x.weight;
        time[i] = (float)t;
    }
    TRY_RETURN(atm_plan_write_f32(net->plan, net->io.mix, mix));
    TRY_RETURN(atm_plan_write_f32(net->plan, net->io.target, target));
    TRY_RETURN(atm_plan_write_f32(net->plan, net->io.weight, weight));
    return atm_plan_write_f32(net->plan, net->io.timestep, time);
}

static atm_status write_noise(const atm_stage *s, const network *net, atm_tensor to, const atm_loaded *batch,
                              atm_stream stream, bool zero)
{
    float *host = ((diffusion *)s->self)->host;
    const size_t n = atm_count(to) / (size_t)batch->n;
    for (int i = 0; i < batch->n; i++) {
        if (zero) memset(host + (size_t)i * n, 0, n * sizeof *host);
        else atm_normal(stage_rng(s, stream, batch, i), host + (size_t)i * n, n);
    }
    return atm_plan_write_f32(net->plan, to, host);
}

static bool is_dropped(const atm_stage *s, const atm_loaded *batch, int i)
{
    float u;
    atm_uniform(stage_rng(s, ATM_STREAM_DROP, batch, i), &u, 1);
    return u < s->config->diffusion.condition_dropout;
}

static atm_status write_rows(const atm_stage *s, const network *net, atm_tensor to, const bool *dropped,
                             const float *positive, const float *negative)
{
    float *host = ((diffusion *)s->self)->host;
    const size_t n = atm_count(to) / (size_t)to.dim[0];
    for (int i = 0; i < to.dim[0]; i++)
        memcpy(host + (size_t)i * n, dropped[i] ? negative : positive, n * sizeof *host);
    return atm_plan_write_f32(net->plan, to, host);
}

static atm_status write_conditions(const atm_stage *s, const network *net, const atm_loaded *batch, bool training)
{
    const diffusion *d = s->self;
    static const float kept[] = { 1, 0 }, gone[] = { 0, 1 };
    bool *dropped = calloc((size_t)batch->n, sizeof *dropped);
    if (!dropped) return atm_fail(ATM_E_MEMORY, "no memory for a batch of %d", batch->n);
    for (int i = 0; i < batch->n; i++) dropped[i] = training && is_dropped(s, batch, i);
    atm_status status = write_rows(s, net, net->io.keep, dropped, kept, gone);
    if (status == ATM_OK && atm_present(net->io.text))
        status = write_rows(s, net, net->io.text, dropped, d->conditioning->text, d->conditioning->negative_text);
    if (status == ATM_OK && atm_present(net->io.mask))
        status = write_rows(s, net, net->io.mask, dropped, d->conditioning->mask, d->conditioning->negative_mask);
    free(dropped);
    return status;
}

/* Validation uses the posterior's mean, no dropout, and spread timesteps. */
static atm_status run_batch(const atm_stage *s, network *net, const atm_loaded *batch, bool training, double *loss)
{
    float value;
    TRY_RETURN(atm_plan_write_f32(net->plan, net->mean, batch->column[MEAN]));
    TRY_RETURN(atm_plan_write_f32(net->plan, net->logvar, batch->column[LOGVAR]));
    TRY_RETURN(atm_plan_write_f32(net->plan, net->io.embedding, batch->column[EMBEDDING]));
    TRY_RETURN(write_coefficients(s, net, batch, training));
    TRY_RETURN(write_noise(s, net, net->io.noise, batch, ATM_STREAM_NOISE, false));
    TRY_RETURN(write_noise(s, net, net->posterior_noise, batch, ATM_STREAM_POSTERIOR, !training));
    TRY_RETURN(write_conditions(s, net, batch, training));
    TRY_RETURN(atm_plan_run(net->plan));
    TRY_RETURN(atm_plan_read_f32(net->plan, net->io.loss, &value));
    *loss = value;
    return ATM_OK;
}

static atm_status gradients(atm_stage *s, int group, const atm_loaded *batch, double *metrics)
{
    diffusion *d = s->self;
    TRY_RETURN(run_batch(s, &d->train, batch, true, &metrics[0]));
    return atm_group_gather(&s->group[group], d->train.plan);
}

static atm_status validate(atm_stage *s, const atm_loaded *batch, double *metrics)
{
    return run_batch(s, &((diffusion *)s->self)->valid, batch, false, &metrics[0]);
}

const atm_stage_info atm_stage_adapter = {
    .name = "adapter", .help = "the visual-to-audio adapter alone, through frozen GPT-2 and UNet",
    .open = open_adapter, .gradients = gradients, .validate = validate, .close = close_stage
};
const atm_stage_info atm_stage_diffusion = {
    .name = "diffusion", .help = "adapter, GPT-2 and UNet together, or any part of them",
    .open = open_diffusion, .gradients = gradients, .validate = validate, .close = close_stage
};
