/* test_griffin_lim.c - mel to waveform without a network. */
#include "support/support.h"
#include "support/media.h"
#include "data/griffin_lim.h"
#include "data/mel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 200, N = FRAMES * ATM_STFT_HOP, VALUES = FRAMES * ATM_MEL_BANDS };

typedef struct { float *x, *mel, *back, *mel_back; } clip;

/* Four notes of eight decaying harmonics, over a little noise: enough like music. */
static void fill_notes(float *x)
{
    static const double notes[] = { 220.0, 277.18, 329.63, 440.0 };
    for (uint32_t i = 0; i < N; i++) {
        const double t = (double)(i % (N / 4)) / ATM_STFT_RATE, hz = notes[i / (N / 4)];
        double sum = 0.01 * (double)noise_float_at(i);
        for (int h = 1; h <= 8; h++) sum += 0.3 / h * exp(-3 * t) * sin(2 * M_PI * hz * h * t);
        x[i] = (float)sum;
    }
}

static clip new_clip(atm_framing framing)
{
    clip c = { malloc(N * sizeof(float)), malloc(VALUES * sizeof(float)), malloc(N * sizeof(float)),
               malloc(VALUES * sizeof(float)) };
    assert_true(c.x && c.mel && c.back && c.mel_back);
    fill_notes(c.x);
    assert_int_equal(atm_mel(c.x, N, framing, c.mel), ATM_OK);
    assert_int_equal(atm_griffin_lim(c.mel, FRAMES, framing, c.back), ATM_OK);
    return c;
}

static void free_clip(clip c)
{
    free(c.x);
    free(c.mel);
    free(c.back);
    free(c.mel_back);
}

/* The bound is what a pseudo-inverse and 60 plain iterations reach on real music; ours
 * reaches 0.09 there.  The mean of the bands alone would give 1.2. */
static void the_mel_comes_back(void **state)
{
    (void)state;
    for (int framing = ATM_FRAMING_ART2MUS; framing <= ATM_FRAMING_AUDIOLDM2; framing++) {
        clip c = new_clip((atm_framing)framing);
        assert_int_equal(atm_mel(c.back, N, (atm_framing)framing, c.mel_back), ATM_OK);
        double sum = 0;
        for (int i = 0; i < VALUES; i++) sum += fabs((double)(c.mel_back[i] - c.mel[i]));
        if (sum / VALUES > 0.137) fail_msg("log-mel distance %g nats", sum / VALUES);
        free_clip(c);
    }
}

static void it_gives_the_same_bits_again(void **state)
{
    (void)state;
    clip one = new_clip(ATM_FRAMING_ART2MUS), two = new_clip(ATM_FRAMING_ART2MUS);
    assert_memory_equal(one.back, two.back, N * sizeof(float));
    free_clip(one);
    free_clip(two);
}

/* The floor of the mel stands for at most 1e-5 a band: inaudible, and finite. */
static void silence_stays_silent(void **state)
{
    (void)state;
    static float mel[4 * ATM_MEL_BANDS], x[4 * ATM_STFT_HOP];
    for (int i = 0; i < 4 * ATM_MEL_BANDS; i++) mel[i] = ATM_MEL_SILENCE;
    assert_int_equal(atm_griffin_lim(mel, 4, ATM_FRAMING_ART2MUS, x), ATM_OK);
    for (int i = 0; i < 4 * ATM_STFT_HOP; i++) assert_true(fabsf(x[i]) < 1e-4f);
    assert_int_equal(atm_griffin_lim(mel, 3, ATM_FRAMING_ART2MUS, x), ATM_E_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mel_comes_back),
        cmocka_unit_test(it_gives_the_same_bits_again),
        cmocka_unit_test(silence_stays_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
