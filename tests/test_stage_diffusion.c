/* test_stage_diffusion.c - the stages `adapter` and `diffusion` on a tiny model and a few clips: what they
 * draw and compute, what must not change a bit, and whether they learn.
 *
 * That the loss and its gradient are those of the reference is test_train_step.c; here the stage, with what it draws
 * for a batch, must give what `train-step` gives for the same numbers. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/bytes.h"
#include "support/plan_fixture.h"
#include "support/tiny_gradient.h"
#include "support/tiny_model.h"
#include "train/train_step.h"

enum { PAIRS = 4, FRAMES = 4 };

static void write_data(const char *name, int columns, int frames, unsigned broken)
{
    tiny_data_write(name, "model", (tiny_data){ .columns = columns, .pairs = PAIRS, .frames = frames,
                                                .broken = broken });
}

static int make_files(void **state)
{
    static const char *const wide[] = { "unet.block_out_channels=[16,16]" };
    static const char *const direct[] = { "unet.block_out_channels=[16,16]", "scheduler.prediction_type=sample" };
    (void)state;
    scratch_make();
    tiny_model_write("model", NULL, 0);
    tiny_model_write("wide", wide, 1);
    tiny_model_write("direct", direct, 2);
    write_data("data.h5", TINY_LATENTS, FRAMES, 0);
    write_data("short.h5", TINY_LATENTS, 1, 0);
    write_data("broken.h5", TINY_LATENTS, FRAMES, 1 << 2);
    return 0;
}

static int remove_files(void **state)
{
    static const char *const name[] = { "model", "wide", "direct", "run", "data.h5", "short.h5", "broken.h5",
                                        "other.h5", "in.safetensors", "out.safetensors" };
    (void)state;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) tiny_remove(name[i]);
    scratch_remove();
    return 0;
}

/* ------------------------------------------------------------------ what is drawn */

typedef struct {
    float latents[PAIRS][8 * FRAMES * 16], noise[PAIRS][8 * FRAMES * 16], embeds[PAIRS][TINY_EMBEDDING], time[PAIRS];
} drawn;

/* What the stage draws for sample i of a batch, by the rules in stage_diffusion.c. */
static void draw(const tiny_stage *s, const atm_loaded *batch, int i, drawn *d)
{
    enum { N = 8 * FRAMES * 16 };
    float u;
    const float *mean = (const float *)batch->column[0] + i * N, *logvar = (const float *)batch->column[1] + i * N;
    atm_normal(stage_rng(&s->stage, ATM_STREAM_POSTERIOR, batch, i), d->latents[i], N);
    for (int k = 0; k < N; k++)
        d->latents[i][k] = (float)(s->model.config.vae.scaling_factor
                                   * ((double)mean[k] + exp(0.5 * (double)logvar[k]) * (double)d->latents[i][k]));
    atm_normal(stage_rng(&s->stage, ATM_STREAM_NOISE, batch, i), d->noise[i], N);
    atm_uniform(stage_rng(&s->stage, ATM_STREAM_TIMESTEP, batch, i), &u, 1);
    d->time[i] = floorf(u * 1000);
    memcpy(d->embeds[i], (const float *)batch->column[2] + i * TINY_EMBEDDING, sizeof d->embeds[i]);
}

static void write_drawn(const drawn *d)
{
    const atm_file_tensor tensor[] = {
        { .name = "latents", .dtype = ATM_F32, .rank = 4, .dim = { PAIRS, 8, FRAMES, 16 }, .data = d->latents,
          .bytes = sizeof d->latents },
        { .name = "noise", .dtype = ATM_F32, .rank = 4, .dim = { PAIRS, 8, FRAMES, 16 }, .data = d->noise,
          .bytes = sizeof d->noise },
        { .name = "image_embeds", .dtype = ATM_F32, .rank = 2, .dim = { PAIRS, TINY_EMBEDDING }, .data = d->embeds,
          .bytes = sizeof d->embeds },
        { .name = "timestep", .dtype = ATM_F32, .rank = 1, .dim = { PAIRS }, .data = d->time, .bytes = sizeof d->time },
    };
    must(atm_safetensors_write(scratch_path("in.safetensors"), tensor, 4, NULL, 0));
}

