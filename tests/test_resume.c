/* test_resume.c - a run that is stopped and goes on ends with the bits of one that is not: weights, moments, moving
 * average, and metrics.jsonl but for the times.  For each stage, and across the update in which an
 * adversary joins; with other thread counts, and with another cut of the batch to rounding. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "support/bytes.h"
#include "support/plan_fixture.h"
#include "support/tiny_model.h"
#include "support/tiny_run.h"

enum { UPDATES = 6 };

static int make_files(void **state)
{
    static const char *const change[] = {
        "audio_encoder.hidden_size=8", "audio_encoder.num_hidden_layers=1", "audio_encoder.num_attention_heads=2",
        "audio_encoder.intermediate_size=8", "audio_encoder.patch_size=32", "audio_encoder.patch_stride=32"
    };
    (void)state;
    scratch_make();
    tiny_model_write("model", change, 6);
    tiny_data_write("data.h5", "model", (tiny_data){ .columns = TINY_LATENTS | TINY_MEL | TINY_SENSES, .pairs = 5,
                                                     .validation = 1, .frames = 6 });
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

/* ------------------------------------------------------------------ runs */

static atm_train_config config_of(const char *stage)
{
    atm_train_config c = tiny_config(stage);
    c.train.max_train_steps = UPDATES;
    c.train.batch_size = 2;
    c.train.use_ema = true;
    c.train.max_grad_norm = 1;
    c.train.lr_scheduler = ATM_LR_COSINE;
    c.train.lr_warmup_steps = 2;
    c.train.checkpointing_steps = 0;
    c.train.validation_batches = 1;
    c.train.validation_steps = 2;
    c.train.logging_steps = 4;                      /* the stop is between two lines */
    c.diffusion.condition_dropout = 0.3;
    c.vae.discriminator_channels = 8;
    return c;
}

static void name_output(atm_train_config *c, const char *name)
{
    snprintf(c->output, sizeof c->output, "%s", scratch_path(name));
}

static void run_whole(atm_train_config c, const char *output, int threads)
{
    name_output(&c, output);
    must(tiny_run(&c, threads, 0));
}

/* Stops twice on the way. */
static void run_in_pieces(atm_train_config c, const char *output, int threads)
{
    name_output(&c, output);
    snprintf(c.train.resume_from_checkpoint, sizeof c.train.resume_from_checkpoint, "latest");
    assert_int_equal(tiny_run(&c, threads, 2), ATM_E_REQUEUE);
    assert_int_equal(tiny_run(&c, threads, 3), ATM_E_REQUEUE);
    must(tiny_run(&c, threads, 0));
}

static const char *in_run(const char *run, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", run, name);
    return scratch_path(path);
}

static void same_file(const char *a, const char *b, const char *name)
{
    bytes x = read_bytes(in_run(a, name)), y = read_bytes(in_run(b, name));
    if (x.n != y.n || memcmp(x.p, y.p, x.n) != 0) fail_msg("%s of %s and %s differ", name, a, b);
    bytes_free(&x);
    bytes_free(&y);
}

/* Lines end with the times: {..., "timing": {...}}. */
static void cut_timing(bytes *b)
{
    size_t n = 0;
    bool skipping = false;
    for (size_t i = 0; i < b->n; i++) {
        skipping = b->p[i] != '\n' && (skipping || (b->n - i > 9 && memcmp(b->p + i, "\"timing\"", 8) == 0));
        if (!skipping) b->p[n++] = b->p[i];
    }
    b->n = n;
}

static void same_metrics(const char *a, const char *b)
{
    bytes x = read_bytes(in_run(a, "metrics.jsonl")), y = read_bytes(in_run(b, "metrics.jsonl"));
    const size_t all = x.n;
    cut_timing(&x);
    cut_timing(&y);
    assert_true(x.n > 100 && x.n < all);
    if (x.n != y.n || memcmp(x.p, y.p, x.n) != 0)
        fail_msg("metrics differ:\n%.*s\n%.*s", (int)x.n, (char *)x.p, (int)y.n, (char *)y.p);
    bytes_free(&x);
    bytes_free(&y);
}

