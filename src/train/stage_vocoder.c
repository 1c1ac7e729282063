/* stage_vocoder.c - the stage `vocoder`: a HiFi-GAN generator G from log-mel frames to sound.
 *
 *     loss = stft_weight (convergence + magnitude) + mel_weight |log-mel(G(mel)) - mel|
 *            from adversarial_start on:  + adversarial_weight  sum_k mean (D_k(G(mel)) - 1)^2
 *                                        + feature_weight      sum_l mean |D^l(G(mel)) - D^l(audio)|
 *     and, of the discriminators D:      sum_k mean (D_k(audio) - 1)^2 + mean D_k(G(mel))^2
 *
 * Until then the discriminators' group is idle.  They begin at random, and live in checkpoints only.
 *
 * Alignment.  Frame t is centred on sample 160 t + 80.  The generator makes a surplus: where a
 * kernel - rate is odd, the upsampler gives one position more than rate * length (32 samples of
 * AudioLDM2's).  By symmetry that would be 16 samples on either side; but generation, here and in
 * diffusers, keeps the first 160 a frame, and so does training: the network learns to be on time
 * where it is used (its kernels of 16 at a rate of 5 have that half position to spare), and its
 * phases fit the frames.
 *
 * The generated sound that D sees is an input of D's plan, not a part of it: there the generator
 * is data.  In the generator's plan D is a network like others whose gradients nobody reads, so
 * that the steps for them are pruned; it must not be declared frozen, for kernels pack frozen
 * weights once and D changes after each update.
 *
 * Differences from HiFi-GAN: both networks are updated from gradients at the same weights, not in
 * turn; the STFT loss is Parallel WaveGAN's, and comes first alone: discriminators cost more than
 * they teach while the generator makes noise.
 *
 * Sources: J. Kong et al., HiFi-GAN, arXiv 2010.05646, section 2.4; spectral_loss.c; discriminators.c. */
#include "train/stages.h"

#include <stdlib.h>
#include <string.h>

#include "model/discriminators.h"
#include "train/random_group.h"
#include "train/spectral_loss.h"

enum { MEL, AUDIO };                        /* columns */
enum { LOSS, CONVERGENCE, MAGNITUDE, LOG_MEL, ADVERSARIAL, FEATURES, DISCRIMINATOR, METRICS };
enum { DEFAULT_CROP = 32 };
enum { PAPER_CHANNELS = 32, PAPER_GROUPS = 16 };

static const char *const metric_names[METRICS] = {
    "loss", "stft_convergence", "stft_magnitude", "mel", "adversarial", "features", "discriminator"
};

typedef struct {
    atm_plan *plan;
    atm_tensor mel, audio;
    atm_tensor generated;               /* an output of the generator's plan, an input of D's      */
    atm_tensor metric[METRICS];         /* absent: not of this plan                                */
} network;

typedef struct {
    atm_group_source weights;
    atm_spectral_source spectra;        /* over weights                                            */
    atm_framing framing;
    int frames;                         /* of a crop                                               */
    int generator, discriminators;      /* numbers of the groups; discriminators -1: none          */
    network alone, opposed;             /* the generator without and with D                        */
    network judging;                    /* D                                                       */
    network valid;                      /* the generator, forward alone                            */
    bool adversarial;                   /* of the micro-batch at hand                              */
    float *mel, *audio, *generated;     /* a micro-batch, as floats                                */
} vocoder;

/* ------------------------------------------------------------------ networks */

static int samples(const vocoder *v) { return v->frames * ATM_STFT_HOP; }

static void declare_mel(const atm_stage *s, network *net)
{
    const vocoder *v = s->self;
    net->mel = atm_input(net->plan, "mel", ATM_INPUT_VARIES,
                         ATM_DIMS(s->micro_batch, v->frames, s->model->config.vocoder.model_in_dim));
}

static atm_tensor declare_sound(const atm_stage *s, network *net, const char *name)
{
    return atm_input(net->plan, name, ATM_INPUT_VARIES, ATM_DIMS(s->micro_batch, samples(s->self)));
}

/* The surplus is at the end: see the head of this file. */
static atm_tensor generate(const atm_stage *s, const network *net)
{
    atm_scope(net->plan, "vocoder");
    const atm_tensor all = atm_hifigan(net->plan, &s->model->config.vocoder, net->mel);
    atm_scope_end(net->plan);
    return atm_slice(net->plan, all, 1, 0, samples(s->self));
}

