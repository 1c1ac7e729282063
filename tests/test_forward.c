/* test_forward.c - `arttomus forward`: the program, on files, gives what the functions
 * behind it give; one network, for the way through the component table; and a step of training. */
#define _GNU_SOURCE
#include "support/support.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "data/mel.h"
#include "data/resample.h"
#include "data/resize.h"
#include "io/safetensors.h"
#include "model/schedule.h"
#include "support/tiny_model.h"

enum { SAMPLES = 3200, ROWS = 2 };

static const char *scratch(const char *name)
{
    static char path[2][4300];
    static int next;
    char *out = path[next++ % 2];
    snprintf(out, sizeof path[0], "%s/%s", tiny_model_path(), name);
    return out;
}

/* The exit code of `arttomus forward ARGUMENTS --inputs in --outputs out`. */
static int forward(const char *arguments)
{
    char command[16000];
    snprintf(command, sizeof command,
             "'%s/arttomus' forward %s --inputs '%s' --outputs '%s' > /dev/null 2>&1",
             ATM_BINARY_DIR, arguments, scratch("in.safetensors"), scratch("out.safetensors"));
    return WEXITSTATUS(system(command));
}

static void give(const atm_file_tensor *t, size_t n)
{
    if (atm_safetensors_write(scratch("in.safetensors"), t, n, NULL, 0)) fail_msg("%s", atm_error());
}

/* The tensor `name` of the outputs; close *file. */
static const atm_file_tensor *take(const char *name, atm_tensor_file **file)
{
    if (atm_tensor_file_open(scratch("out.safetensors"), file)) fail_msg("%s", atm_error());
    const atm_file_tensor *t = atm_tensor_file_find(*file, name);
    if (!t) fail_msg("the outputs hold no %s", name);
    return t;
}

static void expect(const char *name, const void *data, size_t bytes)
{
    atm_tensor_file *file;
    const atm_file_tensor *t = take(name, &file);
    assert_int_equal(t->bytes, bytes);
    assert_memory_equal(t->data, data, bytes);
    atm_tensor_file_close(file);
}

static const float *tones(void)
{
    static float x[ROWS * SAMPLES];
    for (int i = 0; i < ROWS * SAMPLES; i++) x[i] = (float)sin(0.07 * i + (i >= SAMPLES) + 1e-5 * i * i);
    return x;
}

static void give_tones(void)
{
    const atm_file_tensor t = { .name = "waveform", .dtype = ATM_F32, .rank = 2, .dim = { ROWS, SAMPLES },
                                .data = tones(), .bytes = ROWS * SAMPLES * sizeof(float) };
    give(&t, 1);
}

/* ------------------------------------------------------------------ without weights */

static void test_mel(void **state)
{
    (void)state;
    static float mel[ROWS][SAMPLES / 160][ATM_MEL_BANDS];
    give_tones();
    for (int framing = 0; framing < 2; framing++) {
        for (int r = 0; r < ROWS; r++)
            assert_int_equal(atm_mel(tones() + r * SAMPLES, SAMPLES, (atm_framing)framing, mel[r][0]),
                             ATM_OK);
        assert_int_equal(forward(framing == ATM_FRAMING_ART2MUS ? "mel" : "mel --framing audioldm2"), 0);
        expect("mel", mel, sizeof mel);
    }
}

static void test_resample(void **state)
{
    (void)state;
    const size_t length = atm_resample_length(SAMPLES, 44100, 16000);
    float *y = calloc(ROWS * length, sizeof *y);
    give_tones();
    for (size_t r = 0; r < ROWS; r++)
        assert_int_equal(atm_resample(tones() + r * SAMPLES, SAMPLES, 44100, 16000, y + r * length), ATM_OK);
    assert_int_equal(forward("resample --from 44100 --to 16000"), 0);
    expect("waveform", y, ROWS * length * sizeof *y);
    free(y);
}

static void test_resize(void **state)
{
    (void)state;
    enum { WIDTH = 61, HEIGHT = 40, SIZE = 24 };
    atm_image in = { 0 }, out = { 0 };
    assert_int_equal(atm_image_alloc(WIDTH, HEIGHT, &in), ATM_OK);
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++) in.rgb[i] = (uint8_t)(i * i % 251);
    const atm_file_tensor t = { .name = "image", .dtype = ATM_U8, .rank = 3, .dim = { HEIGHT, WIDTH, 3 },
                                .data = in.rgb, .bytes = WIDTH * HEIGHT * 3 };
    give(&t, 1);
    assert_int_equal(atm_image_resize_crop(&in, SIZE, ATM_CROP_TORCHVISION, &out), ATM_OK);
    assert_int_equal(forward("resize --size 24"), 0);
    expect("image", out.rgb, SIZE * SIZE * 3);
    atm_image_free(&in);
    atm_image_free(&out);
}

static void test_scheduler(void **state)
{
    (void)state;
    enum { STEPS = 4, N = 6 };
    double sample[N], output[STEPS * N], trajectory[STEPS * N];
    char arguments[4400];
    for (int i = 0; i < N; i++) sample[i] = cos(i);
    for (int i = 0; i < STEPS * N; i++) output[i] = sin(i);
    const atm_file_tensor t[] = {
        { .name = "sample", .dtype = ATM_F64, .rank = 2, .dim = { 1, N }, .data = sample,
          .bytes = sizeof sample },
        { .name = "model_output", .dtype = ATM_F64, .rank = 3, .dim = { STEPS, 1, N }, .data = output,
          .bytes = sizeof output }
    };
    atm_schedule schedule;
    give(t, 2);
    assert_int_equal(atm_schedule_make(&atm_schedule_audioldm2, ATM_SAMPLER_DPMPP_2M, STEPS, 0, &schedule),
                     ATM_OK);
    atm_schedule_run(&schedule, N, sample, output, NULL, trajectory);
    atm_schedule_free(&schedule);
    snprintf(arguments, sizeof arguments, "scheduler --sampler dpm++ --weights '%s'", scratch("scheduler"));
    assert_int_equal(forward(arguments), 0);
    expect("trajectory", trajectory, sizeof trajectory);
}