static void check_against_step(const tiny_stage *s, double loss)
{
    static const char *const all[] = { "adapter.*", NULL };
    char name[256];
    atm_tensor_file *file;
    const atm_group *g = &s->stage.group[0];
    must(atm_train_step_forward(s->device, &(atm_train_step_request){
        .model = s->config.model, .inputs = scratch_path("in.safetensors"), .outputs = scratch_path("out.safetensors"),
        .grad = all, .guidance = s->config.diffusion.guidance_scale, .snr_gamma = s->config.diffusion.snr_gamma }));
    must(atm_tensor_file_open(scratch_path("out.safetensors"), &file));
    const float expected = *(const float *)atm_tensor_file_find(file, "loss")->data;
    assert_true(fabs(loss - (double)expected) < 1e-6 * loss);
    for (int i = 0; i < g->n_params; i++) {
        snprintf(name, sizeof name, "grad.%s", g->param[i].name);
        const atm_file_tensor *t = atm_tensor_file_find(file, name);
        assert_non_null(t);
        assert_true(relative_error(g->g + g->param[i].offset, t->data, g->param[i].count) < 1e-4);
    }
    atm_tensor_file_close(file);
}

static void a_batch_is_the_train_step_of_what_it_draws(void **state)
{
    (void)state;
    for (int predecessor = 0; predecessor < 2; predecessor++) {
        drawn d;
        atm_loaded batch;
        double metrics[ATM_STAGE_METRICS] = { 0 };
        atm_train_config c = tiny_config("adapter");
        c.diffusion.guidance_scale = predecessor ? 3.5 : 1;
        tiny_stage *s = tiny_open(&c);
        must(atm_loader_next(s->loader, &batch));
        must(s->stage.info->gradients(&s->stage, 0, &batch, metrics));
        for (int i = 0; i < PAIRS; i++) draw(s, &batch, i, &d);
        write_drawn(&d);
        check_against_step(s, metrics[0]);
        tiny_close(s);
    }
}

/* ------------------------------------------------------------------ what must not change a bit */

static void memory_recomputation_and_threads_change_nothing(void **state)
{
    (void)state;
    static const char *const stages[] = { "adapter", "diffusion" };
    for (int i = 0; i < 2; i++) {
        atm_train_config c = tiny_config(stages[i]);
        c.diffusion.guidance_scale = 3.5;
        tiny_gradient plain = tiny_gradient_of(&c, 1);
        tiny_same_gradient(&plain, &c, 2);
        c.train.reuse_memory = false;
        tiny_same_gradient(&plain, &c, 1);
        c.train.recompute = true;
        tiny_same_gradient(&plain, &c, 1);
        c.train.reuse_memory = true;
        tiny_same_gradient(&plain, &c, 1);
        tiny_gradient_free(&plain);
    }
}

/* The same samples with the same noise: only the order of a sum is another. */
static void accumulation_changes_only_the_rounding(void **state)
{
    (void)state;
    atm_train_config c = tiny_config("diffusion");
    c.diffusion.condition_dropout = 0.5;
    c.diffusion.stratified_timesteps = true;
    tiny_gradient whole = tiny_gradient_of(&c, 1);
    for (int parts = 2; parts <= 4; parts *= 2) {
        c.train.gradient_accumulation_steps = parts;
        tiny_gradient x = tiny_gradient_of(&c, 1);
        assert_true(fabs(x.metrics[0] - whole.metrics[0]) < 1e-6 * whole.metrics[0]);
        assert_true(tiny_gradient_distance(&whole, &x, parts) < 1e-5);
        tiny_gradient_free(&x);
    }
    tiny_gradient_free(&whole);
}

/* ------------------------------------------------------------------ learning */

static atm_train_config learning(const char *stage, const char *model, double rate, int steps)
{
    atm_train_config c = tiny_config(stage);
    snprintf(c.model, sizeof c.model, "%s", scratch_path(model));
    snprintf(c.data, sizeof c.data, "%s", scratch_path("short.h5"));
    c.train.batch_size = 16;
    c.train.learning_rate = rate;
    c.train.adam_beta2 = 0.99;
    c.train.lr_scheduler = ATM_LR_COSINE;
    c.train.lr_warmup_steps = 10;
    c.train.max_train_steps = steps;
    c.train.max_grad_norm = 1;
    c.diffusion.snr_gamma = 0;
    c.diffusion.stratified_timesteps = true;
    return c;
}

