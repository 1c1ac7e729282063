/* resample.h - sample-rate conversion equal to torchaudio.functional.resample
 * (its defaults: sinc with Hann window, 6 zero crossings, roll-off 0.99).
 *
 * With from, to divided by their gcd: o, n; base = 0.99 min(o, n);
 * width = ceil(6 o / base); output sample q n + j is
 *     sum_i x[q o + i] h_j(i),  -width <= i < width + o
 *     h_j(i) = base/o sinc(t) cos^2(pi t / 12),  t = clamp((i/o - j/n) base, +-6)
 * with zeros outside x.  The reference trainers resample with this, so parity matters
 * more than a better filter would.  torchaudio evaluates h in float32 when the
 * waveform is float32, which rounds t and moves h by 1e-5 of its peak at 44.1 kHz: so do we. */
#ifndef ATM_DATA_RESAMPLE_H
#define ATM_DATA_RESAMPLE_H
#include "base/status.h"

#include <stddef.h>

/* ceil(n to / from): how long atm_resample's output is. */
size_t atm_resample_length(size_t n, int from, int to);

/* x [n] at `from` Hz to y [atm_resample_length(n, from, to)] at `to` Hz; both
 * rates 1..ATM_AUDIO_MAX_RATE, else ATM_E_DATA. */
atm_status atm_resample(const float *x, size_t n, int from, int to, float *y);

#endif
