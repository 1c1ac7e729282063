/* tiny_run.c - see tiny_run.h. */
#define _GNU_SOURCE     /* M_PI */
#include "support/tiny_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/audio_clips.h"
#include "data/mel.h"
#include "generate/recipe.h"
#include "io/folder.h"
#include "io/safetensors.h"
#include "model/model_parts.h"
#include "support/bytes.h"
#include "support/media.h"
#include "support/plan_fixture.h"
#include "support/support.h"
#include "support/tiny_model.h"

/* ------------------------------------------------------------------ model */

void tiny_model_write(const char *name, const char *const *change, int n)
{
    atm_recipe recipe;
    must(atm_recipe_load(ATM_SOURCE_DIR "/configs/tiny.yaml", change, n, &recipe));
    must(atm_model_dir_init(&recipe.config, scratch_path(name), (atm_model_init_options){
        .seed = 1, .dtype = recipe.dtype, .text_tokens = recipe.text_tokens }));
}

void tiny_remove(const char *name)
{
    atm_folder_remove(scratch_path(name));
    remove(scratch_path(name));
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static float *noise_named(const char *folder, const atm_file_tensor *t)
{
    char name[512];
    const size_t n = t->bytes / atm_dtype_size(t->dtype);
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    snprintf(name, sizeof name, "%s.%s", folder, t->name);
    const uint32_t first = (uint32_t)fnv1a(name, strlen(name));
    const float scale = (float)(t->rank > 1 ? sqrt(3 / ((double)n / (double)t->dim[0])) : 0.1);
    const float gain = t->rank == 1 && ends_with(t->name, "weight") ? 1 : 0;
    for (size_t i = 0; i < n; i++) x[i] = scale * noise_float_at(first + (uint32_t)i) + gain;
    return x;
}

static const char *weights_name(const char *folder)
{
    for (int i = 0; i < atm_n_model_parts; i++)
        if (strcmp(atm_model_parts[i].folder, folder) == 0) return atm_model_parts[i].weights;
    fail_msg("a model has no %s", folder);
    return NULL;
}

void tiny_weights_by_name(const char *model, const char *folder)
{
    enum { MOST = 1024 };
    static atm_file_tensor tensor[MOST];
    char path[ATM_PATH_BYTES];
    atm_tensor_file *file;
    must(atm_model_path(path, scratch_path(model), folder, weights_name(folder)));
    must(atm_tensor_file_open(path, &file));
    const size_t n = atm_tensor_file_count(file);
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++) {
        tensor[i] = *atm_tensor_file_at(file, i);
        assert_int_equal(tensor[i].dtype, ATM_F32);
        tensor[i].data = noise_named(folder, &tensor[i]);
    }
    must(atm_safetensors_write(path, tensor, n, NULL, 0));
    for (size_t i = 0; i < n; i++) free((void *)(uintptr_t)tensor[i].data);
    atm_tensor_file_close(file);
}

/* ------------------------------------------------------------------ dataset */

typedef struct {
    atm_dataset_writer *writer;
    tiny_data how;
    const atm_model_config *model;
} sheet;

static void declare(sheet *s, const char *name, atm_dtype dtype, int rank, const int *dim)
{
    atm_column c = { .name = name, .dtype = dtype, .rows = (size_t)s->how.pairs, .rank = rank };
    if (rank) memcpy(c.dim, dim, (size_t)rank * sizeof *dim);
    must(atm_dataset_declare(s->writer, &c));
}

static void put(sheet *s, const char *name, int row, const void *data)
{
    must(atm_dataset_put(s->writer, name, (size_t)row, data));
}

static void put_pairs(sheet *s)
{
    declare(s, "pairs/artwork", ATM_I32, 0, NULL);
    declare(s, "pairs/clip", ATM_I32, 0, NULL);
    declare(s, "pairs/split", ATM_I32, 0, NULL);
    const bool artworks = s->how.columns & (TINY_LATENTS | TINY_SENSES);
    for (int32_t i = 0; i < s->how.pairs; i++) {
        const int32_t none = -1, split = i + s->how.validation < s->how.pairs ? ATM_SPLIT_TRAIN : ATM_SPLIT_VALIDATION;
        put(s, "pairs/artwork", i, artworks ? &i : &none);
        put(s, "pairs/clip", i, &i);
        put(s, "pairs/split", i, &split);
    }
}

