/* test_stage_vae.c - the stage `vae` on a tiny model and four clips, alone and with its adversary.
 *
 * That the loss and its gradient are those of the reference is test_train_losses.c and test_discriminators.c; what the
 * stage makes of latents at its beginning and its end is test_latents.c.
 * Slopes are taken in single precision: a difference of losses near 1 has 1e-7 of rounding; over a length
 * that changes the loss by a hundredth that is 1e-5 of it, and the curvature of leaky layers a few per cent more. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/optimizer.h"
#include "support/bytes.h"
#include "support/plan_fixture.h"
#include "support/tiny_gradient.h"

enum { CLIPS = 4, FRAMES = 8 };
enum { LOSS, L1, KL, ADVERSARIAL, DISCRIMINATOR };

static int make_files(void **state)
{
    (void)state;
    scratch_make();
    tiny_model_write("model", NULL, 0);
    tiny_data_write("data.h5", "model", (tiny_data){ .columns = TINY_MEL, .pairs = CLIPS, .frames = FRAMES });
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    tiny_remove("model");
    tiny_remove("data.h5");
    scratch_remove();
    return 0;
}

/* Adversarial from update `start` on; -1: never. */
static atm_train_config config_of(int start)
{
    atm_train_config c = tiny_config("vae");
    c.train.batch_size = 2;
    c.vae.adversarial_weight = start < 0 ? 0 : 0.5;
    c.vae.adversarial_start = start < 0 ? 0 : start;
    c.vae.discriminator_channels = 8;
    return c;
}

/* ------------------------------------------------------------------ gradients */

static void gradients_are_slopes(void **state)
{
    (void)state;
    atm_loaded batch;
    atm_train_config c = config_of(0);
    tiny_stage *s = tiny_open(&c);
    must(atm_loader_next(s->loader, &batch));
    assert_true(tiny_slope_error(s, &batch, 0, DISCRIMINATOR) < 0.02);
    assert_true(tiny_slope_error(s, &batch, 1, LOSS) < 0.02);
    tiny_close(s);
}

static double length_of(const atm_group *g) { return sqrt(atm_sum_of_squares(NULL, g->g, g->count)); }

static void the_discriminator_is_idle_until_its_start(void **state)
{
    (void)state;
    atm_loaded batch;
    double metrics[ATM_STAGE_METRICS] = { 0 };
    atm_train_config c = config_of(5);
    tiny_stage *s = tiny_open(&c);
    must(atm_loader_next(s->loader, &batch));
    assert_string_equal(s->stage.metric[DISCRIMINATOR], "discriminator");
    batch.step = 4;
    tiny_gradients_of_batch(s, &batch, metrics);
    assert_true(s->stage.group[0].idle && length_of(&s->stage.group[0]) == 0);
    assert_true(metrics[ADVERSARIAL] == 0 && metrics[DISCRIMINATOR] == 0);
    batch.step = 5;
    tiny_gradients_of_batch(s, &batch, metrics);
    assert_true(!s->stage.group[0].idle && length_of(&s->stage.group[0]) > 0);
    const double rest = metrics[L1] + c.vae.kl_weight * metrics[KL] + 0.5 * metrics[ADVERSARIAL];
    assert_true(metrics[ADVERSARIAL] > 0 && metrics[DISCRIMINATOR] > 0);
    assert_true(fabs(metrics[LOSS] - rest) < 1e-6 * rest);
    tiny_close(s);
}

