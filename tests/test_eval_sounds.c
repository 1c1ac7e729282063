/* test_eval_sounds.c - measures of sounds that one knows: clicks, sines, noise, silence. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "eval/noise.h"
#include "eval/sound_measures.h"

enum { RATE = ATM_STFT_RATE, SECONDS = 10, SAMPLES = RATE * SECONDS };
static const uint64_t SEED = 11;
static const double E_MINUS_GAMMA = 0.5614594835668851;

static float x[SAMPLES], y[SAMPLES];

static void assert_near(double got, double wanted, double tolerance)
{
    if (fabs(got - wanted) <= tolerance) return;            /* and not NaN */
    fail_msg("%.6g is not within %.3g of %.6g", got, tolerance, wanted);
}

static atm_sound_measures measure(const float *sound)
{
    atm_sound_measures m;
    assert_int_equal(atm_sound_measure(sound, SAMPLES, &m), ATM_OK);
    return m;
}

static void add_sine(float *sound, double hz, double amplitude)
{
    for (int i = 0; i < SAMPLES; i++) sound[i] += (float)(amplitude * sin(2 * M_PI * hz * i / RATE));
}

/* ------------------------------------------------------------------ onsets */

/* A click: one sample, at 1/8 s, 3/8 s ... and as loud as `loudness` says. */
static void make_clicks(float *sound, int hz, float loudness)
{
    for (int i = RATE / hz / 2; i < SAMPLES; i += RATE / hz) sound[i] += loudness;
}

static void clicks_are_counted(void **state)
{
    (void)state;
    for (int hz = 1; hz <= 8; hz *= 2) {
        memset(x, 0, sizeof x);
        make_clicks(x, hz, 0.5f);
        assert_near(measure(x).onset_rate, hz, 0);
    }
}

/* Notes: 300 ms of a chord with a soft end, one each half second. */
static void notes_are_counted_at_any_loudness(void **state)
{
    static const double chord[] = { 220, 277.2, 329.6, 440, 660 };
    (void)state;
    for (double gain = 1; gain > 1e-3; gain /= 10) {
        memset(x, 0, sizeof x);
        for (size_t k = 0; k < sizeof chord / sizeof *chord; k++) add_sine(x, chord[k] * 2, gain * 0.1);
        for (int i = 0; i < SAMPLES; i++) {
            const double t = fmod((double)i / RATE + 0.25, 0.5);
            x[i] = (float)((double)x[i] * exp(-t / 0.08));
        }
        assert_near(measure(x).onset_rate, 2, 0.11);        /* the first may fall on the edge */
    }
}

static void steady_sounds_have_no_onsets(void **state)
{
    (void)state;
    memset(x, 0, sizeof x);
    assert_near(measure(x).onset_rate, 0, 0);
    add_sine(x, 440, 0.3);
    assert_near(measure(x).onset_rate, 0, 0);
    atm_white_noise(SEED, 0, 0.01, x, SAMPLES);
    assert_true(measure(x).onset_rate < 0.6);
}

/* ------------------------------------------------------------------ flatness and loudness */

/* Neighbouring bins of a Hann window are correlated: over 511 bins the mean of ln P has a standard
 * deviation of about 0.08, whose square over two is the bias of its exponential: 0.3 %. */
static void white_noise_is_flat(void **state)
{
    (void)state;
    atm_white_noise(SEED, 1, 0.01, x, SAMPLES);
    const atm_sound_measures m = measure(x);
    assert_near(m.flatness, E_MINUS_GAMMA, 0.005);
    assert_near(m.loudness, -20, 0.1);          /* 4 standard errors: 4 * 8.7 * sqrt(1 / 2n) = 0.06 dB */
    for (int i = 0; i < SAMPLES; i++) x[i] *= 1e-2f;
    assert_near(measure(x).flatness, m.flatness, 1e-6);     /* whatever the level */
}

static void sines_are_not_flat(void **state)
{
    (void)state;
    memset(x, 0, sizeof x);
    add_sine(x, 1000, 0.5);
    const atm_sound_measures m = measure(x);
    assert_true(m.flatness < 1e-4);
    assert_near(m.loudness, 20 * log10(0.5 / sqrt(2)), 1e-3);
}

