/* stage_align.c - the stage `align`: artworks and music into one space, by contrast.
 *
 *     loss = InfoNCE of the unit embeddings of the artworks and the clips of a batch (info_nce.h)
 *
 * The negatives are the whole batch, on all ranks: every rank gathers all embeddings, puts
 * its own, differentiable, among them, and computes the full loss; the sum over ranks of the
 * gradients is then that of one rank with the whole batch.
 *
 * A clip is heard for 2 s, from a random place, as ImageBind's audio trunk hears it
 * (data/audio_clips.h).
 *
 * Source: Girdhar et al., ImageBind, 2023. */
#include "train/stages.h"

#include <stdlib.h>
#include <string.h>

#include "data/audio_clips.h"
#include "data/resize.h"
#include "train/info_nce.h"

enum { PIXELS, AUDIO };                     /* columns */
enum { LOSS, ACCURACY, N_METRICS };
static const float MEAN = -4.268F, SPREAD = 9.138F;     /* of ImageBind's features */

typedef struct {
    atm_plan *plan;
    atm_tensor pixels, features, others[2][2];  /* [image, audio][before, after]: embeddings of other ranks */
    atm_tensor own[2], logits, loss;
} network;

typedef struct {
    atm_group_source source;
    network train, valid, embed;            /* embed: own embeddings alone, when there are other ranks */
    float *pixels, *features, *logits, *mine, *all;
    int dim, side;
} align;

/* ------------------------------------------------------------------ the network */

static void encode(const atm_stage *s, network *net)
{
    const atm_model_config *c = &s->model->config;
    atm_plan *p = net->plan;
    const int side = c->image_encoder.image_size, n = s->micro_batch;
    net->pixels = atm_input(p, "pixels", ATM_INPUT_VARIES, ATM_DIMS(n, 3, side, side));
    net->features = atm_input(p, "features", ATM_INPUT_VARIES,
                              ATM_DIMS(n, 1, c->audio_encoder.num_mel_bins, c->audio_encoder.num_frames));
    atm_scope(p, "image_encoder");
    net->own[0] = atm_image_encoder(p, &c->image_encoder, net->pixels).unit;
    atm_scope_end(p);
    atm_scope(p, "audio_encoder");
    net->own[1] = atm_audio_encoder(p, &c->audio_encoder, net->features).unit;
    atm_scope_end(p);
}

/* The embeddings of `count` samples of other ranks. */
static atm_tensor others(const atm_stage *s, atm_plan *p, int modality, bool after)
{
    static const char *const name[2][2] = { { "images before", "images after" }, { "sounds before", "sounds after" } };
    const int rank = atm_comm_rank(s->comm), ranks = after ? atm_comm_size(s->comm) - 1 - rank : rank;
    if (ranks == 0) return ATM_NONE;
    return atm_input(p, name[modality][after], ATM_INPUT_VARIES,
                     ATM_DIMS(ranks * s->micro_batch, s->model->config.image_encoder.projection_dim));
}

static atm_tensor among_all(const atm_stage *s, network *net, int modality, bool alone)
{
    atm_tensor x = net->own[modality];
    for (int after = 0; after < 2 && !alone; after++) {
        const atm_tensor o = net->others[modality][after] = others(s, net->plan, modality, after);
        if (atm_present(o)) x = after ? atm_concat(net->plan, x, o, 0) : atm_concat(net->plan, o, x, 0);
    }
    return x;
}

/* `alone`: the own micro-batch is all there is. */
static void append(const atm_stage *s, bool alone, network *net)
{
    encode(s, net);
    const atm_tensor image = among_all(s, net, 0, alone), sound = among_all(s, net, 1, alone);
    const atm_tensor index = atm_input(net->plan, "index", ATM_INPUT_STATIC | ATM_INPUT_INDEX, ATM_DIMS(image.dim[0]));
    net->loss = atm_info_nce(net->plan, image, sound, index, s->config->align.temperature, &net->logits);
    atm_output(net->plan, "loss", net->loss);
    atm_output(net->plan, "logits", net->logits);
}