static void same_run(const char *a, const char *b, int groups, const char *weights)
{
    for (int g = 0; g < groups; g++) {
        char name[64];
        snprintf(name, sizeof name, "checkpoints/step_%08d/group%d.safetensors", UPDATES, g);
        same_file(a, b, name);
    }
    same_file(a, b, weights);
    same_metrics(a, b);
}

/* ------------------------------------------------------------------ tests */

static void check_stage(const atm_train_config *c, int groups, const char *weights)
{
    run_whole(*c, "whole", 1);
    run_in_pieces(*c, "pieces", 2);
    same_run("whole", "pieces", groups, weights);
    tiny_remove("whole");
    tiny_remove("pieces");
}

static void every_stage_goes_on_as_if_nothing_had_been(void **state)
{
    (void)state;
    atm_train_config c = config_of("adapter");
    check_stage(&c, 1, "model/adapter/model.safetensors");
    c = config_of("diffusion");
    check_stage(&c, 1, "model/unet/diffusion_pytorch_model.safetensors");
    c = config_of("vae");
    c.vae.adversarial_weight = 0.1;
    c.vae.adversarial_start = 3;
    check_stage(&c, 2, "model/vae/diffusion_pytorch_model.safetensors");
    c = config_of("vocoder");
    c.train.crop = 16;
    c.vocoder.adversarial_start = 3;
    c.vocoder.discriminator_channels = 1;
    check_stage(&c, 2, "model/vocoder/model.safetensors");
    c = config_of("align");
    check_stage(&c, 1, "model/audio_encoder/model.safetensors");
}

/* Of a checkpoint: tensors are called p.NAME, m.NAME ...; the relative distance of all that begin so. */
static double distance(const char *a, const char *b, const char *start)
{
    char name[64];
    double worst = 0;
    atm_tensor_file *x, *y;
    snprintf(name, sizeof name, "checkpoints/step_%08d/group0.safetensors", UPDATES);
    must(atm_tensor_file_open(in_run(a, name), &x));
    must(atm_tensor_file_open(in_run(b, name), &y));
    for (size_t i = 0; i < atm_tensor_file_count(x); i++) {
        const atm_file_tensor *t = atm_tensor_file_at(x, i), *u = atm_tensor_file_find(y, t->name);
        if (strncmp(t->name, start, strlen(start)) == 0)
            worst = fmax(worst, relative_error(t->data, u->data, t->bytes / sizeof(float)));
    }
    atm_tensor_file_close(x);
    atm_tensor_file_close(y);
    return worst;
}

/* The same samples in the same order with the same noise, in other pieces: m, a sum of gradients, has their
 * rounding and nothing else. */
static void the_cut_of_a_batch_changes_only_the_rounding(void **state)
{
    (void)state;
    atm_train_config c = config_of("adapter");
    run_whole(c, "one", 1);
    c.train.gradient_accumulation_steps = 2;
    run_whole(c, "two", 1);
    const double m = distance("one", "two", "m."), p = distance("one", "two", "p.");
    print_message("in two pieces: moments differ by %.1e, weights by %.1e\n", m, p);
    assert_true(m < 1e-4 && p < 1e-4);
    c.seed = 1;
    tiny_remove("two");
    run_whole(c, "two", 1);
    assert_true(distance("one", "two", "m.") > 0.1);               /* other noise would have been seen */
    tiny_remove("one");
    tiny_remove("two");
}

static void a_checkpoint_of_other_data_is_refused(void **state)
{
    (void)state;
    atm_train_config c = config_of("adapter");
    assert_int_equal(tiny_run(&c, 1, 2), ATM_E_REQUEUE);
    tiny_data_write("other.h5", "model", (tiny_data){ .columns = TINY_LATENTS, .pairs = 4, .frames = 6 });
    snprintf(c.data, sizeof c.data, "%s", scratch_path("other.h5"));
    snprintf(c.train.resume_from_checkpoint, sizeof c.train.resume_from_checkpoint, "latest");
    assert_int_equal(tiny_run(&c, 1, 0), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "has changed since the checkpoint"));
    tiny_remove("run");
    tiny_remove("other.h5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stage_goes_on_as_if_nothing_had_been),
        cmocka_unit_test(the_cut_of_a_batch_changes_only_the_rounding),
        cmocka_unit_test(a_checkpoint_of_other_data_is_refused),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