static float broken_or(const sheet *s, int clip, size_t i, double x)
{
    return i == 3 && s->how.broken >> clip & 1 ? NAN : (float)x;
}

/* One wave over time in each channel, with a phase of the clip's own. */
static void put_latents(sheet *s)
{
    const int C = atm_model_latent_channels(s->model), T = s->how.frames, F = atm_model_latent_mels(s->model);
    const size_t n = (size_t)C * (size_t)T * (size_t)F;
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    declare(s, "artworks/embedding", ATM_F32, ATM_DIMS(s->model->adapter.in_dim));
    declare(s, "clips/latent_mean", ATM_F32, ATM_DIMS(C, T, F));
    declare(s, "clips/latent_logvar", ATM_F32, ATM_DIMS(C, T, F));
    for (int clip = 0; clip < s->how.pairs; clip++) {
        put(s, "artworks/embedding", clip, tiny_embedding(clip));
        for (size_t i = 0; i < n; i++)
            x[i] = broken_or(s, clip, i, 2 * sin(2.4 * clip + (double)(i / (size_t)F / (size_t)T)));
        put(s, "clips/latent_mean", clip, x);
        for (size_t i = 0; i < n; i++) x[i] = -8;
        put(s, "clips/latent_logvar", clip, x);
    }
    free(x);
}

/* Stripes over a slope, and some noise: not white, not quite a plane. */
static void put_mel(sheet *s)
{
    const int frames = 4 * s->how.frames;
    float *x = malloc((size_t)frames * ATM_MEL_BANDS * sizeof *x);
    assert_non_null(x);
    declare(s, "clips/mel", ATM_F32, ATM_DIMS(frames, ATM_MEL_BANDS));
    for (int clip = 0; clip < s->how.pairs; clip++) {
        for (int i = 0; i < frames * ATM_MEL_BANDS; i++) {
            const int t = i / ATM_MEL_BANDS, b = i % ATM_MEL_BANDS;
            const double noise = 0.3 * (double)noise_float_at((uint32_t)(clip << 20 | i));
            x[i] = broken_or(s, clip, (size_t)i,
                             -4 - 0.05 * b + 1.5 * sin(0.4 * t + 0.2 * b + clip) + cos(0.7 * t * (clip + 1)) + noise);
        }
        put(s, "clips/mel", clip, x);
    }
    free(x);
}

/* A colour and a pitch for each pair. */
static void put_senses(sheet *s)
{
    const int side = s->model->image_encoder.image_size;
    const size_t pixels = 3 * (size_t)side * (size_t)side;
    uint8_t *rgb = malloc(pixels);
    float *sound = malloc(ATM_CLIP_SAMPLES * sizeof *sound);
    assert_true(rgb && sound);
    declare(s, "artworks/pixels", ATM_U8, ATM_DIMS(side, side, 3));
    declare(s, "clips/audio", ATM_F32, ATM_DIMS(ATM_CLIP_SAMPLES));
    for (int i = 0; i < s->how.pairs; i++) {
        for (size_t k = 0; k < pixels; k++) rgb[k] = (uint8_t)((k % 3 + 1) * (size_t)(i + 1) * 29 + k / 3 % 64);
        for (size_t k = 0; k < ATM_CLIP_SAMPLES; k++)
            sound[k] = broken_or(s, i, k, 0.3 * sin(2 * M_PI * 220 * pow(1.5, i) * (double)k / 16000))
                       + 0.02F * noise_float_at((uint32_t)k);
        put(s, "artworks/pixels", i, rgb);
        put(s, "clips/audio", i, sound);
    }
    free(rgb);
    free(sound);
}

void tiny_data_write(const char *name, const char *model, tiny_data how)
{
    atm_model_dir dir;
    must(atm_model_dir_open(scratch_path(model), &dir));
    sheet s = { .how = how, .model = &dir.config };
    must(atm_dataset_begin(scratch_path(name), &s.writer));
    put_pairs(&s);
    if (how.columns & TINY_LATENTS) put_latents(&s);
    if (how.columns & TINY_MEL) put_mel(&s);
    if (how.columns & TINY_SENSES) put_senses(&s);
    must(atm_dataset_commit(s.writer));
    atm_model_dir_close(&dir);
}

