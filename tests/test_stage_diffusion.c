/* test_stage_diffusion.c - the stages `adapter` and `diffusion` on a tiny model and a few clips: what they
 * draw and compute, what must not change a bit, and whether they learn.
 *
 * That the loss and its gradient are those of the reference is test_train_step.c; here the stage, with what it draws
 * for a batch, must give what `train-step` gives for the same numbers. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/bytes.h"
#include "support/plan_fixture.h"
#include "support/tiny_model.h"
#include "support/tiny_run.h"
#include "train/train_step.h"

enum { PAIRS = 4, FRAMES = 4 };

static int make_files(void **state)
{
    static const char *const v[] = { "scheduler.prediction_type=v_prediction" };
    (void)state;
    scratch_make();
    tiny_model_write("model", NULL, 0);
    tiny_model_write("v", v, 1);
    tiny_data_write("data.h5", "model", (tiny_data){ .columns = TINY_LATENTS, .pairs = PAIRS, .frames = FRAMES });
    tiny_data_write("broken.h5", "model", (tiny_data){ .columns = TINY_LATENTS, .pairs = PAIRS, .frames = FRAMES,
                                                       .broken = 4 });
    tiny_data_write("mel.h5", "model", (tiny_data){ .columns = TINY_MEL, .pairs = PAIRS, .frames = FRAMES });
    return 0;
}

static int remove_files(void **state)
{
    static const char *const name[] = { "model", "v", "data.h5", "broken.h5", "mel.h5", "in.safetensors",
                                        "out.safetensors" };
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

typedef struct { float *g; size_t n; double loss; } gradient;

static gradient gradient_of(const atm_train_config *config, int threads)
{
    double metrics[ATM_STAGE_METRICS];
    tiny_stage *s = tiny_try_open(config, "cpu", threads);
    must(s->opened);
    tiny_gradients(s, metrics);
    const atm_group *group = &s->stage.group[0];
    gradient x = { malloc(group->count * sizeof(float)), group->count, metrics[0] };
    assert_non_null(x.g);
    memcpy(x.g, group->g, x.n * sizeof *x.g);
    tiny_close(s);
    return x;
}

static void check_same(const gradient *a, gradient b)
{
    assert_true(a->loss == b.loss);
    assert_int_equal(a->n, b.n);
    assert_memory_equal(a->g, b.g, a->n * sizeof *b.g);
    free(b.g);
}

static void memory_recomputation_and_threads_change_nothing(void **state)
{
    (void)state;
    static const char *const stages[] = { "adapter", "diffusion" };
    for (int i = 0; i < 2; i++) {
        atm_train_config c = tiny_config(stages[i]);
        c.diffusion.guidance_scale = 3.5;
        const gradient plain = gradient_of(&c, 1);
        check_same(&plain, gradient_of(&c, 2));
        c.train.reuse_memory = false;
        check_same(&plain, gradient_of(&c, 1));
        c.train.recompute = true;
        check_same(&plain, gradient_of(&c, 1));
        c.train.reuse_memory = true;
        check_same(&plain, gradient_of(&c, 1));
        free(plain.g);
    }
}

/* The same samples with the same noise: only the order of a sum is another. */
static void accumulation_changes_only_the_rounding(void **state)
{
    (void)state;
    atm_train_config c = tiny_config("diffusion");
    c.diffusion.condition_dropout = 0.5;
    c.diffusion.stratified_timesteps = true;
    const gradient whole = gradient_of(&c, 1);
    for (int parts = 2; parts <= 4; parts *= 2) {
        c.train.gradient_accumulation_steps = parts;
        gradient x = gradient_of(&c, 1);
        for (size_t i = 0; i < x.n; i++) x.g[i] /= (float)parts;
        assert_true(fabs(x.loss - whole.loss) < 1e-6 * whole.loss);
        assert_true(relative_error(x.g, whole.g, x.n) < 1e-5);
        free(x.g);
    }
    free(whole.g);
}

/* ------------------------------------------------------------------ learning */

/* All of the model on four pairs, in the setting of the built-in model (v, min-SNR): the loss over fixed timesteps
 * and noise falls by ten at least. */
static void four_pairs_are_learnt(void **state)
{
    (void)state;
    atm_train_config c = tiny_config("diffusion");
    snprintf(c.model, sizeof c.model, "%s", scratch_path("v"));
    c.train.batch_size = 16;
    c.train.learning_rate = 4e-3;
    c.train.adam_beta2 = 0.99;
    c.train.lr_scheduler = ATM_LR_COSINE;
    c.train.lr_warmup_steps = 10;
    c.train.max_train_steps = 300;
    c.train.max_grad_norm = 1;
    c.diffusion.stratified_timesteps = true;
    tiny_stage *s = tiny_open(&c);
    const double before = tiny_loss(s, 8);
    tiny_train(s, c.train.max_train_steps);
    const double after = tiny_loss(s, 8);
    print_message("diffusion: %.4f to %.4f, %.1f times less\n", before, after, before / after);
    assert_true(after < before / 10);
    tiny_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_the_train_step_of_what_it_draws),
        cmocka_unit_test(memory_recomputation_and_threads_change_nothing),
        cmocka_unit_test(accumulation_changes_only_the_rounding),
        cmocka_unit_test(four_pairs_are_learnt),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
