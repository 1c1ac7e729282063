/* fbank.h - log filterbank energies as Kaldi computes them, with the settings of ImageBind
 * (torchaudio.compliance.kaldi.fbank; Povey et al. 2011).  Of each frame of 400 samples,
 * 160 apart, all of them inside the sound:
 *     x <- x - mean x,  x_i <- x_i - 0.97 x_(i-1),  times a symmetric Hann window,
 *     padded to 512;  y[b] = ln(max(2^-23, sum_k W[b, k] |X_k|^2))
 * W: 128 triangles, linear in m(f) = 1127 ln(1 + f / 700), from 20 Hz to 8000 Hz, peak 1.
 * The lowest are narrower than a bin: y[3] sees none and always is ATM_FBANK_SILENCE.
 * Not the mel of mel.h: other scale, other window, power instead of magnitude. */
#ifndef ATM_DATA_FBANK_H
#define ATM_DATA_FBANK_H
#include "base/status.h"

#include <stddef.h>

enum { ATM_FBANK_RATE = 16000, ATM_FBANK_WINDOW = 400, ATM_FBANK_HOP = 160, ATM_FBANK_BANDS = 128 };
#define ATM_FBANK_SILENCE (-15.942385152878742f)      /* ln 2^-23 */

/* 1 + floor((n - 400) / 160); 0 when n < 400. */
size_t atm_fbank_frames(size_t n);

/* x [n] at 16 kHz to y [atm_fbank_frames(n), 128].  n >= 400, else ATM_E_DATA. */
atm_status atm_fbank(const float *x, size_t n, float *y);

#endif
