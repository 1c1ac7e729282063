/* sound_measures.c - see sound_measures.h. */
#include "eval/sound_measures.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { BANDS = ATM_MEL_BANDS, EDGE = 3, LAG = 3, PEAK_REACH = 5, MEAN_REACH = 15 };     /* frames of 10 ms */
static const double LIFT = 0.1;                                     /* nats over the mean of the flux     */
static const double RANGE = 9.210340371976184;                      /* ln 10^4: 80 dB of magnitude        */
static const double SILENT = 1e-8, TINY = 1e-30, QUIETEST = -100;   /* -80 dB of power; for ln 0; dB      */

/* ------------------------------------------------------------------ onsets */

static double loudest(const float *mel, size_t n)
{
    double most = ATM_MEL_SILENCE;
    for (size_t i = 0; i < n; i++) most = fmax(most, (double)mel[i]);
    return most;
}

/* The first and last frames reach beyond the sound, which is mirrored there: a sine has a kink. */
static void spectral_flux(const float *mel, size_t frames, double *flux)
{
    const double least = loudest(mel, frames * BANDS) - RANGE;
    for (size_t t = 0; t < frames; t++) {
        const bool inside = t >= EDGE + LAG && t + EDGE < frames;
        flux[t] = 0;
        for (size_t b = 0; b < BANDS && inside; b++)
            flux[t] += fmax(0, fmax(least, (double)mel[t * BANDS + b])
                             - fmax(least, (double)mel[(t - LAG) * BANDS + b])) / BANDS;
    }
}

static size_t reach_back(size_t t, size_t reach) { return t > reach ? t - reach : 0; }
static size_t reach_on(size_t t, size_t reach, size_t n) { return t + reach < n ? t + reach : n - 1; }

/* Of two equal ones the earlier: a plateau is one onset. */
static bool is_peak(const double *flux, size_t frames, size_t t)
{
    for (size_t i = reach_back(t, PEAK_REACH); i <= reach_on(t, PEAK_REACH, frames); i++)
        if (flux[i] > flux[t] || (i < t && flux[i] == flux[t])) return false;
    return true;
}

static double mean_around(const double *flux, size_t frames, size_t t)
{
    const size_t from = reach_back(t, MEAN_REACH), to = reach_on(t, MEAN_REACH, frames);
    double sum = 0;
    for (size_t i = from; i <= to; i++) sum += flux[i];
    return sum / (double)(to - from + 1);
}

static int count_onsets(const double *flux, size_t frames)
{
    int n = 0;
    for (size_t t = 0; t < frames; t++)
        n += flux[t] > mean_around(flux, frames, t) + LIFT && is_peak(flux, frames, t);
    return n;
}

/* ------------------------------------------------------------------ flatness, loudness */

/* False: the frame is silent. */
static bool frame_flatness(const atm_complex *y, double *out)
{
    enum { FIRST = 1, LAST = ATM_STFT_BINS - 2, N = LAST - FIRST + 1 };
    double log_sum = 0, sum = 0;
    for (int k = FIRST; k <= LAST; k++) {
        const double power = y[k].re * y[k].re + y[k].im * y[k].im;
        log_sum += log(power + TINY);
        sum += power;
    }
    *out = exp(log_sum / N) / (sum / N + TINY);
    /* Parseval, with the mean square of the window, 3/8 */
    return 2 * sum / ((double)ATM_STFT_SIZE * ATM_STFT_SIZE * 3 / 8) > SILENT;
}

static double mean_flatness(const atm_stft *stft, const float *x)
{
    atm_complex y[ATM_STFT_BINS];
    double sum = 0, one;
    size_t n = 0;
    for (size_t k = 0; k < atm_stft_frames(stft); k++) {
        atm_stft_frame(stft, x, k, y);
        if (!frame_flatness(y, &one)) continue;
        sum += one;
        n++;
    }
    return n ? sum / (double)n : 0;
}

static double loudness_of(const float *x, size_t n)
{
    double square = 0;
    for (size_t i = 0; i < n; i++) square += (double)x[i] * (double)x[i];
    return square > 0 ? fmax(QUIETEST, 10 * log10(square / (double)n)) : QUIETEST;
}

/* ------------------------------------------------------------------ bands */

static void add_bands(const float *mel, size_t frames, atm_sound_measures *out)
{
    for (size_t b = 0; b < BANDS; b++) out->sum[b] = out->square[b] = 0;
    for (size_t t = 0; t < frames; t++)
        for (size_t b = 0; b < BANDS; b++) {
            const double v = (double)mel[t * BANDS + b];
            out->sum[b] += v;
            out->square[b] += v * v;
        }
    out->frames = (double)frames;
}

atm_band_statistics atm_bands_of(const atm_sound_measures *sound, const int *which, int n)
{
    atm_band_statistics s;
    for (int b = 0; b < BANDS; b++) {
        double frames = 0, sum = 0, square = 0;
        for (int i = 0; i < n; i++) {
            const atm_sound_measures *m = &sound[which[i]];
            frames += m->frames;
            sum += m->sum[b];
            square += m->square[b];
        }
        s.mean[b] = sum / frames;
        s.deviation[b] = sqrt(fmax(0, square / frames - s.mean[b] * s.mean[b]));
    }
    return s;
}

static double distance(const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < BANDS; i++) sum += fabs(a[i] - b[i]);
    return sum / BANDS;
}

double atm_band_mean_distance(const atm_band_statistics *a, const atm_band_statistics *b)
{
    return distance(a->mean, b->mean);
}

double atm_band_deviation_distance(const atm_band_statistics *a, const atm_band_statistics *b)
{
    return distance(a->deviation, b->deviation);
}

double atm_mean_distance(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += fabs((double)a[i] - (double)b[i]);
    return n ? sum / (double)n : 0;
}

/* ------------------------------------------------------------------ all of them */

atm_status atm_sound_measure(const float *x, size_t n, atm_sound_measures *out)
{
    const size_t frames = n / ATM_STFT_HOP;
    atm_stft *stft = NULL;
    atm_status status = ATM_OK;
    float *mel = malloc((frames + 1) * BANDS * sizeof *mel);
    double *flux = malloc((frames + 1) * sizeof *flux);
    if (!mel || !flux) TRY(atm_fail(ATM_E_MEMORY, "no memory for a sound of %zu frames", frames));
    TRY(atm_stft_create(ATM_FRAMING_AUDIOLDM2, n, &stft));
    TRY(atm_mel(x, n, ATM_FRAMING_AUDIOLDM2, mel));
    spectral_flux(mel, frames, flux);
    add_bands(mel, frames, out);
    out->onset_rate = count_onsets(flux, frames) * (double)ATM_STFT_RATE / (double)n;
    out->flatness = mean_flatness(stft, x);
    out->loudness = loudness_of(x, n);
done:
    atm_stft_destroy(stft);
    free(mel);
    free(flux);
    return status;
}
