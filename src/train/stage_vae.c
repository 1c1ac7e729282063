/* stage_vae.c - the stage `vae`: log-mel pictures through the autoencoder and back.
 *
 *     z = mean + exp(logvar / 2) n,     y = decode(z)
 *     loss = mean |y - mel| + kl_weight KL(mean, logvar) / (numbers in a latent)
 *
 * With vae.linear_init the encoder begins as the best linear code of 4 x 4 patches
 * (linear_code.h), which loses less than a network learns in hours on a laptop.
 * With vae.normalize_latents the model that is written has latents of zero mean in every
 * channel and scaling_factor = 1 / their standard deviation (latent_scale.h).
 *
 * Sources: Kingma, Welling 2014; Rombach et al. 2022 (the weights of the two terms);
 * Liu et al., AudioLDM, 2023. */
#include "train/stages.h"

#include <stdlib.h>
#include <string.h>

#include "train/latent_scale.h"
#include "train/linear_code.h"
#include "train/validate.h"

enum { LOSS, RECONSTRUCTION, DIVERGENCE, N_METRICS };

typedef struct {
    atm_plan *plan;
    atm_tensor mel, noise, metric[N_METRICS];
    atm_vae_posterior posterior;
} network;

typedef struct {
    atm_group_source source;
    network train, valid;
    float *noise;
} vae;

/* ------------------------------------------------------------------ the network */

/* Train: through a sample of the posterior.  Validation: through its mean. */
static void append(const atm_stage *s, int frames, bool training, network *net)
{
    const atm_vae_config *c = &s->model->config.vae;
    const int scale = atm_vae_scale(c), bands = s->model->config.vocoder.model_in_dim;
    atm_plan *p = net->plan;
    net->mel = atm_input(p, "mel", ATM_INPUT_VARIES, ATM_DIMS(s->micro_batch, frames, bands, c->in_channels));
    net->noise = atm_input(p, "noise", ATM_INPUT_VARIES,
                           ATM_DIMS(s->micro_batch, frames / scale, bands / scale, c->latent_channels));
    atm_scope(p, "vae");
    net->posterior = atm_vae_encode(p, c, net->mel);
    const atm_tensor z = training ? atm_posterior(p, net->posterior.mean, net->posterior.logvar, net->noise)
                                  : net->posterior.mean;
    const atm_tensor y = atm_vae_decode(p, c, z);
    atm_scope_end(p);
    const double numbers = (double)(frames / scale) * (bands / scale) * c->latent_channels;
    const atm_tensor kl = atm_kl(p, net->posterior.mean, net->posterior.logvar);
    net->metric[RECONSTRUCTION] = atm_l1(p, y, net->mel, ATM_NONE);
    net->metric[DIVERGENCE] = atm_affine(p, kl, 1 / numbers, 0);
    net->metric[LOSS] = atm_add_scaled(p, net->metric[RECONSTRUCTION], 1, net->metric[DIVERGENCE],
                                       s->config->vae.kl_weight);
    for (int i = 0; i < N_METRICS; i++) atm_output(p, s->metric[i], net->metric[i]);
    atm_output(p, "mean", net->posterior.mean);
}

/* ------------------------------------------------------------------ plans */

static atm_status frames_of(const atm_stage *s, int *frames)
{
    const atm_column *mel = atm_dataset_find(s->dataset, "clips/mel");
    const int scale = atm_vae_scale(&s->model->config.vae), bands = s->model->config.vocoder.model_in_dim;
    if (!mel) return atm_fail(ATM_E_DATA, "%s has no clips/mel: run `arttomus prepare` with the column mel",
                              atm_dataset_path(s->dataset));
    if (mel->rank != 2 || mel->dim[1] != bands)
        return atm_fail(ATM_E_DATA, "%s: mel has %d bands, the model %d", atm_dataset_path(s->dataset),
                        mel->dim[mel->rank - 1], bands);
    *frames = s->config->train.crop ? s->config->train.crop : mel->dim[0];
    if (*frames % scale == 0 && *frames <= mel->dim[0]) return ATM_OK;
    return atm_fail(ATM_E_CONFIG, "train.crop is %d mel frames: a multiple of %d is needed, at most the clips' %d",
                    *frames, scale, mel->dim[0]);
}

static atm_status build(atm_stage *s, int frames, bool training, network *net)
{
    vae *v = s->self;
    TRY_RETURN(atm_plan_create(s->device, &net->plan));
    atm_plan_params(net->plan, &v->source.source);
    append(s, frames, training, net);
    if (training) {
        const atm_tensor one = atm_input(net->plan, "one", ATM_INPUT_STATIC, ATM_DIMS(1));
        atm_plan_backward(net->plan, 1, &net->metric[LOSS], &one);
        atm_group_outputs(&s->group[0], net->plan);
    }
    TRY_RETURN(atm_plan_finish(net->plan, (atm_plan_options){ .no_reuse = !s->config->train.reuse_memory }));
    return training ? atm_plan_write_f32(net->plan, atm_plan_find_input(net->plan, "one"), (float[]){ 1 }) : ATM_OK;
}

