/* test_spectral_loss.c - losses of spectra against PyTorch (scripts/fixtures/losses.py), against the
 * front end of src/data/mel.c, and against differences. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/media.h"
#include "support/plan_fixture.h"
#include "support/plan_numbers.h"
#include "train/spectral_loss.h"

typedef struct { atm_device *device; atm_spectral_source spectra; atm_plan *p; } bench;

static bench *bench_open(const char *backend)
{
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    must(atm_device_open(backend, 1, &b->device));
    b->spectra = atm_spectral_source_make(NULL);
    must(atm_plan_create(b->device, &b->p));
    atm_plan_params(b->p, &b->spectra.source);
    return b;
}

static void bench_close(bench *b)
{
    atm_plan_destroy(b->p);
    atm_spectral_source_free(&b->spectra);
    atm_device_close(b->device);
    free(b);
}

static atm_tensor wave(atm_plan *p, const char *name, int flags, int n, int samples)
{
    return atm_input(p, name, flags, ATM_DIMS(n, samples));
}

/* ------------------------------------------------------------------ against PyTorch */

enum { SAMPLES = 1450 };

/* Loss number `which`, its value and its gradient against the fixture's. */
static double stft_error(const char *backend, int which)
{
    static const char *const name[] = { "convergence", "magnitude" };
    static const char *const gradient[] = { "grad.convergence.x", "grad.magnitude.x" };
    atm_tensor_file *file;
    double *got = malloc(2 * SAMPLES * sizeof *got);
    const double one = 1;
    bench *b = bench_open(backend);
    must(atm_tensor_file_open(fixture_path("losses/stft.safetensors"), &file));
    const atm_tensor x = wave(b->p, "x", ATM_INPUT_GRAD, 2, SAMPLES);
    const atm_tensor target = wave(b->p, "target", 0, 2, SAMPLES);
    const atm_stft_losses losses = atm_stft_loss(b->p, x, target);
    const atm_tensor loss = which ? losses.magnitude : losses.convergence;
    const atm_tensor dloss = atm_input(b->p, "dloss", 0, ATM_DIMS(1));
    atm_plan_backward(b->p, 1, &loss, &dloss);
    atm_output(b->p, "loss", loss);
    atm_output(b->p, "dx", atm_grad(b->p, x));
    must_finish(b->p);
    plan_put(b->p, x, fixture_doubles(file, "x", NULL));
    plan_put(b->p, target, fixture_doubles(file, "target", NULL));
    plan_put(b->p, dloss, &one);
    must(atm_plan_run(b->p));
    plan_get(b->p, atm_grad(b->p, x), got);
    const double value = plan_get_one(b->p, loss), truth = *fixture_doubles(file, name[which], NULL);
    const double error = fmax(fabs(value - truth) / truth,
                              distance_of(got, fixture_doubles(file, gradient[which], NULL), 2 * SAMPLES));
    print_message("%-5s %-12s off by %.1e\n", backend, name[which], error);
    atm_tensor_file_close(file);
    bench_close(b);
    free(got);
    return error;
}

/* In single precision the gradient of a logarithm at a small magnitude m has the rounding of a sum of 1200
 * terms, over m: ten times what was measured is allowed, and a wrong rule is off by more than a hundredth. */
static void stft_losses_agree_with_pytorch(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        assert_true(stft_error("ref64", which) < 1e-10);
        assert_true(stft_error("cpu", which) < 2e-4);
    }
}

/* ------------------------------------------------------------------ against data/mel.c */

enum { FRAMES = 12, MEL_SAMPLES = FRAMES * ATM_STFT_HOP };

static void noise(float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++) x[i] = scale * noise_float_at((uint32_t)i);
}

static void check_log_mel(atm_framing framing, const float *x)
{
    float mel[FRAMES * ATM_MEL_BANDS], got[FRAMES * ATM_MEL_BANDS];
    const atm_mel_range inner = atm_mel_inner_frames(framing, FRAMES);
    bench *b = bench_open("ref64");
    const atm_tensor sound = wave(b->p, "x", 0, 1, MEL_SAMPLES), y = atm_log_mel(b->p, sound, framing);
    atm_output(b->p, "y", y);
    must_finish(b->p);
    must(atm_plan_write_f32(b->p, sound, x));
    must(atm_plan_run(b->p));
    must(atm_plan_read_f32(b->p, y, got));
    must(atm_mel(x, MEL_SAMPLES, framing, mel));
    assert_int_equal(y.dim[1], inner.count);
    for (int i = 0; i < inner.count * ATM_MEL_BANDS; i++)
        assert_float_equal(got[i], mel[inner.first * ATM_MEL_BANDS + i], 2e-6);     /* rounded to float */
    bench_close(b);
}

static void log_mel_is_that_of_the_front_end(void **state)
{
    (void)state;
    float x[MEL_SAMPLES] = { 0 };
    check_log_mel(ATM_FRAMING_AUDIOLDM2, x);            /* silence: the floor, exactly */
    noise(x, MEL_SAMPLES, 0.5F);
    check_log_mel(ATM_FRAMING_AUDIOLDM2, x);
    check_log_mel(ATM_FRAMING_ART2MUS, x);
}

