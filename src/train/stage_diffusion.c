/* stage_diffusion.c - the stages `adapter` and `diffusion`: predict the noise in a latent,
 * given an artwork.
 *
 *     z = scaling_factor (mean + exp(logvar / 2) n_p),     n, n_p ~ N(0, 1),  t ~ U{0 .. T-1}
 *     z_t = sqrt(abar_t) z + sqrt(1 - abar_t) n
 *     loa = gpt2(adapter(embedding)), or the negative vectors with probability condition_dropout
 *     e = g unet(z_t, t, loa) + (1 - g) unet(z_t, t, negative)        g = 1: the first alone
 *     loss = mean_n w(t_n) mean (e - target)^2
 *
 *     target, w:  epsilon      n                                      min(snr, gamma) / snr
 *                 v            sqrt(abar) n - sqrt(1 - abar) z        min(snr, gamma) / (snr + 1)
 *                 sample       z                                      min(snr, gamma)
 *     with snr = abar / (1 - abar); w = 1 when gamma is 0.
 *
 * The adapter alone is trained in `adapter`; gradients stop at the first cross-attention.
 * g = 3.5 is what the predecessor does: guidance inside the loss.
 *
 * Sources: Rinaldi et al., Art2Mus (arXiv 2410.04906) and its code; Ho et al. 2020; Salimans,
 * Ho 2022 (v); Hang et al. 2023 (min-SNR), as in diffusers' train_text_to_image.py. */
#include "train/stages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MEAN, LOGVAR, EMBEDDING };           /* columns */

typedef struct {
    atm_plan *plan;
    atm_tensor mean, logvar, posterior_noise, noise, timestep, mix, target, weight, embedding, keep, text, mask;
    atm_tensor loss;
} network;

typedef struct {
    atm_group_source source;
    network train, valid;
    double *abar;
    float *host;                            /* scratch of the largest input */
    const atm_conditioning *conditioning;
} diffusion;

/* ------------------------------------------------------------------ the network */

static atm_tensor rows_of(atm_plan *p, const char *name, int n, int length, int width)
{
    return width ? atm_input(p, name, ATM_INPUT_VARIES, ATM_DIMS(n, length, width)) : ATM_NONE;
}

static void declare_inputs(const atm_stage *s, int frames, network *net)
{
    const atm_model_config *c = &s->model->config;
    const atm_conditioning *k = &s->model->conditioning;
    atm_plan *p = net->plan;
    const int n = s->micro_batch, latent[] = { n, atm_model_latent_channels(c), frames, atm_model_latent_mels(c) };
    net->mean = atm_input(p, "latent_mean", ATM_INPUT_VARIES, 4, latent);
    net->logvar = atm_input(p, "latent_logvar", ATM_INPUT_VARIES, 4, latent);
    net->posterior_noise = atm_input(p, "posterior_noise", ATM_INPUT_VARIES, 4, latent);
    net->noise = atm_input(p, "noise", ATM_INPUT_VARIES, 4, latent);
    net->timestep = atm_input(p, "timestep", ATM_INPUT_VARIES, ATM_DIMS(n));
    net->mix = atm_input(p, "mix", ATM_INPUT_VARIES, ATM_DIMS(n, 2));
    net->target = atm_input(p, "target", ATM_INPUT_VARIES, ATM_DIMS(n, 2));
    net->weight = atm_input(p, "weight", ATM_INPUT_VARIES, ATM_DIMS(n));
    net->embedding = atm_input(p, "embedding", ATM_INPUT_VARIES, ATM_DIMS(n, c->adapter.in_dim));
    net->keep = atm_input(p, "keep", ATM_INPUT_VARIES, ATM_DIMS(n, 2));
    net->text = rows_of(p, "text", n, k->text_tokens, atm_model_text_dim(c));
    if (atm_present(net->text)) net->mask = atm_input(p, "mask", ATM_INPUT_VARIES, ATM_DIMS(n, k->text_tokens));
}

/* The vectors of the artworks, with the negative ones where `keep` says so. */
static atm_tensor language_of_audio(const atm_stage *s, network *net, atm_tensor negative)
{
    const atm_model_config *c = &s->model->config;
    atm_plan *p = net->plan;
    atm_scope(p, "adapter");
    atm_tensor x = atm_adapter(p, &c->adapter, net->embedding);
    atm_scope_end(p);
    atm_scope(p, "language_model");
    x = atm_gpt2(p, &c->language_model, x, ATM_NONE);
    atm_scope_end(p);
    return atm_mix(p, x, negative, net->keep);
}

static atm_tensor predict(const atm_stage *s, network *net, atm_tensor noisy, atm_tensor loa, atm_tensor text,
                          atm_tensor mask)
{
    atm_scope(net->plan, "unet");
    const atm_tensor e = atm_unet(net->plan, &s->model->config.unet, (atm_unet_inputs){
        .sample = noisy, .timestep = net->timestep, .context = { loa, text }, .mask = { ATM_NONE, mask },
        .recompute = s->config->train.recompute
    });
    atm_scope_end(net->plan);
    return e;
}

