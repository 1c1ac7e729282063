#include "model/noise.h"

#include "base/philox.h"

void atm_noise_latent(uint64_t seed, uint32_t clip, float *out, size_t n)
{
    atm_normal((atm_rng){ .seed = seed, .stream = ATM_STREAM_LATENT, .sample = clip }, out, n);
}

void atm_noise_step(uint64_t seed, uint32_t clip, uint32_t step, float *out, size_t n)
{
    atm_normal((atm_rng){ .seed = seed, .stream = ATM_STREAM_SAMPLER, .step = step, .sample = clip }, out, n);
}
