/* test_resample.c - equal to torchaudio.functional.resample. */
#include "support/support.h"
#include "support/media.h"
#include "data/audio.h"
#include "data/resample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static float *noise_floats(size_t n)
{
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = noise_float_at((uint32_t)i);
    return x;
}

static float *resampled(const float *x, size_t n, int from, int to)
{
    float *y = malloc((atm_resample_length(n, from, to) + 1) * sizeof *y);
    assert_non_null(y);
    assert_int_equal(atm_resample(x, n, from, to, y), ATM_OK);
    return y;
}

/* Both kernels are float32 from the same rounded t; cos and sin may differ by 1 ulp, of
 * values up to 1, and torch's sums of 14 to 40 products |x h| <= 1 round at each step: at most
 * 40 half ulps of partial sums below 2, 40 * 2^-24 = 2.4e-6.  Against full scale. */
static const float TOLERANCE = 3e-6f;

static void check_line(const char *line)
{
    int from, to;
    size_t n, n_out;
    assert_int_equal(sscanf(line, "%d %d %zu %zu", &from, &to, &n, &n_out), 4);
    assert_int_equal(atm_resample_length(n, from, to), n_out);
    char name[64];
    snprintf(name, sizeof name, "resample_%d_%d.f32", from, to);
    float *want = media_floats(name, n_out), *x = noise_floats(n), *y = resampled(x, n, from, to);
    float worst = 0;
    for (size_t i = 0; i < n_out; i++) worst = fmaxf(worst, fabsf(y[i] - want[i]));
    if (!(worst <= TOLERANCE)) fail_msg("%d to %d Hz: off by %g", from, to, (double)worst);
    free(want);
    free(x);
    free(y);
}

static void output_is_torchaudios(void **state)
{
    (void)state;
    each_line("resample.txt", check_line);
}

static void the_same_rate_copies(void **state)
{
    (void)state;
    float *x = noise_floats(100), *y = resampled(x, 100, 16000, 16000);
    assert_memory_equal(x, y, 100 * sizeof *x);
    free(x);
    free(y);
}

static void lengths_round_up(void **state)
{
    (void)state;
    assert_int_equal(atm_resample_length(0, 44100, 16000), 0);
    assert_int_equal(atm_resample_length(1, 44100, 16000), 1);
    assert_int_equal(atm_resample_length(441, 44100, 16000), 160);
    assert_int_equal(atm_resample_length(442, 44100, 16000), 161);
    assert_int_equal(atm_resample_length((size_t)1 << 40, 768000, 1), ((size_t)1 << 40) / 768000 + 1);
}

/* One sample, and rates without a common factor: the largest kernels there are. */
static void extremes_work(void **state)
{
    (void)state;
    static const int rates[][2] = { { 768000, 1 }, { 1, 768000 }, { 768000, 767999 }, { 767999, 768000 } };
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        float *x = noise_floats(3), *y = resampled(x, 3, rates[i][0], rates[i][1]);
        const size_t length = atm_resample_length(3, rates[i][0], rates[i][1]);
        for (size_t k = 0; k < length; k++) assert_true(isfinite(y[k]));
        free(x);
        free(y);
    }
}

static void absurd_rates_are_refused(void **state)
{
    (void)state;
    float x[1] = { 0 }, y[1];
    static const int rates[][2] = {
        { 0, 16000 }, { 16000, 0 }, { -1, 16000 }, { ATM_AUDIO_MAX_RATE + 1, 16000 }
    };
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        assert_int_equal(atm_resample(x, 1, rates[i][0], rates[i][1], y), ATM_E_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_torchaudios),
        cmocka_unit_test(the_same_rate_copies),
        cmocka_unit_test(lengths_round_up),
        cmocka_unit_test(extremes_work),
        cmocka_unit_test(absurd_rates_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
