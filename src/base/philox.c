#include "base/philox.h"

#include <math.h>

static void round_once(uint32_t c[4], const uint32_t k[2])
{
    uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(b >> 32) ^ c1 ^ k[0];
    c[1] = (uint32_t)b;
    c[2] = (uint32_t)(a >> 32) ^ c3 ^ k[1];
    c[3] = (uint32_t)a;
}

atm_philox_block atm_philox(uint64_t key, const uint32_t counter[4])
{
    atm_philox_block out = { { counter[0], counter[1], counter[2], counter[3] } };
    uint32_t k[2] = { (uint32_t)key, (uint32_t)(key >> 32) };
    for (int i = 0; i < 10; i++) {
        round_once(out.v, k);
        k[0] += 0x9E3779B9u;        /* Weyl sequences: golden ratio, sqrt(3) - 1 */
        k[1] += 0xBB67AE85u;
    }
    return out;
}

static atm_philox_block block_at(atm_rng rng, uint32_t block)
{
    const uint32_t counter[4] = { block, rng.sample, rng.step, rng.stream };
    return atm_philox(rng.seed, counter);
}

/* 23 bits, centred in their cell: never 0, never 1, exact in float. */
static float to_unit(uint32_t x) { return ((float)(x >> 9) + 0.5f) * 0x1p-23f; }

uint32_t atm_uint32(atm_rng rng, uint32_t index) { return block_at(rng, index / 4).v[index % 4]; }

void atm_uniform(atm_rng rng, float *out, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        atm_philox_block b = block_at(rng, (uint32_t)(i / 4));
        for (size_t k = 0; k < 4 && i + k < n; k++) out[i + k] = to_unit(b.v[k]);
    }
}

/* Double precision inside, so that the float result does not depend on the libm. */
static void normal_pair(uint32_t a, uint32_t b, float out[2])
{
    double radius = sqrt(-2.0 * log(((double)a + 0.5) * 0x1p-32));
    double angle = 6.283185307179586 * (((double)b + 0.5) * 0x1p-32);
    out[0] = (float)(radius * cos(angle));
    out[1] = (float)(radius * sin(angle));
}

void atm_normal(atm_rng rng, float *out, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        atm_philox_block b = block_at(rng, (uint32_t)(i / 4));
        float four[4];
        normal_pair(b.v[0], b.v[1], four);
        normal_pair(b.v[2], b.v[3], four + 2);
        for (size_t k = 0; k < 4 && i + k < n; k++) out[i + k] = four[k];
    }
}
