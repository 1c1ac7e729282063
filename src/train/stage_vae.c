/* stage_vae.c - the stage `vae`: log-mel pictures through the autoencoder and back.
 *
 *     loss = mean |y - mel| + kl_weight KL        (vae_loss.h; y: the picture decoded)
 *            from adversarial_start on:  + adversarial_weight mean (D(y) - 1)^2
 *     and, of the patch discriminator D:   mean (D(mel) - 1)^2 + mean D(y)^2
 *
 * Until then the discriminator's group is idle.  It begins at random, and lives in checkpoints only.
 * The picture that D judges is an input of D's plan, not a part of it: there the VAE is data.
 * In the VAE's plan D is a network like others whose gradients nobody reads (stage_vocoder.c says why
 * it is not frozen there).
 *
 * With vae.linear_init the encoder begins as the best linear code of 4 x 4 patches
 * (linear_code.h), which loses less than a network learns in hours on a laptop.
 * With vae.normalize_latents the model that is written has latents of zero mean in every
 * channel and scaling_factor = 1 / their standard deviation (latent_scale.h).
 *
 * Difference from Rombach et al.: adversarial_weight is a number, and not the ratio of two gradients
 * at the last layer, which would need a backward pass of its own.
 *
 * Sources: Kingma, Welling 2014; Rombach et al. 2022 (the weights of the terms); Liu et al.,
 * AudioLDM, 2023; discriminators.c. */
#include "train/stages.h"

#include <stdlib.h>
#include <string.h>

#include "model/discriminators.h"
#include "train/latent_scale.h"
#include "train/linear_code.h"
#include "train/random_group.h"
#include "train/vae_loss.h"
#include "train/validate.h"

enum { LOSS, RECONSTRUCTION, DIVERGENCE, ADVERSARIAL, DISCRIMINATOR, METRICS };
enum { PATCH_LAYERS = 3, SMALLEST = (2 << PATCH_LAYERS) + (1 << PATCH_LAYERS) };    /* pictures that D can see */

/* What D sees of a log-mel: from silence at -11.5 to about 2, brought near -1 .. 1. */
static const double D_SCALE = 0.2, D_SHIFT = 1;

static const char *const metric_names[METRICS] = { "loss", "l1", "kl", "adversarial", "discriminator" };

typedef struct {
    atm_plan *plan;
    atm_tensor mel, noise, mean;
    atm_tensor decoded;                 /* an output of the VAE's plan, an input of D's        */
    atm_tensor metric[METRICS];         /* absent: not of this plan                            */
} network;

typedef struct {
    atm_group_source weights;
    int frames;                         /* of a crop                                           */
    int autoencoder, discriminator;     /* numbers of the groups; discriminator -1: none       */
    network alone, opposed;             /* the VAE without and with D                          */
    network judging;                    /* D                                                   */
    network valid;                      /* the VAE, forward alone, through the posterior's mean */
    bool adversarial;                   /* of the micro-batch at hand                          */
    float *noise, *decoded;             /* of a micro-batch                                    */
} vae;

/* ------------------------------------------------------------------ networks */

static atm_tensor declare_picture(const atm_stage *s, network *net, const char *name)
{
    const vae *v = s->self;
    return atm_input(net->plan, name, ATM_INPUT_VARIES, ATM_DIMS(s->micro_batch, v->frames,
                     s->model->config.vocoder.model_in_dim, s->model->config.vae.in_channels));
}

static atm_tensor declare_noise(const atm_stage *s, network *net)
{
    const vae *v = s->self;
    const atm_vae_config *c = &s->model->config.vae;
    return atm_input(net->plan, "noise", ATM_INPUT_VARIES, ATM_DIMS(s->micro_batch, v->frames / atm_vae_scale(c),
                     atm_model_latent_mels(&s->model->config), c->latent_channels));
}

static void append_autoencoder(const atm_stage *s, network *net)
{
    net->mel = declare_picture(s, net, "mel");
    atm_scope(net->plan, "vae");
    const atm_vae_losses l = atm_vae_loss(net->plan, &s->model->config.vae, net->mel, net->noise,
                                          s->config->vae.kl_weight);
    atm_scope_end(net->plan);
    net->mean = l.posterior.mean;
    net->decoded = l.decoded;
    net->metric[RECONSTRUCTION] = l.l1;
    net->metric[DIVERGENCE] = l.kl;
    net->metric[LOSS] = l.loss;
}