/* The inner frames are those that do not change with what lies around the crop, and all of them. */
static void inner_frames_are_those_that_see_no_edge(void **state)
{
    static float whole[3 * MEL_SAMPLES], mel[3 * FRAMES * ATM_MEL_BANDS], alone[FRAMES * ATM_MEL_BANDS];
    (void)state;
    noise(whole, 3 * MEL_SAMPLES, 0.5F);
    for (atm_framing framing = ATM_FRAMING_ART2MUS; framing <= ATM_FRAMING_AUDIOLDM2; framing++) {
        const atm_mel_range inner = atm_mel_inner_frames(framing, FRAMES);
        must(atm_mel(whole, 3 * MEL_SAMPLES, framing, mel));
        must(atm_mel(whole + MEL_SAMPLES, MEL_SAMPLES, framing, alone));
        for (int t = 0; t < FRAMES; t++) {
            const bool is_inner = t >= inner.first && t < inner.first + inner.count;
            const float *a = mel + (FRAMES + t) * ATM_MEL_BANDS, *b = alone + t * ATM_MEL_BANDS;
            assert_int_equal(memcmp(a, b, ATM_MEL_BANDS * sizeof *a) == 0, is_inner);
        }
    }
}

/* ------------------------------------------------------------------ against differences */

typedef struct { bench *b; atm_tensor x, mel, loss, dloss; } mel_problem;

static mel_problem mel_open(void)
{
    mel_problem m = { .b = bench_open("ref64") };
    m.x = wave(m.b->p, "x", ATM_INPUT_GRAD, 2, MEL_SAMPLES);
    m.mel = atm_input(m.b->p, "mel", 0, ATM_DIMS(2, FRAMES, ATM_MEL_BANDS));
    m.loss = atm_log_mel_loss(m.b->p, m.x, m.mel, ATM_FRAMING_AUDIOLDM2);
    m.dloss = atm_input(m.b->p, "dloss", 0, ATM_DIMS(1));
    atm_plan_backward(m.b->p, 1, &m.loss, &m.dloss);
    atm_output(m.b->p, "loss", m.loss);
    atm_output(m.b->p, "dx", atm_grad(m.b->p, m.x));
    must_finish(m.b->p);
    return m;
}

static double loss_at(const mel_problem *m, const double *x, const double *direction, double h)
{
    double moved[2 * MEL_SAMPLES];
    for (int i = 0; i < 2 * MEL_SAMPLES; i++) moved[i] = x[i] + h * direction[i];
    plan_put(m->b->p, m->x, moved);
    must(atm_plan_run(m->b->p));
    return plan_get_one(m->b->p, m->loss);
}

static void the_gradient_of_the_mel_loss_is_its_slope(void **state)
{
    (void)state;
    static double x[2 * MEL_SAMPLES], v[2 * MEL_SAMPLES], dx[2 * MEL_SAMPLES];
    static double mel[2 * FRAMES * ATM_MEL_BANDS];
    const double one = 1, h = 1e-6;
    const mel_problem m = mel_open();
    for (int i = 0; i < 2 * MEL_SAMPLES; i++) {
        x[i] = 0.3 * (double)noise_float_at((uint32_t)i);
        v[i] = (double)noise_float_at((uint32_t)(i + 50000));
    }
    for (int i = 0; i < 2 * FRAMES * ATM_MEL_BANDS; i++)
        mel[i] = -3 + (double)noise_float_at((uint32_t)(i + 90000));
    plan_put(m.b->p, m.mel, mel);
    plan_put(m.b->p, m.dloss, &one);
    const double slope = (loss_at(&m, x, v, h) - loss_at(&m, x, v, -h)) / (2 * h);
    loss_at(&m, x, v, 0);
    plan_get(m.b->p, atm_grad(m.b->p, m.x), dx);
    double product = 0;
    for (int i = 0; i < 2 * MEL_SAMPLES; i++) product += dx[i] * v[i];
    assert_true(fabs(product - slope) < 1e-6 * fabs(slope));
    bench_close(m.b);
}

/* ------------------------------------------------------------------ misuse */

static void too_short_a_sound_is_refused(void **state)
{
    (void)state;
    bench *b = bench_open("ref64");
    const atm_tensor x = wave(b->p, "x", 0, 1, 1199);
    atm_stft_loss(b->p, x, x);
    assert_int_equal(atm_plan_finish(b->p, (atm_plan_options){ 0 }), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "1199 samples"));
    bench_close(b);
}

static void other_names_come_from_the_base(void **state)
{
    (void)state;
    random_params params = random_params_new(false);
    atm_spectral_source spectra = atm_spectral_source_make(&params.source);
    const int dim[] = { 3 };
    assert_non_null(spectra.source.find(&spectra.source, "vocoder.conv_pre.bias", 1, dim, ATM_F32).data);
    spectra.base = NULL;
    assert_null(spectra.source.find(&spectra.source, "vocoder.conv_pre.bias", 1, dim, ATM_F32).data);
    random_params_free(&params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stft_losses_agree_with_pytorch),
        cmocka_unit_test(log_mel_is_that_of_the_front_end),
        cmocka_unit_test(inner_frames_are_those_that_see_no_edge),
        cmocka_unit_test(the_gradient_of_the_mel_loss_is_its_slope),
        cmocka_unit_test(too_short_a_sound_is_refused),
        cmocka_unit_test(other_names_come_from_the_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