/* The loss over fixed timesteps and noise; of a frame each, so that it takes seconds. */
static void four_pairs_are_learnt(void **state)
{
    (void)state;
    const atm_train_config c = learning("diffusion", "wide", 1e-2, 300);
    tiny_stage *s = tiny_open(&c);
    const double before = tiny_loss(s, 16);
    tiny_train(s, c.train.max_train_steps);
    const double after = tiny_loss(s, 16);
    print_message("diffusion: %.4f to %.4f, %.1f times less\n", before, after, before / after);
    assert_true(after < before / 10);
    tiny_close(s);
}

/* How far an adapter alone can come depends on the UNet behind it: through a random one, nowhere.  So the whole model
 * learns four pairs first, then forgets its adapter; the adapter must find its way back to the loss that
 * it had.  The UNet predicts the clip itself: what it needs the artwork for. */
static void the_adapter_alone_learns_what_the_model_knew(void **state)
{
    (void)state;
    atm_train_config c = learning("diffusion", "direct", 1e-2, 250);
    must(tiny_run(&c, 1, 0));
    c = learning("adapter", "run/model", 3e-3, 300);
    tiny_stage *s = tiny_open(&c);
    const double known = tiny_loss(s, 16);
    tiny_close(s);
    tiny_weights_by_name("run/model", "adapter");
    s = tiny_open(&c);
    const double before = tiny_loss(s, 16);
    tiny_train(s, c.train.max_train_steps);
    const double after = tiny_loss(s, 16);
    print_message("adapter: %.4f to %.4f, known was %.4f\n", before, after, known);
    assert_true(after < before / 10 && after < 1.5 * known);
    tiny_close(s);
    tiny_remove("run");
}

/* ------------------------------------------------------------------ NaN */

static void check_finite(const atm_group *g)
{
    const float *const array[] = { g->p, g->m, g->v, g->ema };
    for (int k = 0; k < 4; k++)
        for (size_t i = 0; i < g->count; i++) assert_true(isfinite(array[k][i]));
}

/* Of four clips one holds a NaN: its updates change nothing but the counters. */
static void a_bad_update_is_skipped_and_counted(void **state)
{
    (void)state;
    atm_train_config c = tiny_config("adapter");
    snprintf(c.data, sizeof c.data, "%s", scratch_path("broken.h5"));
    c.train.batch_size = 1;
    c.train.use_ema = true;
    tiny_stage *s = tiny_open(&c);
    atm_group *g = &s->stage.group[0];
    const size_t size = g->count * sizeof(float);
    float *before = malloc(size);
    assert_non_null(before);
    assert_memory_equal(g->ema, g->p, size);                        /* the average begins as the weights */
    for (uint64_t i = 0; i < 8; i++) {
        atm_update update;
        const uint64_t steps = s->state.optimizer_steps[0];
        memcpy(before, g->p, size);
        must(atm_train_update(&s->stage, s->loader, 0, &s->state, &update));
        assert_int_equal(s->state.step, i + 1);
        assert_int_equal(s->state.optimizer_steps[0], steps + (update.bad ? 0 : 1));
        assert_int_equal(memcmp(before, g->p, size) == 0, update.bad);
        assert_int_equal(s->state.bad_in_a_row, update.bad);
        check_finite(g);
    }
    assert_int_equal(s->state.bad_steps, 2);                        /* two epochs */
    free(before);
    tiny_close(s);
}

static void check_file_is_finite(const char *name)
{
    atm_tensor_file *file;
    must(atm_tensor_file_open(scratch_path(name), &file));
    assert_true(atm_tensor_file_count(file) > 0);
    for (size_t i = 0; i < atm_tensor_file_count(file); i++) {
        const atm_file_tensor *t = atm_tensor_file_at(file, i);
        assert_int_equal(t->dtype, ATM_F32);
        for (size_t k = 0; k < t->bytes / sizeof(float); k++) assert_true(isfinite(((const float *)t->data)[k]));
    }
    atm_tensor_file_close(file);
}