static atm_verdict judge(const atm_stage *s, atm_plan *p, atm_tensor picture)
{
    atm_scope(p, "discriminator");
    const atm_verdict v = atm_patch_discriminator(p, &(atm_patch_discriminator_config){
        .channels = s->config->vae.discriminator_channels, .layers = PATCH_LAYERS
    }, atm_affine(p, picture, D_SCALE, D_SHIFT));
    atm_scope_end(p);
    return v;
}

static void append_alone(const atm_stage *s, network *net)
{
    net->noise = declare_noise(s, net);
    append_autoencoder(s, net);
}

static void append_valid(const atm_stage *s, network *net)
{
    append_autoencoder(s, net);
    atm_output(net->plan, "mean", net->mean);
}

static void append_opposed(const atm_stage *s, network *net)
{
    append_alone(s, net);
    const atm_verdict fake = judge(s, net->plan, net->decoded);
    net->metric[ADVERSARIAL] = atm_adversarial_generator_loss(net->plan, &fake);
    net->metric[LOSS] = atm_add_scaled(net->plan, net->metric[LOSS], 1, net->metric[ADVERSARIAL],
                                       s->config->vae.adversarial_weight);
    atm_output(net->plan, "decoded", net->decoded);
}

static void append_judging(const atm_stage *s, network *net)
{
    net->mel = declare_picture(s, net, "mel");
    net->decoded = declare_picture(s, net, "decoded");
    const atm_verdict both = judge(s, net->plan, atm_concat(net->plan, net->mel, net->decoded, 0));
    net->metric[DISCRIMINATOR] = atm_adversarial_discriminator_loss(net->plan, &both);
}

/* ------------------------------------------------------------------ plans */

typedef void (*append_function)(const atm_stage *s, network *net);

/* With the gradients of `group`; -1: none. */
static atm_status build(atm_stage *s, append_function append, int group, int loss, network *net)
{
    vae *v = s->self;
    TRY_RETURN(atm_plan_create(s->device, &net->plan));
    atm_plan_params(net->plan, &v->weights.source);
    append(s, net);
    for (int i = 0; i < METRICS; i++) atm_output(net->plan, metric_names[i], net->metric[i]);
    const atm_tensor one = atm_input(net->plan, "one", ATM_INPUT_STATIC, ATM_DIMS(1));
    if (group >= 0) {
        atm_plan_backward(net->plan, 1, &net->metric[loss], &one);
        atm_group_outputs(&s->group[group], net->plan);
    }
    TRY_RETURN(atm_plan_finish(net->plan, (atm_plan_options){ .no_reuse = !s->config->train.reuse_memory }));
    return group >= 0 ? atm_plan_write_f32(net->plan, one, (float[]){ 1 }) : ATM_OK;
}

static atm_status build_all(atm_stage *s)
{
    vae *v = s->self;
    TRY_RETURN(build(s, append_valid, -1, LOSS, &v->valid));
    if (v->discriminator < 0 || s->config->vae.adversarial_start > 0)
        TRY_RETURN(build(s, append_alone, v->autoencoder, LOSS, &v->alone));
    if (v->discriminator < 0) return ATM_OK;
    TRY_RETURN(build(s, append_opposed, v->autoencoder, LOSS, &v->opposed));
    return build(s, append_judging, v->discriminator, DISCRIMINATOR, &v->judging);
}

static void drop(atm_stage *s, network *net)
{
    atm_params_forget(s->device, net->plan);
    atm_plan_destroy(net->plan);
    *net = (network){ 0 };
}

/* ------------------------------------------------------------------ parameters */

static atm_status list_group(atm_stage *s, append_function append, const char *const *globs, int group)
{
    network outline = { 0 };
    TRY_RETURN(atm_plan_create(s->device, &outline.plan));
    append(s, &outline);
    const atm_status status = atm_group_add(&s->group[group], outline.plan, globs);
    atm_plan_destroy(outline.plan);
    if (status != ATM_OK || s->group[group].n_params) return status;
    return atm_fail(ATM_E_CONFIG, "train.trainable=\"%s\" matches no tensor of the VAE: try \"vae.*\"",
                    s->config->train.trainable);
}