/* Below the paper's width full convolutions take less time than its groups of a few channels. */
static atm_verdict judge(const atm_stage *s, atm_plan *p, atm_tensor sound)
{
    const int channels = s->config->vocoder.discriminator_channels;
    atm_scope(p, "discriminator");
    const atm_verdict v = atm_waveform_discriminators(p, &(atm_waveform_discriminator_config){
        .channels = channels, .groups = channels < PAPER_CHANNELS ? 1 : PAPER_GROUPS }, sound);
    atm_scope_end(p);
    return v;
}

static void append_spectral(const atm_stage *s, network *net)
{
    const vocoder *v = s->self;
    const double stft = s->config->vocoder.stft_weight, mel = s->config->vocoder.mel_weight;
    declare_mel(s, net);
    net->audio = declare_sound(s, net, "audio");
    net->generated = generate(s, net);
    const atm_stft_losses l = atm_stft_loss(net->plan, net->generated, net->audio);
    net->metric[CONVERGENCE] = l.convergence;
    net->metric[MAGNITUDE] = l.magnitude;
    net->metric[LOG_MEL] = atm_log_mel_loss(net->plan, net->generated, net->mel, v->framing);
    const atm_tensor spectra = atm_add_scaled(net->plan, l.convergence, stft, l.magnitude, stft);
    net->metric[LOSS] = atm_add_scaled(net->plan, spectra, 1, net->metric[LOG_MEL], mel);
}

static void append_adversarial(const atm_stage *s, network *net)
{
    const double adversarial = s->config->vocoder.adversarial_weight;
    const double features = s->config->vocoder.feature_weight;
    const atm_verdict real = judge(s, net->plan, net->audio), fake = judge(s, net->plan, net->generated);
    atm_tensor *metric = net->metric;
    metric[ADVERSARIAL] = atm_adversarial_generator_loss(net->plan, &fake);
    metric[FEATURES] = atm_feature_matching_loss(net->plan, &real, &fake);
    metric[LOSS] = atm_add_scaled(net->plan, metric[LOSS], 1, metric[ADVERSARIAL], adversarial);
    metric[LOSS] = atm_add_scaled(net->plan, metric[LOSS], 1, metric[FEATURES], features);
}

static void append_opposed(const atm_stage *s, network *net)
{
    append_spectral(s, net);
    append_adversarial(s, net);
    atm_output(net->plan, "generated", net->generated);
}

static void append_judging(const atm_stage *s, network *net)
{
    net->audio = declare_sound(s, net, "audio");
    net->generated = declare_sound(s, net, "generated");
    const atm_verdict both = judge(s, net->plan, atm_concat(net->plan, net->audio, net->generated, 0));
    net->metric[DISCRIMINATOR] = atm_adversarial_discriminator_loss(net->plan, &both);
}

/* ------------------------------------------------------------------ plans */

typedef void (*append_function)(const atm_stage *s, network *net);

/* With the gradients of `group`; -1: none. */
static atm_status build(atm_stage *s, append_function append, int group, int loss, network *net)
{
    vocoder *v = s->self;
    TRY_RETURN(atm_plan_create(s->device, &net->plan));
    atm_plan_params(net->plan, &v->spectra.source);
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
    vocoder *v = s->self;
    TRY_RETURN(build(s, append_spectral, -1, LOSS, &v->valid));
    if (v->discriminators < 0 || s->config->vocoder.adversarial_start > 0)
        TRY_RETURN(build(s, append_spectral, v->generator, LOSS, &v->alone));
    if (v->discriminators < 0) return ATM_OK;
    TRY_RETURN(build(s, append_opposed, v->generator, LOSS, &v->opposed));
    return build(s, append_judging, v->discriminators, DISCRIMINATOR, &v->judging);
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
    return atm_fail(ATM_E_CONFIG, "train.trainable=\"%s\" matches no tensor of the vocoder: try "
                    "\"vocoder.*\"", s->config->train.trainable);
}

static atm_status open_generator(atm_stage *s, int group)
{
    static const char *const standard[] = { "vocoder.*", NULL };
    vocoder *v = s->self;
    atm_config_text text;
    const char *list[ATM_STAGE_GLOBS + 1];
    TRY_RETURN(list_group(s, append_spectral, stage_globs(s, standard, text, list), group));
    TRY_RETURN(atm_group_source_open(&v->weights, s->model, "vocoder"));
    TRY_RETURN(atm_group_allocate(&s->group[group], s->config->train.use_ema));
    return atm_group_load(&s->group[group], &v->weights);
}

