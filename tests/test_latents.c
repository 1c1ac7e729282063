/* test_latents.c - the linear code that a VAE may begin with, and the scale of latents that its training may leave
 * behind. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/mel.h"
#include "io/safetensors.h"
#include "model/component.h"
#include "support/bytes.h"
#include "support/plan_fixture.h"
#include "support/tiny_model.h"
#include "support/tiny_run.h"

enum { CLIPS = 4, FRAMES = 8, MEL_FRAMES = 4 * FRAMES, LATENTS = 8 };

static void write_walsh(const char *name);

static int make_files(void **state)
{
    static const char *const linear[] = { "vae.block_out_channels=[4,12,18]", "vae.norm_num_groups=1" };
    (void)state;
    scratch_make();
    tiny_model_write("model", NULL, 0);
    tiny_model_write("linear", linear, 2);
    tiny_data_write("data.h5", "model", (tiny_data){ .columns = TINY_MEL, .pairs = CLIPS, .frames = FRAMES });
    write_walsh("walsh.h5");
    return 0;
}

static int remove_files(void **state)
{
    static const char *const name[] = { "model", "linear", "other", "run", "plain", "data.h5", "walsh.h5",
                                        "in.safetensors", "out.safetensors" };
    (void)state;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) tiny_remove(name[i]);
    scratch_remove();
    return 0;
}

/* ------------------------------------------------------------------ a component on numbers */

typedef struct { float *x; size_t n; } numbers;

static numbers run(const char *component, const char *model, const char *input, const int64_t dim[4], const float *data,
                   const char *output)
{
    atm_device *device;
    atm_tensor_file *file;
    char folder[512];
    atm_file_tensor in = { .name = input, .dtype = ATM_F32, .rank = 4, .data = data, .bytes = sizeof(float) };
    for (int i = 0; i < 4; i++) in.bytes *= (size_t)(in.dim[i] = dim[i]);
    must(atm_safetensors_write(scratch_path("in.safetensors"), &in, 1, NULL, 0));
    snprintf(folder, sizeof folder, "%s/vae", scratch_path(model));
    must(atm_device_open("cpu", 1, &device));
    must(atm_component_run(device, &(atm_component_request){
        .component = component, .weights = folder, .inputs = scratch_path("in.safetensors"),
        .outputs = scratch_path("out.safetensors") }));
    atm_device_close(device);
    must(atm_tensor_file_open(scratch_path("out.safetensors"), &file));
    const atm_file_tensor *t = atm_tensor_file_find(file, output);
    assert_non_null(t);
    numbers y = { malloc(t->bytes), t->bytes / sizeof(float) };
    assert_non_null(y.x);
    memcpy(y.x, t->data, t->bytes);
    atm_tensor_file_close(file);
    return y;
}

static numbers encode(const char *model, const char *data)
{
    static float mel[CLIPS][MEL_FRAMES * ATM_MEL_BANDS];
    atm_dataset *dataset;
    must(atm_dataset_open(scratch_path(data), &dataset));
    const atm_column *column = atm_dataset_find(dataset, "clips/mel");
    assert_int_equal(column->row_bytes, sizeof mel[0]);
    for (size_t i = 0; i < CLIPS; i++) must(atm_dataset_read(dataset, column, i, mel[i]));
    atm_dataset_close(dataset);
    return run("vae-encoder", model, "mel", (int64_t[]){ CLIPS, 1, MEL_FRAMES, ATM_MEL_BANDS }, mel[0], "mean");
}

static numbers decode(const char *model, numbers latents)
{
    return run("vae-decoder", model, "latents", (int64_t[]){ CLIPS, LATENTS, FRAMES, 16 }, latents.x, "mel");
}

/* ------------------------------------------------------------------ latents of unit variance */

enum { PIXELS = FRAMES * 16 };

static double scaling_factor_of(const char *model)
{
    atm_model_dir dir;
    must(atm_model_dir_open(scratch_path(model), &dir));
    const double factor = dir.config.vae.scaling_factor;
    atm_model_dir_close(&dir);
    return factor;
}

/* Every channel's mean, and the common standard deviation. */
static void statistics(numbers z, double mean[LATENTS], double *std)
{
    double variance = 0;
    for (size_t c = 0; c < LATENTS; c++) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < CLIPS * PIXELS; i++) {
            const double x = (double)z.x[(i / PIXELS * LATENTS + c) * PIXELS + i % PIXELS];
            sum += x;
            square += x * x;
        }
        mean[c] = sum / (CLIPS * PIXELS);
        variance += (square / (CLIPS * PIXELS) - mean[c] * mean[c]) / LATENTS;
    }
    *std = sqrt(variance);
}

