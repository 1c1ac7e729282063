/* test_fft.c - the real FFT against the definition, and the STFT's inverse. */
#include "support/support.h"
#include "support/media.h"
#include "data/fft.h"
#include "data/stft.h"

#include <math.h>
#include <stdlib.h>

/* Rounding of an FFT grows as eps log2 n times the norm of x, sqrt(n) here;
 * that of the plain sum it is held against as eps n. */
static double tolerance(int n) { return 4 * 2.3e-16 * n; }

static void noise_doubles(double *x, int n)
{
    for (int i = 0; i < n; i++) x[i] = (double)noise_float_at((uint32_t)i);
}

static atm_complex dft(const double *x, int n, int k)
{
    atm_complex y = { 0, 0 };
    for (int j = 0; j < n; j++) {
        const double angle = -2 * M_PI * (double)((long)j * k % n) / n;
        y.re += x[j] * cos(angle);
        y.im += x[j] * sin(angle);
    }
    return y;
}

static void check_size(int n)
{
    double *x = malloc((size_t)n * sizeof *x), *back = malloc((size_t)n * sizeof *back);
    atm_complex *y = malloc(((size_t)n / 2 + 1) * sizeof *y);
    assert_true(x && back && y);
    atm_fft *fft;
    assert_int_equal(atm_fft_create(n, &fft), ATM_OK);
    noise_doubles(x, n);
    atm_fft_forward(fft, x, y);
    for (int k = 0; k <= n / 2; k++) {
        const atm_complex want = dft(x, n, k);
        assert_true(hypot(y[k].re - want.re, y[k].im - want.im) < tolerance(n));
    }
    atm_fft_inverse(fft, y, back);
    for (int i = 0; i < n; i++) assert_true(fabs(back[i] - x[i]) < tolerance(n));
    atm_fft_destroy(fft);
    free(x);
    free(back);
    free(y);
}

static void equals_the_definition(void **state)
{
    (void)state;
    for (int n = 4; n <= 2048; n *= 2) check_size(n);
}

static void other_sizes_are_refused(void **state)
{
    (void)state;
    static const int bad[] = { -4, 0, 1, 2, 3, 6, 1000, 1 << 21 };
    atm_fft *fft;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(atm_fft_create(bad[i], &fft), ATM_E_BUG);
}

/* Of a transform that is some signal's, the least-squares inverse is that signal,
 * wherever the windows add up to more than a rounding error. */
static void stft_inverts(void **state)
{
    (void)state;
    enum { N = 4000 };
    float x[N], back[N];
    for (uint32_t i = 0; i < N; i++) x[i] = noise_float_at(i);
    for (int framing = ATM_FRAMING_ART2MUS; framing <= ATM_FRAMING_AUDIOLDM2; framing++) {
        atm_stft *stft;
        assert_int_equal(atm_stft_create((atm_framing)framing, N, &stft), ATM_OK);
        const size_t frames = atm_stft_frames(stft);
        assert_int_equal(frames, 25);
        atm_complex *y = malloc(frames * ATM_STFT_BINS * sizeof *y);
        assert_non_null(y);
        for (size_t t = 0; t < frames; t++) atm_stft_frame(stft, x, t, y + t * ATM_STFT_BINS);
        atm_stft_inverse(stft, y, back);
        for (size_t i = 0; i < N; i++) assert_true(fabsf(back[i] - x[i]) < 1e-6f);
        free(y);
        atm_stft_destroy(stft);
    }
}

static void too_short_a_sound_is_refused(void **state)
{
    (void)state;
    atm_stft *stft;
    assert_int_equal(atm_stft_create(ATM_FRAMING_ART2MUS, 512, &stft), ATM_E_DATA);
    assert_int_equal(atm_stft_create(ATM_FRAMING_ART2MUS, 513, &stft), ATM_OK);
    atm_stft_destroy(stft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_definition),
        cmocka_unit_test(other_sizes_are_refused),
        cmocka_unit_test(stft_inverts),
        cmocka_unit_test(too_short_a_sound_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