static atm_status open_discriminators(atm_stage *s, int group)
{
    static const char *const all[] = { "discriminator.*", NULL };
    TRY_RETURN(list_group(s, append_judging, all, group));
    TRY_RETURN(atm_group_allocate(&s->group[group], false));
    return atm_group_randomize(&s->group[group], (uint64_t)s->config->seed, "discriminator",
                               s->device->pool);
}

static atm_status open_groups(atm_stage *s)
{
    vocoder *v = s->self;
    const bool adversarial = s->config->vocoder.adversarial_weight > 0;
    v->discriminators = adversarial ? 0 : -1;
    v->generator = adversarial ? 1 : 0;
    s->n_groups = v->generator + 1;
    for (int i = 0; i < s->n_groups; i++) v->weights.group[i] = &s->group[i];
    TRY_RETURN(open_generator(s, v->generator));
    return adversarial ? open_discriminators(s, v->discriminators) : ATM_OK;
}

/* ------------------------------------------------------------------ opening */

static atm_status check_columns(const atm_stage *s)
{
    const atm_column *mel = atm_dataset_find(s->dataset, "clips/mel");
    const atm_column *audio = atm_dataset_find(s->dataset, "clips/audio");
    const char *path = atm_dataset_path(s->dataset);
    if (!mel || !audio)
        return atm_fail(ATM_E_DATA, "%s has no %s: run `arttomus prepare` with the columns mel,audio", path,
                        mel ? "clips/audio" : "clips/mel");
    if (mel->rank != 2 || mel->dim[1] != ATM_MEL_BANDS || !atm_dtype_is_float(mel->dtype))
        return atm_fail(ATM_E_DATA, "%s: clips/mel is not of [frames, %d] numbers", path, ATM_MEL_BANDS);
    if (audio->rank != 1 || audio->dim[0] / ATM_STFT_HOP < mel->dim[0] || !atm_dtype_is_float(audio->dtype))
        return atm_fail(ATM_E_DATA, "%s: clips/audio has %d samples, the %d frames of clips/mel need %d",
                        path, audio->dim[0], mel->dim[0], mel->dim[0] * ATM_STFT_HOP);
    return ATM_OK;
}

static atm_status check_model(const atm_stage *s)
{
    const atm_hifigan_config *c = &s->model->config.vocoder;
    const vocoder *v = s->self;
    const int length = atm_hifigan_length(c, v->frames), hop = atm_hifigan_length(c, v->frames + 1) - length;
    if (c->model_in_dim != ATM_MEL_BANDS || c->sampling_rate != ATM_STFT_RATE)
        return atm_fail(ATM_E_CONFIG, "the vocoder takes %d bands at %d Hz; the datasets have %d at %d",
                        c->model_in_dim, c->sampling_rate, ATM_MEL_BANDS, ATM_STFT_RATE);
    if (hop != ATM_STFT_HOP || length < samples(v))
        return atm_fail(ATM_E_CONFIG, "the vocoder makes %d samples of %d frames, %d of each more; the "
                        "datasets have %d a frame", length, v->frames, hop, ATM_STFT_HOP);
    return ATM_OK;
}

static atm_status set_crop(atm_stage *s)
{
    vocoder *v = s->self;
    const atm_column *mel = atm_dataset_find(s->dataset, "clips/mel");
    const char *framing = atm_dataset_attribute(s->dataset, "framing");
    v->framing = framing && strcmp(framing, "art2mus") == 0 ? ATM_FRAMING_ART2MUS : ATM_FRAMING_AUDIOLDM2;
    v->frames = s->config->train.crop ? s->config->train.crop : DEFAULT_CROP;
    if (v->frames <= mel->dim[0]) return ATM_OK;
    return atm_fail(ATM_E_CONFIG, "train.crop is %d frames, the clips of %s have %d", v->frames,
                    atm_dataset_path(s->dataset), mel->dim[0]);
}

static void describe(atm_stage *s)
{
    const vocoder *v = s->self;
    s->column[MEL] = (atm_loader_column){ .name = "clips/mel", .crop = v->frames, .unit = 1 };
    s->column[AUDIO] = (atm_loader_column){ .name = "clips/audio", .crop = samples(v), .unit = ATM_STFT_HOP };
    s->n_columns = 2;
    s->clips = true;
    s->trained[0] = "vocoder";
    for (int i = 0; i < METRICS; i++)
        if (i < ADVERSARIAL || v->discriminators >= 0) s->metric[i] = metric_names[i];
}

