/* noise.h - the random numbers of one generated clip, a function of (seed, clip) alone.
 *
 * Numbers come in the reference layout, [channels, frames, mels] of one sample, whatever
 * the engine's own layout is: so seeds and latent files mean the same on every backend,
 * and a clip is the same alone or anywhere in a batch. */
#ifndef ATM_MODEL_NOISE_H
#define ATM_MODEL_NOISE_H

#include <stddef.h>
#include <stdint.h>

/* The initial latent: out [n] from N(0, 1), n = channels * frames * mels.
 * `clip` is the clip's number within the seed (0 for the first). */
void atm_noise_latent(uint64_t seed, uint32_t clip, float *out, size_t n);

/* The noise that a stochastic sampler adds at `step`, 0 the first. */
void atm_noise_step(uint64_t seed, uint32_t clip, uint32_t step, float *out, size_t n);

#endif