static atm_status open_autoencoder(atm_stage *s, int group)
{
    static const char *const standard[] = { "vae.*", NULL };
    vae *v = s->self;
    atm_config_text text;
    const char *list[ATM_STAGE_GLOBS + 1];
    TRY_RETURN(list_group(s, append_alone, stage_globs(s, standard, text, list), group));
    TRY_RETURN(atm_group_source_open(&v->weights, s->model, "vae-encoder"));
    TRY_RETURN(atm_group_allocate(&s->group[group], s->config->train.use_ema));
    TRY_RETURN(atm_group_load(&s->group[group], &v->weights));
    return s->config->vae.linear_init ? atm_linear_code_init(s, &s->group[group]) : ATM_OK;
}

static atm_status open_discriminator(atm_stage *s, int group)
{
    static const char *const all[] = { "discriminator.*", NULL };
    TRY_RETURN(list_group(s, append_judging, all, group));
    TRY_RETURN(atm_group_allocate(&s->group[group], false));
    return atm_group_randomize(&s->group[group], (uint64_t)s->config->seed, "discriminator", s->device->pool);
}

static atm_status open_groups(atm_stage *s)
{
    vae *v = s->self;
    const bool adversarial = s->config->vae.adversarial_weight > 0;
    v->discriminator = adversarial ? 0 : -1;
    v->autoencoder = adversarial ? 1 : 0;
    s->n_groups = v->autoencoder + 1;
    for (int i = 0; i < s->n_groups; i++) v->weights.group[i] = &s->group[i];
    TRY_RETURN(open_autoencoder(s, v->autoencoder));
    return adversarial ? open_discriminator(s, v->discriminator) : ATM_OK;
}

/* ------------------------------------------------------------------ opening */

static atm_status set_crop(atm_stage *s)
{
    vae *v = s->self;
    const int scale = atm_vae_scale(&s->model->config.vae), bands = s->model->config.vocoder.model_in_dim;
    TRY_RETURN(stage_check_column(s, "clips/mel", ATM_F32, ATM_DIMS(-1, bands), "mel"));
    const int length = atm_dataset_find(s->dataset, "clips/mel")->dim[0];
    v->frames = s->config->train.crop ? s->config->train.crop : length;
    if (v->frames % scale || v->frames > length)
        return atm_fail(ATM_E_CONFIG, "train.crop is %d mel frames: a multiple of %d is needed, at most the clips' %d",
                        v->frames, scale, length);
    if (s->config->vae.adversarial_weight > 0 && (v->frames < SMALLEST || bands < SMALLEST))
        return atm_fail(ATM_E_CONFIG, "vae.adversarial_weight: the discriminator sees pictures of at least %d x %d, "
                        "these are %d x %d", SMALLEST, SMALLEST, v->frames, bands);
    return ATM_OK;
}

static void describe(atm_stage *s)
{
    const vae *v = s->self;
    s->column[0] = (atm_loader_column){ .name = "clips/mel", .crop = v->frames, .unit = 1 };
    s->n_columns = 1;
    s->clips = true;
    s->trained[0] = "vae";
    for (int i = 0; i < METRICS; i++)
        if (i < ADVERSARIAL || v->discriminator >= 0) s->metric[i] = metric_names[i];
}

static atm_status allocate(const atm_stage *s, vae *v)
{
    const size_t n = (size_t)s->micro_batch * (size_t)v->frames * (size_t)s->model->config.vocoder.model_in_dim;
    v->noise = malloc(n * (size_t)s->model->config.vae.latent_channels * sizeof *v->noise);
    v->decoded = malloc(n * (size_t)s->model->config.vae.out_channels * sizeof *v->decoded);
    return v->noise && v->decoded ? ATM_OK
        : atm_fail(ATM_E_MEMORY, "no memory for a batch of %d crops of %d frames", s->micro_batch, v->frames);
}