/* Weights are read anew in every run: none of them is a packed copy of the first. */
static void new_weights_are_seen_at_once(void **state)
{
    (void)state;
    atm_loaded batch;
    double first[ATM_STAGE_METRICS] = { 0 }, second[ATM_STAGE_METRICS] = { 0 };
    atm_train_config c = config_of(0);
    tiny_stage *s = tiny_open(&c);
    must(atm_loader_next(s->loader, &batch));
    tiny_gradients_of_batch(s, &batch, first);
    for (size_t i = 0; i < s->stage.group[0].count; i++) s->stage.group[0].p[i] *= 1.1F;
    tiny_gradients_of_batch(s, &batch, second);
    assert_true(first[L1] == second[L1]);
    assert_true(first[ADVERSARIAL] != second[ADVERSARIAL] && first[DISCRIMINATOR] != second[DISCRIMINATOR]);
    for (size_t i = 0; i < s->stage.group[1].count; i++) s->stage.group[1].p[i] *= 1.1F;
    tiny_gradients_of_batch(s, &batch, first);
    assert_true(first[L1] != second[L1] && first[DISCRIMINATOR] != second[DISCRIMINATOR]);
    tiny_close(s);
}

/* ------------------------------------------------------------------ what must not change */

static void memory_and_threads_change_nothing_and_the_cut_only_rounding(void **state)
{
    (void)state;
    atm_train_config c = config_of(0);
    tiny_gradient whole = tiny_gradient_of(&c, 1);
    assert_int_equal(whole.groups, 2);
    tiny_same_gradient(&whole, &c, 2);
    c.train.reuse_memory = false;
    tiny_same_gradient(&whole, &c, 1);
    c.train.gradient_accumulation_steps = 2;
    tiny_gradient halves = tiny_gradient_of(&c, 1);
    assert_true(tiny_gradient_distance(&whole, &halves, 2) < 1e-4);
    tiny_gradient_free(&halves);
    tiny_gradient_free(&whole);
}

/* ------------------------------------------------------------------ learning */

static void clips_are_learnt(void **state)
{
    (void)state;
    atm_train_config c = config_of(-1);
    c.train.batch_size = CLIPS;
    c.train.learning_rate = 1e-2;
    c.train.adam_beta2 = 0.99;
    c.train.lr_scheduler = ATM_LR_COSINE;
    c.train.max_train_steps = 80;
    tiny_stage *s = tiny_open(&c);
    const double before = tiny_loss(s, 1);
    tiny_train(s, c.train.max_train_steps);
    const double after = tiny_loss(s, 1);
    print_message("l1: %.3f to %.3f\n", before, after);
    assert_true(after < before / 5);
    tiny_close(s);
}

static void the_adversary_learns_too(void **state)
{
    (void)state;
    double first[ATM_STAGE_METRICS] = { 0 }, last[ATM_STAGE_METRICS] = { 0 };
    atm_train_config c = config_of(0);
    c.train.learning_rate = 3e-3;
    tiny_stage *s = tiny_open(&c);
    tiny_gradients(s, first);
    tiny_train(s, 30);
    tiny_gradients(s, last);
    print_message("discriminator: %.3f to %.3f\n", first[DISCRIMINATOR], last[DISCRIMINATOR]);
    assert_true(last[DISCRIMINATOR] < first[DISCRIMINATOR] / 2);
    tiny_close(s);
}

/* ------------------------------------------------------------------ what cannot work */

static void wrong_crops_are_refused(void **state)
{
    (void)state;
    static const struct { int crop, start; const char *words; } wrong[] = {
        { 6, -1, "a multiple of 4" }, { 64, -1, "at most the clips' 32" }, { 20, 0, "pictures of at least 24 x 24" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        atm_train_config c = config_of(wrong[i].start);
        c.train.crop = wrong[i].crop;
        tiny_stage *s = tiny_try_open(&c, "cpu", 1);
        if (s->opened != ATM_E_CONFIG || !strstr(atm_error(), wrong[i].words))
            fail_msg("%d: %s", s->opened, atm_error());
        tiny_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(the_discriminator_is_idle_until_its_start),
        cmocka_unit_test(new_weights_are_seen_at_once),
        cmocka_unit_test(memory_and_threads_change_nothing_and_the_cut_only_rounding),
        cmocka_unit_test(clips_are_learnt),
        cmocka_unit_test(the_adversary_learns_too),
        cmocka_unit_test(wrong_crops_are_refused),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
