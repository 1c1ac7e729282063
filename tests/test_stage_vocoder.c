/* test_stage_vocoder.c - the stage `vocoder` on a tiny model and two short clips: its gradients against
 * differences, against its own halves, and whether learning lowers what it should.
 *
 * Values: the stage trains in single precision.  A difference of losses near 20 has 1e-6 of rounding; along
 * the gradient itself, over a length that changes the loss by a hundredth, that is 1e-4 of it, and
 * the curvature of leaky layers a few per cent more. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/mel.h"
#include "generate/recipe.h"
#include "io/folder.h"
#include "kernels/optimizer.h"
#include "support/bytes.h"
#include "support/media.h"
#include "support/plan_fixture.h"
#include "support/tiny_model.h"
#include "train/stages.h"

enum { CLIPS = 2, FRAMES = 16, SAMPLES = FRAMES * ATM_STFT_HOP };
enum { LOSS, CONVERGENCE, MAGNITUDE, LOG_MEL, ADVERSARIAL, FEATURES, DISCRIMINATOR };

static float mel[CLIPS][FRAMES * ATM_MEL_BANDS], audio[CLIPS][SAMPLES];

/* ------------------------------------------------------------------ two clips */

/* A chord that decays, with some noise; the second clip a third higher. */
static void make_clip(int clip)
{
    const double pitch = clip ? 440 * 1.26 : 440;
    for (int i = 0; i < SAMPLES; i++) {
        const double t = i / 16000.0, turn = 2 * M_PI * pitch * t;
        const float tone = (float)(0.25 * exp(-4 * t) * (sin(turn) + 0.5 * sin(2.5 * turn)));
        audio[clip][i] = tone + 0.01F * noise_float_at((uint32_t)(clip * SAMPLES + i));
    }
    must(atm_mel(audio[clip], SAMPLES, ATM_FRAMING_AUDIOLDM2, mel[clip]));
}

static void put_column(atm_dataset_writer *w, atm_column column, const void *rows, size_t row_bytes)
{
    column.rows = CLIPS;
    must(atm_dataset_declare(w, &column));
    for (size_t i = 0; i < CLIPS; i++)
        must(atm_dataset_put(w, column.name, i, (const char *)rows + i * row_bytes));
}

static void put_numbers(atm_dataset_writer *w, const char *name, int first, int step)
{
    int32_t number[CLIPS];
    for (int i = 0; i < CLIPS; i++) number[i] = first + i * step;
    put_column(w, (atm_column){ .name = name, .dtype = ATM_I32, .rank = 0 }, number, sizeof *number);
}

static void write_dataset(const char *name, bool with_audio)
{
    atm_dataset_writer *w;
    must(atm_dataset_begin(scratch_path(name), &w));
    put_numbers(w, "pairs/artwork", -1, 0);
    put_numbers(w, "pairs/clip", 0, 1);
    put_numbers(w, "pairs/split", ATM_SPLIT_TRAIN, 0);
    const atm_column mels = { .name = "clips/mel", .dtype = ATM_F32, .rank = 2, .dim = { FRAMES, ATM_MEL_BANDS } };
    put_column(w, mels, mel, sizeof mel[0]);
    if (with_audio)
        put_column(w, (atm_column){ .name = "clips/audio", .dtype = ATM_F32, .rank = 1, .dim = { SAMPLES } },
                   audio, sizeof audio[0]);
    must(atm_dataset_commit(w));
}

/* The smallest model, with AudioLDM2's first upsampler: 32 samples too many. */
static void make_model(void)
{
    static const char *const change[] = {
        "vocoder.upsample_rates=[5, 8, 4]", "vocoder.upsample_kernel_sizes=[16, 16, 8]"
    };
    atm_recipe recipe;
    must(atm_recipe_load(ATM_SOURCE_DIR "/configs/tiny.yaml", change, 2, &recipe));
    assert_int_equal(atm_hifigan_length(&recipe.config.vocoder, FRAMES), SAMPLES + 32);
    must(atm_model_dir_init(&recipe.config, scratch_path("model"), (atm_model_init_options){
        .seed = 1, .dtype = recipe.dtype, .text_tokens = recipe.text_tokens }));
}

static int make_files(void **state)
{
    (void)state;
    scratch_make();
    make_model();
    for (int i = 0; i < CLIPS; i++) make_clip(i);
    write_dataset("whole.h5", true);
    write_dataset("silent.h5", false);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    atm_folder_remove(scratch_path("model"));
    scratch_remove();
    return 0;
}