/* Two runs that differ in this alone.  Over all clips at once, so that the measure is exact; of the moving average, for
 * that is what they write. */
static void train_models(void)
{
    atm_train_config c = tiny_config("vae");
    c.train.batch_size = CLIPS;
    c.train.learning_rate = 1e-2;
    c.train.max_train_steps = 4;
    c.train.use_ema = true;
    c.train.ema_decay = 0.5;
    c.vae.normalize_latents = true;
    must(tiny_run(&c, 1, 0));
    snprintf(c.output, sizeof c.output, "%s", scratch_path("plain"));
    c.vae.normalize_latents = false;
    must(tiny_run(&c, 1, 0));
}

static void latents_get_mean_zero_and_variance_one(void **state)
{
    (void)state;
    double mean[LATENTS], std;
    train_models();
    const numbers before = encode("plain/model", "data.h5"), after = encode("run/model", "data.h5");
    statistics(before, mean, &std);
    assert_true(fabs(mean[0]) > 1e-3 * std);                       /* or there would be nothing to do */
    statistics(after, mean, &std);
    for (int k = 0; k < LATENTS; k++) assert_true(fabs(mean[k]) < 1e-5 * std);
    assert_true(fabs(std * scaling_factor_of("run/model") - 1) < 1e-5);
    const numbers was = decode("plain/model", before), is = decode("run/model", after);
    assert_int_equal(was.n, is.n);
    assert_true(relative_error(is.x, was.x, is.n) < 1e-5);
    const numbers list[] = { before, after, was, is };
    for (int i = 0; i < 4; i++) free(list[i].x);
    tiny_remove("run");
    tiny_remove("plain");
}

/* ------------------------------------------------------------------ the linear code
 *
 * Clips whose principal components are known: patch q is m + sum_l s_l c_l(q) v_l, with Walsh functions v_l of the 16
 * pixels and c_l of the patches.  These are orthogonal, so component l is v_l, and its code s_l c_l(q). */

enum { PATCHES = CLIPS * FRAMES * 16 };

static double sign(unsigned a, unsigned b) { return __builtin_popcount(a & b) % 2 ? -1 : 1; }
static double size_of(unsigned l) { return 3 * pow(0.8, l); }
static double code_of(unsigned l, unsigned patch) { return size_of(l) * sign(l + 1, patch); }

static float walsh_at(unsigned patch, unsigned pixel)
{
    double x = -5;
    for (unsigned l = 0; l < 16; l++) x += code_of(l, patch) * sign(l, pixel) / 4;
    return (float)x;
}

static unsigned patch_of(unsigned clip, unsigned t, unsigned b) { return (clip * FRAMES + t / 4) * 16 + b / 4; }

static void put_walsh(atm_dataset_writer *w, unsigned clip)
{
    static float mel[MEL_FRAMES][ATM_MEL_BANDS];
    const int32_t row = (int32_t)clip, none = -1, split = ATM_SPLIT_TRAIN;
    for (unsigned t = 0; t < MEL_FRAMES; t++)
        for (unsigned b = 0; b < ATM_MEL_BANDS; b++) mel[t][b] = walsh_at(patch_of(clip, t, b), t % 4 * 4 + b % 4);
    must(atm_dataset_put(w, "clips/mel", clip, mel));
    must(atm_dataset_put(w, "pairs/clip", clip, &row));
    must(atm_dataset_put(w, "pairs/artwork", clip, &none));
    must(atm_dataset_put(w, "pairs/split", clip, &split));
}

static void write_walsh(const char *name)
{
    const atm_column columns[] = {
        { .name = "pairs/clip", .dtype = ATM_I32 }, { .name = "pairs/artwork", .dtype = ATM_I32 },
        { .name = "pairs/split", .dtype = ATM_I32 },
        { .name = "clips/mel", .dtype = ATM_F32, .rank = 2, .dim = { MEL_FRAMES, ATM_MEL_BANDS } }
    };
    atm_dataset_writer *w;
    must(atm_dataset_begin(scratch_path(name), &w));
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        atm_column c = columns[i];
        c.rows = CLIPS;
        must(atm_dataset_declare(w, &c));
    }
    for (unsigned clip = 0; clip < CLIPS; clip++) put_walsh(w, clip);
    must(atm_dataset_commit(w));
}

