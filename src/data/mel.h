/* mel.h - the log-mel spectrogram that the VAE and the vocoder speak.
 *
 * mel[t, b] = ln(max(1e-5, sum_k W[b, k] |X_t[k]|)), magnitude not power, no
 * normalisation after it.  W: 64 triangles on Slaney's scale from 0 to 8000 Hz,
 *     m(f) = 3 f / 200 below 1000 Hz, else 15 + 27 ln(f / 1000) / ln 6.4,
 * each divided by half its width in Hz (librosa.filters.mel's defaults).
 * Silence is ATM_MEL_SILENCE in every band. */
#ifndef ATM_DATA_MEL_H
#define ATM_DATA_MEL_H
#include "data/stft.h"

enum { ATM_MEL_BANDS = 64 };
#define ATM_MEL_SILENCE (-11.512925464970229f)        /* ln 1e-5 */

/* x [n] at 16 kHz to mel [floor(n / 160), 64].  n > 512, else ATM_E_DATA. */
atm_status atm_mel(const float *x, size_t n, atm_framing framing, float *mel);

/* The filterbank W, sparse: band b is weight[b][0..count[b]-1] from bin first[b] on. */
typedef struct {
    int   first[ATM_MEL_BANDS], count[ATM_MEL_BANDS];
    float weight[ATM_MEL_BANDS][64];
} atm_mel_bank;

void   atm_mel_bank_init(atm_mel_bank *bank);
double atm_mel_to_hz(double mel);
double atm_hz_to_mel(double hz);

#endif