/* ------------------------------------------------------------------ a network, and wrong inputs */

static void test_adapter(void **state)
{
    (void)state;
    char arguments[4400];
    atm_tensor_file *file;
    const float one[3 * 16] = { [5] = 1 };
    const atm_file_tensor t[] = {
        { .name = "image_embeds", .dtype = ATM_F32, .rank = 2, .dim = { 1, TINY_EMBEDDING },
          .data = tiny_embedding(0),
          .bytes = TINY_EMBEDDING * sizeof(float) },
        { .name = "grad_output.tokens", .dtype = ATM_F32, .rank = 3, .dim = { 1, 3, 16 }, .data = one,
          .bytes = sizeof one }
    };
    give(t, 2);
    snprintf(arguments, sizeof arguments, "adapter --weights '%s' --backend ref64 --grad image_embeds "
             "--grad 'weight.projection2.bias'", scratch("adapter"));
    assert_int_equal(forward(arguments), 0);
    const atm_file_tensor *tokens = take("tokens", &file);
    assert_int_equal(tokens->dim[1], 3);
    assert_int_equal(tokens->dtype, ATM_F64);
    const double *bias = atm_tensor_file_find(file, "grad.weight.projection2.bias")->data;
    for (int i = 0; i < 48; i++) assert_true(bias[i] == (double)one[i]);       /* exactly: a sum of one row */
    assert_non_null(atm_tensor_file_find(file, "grad.image_embeds"));
    atm_tensor_file_close(file);
}

/* Of a whole model; that its numbers are right is in test_train_step.c. */
static void test_train_step(void **state)
{
    (void)state;
    enum { LATENT = 8 * 2 * 16 };
    static float latents[LATENT], noise[LATENT];
    const float time = 400;
    char arguments[4400];
    atm_tensor_file *file;
    const int64_t shape[] = { 1, 8, 2, 16 };
    atm_file_tensor t[] = {
        { .name = "latents", .dtype = ATM_F32, .rank = 4, .data = latents, .bytes = sizeof latents },
        { .name = "noise", .dtype = ATM_F32, .rank = 4, .data = noise, .bytes = sizeof noise },
        { .name = "timestep", .dtype = ATM_F32, .rank = 1, .dim = { 1 }, .data = &time, .bytes = sizeof time },
        { .name = "image_embeds", .dtype = ATM_F32, .rank = 2, .dim = { 1, TINY_EMBEDDING }, .data = tiny_embedding(0),
          .bytes = TINY_EMBEDDING * sizeof(float) }
    };
    for (int i = 0; i < 2; i++) memcpy(t[i].dim, shape, sizeof shape);
    for (int i = 0; i < LATENT; i++) noise[i] = (float)sin(i * i);
    give(t, 4);
    snprintf(arguments, sizeof arguments, "train-step --weights '%s' --guidance 3.5 --snr-gamma 0", tiny_model_path());
    assert_int_equal(forward(arguments), 0);
    assert_int_equal(take("loss", &file)->bytes, sizeof(float));
    assert_non_null(atm_tensor_file_find(file, "grad.adapter.projection1.weight"));
    assert_null(atm_tensor_file_find(file, "grad.unet.conv_in.weight"));
    atm_tensor_file_close(file);
    strcat(arguments, " --grad 'unet.conv_*.weight' --backend ref64");
    assert_int_equal(forward(arguments), 0);
    assert_int_equal(take("grad.unet.conv_in.weight", &file)->dtype, ATM_F64);
    assert_null(atm_tensor_file_find(file, "grad.adapter.projection1.weight"));
    atm_tensor_file_close(file);
    strcat(arguments, " --grad 'unett.*'");
    assert_int_equal(forward(arguments), ATM_E_USAGE);
}

static void test_wrong_inputs(void **state)
{
    (void)state;
    char arguments[4400];
    give_tones();
    assert_int_equal(forward("resize --size 24"), ATM_E_DATA);
    assert_int_equal(forward("resample --from 16000 --to 0"), ATM_E_USAGE);
    assert_int_equal(forward("mel --framing torch"), ATM_E_USAGE);
    assert_int_equal(forward("scheduler"), ATM_E_USAGE);
    assert_int_equal(forward("unet"), ATM_E_USAGE);
    snprintf(arguments, sizeof arguments, "unet --weights '%s'", scratch("unet"));
    const int code = forward(arguments);
    assert_true(code == ATM_E_DATA || code == ATM_E_USAGE);
    snprintf(arguments, sizeof arguments, "unet --weights '%s'", scratch("vae"));
    assert_int_not_equal(forward(arguments), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mel),       cmocka_unit_test(test_resample), cmocka_unit_test(test_resize),
        cmocka_unit_test(test_scheduler), cmocka_unit_test(test_adapter),
        cmocka_unit_test(test_train_step), cmocka_unit_test(test_wrong_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