/* ------------------------------------------------------------------ a stage */

typedef struct {
    atm_train_config config;
    atm_device *device;
    atm_model_dir model;
    atm_dataset *dataset;
    atm_stage stage;
    atm_status opened;
} session;

/* Adversarial from update `start` on; -1: never. */
static session *session_open(int micro_batch, int start, int crop, bool with_audio)
{
    session *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->config = atm_train_config_default();
    s->config.train.crop = crop;
    s->config.vocoder.adversarial_weight = start < 0 ? 0 : 1;
    s->config.vocoder.adversarial_start = start < 0 ? 0 : start;
    s->config.vocoder.discriminator_channels = 1;
    must(atm_device_open("cpu", 1, &s->device));
    must(atm_model_dir_open(scratch_path("model"), &s->model));
    must(atm_dataset_open(scratch_path(with_audio ? "whole.h5" : "silent.h5"), &s->dataset));
    s->stage = (atm_stage){ .info = &atm_stage_vocoder, .config = &s->config, .device = s->device,
                            .model = &s->model, .dataset = s->dataset, .micro_batch = micro_batch };
    s->opened = s->stage.info->open(&s->stage);
    return s;
}

static session *must_open(int micro_batch, int start)
{
    session *s = session_open(micro_batch, start, FRAMES, true);
    must(s->opened);
    return s;
}

static void session_close(session *s)
{
    s->stage.info->close(&s->stage);
    for (int i = 0; i < ATM_STAGE_GROUPS; i++) atm_group_free(&s->stage.group[i]);
    atm_dataset_close(s->dataset);
    atm_model_dir_close(&s->model);
    atm_device_close(s->device);
    free(s);
}

/* Clips from number `first` on, as the loader would hand them. */
static atm_loaded clips(const session *s, int first, uint64_t step)
{
    return (atm_loaded){ .step = step, .n = s->stage.micro_batch, .column = { mel[first], audio[first] } };
}

static void clear(session *s)
{
    for (int g = 0; g < s->stage.n_groups; g++)
        memset(s->stage.group[g].g, 0, s->stage.group[g].count * sizeof(float));
}

static void add_gradients(session *s, int first, uint64_t step, double *metrics)
{
    const atm_loaded batch = clips(s, first, step);
    for (int g = 0; g < s->stage.n_groups; g++) must(s->stage.info->gradients(&s->stage, g, &batch, metrics));
}

static void gradients(session *s, int first, uint64_t step, double *metrics)
{
    clear(s);
    add_gradients(s, first, step, metrics);
}

static double length_of(const float *x, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
    return sqrt(squares);
}

/* ------------------------------------------------------------------ gradients */

static void move(atm_group *g, const float *from, const float *direction, double by)
{
    for (size_t i = 0; i < g->count; i++) g->p[i] = (float)((double)from[i] + by * (double)direction[i]);
}

static double metric_at(session *s, int which)
{
    double metrics[ATM_STAGE_METRICS] = { 0 };
    gradients(s, 0, 0, metrics);
    return metrics[which];
}

/* The slope of `metric` along the gradient of the group is the gradient's length. */
static void check_slope(session *s, int group, int metric)
{
    atm_group *g = &s->stage.group[group];
    const size_t size = g->count * sizeof(float);
    float *from = malloc(size), *direction = malloc(size);
    assert_true(from && direction);
    const double value = metric_at(s, metric), length = length_of(g->g, g->count);
    const double h = 2e-3 * value / (length * length);
    memcpy(from, g->p, size);
    memcpy(direction, g->g, size);
    move(g, from, direction, h);
    const double above = metric_at(s, metric);
    move(g, from, direction, -h);
    const double below = metric_at(s, metric), slope = (above - below) / (2 * h * length);
    print_message("%s: gradient %.6g, slope %.6g\n", s->stage.metric[metric], length, slope);
    assert_true(fabs(slope - length) < 0.02 * length);
    move(g, from, direction, 0);
    free(from);
    free(direction);
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    session *s = must_open(2, -1);
    check_slope(s, 0, LOSS);
    session_close(s);
    s = must_open(2, 0);
    check_slope(s, 0, DISCRIMINATOR);
    check_slope(s, 1, LOSS);
    session_close(s);
}

