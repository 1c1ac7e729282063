/* stft.c - see stft.h. */
#include "data/stft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct atm_stft {
    size_t n, pad;                          /* samples; reflected samples before the first */
    atm_fft *fft;
    double window[ATM_STFT_SIZE];
};

static const size_t padding[] = {
    [ATM_FRAMING_ART2MUS]   = ATM_STFT_SIZE / 2,
    [ATM_FRAMING_AUDIOLDM2] = (ATM_STFT_SIZE - ATM_STFT_HOP) / 2,
};

atm_status atm_stft_create(atm_framing framing, size_t n, atm_stft **out)
{
    if (n <= ATM_STFT_SIZE / 2)             /* a reflection needs that many samples to mirror */
        return atm_fail(ATM_E_DATA, "sound of %zu samples at %d Hz is too short: %d or more are needed",
                        n, ATM_STFT_RATE, ATM_STFT_SIZE / 2 + 1);
    atm_stft *stft = malloc(sizeof *stft);
    if (!stft) return atm_fail(ATM_E_MEMORY, "stft: out of memory");
    atm_status status = atm_fft_create(ATM_STFT_SIZE, &stft->fft);
    if (status != ATM_OK) {
        free(stft);
        return status;
    }
    stft->n = n;
    stft->pad = padding[framing];
    for (int i = 0; i < ATM_STFT_SIZE; i++)
        stft->window[i] = 0.5 - 0.5 * cos(2.0 * M_PI * i / ATM_STFT_SIZE);
    *out = stft;
    return ATM_OK;
}

void atm_stft_destroy(atm_stft *stft)
{
    if (!stft) return;
    atm_fft_destroy(stft->fft);
    free(stft);
}

size_t atm_stft_frames(const atm_stft *stft) { return stft->n / ATM_STFT_HOP; }

/* Sample i of the padded signal, which mirrors around its first and last sample. */
static size_t mirrored(const atm_stft *stft, size_t i)
{
    if (i < stft->pad) return stft->pad - i;
    i -= stft->pad;
    return i < stft->n ? i : 2 * (stft->n - 1) - i;
}

void atm_stft_frame(const atm_stft *stft, const float *x, size_t k, atm_complex *y)
{
    double frame[ATM_STFT_SIZE];
    for (size_t i = 0; i < ATM_STFT_SIZE; i++)
        frame[i] = stft->window[i] * (double)x[mirrored(stft, k * ATM_STFT_HOP + i)];
    atm_fft_forward(stft->fft, frame, y);
}

/* sum_k w(t) frame_k(t) / sum_k w(t)^2 over the frames that cover t.  The sums
 * slide: `ahead` holds the 1024 samples from the present frame's start on. */
void atm_stft_inverse(const atm_stft *stft, const atm_complex *y, float *x)
{
    enum { N = ATM_STFT_SIZE, HOP = ATM_STFT_HOP };
    const size_t frames = atm_stft_frames(stft), end = stft->n + stft->pad;
    double sum[N] = { 0 }, weight[N] = { 0 }, frame[N];
    for (size_t start = 0; start < end; start += HOP) {
        const size_t k = start / HOP;
        if (k < frames) {
            atm_fft_inverse(stft->fft, y + k * ATM_STFT_BINS, frame);
            for (int i = 0; i < N; i++) {
                sum[i] += stft->window[i] * frame[i];
                weight[i] += stft->window[i] * stft->window[i];
            }
        }
        for (size_t i = 0; i < HOP; i++)
            if (start + i >= stft->pad && start + i < end)
                x[start + i - stft->pad] = weight[i] > 1e-10 ? (float)(sum[i] / weight[i]) : 0.0f;
        memmove(sum, sum + HOP, (N - HOP) * sizeof *sum);
        memmove(weight, weight + HOP, (N - HOP) * sizeof *weight);
        memset(sum + N - HOP, 0, HOP * sizeof *sum);
        memset(weight + N - HOP, 0, HOP * sizeof *weight);
    }
}