static atm_train_config linear_config(const char *model)
{
    atm_train_config c = tiny_config("vae");
    snprintf(c.model, sizeof c.model, "%s", scratch_path(model));
    snprintf(c.data, sizeof c.data, "%s", scratch_path("walsh.h5"));
    c.train.learning_rate = 0;
    c.train.max_train_steps = 1;
    c.vae.linear_init = true;
    c.vae.normalize_latents = false;
    return c;
}

/* Of component l in the encoder's means: the largest |z| / s - 1, with one sign for all patches. */
static double error_of(numbers z, unsigned l)
{
    double worst = 0;
    const double way = (double)z.x[l * PIXELS] * code_of(l, 0) > 0 ? 1 : -1;
    for (unsigned q = 0; q < PATCHES; q++) {
        const double x = way * (double)z.x[(q / PIXELS * LATENTS + l) * PIXELS + q % PIXELS];
        worst = fmax(worst, fabs(x - code_of(l, q)) / size_of(l));
    }
    return worst;
}

/* In the group norm, with one group that the 8 signals fill, signals of variance 1 stand beside constants of +-30: what
 * is read back is (1 + 8 / 30^2)^-1/2 of the code, and rounding. */
static void the_encoder_begins_as_the_principal_components(void **state)
{
    (void)state;
    const double bound = 8 / (2 * 30.0 * 30.0) + 1e-5;
    const atm_train_config c = linear_config("linear");
    must(tiny_run(&c, 1, 0));
    const numbers z = encode("run/model", "walsh.h5");
    for (unsigned l = 0; l < LATENTS; l++) {
        const double error = error_of(z, l);
        if (!(error < bound)) fail_msg("component %u is off by %.2e, allowed are %.2e", l, error, bound);
    }
    free(z.x);
    tiny_remove("run");
}

/* The decoder comes near: much nearer than one with random weights. */
static void the_decoder_begins_near_the_inverse(void **state)
{
    (void)state;
    atm_train_config c = linear_config("linear");
    tiny_stage *s = tiny_open(&c);
    const double begun = tiny_loss(s, 1);
    tiny_close(s);
    c.vae.linear_init = false;
    s = tiny_open(&c);
    const double random = tiny_loss(s, 1);
    tiny_close(s);
    print_message("l1 of linear code %.3f, of random weights %.3f\n", begun, random);
    assert_true(begun < random / 2);
}

static const struct { const char *change[2]; int n; const char *words; } unsuited[] = {
    { { "vae.block_out_channels=[8,8,16]" }, 1, "at least 4 channels in each group of the norms; 8 / 4 are 2" },
    { { "vae.block_out_channels=[16,16,32]" }, 1, "levels of different widths" },
    { { "vae.block_out_channels=[16,32]" }, 1, "this one has 2, 1 and 8" },
    { { "vae.block_out_channels=[16,4,32]" }, 1, "at least as many channels in level 1 as in a latent: 8, not 4" },
    { { "vae.block_out_channels=[16,24,32]", "vae.latent_channels=17" }, 2, "at most 16 latent ones" },
};

static void unsuited_shapes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof unsuited / sizeof *unsuited; i++) {
        tiny_model_write("other", unsuited[i].change, unsuited[i].n);
        const atm_train_config c = linear_config("other");
        tiny_stage *s = tiny_try_open(&c, "cpu", 1);
        if (s->opened != ATM_E_CONFIG || !strstr(atm_error(), unsuited[i].words))
            fail_msg("%d with: %s; expected were: %s", s->opened, atm_error(), unsuited[i].words);
        tiny_close(s);
        tiny_remove("other");
    }
    atm_train_config c = linear_config("linear");
    snprintf(c.train.trainable, sizeof c.train.trainable, "vae.decoder.*");
    tiny_stage *s = tiny_try_open(&c, "cpu", 1);
    assert_int_equal(s->opened, ATM_E_CONFIG);
    assert_non_null(strstr(atm_error(), "is not trained"));
    tiny_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latents_get_mean_zero_and_variance_one),
        cmocka_unit_test(the_encoder_begins_as_the_principal_components),
        cmocka_unit_test(the_decoder_begins_near_the_inverse),
        cmocka_unit_test(unsuited_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