/* What ranks and accumulation rely on: the gradient of a batch is the mean of its halves'. */
static void a_batch_is_the_mean_of_its_samples(void **state)
{
    (void)state;
    double whole[ATM_STAGE_METRICS] = { 0 }, half[ATM_STAGE_METRICS] = { 0 };
    session *a = must_open(2, 0);
    gradients(a, 0, 0, whole);
    session *b = must_open(1, 0);
    add_gradients(b, 0, 0, half);
    add_gradients(b, 1, 0, half);
    for (int g = 0; g < 2; g++) {
        float *sum = b->stage.group[g].g;
        for (size_t i = 0; i < b->stage.group[g].count; i++) sum[i] *= 0.5F;
        assert_int_equal(a->stage.group[g].count, b->stage.group[g].count);
        assert_true(relative_error(a->stage.group[g].g, sum, a->stage.group[g].count) < 1e-4);
    }
    session_close(a);
    session_close(b);
}

static void memory_reuse_changes_nothing(void **state)
{
    (void)state;
    float *kept[2];
    for (int round = 0; round < 2; round++) {
        double metrics[ATM_STAGE_METRICS] = { 0 };
        session *s = must_open(1, 0);
        if (round == 0) {
            s->stage.info->close(&s->stage);
            for (int g = 0; g < 2; g++) atm_group_free(&s->stage.group[g]);
            s->config.train.reuse_memory = false;
            must(s->stage.info->open(&s->stage));
        }
        gradients(s, 0, 0, metrics);
        for (int g = 0; g < 2; g++) {
            const size_t size = s->stage.group[g].count * sizeof(float);
            if (round == 0) assert_non_null(kept[g] = malloc(size));
            if (round == 0) memcpy(kept[g], s->stage.group[g].g, size);
            else assert_memory_equal(kept[g], s->stage.group[g].g, size);
        }
        session_close(s);
    }
    for (int g = 0; g < 2; g++) free(kept[g]);
}

/* ------------------------------------------------------------------ the adversary's start */

static void discriminators_are_idle_until_their_start(void **state)
{
    (void)state;
    double metrics[ATM_STAGE_METRICS] = { 0 };
    session *s = must_open(1, 5);
    assert_int_equal(s->stage.n_groups, 2);
    gradients(s, 0, 4, metrics);
    assert_true(s->stage.group[0].idle);
    assert_true(length_of(s->stage.group[0].g, s->stage.group[0].count) == 0);
    assert_true(metrics[ADVERSARIAL] == 0 && metrics[DISCRIMINATOR] == 0);
    const double before = metrics[LOSS], length = length_of(s->stage.group[1].g, s->stage.group[1].count);
    gradients(s, 0, 5, metrics);
    assert_false(s->stage.group[0].idle);
    assert_true(length_of(s->stage.group[0].g, s->stage.group[0].count) > 0);
    assert_true(metrics[DISCRIMINATOR] > 0);
    const double more = metrics[ADVERSARIAL] + s->config.vocoder.feature_weight * metrics[FEATURES];
    assert_true(fabs(metrics[LOSS] - before - more) < 1e-4 * metrics[LOSS]);
    assert_true(length_of(s->stage.group[1].g, s->stage.group[1].count) != length);
    session_close(s);
}

/* Weights are read anew in every run: none of them is a packed copy of the first. */
static void new_weights_are_seen_at_once(void **state)
{
    (void)state;
    double first[ATM_STAGE_METRICS] = { 0 }, second[ATM_STAGE_METRICS] = { 0 };
    session *s = must_open(1, 0);
    gradients(s, 0, 0, first);
    for (size_t i = 0; i < s->stage.group[0].count; i++) s->stage.group[0].p[i] *= 1.1F;
    gradients(s, 0, 0, second);
    assert_true(first[CONVERGENCE] == second[CONVERGENCE]);
    assert_true(first[ADVERSARIAL] != second[ADVERSARIAL] && first[DISCRIMINATOR] != second[DISCRIMINATOR]);
    for (size_t i = 0; i < s->stage.group[1].count; i++) s->stage.group[1].p[i] *= 1.1F;
    gradients(s, 0, 0, first);
    assert_true(first[CONVERGENCE] != second[CONVERGENCE] && first[DISCRIMINATOR] != second[DISCRIMINATOR]);
    session_close(s);
}

