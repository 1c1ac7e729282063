/* sound_measures.h - numbers that tell music from noise, of one sound at 16 kHz.
 *
 * Onsets.  L[t, b]: the log-mel (data/mel.h, framing AUDIOLDM2: 100 frames a second), from below
 * cut off 80 dB under the sound's loudest band.  Spectral flux
 *     f[t] = mean_b max(0, L[t, b] - L[t-3, b])                   nats, over 30 ms
 * for frames inside the sound, 0 for those at its edges, whose windows reach beyond it.
 * An onset is a frame that has the largest f within 50 ms on either side, and 0.1 nats more than
 * the mean of f within 150 ms on either side.  (Boeck, Widmer 2013 without the maximum filter.)
 * A steady noise has no onsets, clicks at 4 Hz have 4 a second.
 *
 * Flatness.  Of the power spectrum P of a frame (1024 samples, Hann, without the first and last
 * bin), exp(mean ln P) / mean P; mean over frames that are not silent (above -80 dB of full scale).
 * 0 for a sine; e^-gamma = 0.5615 for white noise, whose P is exponentially distributed.
 *
 * Loudness.  20 log10 of the root mean square, dB of full scale.
 *
 * Bands.  Sums over frames of the log-mel and its square, from which pictures of a set of sounds
 * follow. */
#ifndef ATM_EVAL_SOUND_MEASURES_H
#define ATM_EVAL_SOUND_MEASURES_H

#include "base/status.h"
#include "data/mel.h"

typedef struct {
    double onset_rate;                  /* a second */
    double flatness;                    /* 0 to 1; 0 for silence */
    double loudness;                    /* dB; -100 for silence */
    double frames;
    double sum[ATM_MEL_BANDS], square[ATM_MEL_BANDS];
} atm_sound_measures;

/* x [n], n > 512. */
atm_status atm_sound_measure(const float *x, size_t n, atm_sound_measures *out);

/* Mean and standard deviation of every band over all frames of the sounds which[0 .. n-1]. */
typedef struct { double mean[ATM_MEL_BANDS], deviation[ATM_MEL_BANDS]; } atm_band_statistics;
atm_band_statistics atm_bands_of(const atm_sound_measures *sound, const int *which, int n);

/* Mean over the bands of |difference| of means, of deviations; nats. */
double atm_band_mean_distance(const atm_band_statistics *a, const atm_band_statistics *b);
double atm_band_deviation_distance(const atm_band_statistics *a, const atm_band_statistics *b);

/* Mean |a - b|. */
double atm_mean_distance(const float *a, const float *b, size_t n);

#endif