/* ------------------------------------------------------------------ plans */

static atm_status write_index(network *net)
{
    const atm_tensor index = atm_plan_find_input(net->plan, "index");
    int32_t *host = malloc(atm_count(index) * sizeof *host);
    if (!host) return atm_fail(ATM_E_MEMORY, "no memory for a batch");
    for (size_t i = 0; i < atm_count(index); i++) host[i] = (int32_t)i;
    const atm_status status = atm_plan_write(net->plan, index, host);
    free(host);
    return status;
}

static atm_status finish_plan(const atm_stage *s, network *net)
{
    return atm_plan_finish(net->plan, (atm_plan_options){ .no_reuse = !s->config->train.reuse_memory });
}

static atm_status begin_plan(atm_stage *s, network *net)
{
    TRY_RETURN(atm_plan_create(s->device, &net->plan));
    atm_plan_params(net->plan, &((align *)s->self)->source.source);
    return ATM_OK;
}

/* The trainer takes the mean over ranks; here the ranks' gradients add up to the whole. */
static atm_status build_train(atm_stage *s, network *net)
{
    const float ranks = (float)atm_comm_size(s->comm);
    TRY_RETURN(begin_plan(s, net));
    append(s, false, net);
    const atm_tensor seed = atm_input(net->plan, "seed", ATM_INPUT_STATIC, ATM_DIMS(1));
    atm_plan_backward(net->plan, 1, &net->loss, &seed);
    atm_group_outputs(&s->group[0], net->plan);
    TRY_RETURN(finish_plan(s, net));
    TRY_RETURN(atm_plan_write_f32(net->plan, seed, &ranks));
    return write_index(net);
}

static atm_status build_valid(atm_stage *s, network *net)
{
    TRY_RETURN(begin_plan(s, net));
    append(s, true, net);
    TRY_RETURN(finish_plan(s, net));
    return write_index(net);
}

static atm_status build_embed(atm_stage *s, network *net)
{
    if (atm_comm_size(s->comm) == 1) return ATM_OK;
    TRY_RETURN(begin_plan(s, net));
    encode(s, net);
    atm_output(net->plan, "images", net->own[0]);
    atm_output(net->plan, "sounds", net->own[1]);
    return finish_plan(s, net);
}

static atm_status list_parameters(atm_stage *s)
{
    static const char *const standard[] = { "image_encoder.*", "audio_encoder.*", NULL };
    atm_config_text text;
    const char *list[ATM_STAGE_GLOBS + 1];
    network outline = { 0 };
    TRY_RETURN(atm_plan_create(s->device, &outline.plan));
    append(s, true, &outline);
    const atm_status status = atm_group_add(&s->group[0], outline.plan, stage_globs(s, standard, text, list));
    atm_plan_destroy(outline.plan);
    return status;
}

static atm_status check(const atm_stage *s)
{
    static const char columns[] = "pixels,audio";
    const int side = s->model->config.image_encoder.image_size;
    if (s->model->config.audio_encoder.hidden_size == 0)
        return atm_fail(ATM_E_CONFIG, "%s has no audio_encoder/: `arttomus init` with audio_encoder.hidden_size makes one",
                        s->model->path);
    if (s->config->train.gradient_accumulation_steps != 1)
        return atm_fail(ATM_E_CONFIG, "stage align: train.gradient_accumulation_steps is %d, it must be 1: the negatives "
                        "are the whole batch", s->config->train.gradient_accumulation_steps);
    TRY_RETURN(stage_check_column(s, "clips/audio", ATM_F32, ATM_DIMS(-1), columns));
    return stage_check_column(s, "artworks/pixels", ATM_U8, ATM_DIMS(side, side, 3), columns);
}