/* ------------------------------------------------------------------ learning */

static void update(session *s, long step)
{
    const atm_adamw_options how = { .lr = 2e-3, .beta1 = 0.8, .beta2 = 0.99, .eps = 1e-8, .scale = 1, .step = step };
    for (int i = 0; i < s->stage.n_groups; i++) {
        const atm_group *g = &s->stage.group[i];
        if (!g->idle) atm_adamw(NULL, &how, g->count, g->g, g->p, g->m, g->v, NULL);
    }
}

/* Thirty updates on one clip; metrics of the first and of the last. */
static void overfit(session *s, double *first, double *last)
{
    enum { UPDATES = 30 };
    for (int i = 0; i < UPDATES; i++) {
        double metrics[ATM_STAGE_METRICS] = { 0 };
        gradients(s, 0, (uint64_t)i, metrics);
        update(s, i + 1);
        memcpy(i ? last : first, metrics, sizeof metrics);
    }
}

static void one_clip_is_learnt(void **state)
{
    (void)state;
    double first[ATM_STAGE_METRICS], last[ATM_STAGE_METRICS], valid[ATM_STAGE_METRICS] = { 0 };
    session *s = must_open(1, -1);
    const atm_loaded batch = clips(s, 0, 0);
    overfit(s, first, last);
    print_message("mel %.3f to %.3f, convergence %.3f to %.3f\n", first[LOG_MEL], last[LOG_MEL],
                  first[CONVERGENCE], last[CONVERGENCE]);
    assert_true(last[LOSS] < 0.5 * first[LOSS]);
    must(s->stage.info->validate(&s->stage, &batch, valid));
    assert_true(valid[LOSS] < last[LOSS] * 1.2 && valid[LOSS] != last[LOSS]);
    session_close(s);
}

static void adversaries_learn_too(void **state)
{
    (void)state;
    double first[ATM_STAGE_METRICS], last[ATM_STAGE_METRICS];
    session *s = must_open(1, 0);
    overfit(s, first, last);
    print_message("discriminator %.3f to %.3f, mel %.3f to %.3f\n", first[DISCRIMINATOR], last[DISCRIMINATOR],
                  first[LOG_MEL], last[LOG_MEL]);
    assert_true(last[DISCRIMINATOR] < 0.5 * first[DISCRIMINATOR]);
    assert_true(last[LOG_MEL] < 0.5 * first[LOG_MEL]);
    session_close(s);
}

/* ------------------------------------------------------------------ what a run says of itself */

static void the_stage_describes_itself(void **state)
{
    (void)state;
    session *s = must_open(1, -1);
    const atm_stage *t = &s->stage;
    assert_string_equal(t->metric[LOSS], "loss");
    assert_null(t->metric[ADVERSARIAL]);
    assert_true(t->clips && t->n_columns == 2 && t->n_groups == 1);
    assert_int_equal(t->column[1].crop, t->column[0].crop * ATM_STFT_HOP);
    assert_int_equal(t->column[1].unit, ATM_STFT_HOP);
    assert_string_equal(t->trained[0], "vocoder");
    for (int i = 0; i < t->group[0].n_params; i++)
        assert_memory_equal(t->group[0].param[i].name, "vocoder.", 8);
    session_close(s);
}

static void expect_failure(session *s, atm_status status, const char *words)
{
    assert_int_equal(s->opened, status);
    if (!strstr(atm_error(), words)) fail_msg("'%s' is not in: %s", words, atm_error());
    session_close(s);
}

static void what_cannot_work_is_refused(void **state)
{
    (void)state;
    expect_failure(session_open(1, -1, FRAMES, false), ATM_E_DATA, "no clips/audio");
    expect_failure(session_open(1, -1, FRAMES + 1, true), ATM_E_CONFIG, "train.crop is 17 frames");
    expect_failure(session_open(1, -1, 5, true), ATM_E_DATA, "less than");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(a_batch_is_the_mean_of_its_samples),
        cmocka_unit_test(memory_reuse_changes_nothing),
        cmocka_unit_test(discriminators_are_idle_until_their_start),
        cmocka_unit_test(new_weights_are_seen_at_once),
        cmocka_unit_test(one_clip_is_learnt),
        cmocka_unit_test(adversaries_learn_too),
        cmocka_unit_test(the_stage_describes_itself),
        cmocka_unit_test(what_cannot_work_is_refused),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