/* One row for each of n samples: there is no broadcast in the UNet's contexts. */
static atm_tensor repeated(atm_plan *p, atm_tensor like, atm_tensor row)
{
    return atm_add(p, atm_affine(p, like, 0, 0), row);
}

/* Classifier-free guidance inside the loss; the unconditional half needs no gradient by the adapter. */
static atm_tensor guided(const atm_stage *s, network *net, atm_tensor noisy, atm_tensor e, atm_tensor loa,
                         atm_tensor negative)
{
    const double g = s->config->diffusion.guidance_scale;
    const atm_conditioning *k = &s->model->conditioning;
    if (g == 1) return e;
    atm_tensor text = ATM_NONE, mask = ATM_NONE;
    if (atm_present(net->text)) {
        text = repeated(net->plan, net->text, atm_input(net->plan, "negative_text", ATM_INPUT_STATIC,
                                                        ATM_DIMS(k->text_tokens, k->text_dim)));
        mask = repeated(net->plan, net->mask, atm_input(net->plan, "negative_mask", ATM_INPUT_STATIC,
                                                        ATM_DIMS(k->text_tokens)));
    }
    const atm_tensor uncond = predict(s, net, noisy, repeated(net->plan, loa, negative), text, mask);
    return atm_add_scaled(net->plan, e, g, uncond, 1 - g);
}

static void append(const atm_stage *s, int frames, network *net)
{
    const atm_model_config *c = &s->model->config;
    const atm_conditioning *k = &s->model->conditioning;
    atm_plan *p = net->plan;
    declare_inputs(s, frames, net);
    const atm_tensor negative = atm_input(p, "negative_loa", ATM_INPUT_STATIC, ATM_DIMS(k->loa_tokens, k->loa_dim));
    const atm_tensor z = atm_affine(p, atm_posterior(p, net->mean, net->logvar, net->posterior_noise),
                                    c->vae.scaling_factor, 0);
    const atm_tensor noisy = atm_to_channels_last(p, atm_mix(p, z, net->noise, net->mix));
    const atm_tensor target = atm_to_channels_last(p, atm_mix(p, z, net->noise, net->target));
    const atm_tensor loa = language_of_audio(s, net, negative);
    atm_tensor e = predict(s, net, noisy, loa, net->text, net->mask);
    e = guided(s, net, noisy, e, loa, negative);
    net->loss = atm_mse(p, e, target, net->weight);
    atm_output(p, "loss", net->loss);
}

/* ------------------------------------------------------------------ plans */

static int frames_of(const atm_stage *s)
{
    const atm_column *mean = atm_dataset_find(s->dataset, "clips/latent_mean");
    const int crop = s->config->train.crop;
    return crop && mean && crop < mean->dim[1] ? crop : mean ? mean->dim[1] : 0;
}

static atm_status write_constants(const atm_stage *s, network *net)
{
    const atm_conditioning *k = &s->model->conditioning;
    const struct { const char *name; const float *data; } constant[] = {
        { "negative_loa", k->negative_loa }, { "negative_text", k->negative_text }, { "negative_mask", k->negative_mask }
    };
    for (size_t i = 0; i < sizeof constant / sizeof *constant; i++) {
        const atm_tensor t = atm_plan_find_input(net->plan, constant[i].name);
        if (atm_present(t)) TRY_RETURN(atm_plan_write_f32(net->plan, t, constant[i].data));
    }
    return ATM_OK;
}

