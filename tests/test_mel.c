/* test_mel.c - log-mel in both framings, the filterbank, and how waveforms are prepared. */
#include "support/support.h"
#include "support/media.h"
#include "data/mel.h"
#include "data/waveform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 12800, T = N / ATM_STFT_HOP };

static const struct { atm_framing framing; const char *mel, *prepared; double start; } references[] = {
    { ATM_FRAMING_ART2MUS,   "mel_art2mus.f32",   "prepared_art2mus.f32",   0.6 },
    { ATM_FRAMING_AUDIOLDM2, "mel_audioldm2.f32", "prepared_audioldm2.f32", 0.1 },
};
enum { REFERENCES = sizeof references / sizeof *references };

/* test_tones() of scripts/make_data_fixtures.py */
static void fill_tones(float *x)
{
    for (uint32_t i = 0; i < N; i++) {
        const double noise = (double)(float)(0.05 * (double)noise_float_at(i));
        const double sound = 0.4 * sin(2e-5 * (double)i * i) + noise;
        x[i] = i >= N / 2 && i < N / 2 + 2000 ? 0.0f : (float)sound;
    }
}

/* Weights in float32: relative error 2^-24 = 6e-8 each; the logarithm, up to 11.6 in
 * size, is rounded to float32: 5e-7; samples that differ by an ulp: 6e-8.  In all < 1e-6. */
static void equals_the_reference(void **state)
{
    (void)state;
    float *x = malloc(N * sizeof *x), *mel = malloc(T * ATM_MEL_BANDS * sizeof *mel);
    assert_true(x && mel);
    fill_tones(x);
    for (int r = 0; r < REFERENCES; r++) {
        float *want = media_floats(references[r].mel, T * ATM_MEL_BANDS), worst = 0;
        assert_int_equal(atm_mel(x, N, references[r].framing, mel), ATM_OK);
        for (size_t i = 0; i < T * ATM_MEL_BANDS; i++) worst = fmaxf(worst, fabsf(mel[i] - want[i]));
        if (!(worst < 1e-6f)) fail_msg("%s: off by %g", references[r].mel, (double)worst);
        free(want);
    }
    free(x);
    free(mel);
}

static void silence_is_the_floor(void **state)
{
    (void)state;
    static float x[1600], mel[10 * ATM_MEL_BANDS];
    assert_int_equal(atm_mel(x, 1600, ATM_FRAMING_ART2MUS, mel), ATM_OK);
    for (int i = 0; i < 10 * ATM_MEL_BANDS; i++) assert_true(mel[i] == ATM_MEL_SILENCE);
}

/* The framings are half a hop apart: a click moves by it. */
static void frames_are_where_they_should_be(void **state)
{
    (void)state;
    static float x[3200], mel[20 * ATM_MEL_BANDS];
    x[1600] = 1;        /* the centre of frame 10 of Art2Mus, between 9 and 10 of AudioLDM2 */
    assert_int_equal(atm_mel(x, 3200, ATM_FRAMING_ART2MUS, mel), ATM_OK);
    assert_true(mel[10 * 64] > mel[9 * 64] && mel[10 * 64] > mel[11 * 64]);
    assert_true(fabsf(mel[9 * 64] - mel[11 * 64]) < 1e-6f);
    assert_int_equal(atm_mel(x, 3200, ATM_FRAMING_AUDIOLDM2, mel), ATM_OK);
    assert_true(fabsf(mel[9 * 64] - mel[10 * 64]) < 1e-6f && mel[10 * 64] > mel[11 * 64]);
}

static void the_bank_is_whole(void **state)
{
    (void)state;
    atm_mel_bank bank;
    atm_mel_bank_init(&bank);
    for (int b = 0; b < ATM_MEL_BANDS; b++) {
        assert_true(bank.first[b] >= 1 && bank.count[b] >= 1 && bank.count[b] <= 64);
        assert_true(bank.first[b] + bank.count[b] <= ATM_STFT_BINS);
        for (int i = 0; i < bank.count[b]; i++) assert_true(bank.weight[b][i] > 0);
    }
    for (double hz = 10; hz < 8000; hz *= 1.7)
        assert_true(fabs(atm_mel_to_hz(atm_hz_to_mel(hz)) / hz - 1) < 1e-14);
}

static atm_audio noise_audio(void)
{
    enum { FRAMES = 8000 };
    atm_audio audio = { 12000, 2, FRAMES, malloc(2 * FRAMES * sizeof(float)) };
    assert_non_null(audio.samples);
    for (uint32_t i = 0; i < 2 * FRAMES; i++)
        audio.samples[i] = (float)(0.3f * noise_float_at(i) + 0.1f);
    return audio;
}

/* The resampler's 3e-6 (test_resample.c), then one mean and two peaks in float32: a few 1e-7 more. */
static void waveforms_are_prepared_as_the_references_do(void **state)
{
    (void)state;
    enum { LENGTH = 3200 };
    atm_audio audio = noise_audio();
    float out[LENGTH];
    for (int r = 0; r < REFERENCES; r++) {
        float *want = media_floats(references[r].prepared, LENGTH), worst = 0;
        const double start = references[r].start;
        assert_int_equal(atm_waveform_prepare(&audio, references[r].framing, start, out, LENGTH), ATM_OK);
        for (size_t i = 0; i < LENGTH; i++) worst = fmaxf(worst, fabsf(out[i] - want[i]));
        if (!(worst < 4e-6f)) fail_msg("%s: off by %g", references[r].prepared, (double)worst);
        free(want);
    }
    atm_audio_free(&audio);
}

static void a_crop_past_the_end_is_silence(void **state)
{
    (void)state;
    atm_audio audio = noise_audio();
    float out[1000];
    for (int r = 0; r < REFERENCES; r++) {
        memset(out, 1, sizeof out);
        const atm_framing framing = references[r].framing;
        assert_int_equal(atm_waveform_prepare(&audio, framing, 1e9, out, 1000), ATM_OK);
        for (size_t i = 0; i < 1000; i++) assert_true(out[i] == 0);
        assert_int_equal(atm_waveform_prepare(&audio, framing, -1, out, 1000), ATM_E_USAGE);
        assert_int_equal(atm_waveform_prepare(&audio, framing, NAN, out, 1000), ATM_E_USAGE);
    }
    atm_audio_free(&audio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_reference),
        cmocka_unit_test(silence_is_the_floor),
        cmocka_unit_test(frames_are_where_they_should_be),
        cmocka_unit_test(the_bank_is_whole),
        cmocka_unit_test(waveforms_are_prepared_as_the_references_do),
        cmocka_unit_test(a_crop_past_the_end_is_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