static atm_status allocate(atm_stage *s, align *a)
{
    const size_t n = (size_t)s->micro_batch, all = n * (size_t)atm_comm_size(s->comm);
    const atm_model_config *c = &s->model->config;
    const size_t features = (size_t)c->audio_encoder.num_mel_bins * (size_t)c->audio_encoder.num_frames;
    a->dim = c->image_encoder.projection_dim;
    a->side = c->image_encoder.image_size;
    a->pixels = malloc(n * 3 * (size_t)a->side * (size_t)a->side * sizeof(float));
    a->features = malloc(n * features * sizeof(float));
    a->logits = malloc(all * all * sizeof(float));
    a->mine = malloc(2 * n * (size_t)a->dim * sizeof(float));
    a->all = malloc(4 * all * (size_t)a->dim * sizeof(float));
    if (a->pixels && a->features && a->logits && a->mine && a->all) return ATM_OK;
    return atm_fail(ATM_E_MEMORY, "no memory for a batch of %zu pairs", all);
}

static atm_status open(atm_stage *s)
{
    align *a = s->self = calloc(1, sizeof *a);
    if (!a) return atm_fail(ATM_E_MEMORY, "no memory for a training stage");
    TRY_RETURN(check(s));
    s->column[PIXELS] = (atm_loader_column){ .name = "artworks/pixels" };
    s->column[AUDIO] = (atm_loader_column){ "clips/audio", 0, ATM_CLIP_SAMPLES, ATM_FBANK_HOP };
    s->n_columns = 2;
    s->metric[LOSS] = "loss";
    s->metric[ACCURACY] = "accuracy";
    s->trained[0] = "image_encoder";
    s->trained[1] = "audio_encoder";
    s->n_groups = 1;
    TRY_RETURN(allocate(s, a));
    TRY_RETURN(list_parameters(s));
    a->source.group[0] = &s->group[0];
    TRY_RETURN(atm_group_source_open(&a->source, s->model, "image-encoder"));
    TRY_RETURN(atm_group_source_open(&a->source, s->model, "audio-encoder"));
    TRY_RETURN(atm_group_allocate(&s->group[0], s->config->train.use_ema));
    TRY_RETURN(atm_group_load(&s->group[0], &a->source));
    TRY_RETURN(build_embed(s, &a->embed));
    TRY_RETURN(build_train(s, &a->train));
    return build_valid(s, &a->valid);
}

static void close(atm_stage *s)
{
    align *a = s->self;
    if (!a) return;
    network *net[] = { &a->train, &a->valid, &a->embed };
    for (int i = 0; i < 3; i++) {
        atm_params_forget(s->device, net[i]->plan);
        atm_plan_destroy(net[i]->plan);
    }
    atm_group_source_close(&a->source);
    free(a->pixels);
    free(a->features);
    free(a->logits);
    free(a->mine);
    free(a->all);
    free(a);
    s->self = NULL;
}

/* ------------------------------------------------------------------ a batch */

static void normalise_pixels(const uint8_t *rgb, int side, float *chw)
{
    const size_t n = (size_t)side * (size_t)side;
    for (int c = 0; c < 3; c++)
        for (size_t i = 0; i < n; i++)
            chw[(size_t)c * n + i] = ((float)rgb[3 * i + (size_t)c] / 255 - atm_clip_mean[c]) / atm_clip_std[c];
}

/* [bands, frames] of a [samples] clip; zeros behind the last frame, then all normalised. */
static atm_status features_of(const float *samples, const atm_audio_encoder_config *c, float *out)
{
    enum { FRAMES = (ATM_CLIP_SAMPLES - ATM_FBANK_WINDOW) / ATM_FBANK_HOP + 1 };
    float *fbank = malloc((size_t)FRAMES * ATM_FBANK_BANDS * sizeof *fbank);
    if (!fbank) return atm_fail(ATM_E_MEMORY, "no memory for a clip's features");
    const atm_status status = atm_fbank(samples, ATM_CLIP_SAMPLES, fbank);
    for (int b = 0; b < c->num_mel_bins && status == ATM_OK; b++)
        for (int t = 0; t < c->num_frames; t++) {
            const float x = t < FRAMES && b < ATM_FBANK_BANDS ? fbank[t * ATM_FBANK_BANDS + b] : 0;
            out[b * c->num_frames + t] = (x - MEAN) / SPREAD;
        }
    free(fbank);
    return status;
}

