/* test_stage_align.c - the stage `align` on a tiny model and a few pairs.
 *
 * That its loss is the reference's, at any number of ranks, is in test_train_step.c. */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "support/bytes.h"
#include "support/plan_fixture.h"
#include "support/tiny_gradient.h"

enum { PAIRS = 4 };
enum { LOSS, ACCURACY };

static int make_files(void **state)
{
    static const char *const change[] = {
        "audio_encoder.hidden_size=8", "audio_encoder.num_hidden_layers=1", "audio_encoder.num_attention_heads=2",
        "audio_encoder.intermediate_size=8", "audio_encoder.patch_size=32", "audio_encoder.patch_stride=32"
    };
    (void)state;
    scratch_make();
    tiny_model_write("model", change, 6);
    tiny_model_write("deaf", NULL, 0);
    tiny_data_write("data.h5", "model", (tiny_data){ .columns = TINY_SENSES, .pairs = PAIRS, .frames = 1 });
    tiny_data_write("mel.h5", "model", (tiny_data){ .columns = TINY_MEL, .pairs = PAIRS, .frames = 1 });
    return 0;
}

static int remove_files(void **state)
{
    static const char *const name[] = { "model", "deaf", "data.h5", "mel.h5" };
    (void)state;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) tiny_remove(name[i]);
    scratch_remove();
    return 0;
}

/* ------------------------------------------------------------------ gradients */

/* In single precision, as in test_stage_vae.c. */
static void the_gradient_is_the_slope(void **state)
{
    (void)state;
    atm_loaded batch;
    const atm_train_config c = tiny_config("align");
    tiny_stage *s = tiny_open(&c);
    must(atm_loader_next(s->loader, &batch));
    assert_true(tiny_slope_error(s, &batch, 0, LOSS) < 0.01);
    tiny_close(s);
}

static void memory_and_threads_change_nothing(void **state)
{
    (void)state;
    atm_train_config c = tiny_config("align");
    tiny_gradient plain = tiny_gradient_of(&c, 1);
    tiny_same_gradient(&plain, &c, 2);
    c.train.reuse_memory = false;
    tiny_same_gradient(&plain, &c, 1);
    tiny_gradient_free(&plain);
}

/* ------------------------------------------------------------------ learning */

static void pairs_are_told_apart(void **state)
{
    (void)state;
    double before[ATM_STAGE_METRICS], after[ATM_STAGE_METRICS];
    atm_train_config c = tiny_config("align");
    c.train.learning_rate = 3e-3;
    c.train.adam_beta2 = 0.98;
    tiny_stage *s = tiny_open(&c);
    tiny_gradients(s, before);
    tiny_train(s, 80);
    tiny_gradients(s, after);
    print_message("loss %.3f to %.3f, accuracy %.2f to %.2f\n", before[LOSS], after[LOSS], before[ACCURACY],
                  after[ACCURACY]);
    assert_true(after[LOSS] < before[LOSS] / 10 && after[ACCURACY] == 1);
    tiny_close(s);
}

/* ------------------------------------------------------------------ what cannot work */

static void expect_refusal(const atm_train_config *c, atm_status status, const char *words)
{
    tiny_stage *s = tiny_try_open(c, "cpu", 1);
    if (s->opened != status || !strstr(atm_error(), words)) fail_msg("%d with: %s", s->opened, atm_error());
    tiny_close(s);
}

static void what_cannot_work_is_refused(void **state)
{
    (void)state;
    atm_train_config c = tiny_config("align");
    c.train.gradient_accumulation_steps = 2;
    expect_refusal(&c, ATM_E_CONFIG, "it must be 1: the negatives are the whole batch");
    c = tiny_config("align");
    snprintf(c.model, sizeof c.model, "%s", scratch_path("deaf"));
    expect_refusal(&c, ATM_E_CONFIG, "has no audio_encoder/");
    c = tiny_config("align");
    snprintf(c.data, sizeof c.data, "%s", scratch_path("mel.h5"));
    expect_refusal(&c, ATM_E_DATA, "no clips/audio: run `arttomus prepare` with the columns pixels,audio");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_is_the_slope),
        cmocka_unit_test(memory_and_threads_change_nothing),
        cmocka_unit_test(pairs_are_told_apart),
        cmocka_unit_test(what_cannot_work_is_refused),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