static atm_status build(atm_stage *s, network *net, bool backward)
{
    diffusion *d = s->self;
    TRY_RETURN(atm_plan_create(s->device, &net->plan));
    atm_plan_params(net->plan, &d->source.source);
    append(s, frames_of(s), net);
    if (backward) {
        const atm_tensor one = atm_input(net->plan, "one", ATM_INPUT_STATIC, ATM_DIMS(1));
        atm_plan_backward(net->plan, 1, &net->loss, &one);
        atm_group_outputs(&s->group[0], net->plan);
    }
    TRY_RETURN(atm_plan_finish(net->plan, (atm_plan_options){ .no_reuse = !s->config->train.reuse_memory }));
    if (backward) TRY_RETURN(atm_plan_write_f32(net->plan, atm_plan_find_input(net->plan, "one"), (float[]){ 1 }));
    return write_constants(s, net);
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

/* The dataset's latents must be those of the model. */
static atm_status check_columns(const atm_stage *s)
{
    const atm_model_config *c = &s->model->config;
    const int want[] = { atm_model_latent_channels(c), 0, atm_model_latent_mels(c) };
    const atm_column *mean = atm_dataset_find(s->dataset, "clips/latent_mean");
    const atm_column *embedding = atm_dataset_find(s->dataset, "artworks/embedding");
    if (!mean || !embedding || !atm_dataset_find(s->dataset, "clips/latent_logvar"))
        return atm_fail(ATM_E_DATA, "%s has no %s: run `arttomus prepare` with the columns embedding,latents",
                        atm_dataset_path(s->dataset), embedding ? "clips/latent_mean" : "artworks/embedding");
    if (mean->rank != 3 || mean->dim[0] != want[0] || mean->dim[2] != want[2])
        return atm_fail(ATM_E_DATA, "%s: latents are [%d, *, %d], the model's [%d, *, %d]: prepare the data with this model",
                        atm_dataset_path(s->dataset), mean->dim[0], mean->dim[2], want[0], want[2]);
    if (embedding->rank != 1 || embedding->dim[0] != c->adapter.in_dim)
        return atm_fail(ATM_E_DATA, "%s: embeddings have %d numbers, the model's adapter takes %d: prepare the data "
                        "with this model", atm_dataset_path(s->dataset), embedding->dim[0], c->adapter.in_dim);
    return ATM_OK;
}

/* Scratch for any one input: latents are the largest but for a long text. */
static atm_status allocate(atm_stage *s, diffusion *d)
{
    const atm_conditioning *k = &s->model->conditioning;
    const atm_column *mean = atm_dataset_find(s->dataset, "clips/latent_mean");
    size_t row = mean->row_bytes / sizeof(float);
    if (row < (size_t)k->text_tokens * (size_t)k->text_dim) row = (size_t)k->text_tokens * (size_t)k->text_dim;
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

typedef struct { float mix[2], target[2], weight, timestep; } diffused;

/* The three coefficients of sample t; see the head of this file. */
static diffused diffuse(const atm_stage *s, const double *abar, int t)
{
    const double a = sqrt(abar[t]), b = sqrt(1 - abar[t]), snr = abar[t] / (1 - abar[t]);
    const double gamma = s->config->diffusion.snr_gamma;
    diffused d = { .mix = { (float)a, (float)b }, .timestep = (float)t, .weight = 1 };
    const atm_prediction kind = s->model->config.schedule.prediction_type;
    d.target[0] = kind == ATM_PREDICT_V ? (float)-b : kind == ATM_PREDICT_SAMPLE ? 1 : 0;
    d.target[1] = kind == ATM_PREDICT_V ? (float)a : kind == ATM_PREDICT_SAMPLE ? 0 : 1;
    if (gamma > 0)
        d.weight = (float)(fmin(snr, gamma) / (kind == ATM_PREDICT_V ? snr + 1 : kind == ATM_PREDICT_SAMPLE ? 1 : snr));
    return d;
}

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
    float *mix = d->host, *target = mix + 2 * batch->n, *weight = target + 2 * batch->n, *t = weight + batch->n;
    for (int i = 0; i < batch->n; i++) {
        const diffused x = diffuse(s, d->abar, timestep_of(s, batch, i, stratified, of));
        memcpy(mix + 2 * i, x.mix, sizeof x.mix);
        memcpy(target + 2 * i, x.target, sizeof x.target);
        weight[i] = x.weight;
        t[i] = x.timestep;
    }
    TRY_RETURN(atm_plan_write_f32(net->plan, net->mix, mix));
    TRY_RETURN(atm_plan_write_f32(net->plan, net->target, target));
    TRY_RETURN(atm_plan_write_f32(net->plan, net->weight, weight));
    return atm_plan_write_f32(net->plan, net->timestep, t);
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
    atm_status status = write_rows(s, net, net->keep, dropped, kept, gone);
    if (status == ATM_OK && atm_present(net->text))
        status = write_rows(s, net, net->text, dropped, d->conditioning->text, d->conditioning->negative_text);
    if (status == ATM_OK && atm_present(net->mask))
        status = write_rows(s, net, net->mask, dropped, d->conditioning->mask, d->conditioning->negative_mask);
    free(dropped);
    return status;
}

/* Validation uses the posterior's mean, no dropout, and spread timesteps. */
static atm_status run_batch(const atm_stage *s, network *net, const atm_loaded *batch, bool training, double *loss)
{
    float value;
    TRY_RETURN(atm_plan_write_f32(net->plan, net->mean, batch->column[MEAN]));
    TRY_RETURN(atm_plan_write_f32(net->plan, net->logvar, batch->column[LOGVAR]));
    TRY_RETURN(atm_plan_write_f32(net->plan, net->embedding, batch->column[EMBEDDING]));
    TRY_RETURN(write_coefficients(s, net, batch, training));
    TRY_RETURN(write_noise(s, net, net->noise, batch, ATM_STREAM_NOISE, false));
    TRY_RETURN(write_noise(s, net, net->posterior_noise, batch, ATM_STREAM_POSTERIOR, !training));
    TRY_RETURN(write_conditions(s, net, batch, training));
    TRY_RETURN(atm_plan_run(net->plan));
    TRY_RETURN(atm_plan_read_f32(net->plan, net->loss, &value));
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