static atm_status write_batch(const atm_stage *s, const network *net, const atm_loaded *batch)
{
    const align *a = s->self;
    const atm_audio_encoder_config *c = &s->model->config.audio_encoder;
    const size_t image = 3 * (size_t)a->side * (size_t)a->side;
    const size_t sound = (size_t)c->num_mel_bins * (size_t)c->num_frames;
    for (int i = 0; i < batch->n; i++) {
        normalise_pixels((const uint8_t *)batch->column[PIXELS] + (size_t)i * image, a->side,
                         a->pixels + (size_t)i * image);
        TRY_RETURN(features_of((const float *)batch->column[AUDIO] + (size_t)i * ATM_CLIP_SAMPLES, c,
                               a->features + (size_t)i * sound));
    }
    TRY_RETURN(atm_plan_write_f32(net->plan, net->pixels, a->pixels));
    return atm_plan_write_f32(net->plan, net->features, a->features);
}

/* What other ranks see, into the inputs of `net`. */
static atm_status exchange(const atm_stage *s, network *net, const atm_loaded *batch)
{
    align *a = s->self;
    const size_t n = (size_t)s->micro_batch * (size_t)a->dim;
    const int rank = atm_comm_rank(s->comm), ranks = atm_comm_size(s->comm);
    if (ranks == 1) return ATM_OK;
    TRY_RETURN(write_batch(s, &a->embed, batch));
    TRY_RETURN(atm_plan_run(a->embed.plan));
    for (int m = 0; m < 2; m++) {
        TRY_RETURN(atm_plan_read_f32(a->embed.plan, a->embed.own[m], a->mine));
        TRY_RETURN(atm_comm_gather(s->comm, a->mine, n * sizeof(float), a->all));
        if (rank > 0) TRY_RETURN(atm_plan_write_f32(net->plan, net->others[m][0], a->all));
        if (rank + 1 < ranks)
            TRY_RETURN(atm_plan_write_f32(net->plan, net->others[m][1], a->all + (size_t)(rank + 1) * n));
    }
    return ATM_OK;
}

/* Share of artworks whose own clip is the nearest. */
static double accuracy(const float *logits, int n)
{
    int right = 0;
    for (int i = 0; i < n; i++) {
        int best = 0;
        for (int j = 1; j < n; j++) if (logits[i * n + j] > logits[i * n + best]) best = j;
        right += best == i;
    }
    return (double)right / n;
}

static atm_status run_batch(const atm_stage *s, network *net, const atm_loaded *batch, double *metrics)
{
    float loss;
    const align *a = s->self;
    TRY_RETURN(write_batch(s, net, batch));
    TRY_RETURN(atm_plan_run(net->plan));
    TRY_RETURN(atm_plan_read_f32(net->plan, net->loss, &loss));
    TRY_RETURN(atm_plan_read_f32(net->plan, net->logits, a->logits));
    metrics[LOSS] = loss;
    metrics[ACCURACY] = accuracy(a->logits, net->logits.dim[0]);
    return ATM_OK;
}

static atm_status gradients(atm_stage *s, int group, const atm_loaded *batch, double *metrics)
{
    align *a = s->self;
    TRY_RETURN(exchange(s, &a->train, batch));
    TRY_RETURN(run_batch(s, &a->train, batch, metrics));
    return atm_group_gather(&s->group[group], a->train.plan);
}

static atm_status validate(atm_stage *s, const atm_loaded *batch, double *metrics)
{
    return run_batch(s, &((align *)s->self)->valid, batch, metrics);
}

const atm_stage_info atm_stage_align = {
    .name = "align", .help = "image and audio encoders, by contrast between pairs",
    .open = open, .gradients = gradients, .validate = validate, .close = close
};
