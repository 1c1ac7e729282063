/* stft.h - the short-time Fourier transform of the audio front end:
 * 16 kHz, periodic Hann window of 1024, hop 160, reflection at the ends.
 *
 * Two framings exist in the reference code, half a hop (80 samples) apart:
 *     ATM_FRAMING_ART2MUS    pads 512: frame k is centred on sample 160 k
 *     ATM_FRAMING_AUDIOLDM2  pads 432: frame k is centred on 160 k + 80
 * Art2Mus adapters were trained with the first, AudioLDM2's VAE and vocoder
 * with the second.  In both, n samples give floor(n / 160) frames: Art2Mus has
 * one more and cuts it off. */
#ifndef ATM_DATA_STFT_H
#define ATM_DATA_STFT_H
#include "data/fft.h"

#include <stddef.h>

enum { ATM_STFT_RATE = 16000, ATM_STFT_SIZE = 1024, ATM_STFT_HOP = 160, ATM_STFT_BINS = 513 };

typedef enum { ATM_FRAMING_ART2MUS, ATM_FRAMING_AUDIOLDM2 } atm_framing;

typedef struct atm_stft atm_stft;

atm_status atm_stft_create(atm_framing framing, size_t n, atm_stft **out);   /* n > 512, else ATM_E_DATA */
void       atm_stft_destroy(atm_stft *stft);                                 /* NULL is allowed */
size_t     atm_stft_frames(const atm_stft *stft);                            /* floor(n / 160) */

/* Frame k of x [n] to y [ATM_STFT_BINS]. */
void atm_stft_frame(const atm_stft *stft, const float *x, size_t k, atm_complex *y);

/* Least-squares inverse (Griffin and Lim 1984, eq. 6): y [frames, BINS] to x [n]. */
void atm_stft_inverse(const atm_stft *stft, const atm_complex *y, float *x);

#endif