/* ------------------------------------------------------------------ a stage */

static void set_path(atm_config_text out, const char *name)
{
    snprintf(out, sizeof(atm_config_text), "%s", scratch_path(name));
}

atm_train_config tiny_config(const char *stage)
{
    atm_train_config c = atm_train_config_default();
    snprintf(c.stage, sizeof c.stage, "%s", stage);
    set_path(c.model, "model");
    set_path(c.data, "data.h5");
    set_path(c.output, "run");
    c.train.batch_size = 4;
    c.train.gradient_accumulation_steps = 1;
    c.train.learning_rate = 1e-3;
    c.train.max_grad_norm = 0;
    c.train.validation_batches = 0;
    c.train.logging_steps = 1;
    return c;
}

static atm_status open_loader(tiny_stage *s)
{
    return atm_loader_open(&(atm_loader_options){
        .dataset = s->dataset, .column = s->stage.column, .n_columns = s->stage.n_columns, .split = ATM_SPLIT_TRAIN,
        .clips = s->stage.clips, .seed = (uint64_t)s->config.seed, .batch = s->config.train.batch_size,
        .micro_batches = s->config.train.gradient_accumulation_steps, .ranks = 1, .first_step = s->state.step
    }, &s->loader);
}

tiny_stage *tiny_try_open(const atm_train_config *config, const char *backend, int threads)
{
    tiny_stage *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->config = *config;
    must(atm_device_open(backend, threads, &s->device));
    must(atm_model_dir_open(config->model, &s->model));
    must(atm_dataset_open(config->data, &s->dataset));
    s->stage = (atm_stage){ .info = atm_stage_find(config->stage), .config = &s->config, .device = s->device,
                            .model = &s->model, .dataset = s->dataset,
                            .micro_batch = config->train.batch_size / config->train.gradient_accumulation_steps };
    s->opened = s->stage.info->open(&s->stage);
    if (s->opened == ATM_OK) s->opened = open_loader(s);
    return s;
}

tiny_stage *tiny_open(const atm_train_config *config)
{
    tiny_stage *s = tiny_try_open(config, "cpu", 1);
    must(s->opened);
    return s;
}

void tiny_close(tiny_stage *s)
{
    s->stage.info->close(&s->stage);
    for (int g = 0; g < ATM_STAGE_GROUPS; g++) atm_group_free(&s->stage.group[g]);
    atm_loader_close(s->loader);
    atm_dataset_close(s->dataset);
    atm_model_dir_close(&s->model);
    atm_device_close(s->device);
    free(s);
}

void tiny_gradients(tiny_stage *s, double *metrics) { must(atm_train_gradients(&s->stage, s->loader, metrics)); }

double tiny_train(tiny_stage *s, int n)
{
    atm_update update = { .bad = false };
    for (int i = 0; i < n; i++) must(atm_train_update(&s->stage, s->loader, 0, &s->state, &update));
    return update.metric[0];
}

double tiny_loss(tiny_stage *s, int batches)
{
    double sum = 0, metrics[ATM_STAGE_METRICS];
    atm_loaded batch;
    for (int i = 0; i < batches; i++) {
        must(atm_loader_next(s->loader, &batch));
        must(s->stage.info->validate(&s->stage, &batch, metrics));
        sum += metrics[0];
    }
    return sum / batches;
}

/* ------------------------------------------------------------------ a run */

static atm_train_wish stop_when_due(const atm_train_progress *p, void *user)
{
    const uint64_t *after = user;
    return *after && p->step >= *after && !p->note ? ATM_TRAIN_SAVE_AND_STOP : ATM_TRAIN_GO_ON;
}

atm_status tiny_run(const atm_train_config *config, int threads, uint64_t stop_after)
{
    atm_device *device;
    must(atm_device_open("cpu", threads, &device));
    const atm_status status = atm_train(config, &(atm_train_options){
        .device = device, .progress = stop_when_due, .user = &stop_after });
    atm_device_close(device);
    return status;
}