static atm_status list_parameters(atm_stage *s, int frames)
{
    static const char *const standard[] = { "vae.*", NULL };
    atm_config_text text;
    const char *list[ATM_STAGE_GLOBS + 1];
    network outline = { 0 };
    TRY_RETURN(atm_plan_create(s->device, &outline.plan));
    append(s, frames, true, &outline);
    const atm_status status = atm_group_add(&s->group[0], outline.plan, stage_globs(s, standard, text, list));
    atm_plan_destroy(outline.plan);
    return status;
}

static void describe(atm_stage *s)
{
    s->column[0] = (atm_loader_column){ "clips/mel", 0, s->config->train.crop, 1 };
    s->n_columns = 1;
    s->clips = true;
    s->metric[LOSS] = "loss";
    s->metric[RECONSTRUCTION] = "l1";
    s->metric[DIVERGENCE] = "kl";
    s->trained[0] = "vae";
    s->n_groups = 1;
}

static atm_status open_source(atm_stage *s)
{
    vae *v = s->self;
    v->source.group[0] = &s->group[0];
    TRY_RETURN(atm_group_source_open(&v->source, s->model, "vae-encoder"));
    TRY_RETURN(atm_group_allocate(&s->group[0], s->config->train.use_ema));
    TRY_RETURN(atm_group_load(&s->group[0], &v->source));
    return s->config->vae.linear_init ? atm_linear_code_init(s) : ATM_OK;
}

static atm_status open(atm_stage *s)
{
    int frames = 0;
    vae *v = s->self = calloc(1, sizeof *v);
    if (!v) return atm_fail(ATM_E_MEMORY, "no memory for a training stage");
    describe(s);
    TRY_RETURN(frames_of(s, &frames));
    TRY_RETURN(list_parameters(s, frames));
    TRY_RETURN(open_source(s));
    TRY_RETURN(build(s, frames, true, &v->train));
    TRY_RETURN(build(s, frames, false, &v->valid));
    v->noise = malloc(atm_count(v->train.noise) * sizeof *v->noise);
    return v->noise ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a batch of %d", s->micro_batch);
}

static void close(atm_stage *s)
{
    vae *v = s->self;
    if (!v) return;
    atm_plan_destroy(v->train.plan);
    atm_plan_destroy(v->valid.plan);
    atm_group_source_close(&v->source);
    free(v->noise);
    free(v);
    s->self = NULL;
}

/* ------------------------------------------------------------------ a batch */

static atm_status run_batch(network *net, const atm_loaded *batch, double *metrics)
{
    float value;
    TRY_RETURN(atm_plan_write_f32(net->plan, net->mel, batch->column[0]));
    TRY_RETURN(atm_plan_run(net->plan));
    for (int i = 0; i < N_METRICS; i++) {
        TRY_RETURN(atm_plan_read_f32(net->plan, net->metric[i], &value));
        metrics[i] = value;
    }
    return ATM_OK;
}

static atm_status gradients(atm_stage *s, int group, const atm_loaded *batch, double *metrics)
{
    vae *v = s->self;
    const size_t n = atm_count(v->train.noise) / (size_t)batch->n;
    for (int i = 0; i < batch->n; i++)
        atm_normal(stage_rng(s, ATM_STREAM_POSTERIOR, batch, i), v->noise + (size_t)i * n, n);
    TRY_RETURN(atm_plan_write_f32(v->train.plan, v->train.noise, v->noise));
    TRY_RETURN(run_batch(&v->train, batch, metrics));
    return atm_group_gather(&s->group[group], v->train.plan);
}

static atm_status validate(atm_stage *s, const atm_loaded *batch, double *metrics)
{
    return run_batch(&((vae *)s->self)->valid, batch, metrics);
}

static atm_status finish(atm_stage *s, const char *model_folder)
{
    vae *v = s->self;
    if (!s->config->vae.normalize_latents) return ATM_OK;
    atm_train_swap_average(s);
    const atm_status status = atm_normalize_latents(s, v->valid.plan, v->valid.mel, v->valid.posterior.mean,
                                                    model_folder);
    atm_train_swap_average(s);
    return status;
}

const atm_stage_info atm_stage_vae = {
    .name = "vae", .help = "the autoencoder between log-mel pictures and latents",
    .open = open, .gradients = gradients, .validate = validate, .finish = finish, .close = close
};
