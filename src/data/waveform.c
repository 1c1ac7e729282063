/* waveform.c - see waveform.h. */
#include "data/waveform.h"
#include "data/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double ART2MUS_SECONDS = 10.0;

static float peak_of(const float *x, size_t n)
{
    float peak = 0;
    for (size_t i = 0; i < n; i++) peak = fmaxf(peak, fabsf(x[i]));
    return peak;
}

/* (x - mean) / (max |x - mean| + 1e-8) / 2 */
static void normalise(float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    const float mean = n ? (float)(sum / (double)n) : 0.0f;
    for (size_t i = 0; i < n; i++) x[i] -= mean;
    const float scale = peak_of(x, n) + 1e-8f;
    for (size_t i = 0; i < n; i++) x[i] = x[i] / scale * 0.5f;
}

atm_status atm_waveform_first_channel(const atm_audio *audio, size_t first, size_t frames,
                                      float **y, size_t *n)
{
    const size_t channels = (size_t)audio->channels;
    const size_t length = atm_resample_length(frames, audio->rate, ATM_STFT_RATE);
    float *mono = malloc((frames + 1) * sizeof *mono), *resampled = malloc((length + 1) * sizeof *resampled);
    atm_status status = ATM_OK;
    if (!mono || !resampled) {
        status = atm_fail(ATM_E_MEMORY, "out of memory for %zu samples", length);
        goto done;
    }
    for (size_t i = 0; i < frames; i++) mono[i] = audio->samples[(first + i) * channels];
    TRY(atm_resample(mono, frames, audio->rate, ATM_STFT_RATE, resampled));
    *y = resampled;
    *n = length;
    resampled = NULL;
done:
    free(mono);
    free(resampled);
    return status;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Copies what there is of x [n] from `first` on, at most `most`, then zeros. */
static void copy_padded(const float *x, size_t n, size_t first, size_t most, float *out, size_t n_out)
{
    const size_t have = first < n ? smaller(smaller(n - first, most), n_out) : 0;
    memcpy(out, x + (have ? first : 0), have * sizeof *out);
    memset(out + have, 0, (n_out - have) * sizeof *out);
}

static size_t sample_at(double seconds, int rate, size_t end)
{
    const double at = floor(seconds * rate);
    return at < (double)end ? (size_t)at : end;
}

static atm_status prepare_audioldm2(const atm_audio *audio, double start, float *out, size_t n)
{
    const size_t first = sample_at(start, audio->rate, audio->frames), left = audio->frames - first;
    const size_t wanted = sample_at((double)n / ATM_STFT_RATE, audio->rate, left);
    float *x;
    size_t length;
    TRY_RETURN(atm_waveform_first_channel(audio, first, wanted, &x, &length));
    normalise(x, length);
    copy_padded(x, length, 0, n, out, n);
    free(x);
    return ATM_OK;
}

static atm_status prepare_art2mus(const atm_audio *audio, double start, float *out, size_t n)
{
    float *x;
    size_t length;
    TRY_RETURN(atm_waveform_first_channel(audio, 0, audio->frames, &x, &length));
    normalise(x, length);
    copy_padded(x, length, sample_at(start, ATM_STFT_RATE, length),
                (size_t)(ART2MUS_SECONDS * ATM_STFT_RATE), out, n);
    free(x);
    const float peak = peak_of(out, n);
    for (size_t i = 0; peak > 0 && i < n; i++) out[i] = out[i] / peak * 0.5f;
    return ATM_OK;
}

atm_status atm_waveform_prepare(const atm_audio *audio, atm_framing framing, double start,
                                float *out, size_t n)
{
    if (!(start >= 0) || isinf(start))
        return atm_fail(ATM_E_USAGE, "crop start of %g s: must be 0 or more", start);
    return framing == ATM_FRAMING_ART2MUS ? prepare_art2mus(audio, start, out, n)
                                          : prepare_audioldm2(audio, start, out, n);
}
