/* philox.h - counter-based random numbers: no state to save, the same on CPU
 * and GPU, for any number of threads or ranks, before and after a resume.
 *
 * Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
 * as 1, 2, 3", SC 2011.  The key is the seed; the counter holds the place:
 * (element block, sample, step, stream). */
#ifndef ATM_BASE_PHILOX_H
#define ATM_BASE_PHILOX_H

#include <stddef.h>
#include <stdint.h>

typedef struct { uint32_t v[4]; } atm_philox_block;

atm_philox_block atm_philox(uint64_t key, const uint32_t counter[4]);

/* What the numbers are for: streams never overlap. */
typedef enum {
    ATM_STREAM_LATENT = 1,   /* initial latent of generation                 */
    ATM_STREAM_SAMPLER,      /* noise that a stochastic sampler adds (eta>0) */
    ATM_STREAM_INIT,         /* random weights of `init`                     */
    ATM_STREAM_POSTERIOR,    /* sampling from the VAE's posterior            */
    ATM_STREAM_NOISE,        /* diffusion noise in training                  */
    ATM_STREAM_TIMESTEP,     /* timesteps in training                        */
    ATM_STREAM_DROP,         /* condition dropout                            */
    ATM_STREAM_ORDER,        /* order of samples                             */
    ATM_STREAM_CROP,         /* where crops of samples begin                 */
    ATM_STREAM_TEST,
    ATM_STREAM_BOOTSTRAP,    /* what is drawn again for an interval          */
    ATM_STREAM_CONTROL       /* noise that measures are compared with        */
} atm_stream;

typedef struct {
    uint64_t seed;
    uint32_t stream, step, sample;
} atm_rng;

/* n numbers of the place `rng`; element i depends on (rng, i) alone. */
void atm_uniform(atm_rng rng, float *out, size_t n);    /* in (0, 1)                */
void atm_normal(atm_rng rng, float *out, size_t n);     /* N(0, 1), Box-Muller      */
uint32_t atm_uint32(atm_rng rng, uint32_t index);       /* one word, for integers   */

#endif