static atm_status open_stage(atm_stage *s)
{
    vae *v = s->self = calloc(1, sizeof *v);
    if (!v) return atm_fail(ATM_E_MEMORY, "no memory for a training stage");
    TRY_RETURN(set_crop(s));
    TRY_RETURN(allocate(s, v));
    TRY_RETURN(open_groups(s));
    describe(s);
    return build_all(s);
}

static void close_stage(atm_stage *s)
{
    vae *v = s->self;
    if (!v) return;
    network *const net[] = { &v->alone, &v->opposed, &v->judging, &v->valid };
    for (size_t i = 0; i < sizeof net / sizeof *net; i++) drop(s, net[i]);
    atm_group_source_close(&v->weights);
    free(v->noise);
    free(v->decoded);
    free(v);
    s->self = NULL;
}

/* ------------------------------------------------------------------ a batch */

static atm_status run(const network *net, double *metrics)
{
    float value;
    TRY_RETURN(atm_plan_run(net->plan));
    for (int i = 0; i < METRICS; i++) {
        if (!atm_present(net->metric[i])) continue;
        TRY_RETURN(atm_plan_read_f32(net->plan, net->metric[i], &value));
        metrics[i] = (double)value;
    }
    return ATM_OK;
}

static atm_status run_autoencoder(const atm_stage *s, const network *net, const atm_loaded *batch, double *metrics)
{
    const vae *v = s->self;
    const size_t n = atm_count(net->noise) / (size_t)batch->n;
    for (int i = 0; i < batch->n; i++)
        atm_normal(stage_rng(s, ATM_STREAM_POSTERIOR, batch, i), v->noise + (size_t)i * n, n);
    TRY_RETURN(atm_plan_write_f32(net->plan, net->noise, v->noise));
    TRY_RETURN(atm_plan_write_f32(net->plan, net->mel, batch->column[0]));
    return run(net, metrics);
}

static atm_status run_discriminator(const vae *v, const atm_loaded *batch, double *metrics)
{
    TRY_RETURN(atm_plan_read_f32(v->opposed.plan, v->opposed.decoded, v->decoded));
    TRY_RETURN(atm_plan_write_f32(v->judging.plan, v->judging.mel, batch->column[0]));
    TRY_RETURN(atm_plan_write_f32(v->judging.plan, v->judging.decoded, v->decoded));
    return run(&v->judging, metrics);
}

/* Both groups need the VAE's run: it is made at the first of them, which is asked for first. */
static atm_status begin_batch(const atm_stage *s, const atm_loaded *batch, double *metrics)
{
    vae *v = s->self;
    v->adversarial = v->discriminator >= 0 && batch->step >= (uint64_t)s->config->vae.adversarial_start;
    return run_autoencoder(s, v->adversarial ? &v->opposed : &v->alone, batch, metrics);
}

static atm_status gradients(atm_stage *s, int group, const atm_loaded *batch, double *metrics)
{
    vae *v = s->self;
    if (group == 0) TRY_RETURN(begin_batch(s, batch, metrics));
    if (group == v->autoencoder)
        return atm_group_gather(&s->group[group], v->adversarial ? v->opposed.plan : v->alone.plan);
    s->group[group].idle = !v->adversarial;
    if (!v->adversarial) return ATM_OK;
    TRY_RETURN(run_discriminator(v, batch, metrics));
    return atm_group_gather(&s->group[group], v->judging.plan);
}

/* Without the adversary: one that has changed since is no measure of progress. */
static atm_status validate(atm_stage *s, const atm_loaded *batch, double *metrics)
{
    const network *net = &((const vae *)s->self)->valid;
    TRY_RETURN(atm_plan_write_f32(net->plan, net->mel, batch->column[0]));
    return run(net, metrics);
}

static atm_status finish(atm_stage *s, const char *model_folder)
{
    vae *v = s->self;
    if (!s->config->vae.normalize_latents) return ATM_OK;
    atm_train_swap_average(s);
    const atm_status status = atm_normalize_latents(s, v->valid.plan, v->valid.mel, v->valid.mean,
                                                    model_folder);
    atm_train_swap_average(s);
    return status;
}

const atm_stage_info atm_stage_vae = {
    .name = "vae", .help = "the autoencoder between log-mel pictures and latents; a discriminator too, if wanted",
    .open = open_stage, .gradients = gradients, .validate = validate, .finish = finish, .close = close_stage
};
