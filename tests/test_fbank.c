/* test_fbank.c - Kaldi's filterbank, and the clips that ImageBind's audio trunk sees. */
#include "support/support.h"
#include "support/media.h"
#include "data/audio_clips.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float largest_difference(const float *a, const float *b, size_t n)
{
    float worst = 0;
    for (size_t i = 0; i < n; i++) worst = fmaxf(worst, fabsf(a[i] - b[i]));
    return worst;
}

/* ------------------------------------------------------------------ filterbank */

/* growing_noise() of scripts/make_data_fixtures.py */
static void fill_noise(float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const bool silent = i >= n / 2 && i < n / 2 + 1000;
        x[i] = silent ? 0.0f : (float)((double)noise_float_at(i) * i / n);
    }
}

/* The same samples, both in double; the logarithm, up to 16 in size, is rounded to float32:
 * 5e-7 on each side. */
static void equals_the_reference(void **state)
{
    (void)state;
    enum { N = 6400, T = 38 };
    static float x[N], y[T * ATM_FBANK_BANDS];
    float *want = media_floats("fbank.f32", T * ATM_FBANK_BANDS);
    fill_noise(x, N);
    assert_int_equal(atm_fbank_frames(N), T);
    assert_int_equal(atm_fbank(x, N, y), ATM_OK);
    const float worst = largest_difference(y, want, T * ATM_FBANK_BANDS);
    if (!(worst < 1e-6f)) fail_msg("off by %g", (double)worst);
    free(want);
}

/* Removing each frame's mean leaves nothing of a constant. */
static void silence_and_constants_are_the_floor(void **state)
{
    (void)state;
    float x[2][720], y[3 * ATM_FBANK_BANDS];
    assert_true(fabs((double)ATM_FBANK_SILENCE - log((double)FLT_EPSILON)) < 1e-6);
    for (int level = 0; level < 2; level++) {
        for (int i = 0; i < 720; i++) x[level][i] = 0.75f * (float)level;
        assert_int_equal(atm_fbank(x[level], 720, y), ATM_OK);
        for (int i = 0; i < 3 * ATM_FBANK_BANDS; i++) assert_true(y[i] == ATM_FBANK_SILENCE);
    }
}

static void frames_lie_within_the_sound(void **state)
{
    (void)state;
    static const size_t n[] = { 0, 399, 400, 559, 560, 32000 }, frames[] = { 0, 0, 1, 1, 2, 198 };
    const float x[399] = { 0 };
    float y[ATM_FBANK_BANDS];
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) assert_int_equal(atm_fbank_frames(n[i]), frames[i]);
    assert_int_equal(atm_fbank(x, 399, y), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "399"));
}

/* ------------------------------------------------------------------ clips */

static void check_starts(const char *line)
{
    size_t n, want[2][ATM_CLIPS];
    assert_int_equal(sscanf(line, "%zu %zu %zu %zu %zu %zu %zu", &n, &want[0][0], &want[0][1], &want[0][2],
                            &want[1][0], &want[1][1], &want[1][2]), 7);
    for (int clip = 0; clip < ATM_CLIPS; clip++) {
        assert_int_equal(atm_clip_start(n, ATM_CLIP_RULE_TO_THE_END, clip), want[0][clip]);
        assert_int_equal(atm_clip_start(n, ATM_CLIP_RULE_THIRDS, clip), want[1][clip]);
    }
}

static void clips_start_where_the_references_do(void **state)
{
    (void)state;
    each_line("clips.txt", check_starts);
}

enum { BANDS = ATM_FBANK_BANDS, FRAMES = ATM_CLIP_FRAMES, PICTURE = BANDS * FRAMES };
static float pictures[ATM_CLIPS * PICTURE];

/* Stereo noise, moved off zero. */
static atm_audio noise_audio(int rate, uint32_t frames)
{
    atm_audio audio = { rate, 2, frames, malloc(2 * frames * sizeof(float)) };
    assert_non_null(audio.samples);
    for (uint32_t i = 0; i < 2 * frames; i++) audio.samples[i] = (float)(0.3f * noise_float_at(i) + 0.1f);
    return audio;
}

/* The reference kept every 17th frame. */
static float worst_of_kept(const float *want)
{
    enum { STEP = 17 };
    float worst = 0;
    for (int i = 0; i < ATM_CLIPS * PICTURE; i += STEP)     /* 17 divides 204: the same frames in each row */
        worst = fmaxf(worst, fabsf(pictures[i] - want[i / STEP]));
    return worst;
}

/* Resampled samples differ by 1e-7 of 0.17, the noise's size; the faintest band of 75,000
 * has 1e-5 of the mean power, 3e-3 of the amplitude: 2 x 1e-7 / 0.17 / 3e-3 / 9.138 = 4e-5. */
static void clips_equal_the_reference(void **state)
{
    (void)state;
    static const char *const names[] = {
        [ATM_CLIP_RULE_TO_THE_END] = "clips_to_the_end.f32", [ATM_CLIP_RULE_THIRDS] = "clips_thirds.f32"
    };
    atm_audio audio = noise_audio(24000, 60000);
    for (int rule = ATM_CLIP_RULE_TO_THE_END; rule <= ATM_CLIP_RULE_THIRDS; rule++) {
        float *want = media_floats(names[rule], ATM_CLIPS * PICTURE / 17);
        assert_int_equal(atm_audio_clips(&audio, (atm_clip_rule)rule, pictures), ATM_OK);
        const float worst = worst_of_kept(want);
        if (!(worst < 4e-5f)) fail_msg("%s: off by %g", names[rule], (double)worst);
        free(want);
    }
    atm_audio_free(&audio);
}

static void short_sounds_are_padded_at_the_end(void **state)
{
    (void)state;
    atm_audio audio = noise_audio(ATM_FBANK_RATE, 720);     /* three frames */
    assert_int_equal(atm_audio_clips(&audio, ATM_CLIP_RULE_THIRDS, pictures), ATM_OK);
    for (int row = 0; row < ATM_CLIPS * BANDS; row++)
        for (int t = 3; t < FRAMES; t++)
            assert_true(pictures[row * FRAMES + t] == (float)(4.268 / 9.138));
    assert_true(fabsf(pictures[64 * FRAMES + 2] - (float)(4.268 / 9.138)) > 0.01f);
    assert_memory_equal(pictures, pictures + PICTURE, sizeof(float[PICTURE]));
    assert_memory_equal(pictures, pictures + 2 * PICTURE, sizeof(float[PICTURE]));
    audio.frames = 399;
    assert_int_equal(atm_audio_clips(&audio, ATM_CLIP_RULE_THIRDS, pictures), ATM_E_DATA);
    atm_audio_free(&audio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_reference),
        cmocka_unit_test(silence_and_constants_are_the_floor),
        cmocka_unit_test(frames_lie_within_the_sound),
        cmocka_unit_test(clips_start_where_the_references_do),
        cmocka_unit_test(clips_equal_the_reference),
        cmocka_unit_test(short_sounds_are_padded_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
