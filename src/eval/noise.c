/* noise.c - see noise.h. */
#include "eval/noise.h"

#include <math.h>
#include <stdlib.h>

#include "base/philox.h"

/* Mean of the squares of the window: a white noise of mean square p has bins of power N p w. */
static const double WINDOW_POWER = 3.0 / 8;

atm_status atm_mean_spectrum_add(atm_mean_spectrum *s, const float *x, size_t n)
{
    atm_stft *stft;
    atm_complex y[ATM_STFT_BINS];
    TRY_RETURN(atm_stft_create(ATM_FRAMING_AUDIOLDM2, n, &stft));
    for (size_t k = 0; k < atm_stft_frames(stft); k++) {
        atm_stft_frame(stft, x, k, y);
        for (int b = 0; b < ATM_STFT_BINS; b++) s->power[b] += y[b].re * y[b].re + y[b].im * y[b].im;
    }
    s->frames += (double)atm_stft_frames(stft);
    atm_stft_destroy(stft);
    return ATM_OK;
}

void atm_white_noise(uint64_t seed, uint32_t index, double power, float *x, size_t n)
{
    const double scale = sqrt(power);
    atm_normal((atm_rng){ seed, ATM_STREAM_CONTROL, 0, index }, x, n);
    for (size_t i = 0; i < n; i++) x[i] = (float)(scale * (double)x[i]);
}

static void filter(const atm_mean_spectrum *s, atm_complex *y)
{
    for (int b = 0; b < ATM_STFT_BINS; b++) {
        const double gain = sqrt(s->power[b] / s->frames / (ATM_STFT_SIZE * WINDOW_POWER));
        y[b].re *= gain;
        y[b].im *= gain;
    }
}

atm_status atm_shaped_noise(uint64_t seed, uint32_t index, const atm_mean_spectrum *s, float *x, size_t n)
{
    atm_stft *stft;
    TRY_RETURN(atm_stft_create(ATM_FRAMING_AUDIOLDM2, n, &stft));
    const size_t frames = atm_stft_frames(stft);
    atm_complex *y = calloc(frames * ATM_STFT_BINS, sizeof *y);
    atm_status status = ATM_OK;
    if (!y) TRY(atm_fail(ATM_E_MEMORY, "no memory for noise of %zu samples", n));
    atm_white_noise(seed, index, 1, x, n);
    for (size_t k = 0; k < frames; k++) {
        atm_stft_frame(stft, x, k, y + k * ATM_STFT_BINS);
        filter(s, y + k * ATM_STFT_BINS);
    }
    atm_stft_inverse(stft, y, x);
done:
    atm_stft_destroy(stft);
    free(y);
    return status;
}