/* After so many in a row the run ends, and what it saved before is whole. */
static void too_many_bad_updates_end_the_run(void **state)
{
    (void)state;
    atm_train_config c = tiny_config("adapter");
    snprintf(c.data, sizeof c.data, "%s", scratch_path("broken.h5"));
    c.train.max_bad_steps = 3;
    c.train.checkpointing_steps = 1;
    assert_int_equal(tiny_run(&c, 1, 0), ATM_E_DATA);
    if (!strstr(atm_error(), "update 3: NaN or Inf")) fail_msg("%s", atm_error());
    check_file_is_finite("run/checkpoints/step_00000002/group0.safetensors");
    assert_null(fopen(scratch_path("run/checkpoints/step_00000003/manifest.json"), "r"));
    assert_null(fopen(scratch_path("run/model/model_index.json"), "r"));
    tiny_remove("run");
}

/* ------------------------------------------------------------------ data that do not fit */

/* One pair, all zeros; without columns of artworks it is a clip alone. */
static void write_columns(const atm_column *column, int n)
{
    static const int32_t zeros[4096], none = -1;
    static const char *const pairs[] = { "pairs/artwork", "pairs/clip", "pairs/split" };
    atm_dataset_writer *w;
    must(atm_dataset_begin(scratch_path("other.h5"), &w));
    for (int i = 0; i < 3 + n; i++) {
        atm_column c = i < 3 ? (atm_column){ .name = pairs[i], .dtype = ATM_I32 } : column[i - 3];
        c.rows = 1;
        must(atm_dataset_declare(w, &c));
        must(atm_dataset_put(w, c.name, 0, i == 0 && column[0].name[0] != 'a' ? &none : zeros));
    }
    must(atm_dataset_commit(w));
}

#define EMBEDDING { .name = "artworks/embedding", .dtype = ATM_F32, .rank = 1, .dim = { TINY_EMBEDDING } }
#define MEAN      { .name = "clips/latent_mean", .dtype = ATM_F32, .rank = 3, .dim = { 8, 2, 16 } }

static const struct { atm_column column[3]; int n; const char *words; } misfits[] = {
    { { EMBEDDING, MEAN, { .name = "clips/latent_logvar", .dtype = ATM_F16, .rank = 3, .dim = { 8, 2, 16 } } }, 3,
      "clips/latent_logvar is F16[8,2,16], stage adapter of this model takes F32[8,2,16]" },
    { { EMBEDDING, MEAN, { .name = "clips/latent_logvar", .dtype = ATM_F32, .rank = 3, .dim = { 8, 1, 16 } } }, 3,
      "clips/latent_logvar is F32[8,1,16]" },
    { { EMBEDDING, MEAN }, 2, "no clips/latent_logvar: run `arttomus prepare` with the columns embedding,latents" },
    { { EMBEDDING, { .name = "clips/latent_mean", .dtype = ATM_F32, .rank = 2, .dim = { 8, 2 } } }, 2,
      "clips/latent_mean is F32[8,2], stage adapter of this model takes F32[8,*,16]" },
    { { MEAN }, 1, "no artworks/embedding" },
    { { { .name = "artworks/embedding", .dtype = ATM_F32, .rank = 1, .dim = { 7 } }, MEAN }, 2,
      "artworks/embedding is F32[7], stage adapter of this model takes F32[12]" },
};

static void data_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    atm_train_config c = tiny_config("adapter");
    snprintf(c.data, sizeof c.data, "%s", scratch_path("other.h5"));
    c.train.batch_size = 1;
    for (size_t i = 0; i < sizeof misfits / sizeof *misfits; i++) {
        write_columns(misfits[i].column, misfits[i].n);
        tiny_stage *s = tiny_try_open(&c, "cpu", 1);
        if (s->opened != ATM_E_DATA || !strstr(atm_error(), misfits[i].words))
            fail_msg("%d with: %s; expected were: %s", s->opened, atm_error(), misfits[i].words);
        tiny_close(s);
    }
    tiny_remove("other.h5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_the_train_step_of_what_it_draws),
        cmocka_unit_test(memory_recomputation_and_threads_change_nothing),
        cmocka_unit_test(accumulation_changes_only_the_rounding),
        cmocka_unit_test(four_pairs_are_learnt),
        cmocka_unit_test(the_adapter_alone_learns_what_the_model_knew),
        cmocka_unit_test(a_bad_update_is_skipped_and_counted),
        cmocka_unit_test(too_many_bad_updates_end_the_run),
        cmocka_unit_test(data_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