static void silence_has_numbers_too(void **state)
{
    (void)state;
    memset(x, 0, sizeof x);
    const atm_sound_measures m = measure(x);
    assert_near(m.flatness, 0, 0);
    assert_near(m.loudness, -100, 0);
    assert_near(m.sum[5] / m.frames, ATM_MEL_SILENCE, 1e-6);
    assert_int_equal(atm_sound_measure(x, 512, &(atm_sound_measures){ 0 }), ATM_E_DATA);
}

/* Half a silence does not halve the flatness. */
static void silent_frames_do_not_count(void **state)
{
    (void)state;
    atm_white_noise(SEED, 2, 0.01, x, SAMPLES);
    memset(x + SAMPLES / 2, 0, sizeof x / 2);
    assert_near(measure(x).flatness, E_MINUS_GAMMA, 0.01);
}

/* ------------------------------------------------------------------ bands */

/* Two sounds of 1 and 3 frames: pooled over frames, not over sounds. */
static void bands_are_pooled_over_frames(void **state)
{
    atm_sound_measures s[2] = { { .frames = 1 }, { .frames = 3 } };
    (void)state;
    for (int b = 0; b < ATM_MEL_BANDS; b++) {
        s[0].sum[b] = 5;                    /* 5 */
        s[0].square[b] = 25;
        s[1].sum[b] = 3;                    /* 1, 1, 1 */
        s[1].square[b] = 3;
    }
    const atm_band_statistics both = atm_bands_of(s, (int[]){ 0, 1 }, 2);
    const atm_band_statistics second = atm_bands_of(s, (int[]){ 1 }, 1);
    assert_near(both.mean[9], 2, 1e-15);
    assert_near(both.deviation[9], sqrt(3), 1e-13);
    assert_near(atm_band_mean_distance(&both, &second), 1, 1e-13);
    assert_near(atm_band_deviation_distance(&both, &second), sqrt(3), 1e-13);
    assert_near(atm_mean_distance((float[]){ 1, -2 }, (float[]){ 2, 1 }, 2), 2, 0);
}

/* ------------------------------------------------------------------ noise as a control */

/* A low and a high tone in white noise: what is shaped like it has their bands and their level,
 * but neither their steadiness nor, where the tones are, their flatness. */
static void shaped_noise_has_the_spectrum(void **state)
{
    atm_mean_spectrum like = { 0 }, got = { 0 };
    double square = 0, shaped = 0;
    (void)state;
    atm_white_noise(SEED, 3, 1e-3, x, SAMPLES);
    add_sine(x, 500, 0.2);
    add_sine(x, 3000, 0.05);
    assert_int_equal(atm_mean_spectrum_add(&like, x, SAMPLES), ATM_OK);
    assert_int_equal(atm_shaped_noise(SEED, 4, &like, y, SAMPLES), ATM_OK);
    assert_int_equal(atm_mean_spectrum_add(&got, y, SAMPLES), ATM_OK);
    for (int i = 0; i < SAMPLES; i++) {
        square += (double)x[i] * (double)x[i];
        shaped += (double)y[i] * (double)y[i];
    }
    assert_near(10 * log10(shaped / square), 0, 1);
    for (int k = 100; k < 180; k += 10) {       /* far from the tones: within 1 dB over ten bins */
        double a = 0, b = 0;
        for (int i = k; i < k + 10; i++) {
            a += like.power[i] / like.frames;
            b += got.power[i] / got.frames;
        }
        assert_near(10 * log10(b / a), 0, 1);
    }
    assert_true(got.power[32] > 100 * got.power[60] && got.power[192] > 5 * got.power[240]);
}

static void noise_is_a_function_of_its_place(void **state)
{
    (void)state;
    atm_white_noise(SEED, 5, 1, x, 1000);
    atm_white_noise(SEED, 5, 1, y, 1000);
    assert_memory_equal(x, y, 1000 * sizeof *x);
    atm_white_noise(SEED, 6, 1, y, 1000);
    assert_true(memcmp(x, y, 1000 * sizeof *x) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clicks_are_counted), cmocka_unit_test(notes_are_counted_at_any_loudness),
        cmocka_unit_test(steady_sounds_have_no_onsets), cmocka_unit_test(white_noise_is_flat),
        cmocka_unit_test(sines_are_not_flat), cmocka_unit_test(silence_has_numbers_too),
        cmocka_unit_test(silent_frames_do_not_count), cmocka_unit_test(bands_are_pooled_over_frames),
        cmocka_unit_test(shaped_noise_has_the_spectrum), cmocka_unit_test(noise_is_a_function_of_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