static atm_status allocate(const atm_stage *s, vocoder *v)
{
    const size_t n = (size_t)s->micro_batch, sound = n * (size_t)samples(v);
    v->mel = malloc(n * (size_t)v->frames * ATM_MEL_BANDS * sizeof *v->mel);
    v->audio = malloc(sound * sizeof *v->audio);
    v->generated = malloc(sound * sizeof *v->generated);
    return v->mel && v->audio && v->generated ? ATM_OK
        : atm_fail(ATM_E_MEMORY, "no memory for a batch of %d crops of %d frames", s->micro_batch, v->frames);
}

static atm_status open_stage(atm_stage *s)
{
    vocoder *v = s->self = calloc(1, sizeof *v);
    if (!v) return atm_fail(ATM_E_MEMORY, "no memory for a training stage");
    v->spectra = atm_spectral_source_make(&v->weights.source);
    TRY_RETURN(check_columns(s));
    TRY_RETURN(set_crop(s));
    TRY_RETURN(check_model(s));
    TRY_RETURN(allocate(s, v));
    TRY_RETURN(open_groups(s));
    describe(s);
    return build_all(s);
}

static void close_stage(atm_stage *s)
{
    vocoder *v = s->self;
    if (!v) return;
    network *const net[] = { &v->alone, &v->opposed, &v->judging, &v->valid };
    for (size_t i = 0; i < sizeof net / sizeof *net; i++) drop(s, net[i]);
    atm_spectral_source_free(&v->spectra);
    atm_group_source_close(&v->weights);
    free(v->mel);
    free(v->audio);
    free(v->generated);
    free(v);
    s->self = NULL;
}

/* ------------------------------------------------------------------ a batch */

static void take_batch(const atm_stage *s, const atm_loaded *batch)
{
    const vocoder *v = s->self;
    const size_t n = (size_t)s->micro_batch;
    const atm_dtype mel = atm_dataset_find(s->dataset, "clips/mel")->dtype;
    const atm_dtype audio = atm_dataset_find(s->dataset, "clips/audio")->dtype;
    atm_convert(v->mel, ATM_F32, batch->column[MEL], mel, n * (size_t)v->frames * ATM_MEL_BANDS);
    atm_convert(v->audio, ATM_F32, batch->column[AUDIO], audio, n * (size_t)samples(v));
}

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

static atm_status run_generator(const vocoder *v, const network *net, double *metrics)
{
    TRY_RETURN(atm_plan_write_f32(net->plan, net->mel, v->mel));
    TRY_RETURN(atm_plan_write_f32(net->plan, net->audio, v->audio));
    return run(net, metrics);
}

static atm_status run_discriminators(const vocoder *v, double *metrics)
{
    TRY_RETURN(atm_plan_read_f32(v->opposed.plan, v->opposed.generated, v->generated));
    TRY_RETURN(atm_plan_write_f32(v->judging.plan, v->judging.audio, v->audio));
    TRY_RETURN(atm_plan_write_f32(v->judging.plan, v->judging.generated, v->generated));
    return run(&v->judging, metrics);
}

/* Both groups need the generator's run: it is made at the first of them, which is asked for first. */
static atm_status begin_batch(atm_stage *s, const atm_loaded *batch, double *metrics)
{
    vocoder *v = s->self;
    v->adversarial = v->discriminators >= 0 && batch->step >= (uint64_t)s->config->vocoder.adversarial_start;
    take_batch(s, batch);
    return run_generator(v, v->adversarial ? &v->opposed : &v->alone, metrics);
}

static atm_status gradients(atm_stage *s, int group, const atm_loaded *batch, double *metrics)
{
    vocoder *v = s->self;
    if (group == 0) TRY_RETURN(begin_batch(s, batch, metrics));
    if (group == v->generator)
        return atm_group_gather(&s->group[group], v->adversarial ? v->opposed.plan : v->alone.plan);
    s->group[group].idle = !v->adversarial;
    if (!v->adversarial) return ATM_OK;
    TRY_RETURN(run_discriminators(v, metrics));
    return atm_group_gather(&s->group[group], v->judging.plan);
}

/* The losses of the spectra: an adversary that has changed since is no measure of progress. */
static atm_status validate(atm_stage *s, const atm_loaded *batch, double *metrics)
{
    take_batch(s, batch);
    return run_generator(s->self, &((vocoder *)s->self)->valid, metrics);
}

const atm_stage_info atm_stage_vocoder = {
    .name = "vocoder", .help = "HiFi-GAN from log-mel frames: spectral losses, then discriminators too",
    .open = open_stage, .gradients = gradients, .validate = validate, .close = close_stage
};
