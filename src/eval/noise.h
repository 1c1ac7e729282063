/* noise.h - sounds that are not music: what a measure of music has to tell apart. */
#ifndef ATM_EVAL_NOISE_H
#define ATM_EVAL_NOISE_H

#include <stdint.h>

#include "base/status.h"
#include "data/stft.h"

/* Mean power of every bin over the frames of sounds, added one after the other. */
typedef struct { double power[ATM_STFT_BINS], frames; } atm_mean_spectrum;
atm_status atm_mean_spectrum_add(atm_mean_spectrum *spectrum, const float *x, size_t n);

/* White noise of a mean square of `power`; number `index` of `seed`. */
void atm_white_noise(uint64_t seed, uint32_t index, double power, float *x, size_t n);

/* Noise with that mean spectrum, and its level: white noise, filtered frame by frame. */
atm_status atm_shaped_noise(uint64_t seed, uint32_t index, const atm_mean_spectrum *spectrum, float *x,
                            size_t n);

#endif
