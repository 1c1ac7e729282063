#include "base/sha256_blocks.h"

#include <string.h>

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t K[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* ------------------------------------------------------------------ plain C */

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void schedule(uint32_t w[64], const unsigned char *data)
{
    for (int i = 0; i < 16; i++) w[i] = big_endian(data + 4 * i);
    for (int i = 16; i < 64; i++) {
        const uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7]
             + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
}

/* The letters of the standard: round i finds its `a` at s[-i], and so on: nothing moves. */
static void rounds(uint32_t s[8], const uint32_t w[64])
{
#define S(letter) s[((letter) - i) & 7]
    _Pragma("GCC unroll 8")
    for (int i = 0; i < 64; i++) {
        const uint32_t a = S(0), b = S(1), c = S(2), e = S(4), f = S(5), g = S(6);
        const uint32_t t1 = S(7) + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i];
        S(3) += t1;
        S(7) = t1 + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    }
#undef S
}

void atm_sha256_blocks_plain(uint32_t *state, const unsigned char *data, size_t n)
{
    for (; n; n--, data += 64) {
        uint32_t w[64], s[8];
        memcpy(s, state, sizeof s);
        schedule(w, data);
        rounds(s, w);
        for (int i = 0; i < 8; i++) state[i] += s[i];
    }
}

/* ------------------------------------------------------------------ SHA instructions */

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define TARGET __attribute__((target("sha,ssse3,sse4.1")))

/* The instructions keep the eight words as {f, e, b, a} and {h, g, d, c}. */
TARGET static void load_state(const uint32_t *state, __m128i *abef, __m128i *cdgh)
{
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
    *abef = _mm_alignr_epi8(badc, hgfe, 8);
    *cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
}

TARGET static void store_state(uint32_t *state, __m128i abef, __m128i cdgh)
{
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Words 4 i .. 4 i + 3 of the schedule, from the sixteen before them. */
TARGET static __m128i next_words(const __m128i w[4], int i)
{
    const __m128i before = w[(i + 3) & 3];
    const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]),
                                      _mm_alignr_epi8(before, w[(i + 2) & 3], 4));
    return _mm_sha256msg2_epu32(sum, before);
}

TARGET static void blocks_sha(uint32_t *state, const unsigned char *data, size_t n)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef, cdgh, w[4];
    load_state(state, &abef, &cdgh);
    for (; n; n--, data += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        _Pragma("GCC unroll 16")
        for (int i = 0; i < 16; i++) {
            w[i & 3] = i < 4 ? _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data + i), swap)
                             : next_words(w, i);
            const __m128i wk = _mm_add_epi32(w[i & 3], ((const __m128i *)K)[i]);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    store_state(state, abef, cdgh);
}

/* Compilers of our age do not all know the name "sha" for __builtin_cpu_supports. */
static int has_sha(void)
{
    unsigned a, b = 0, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29) && __builtin_cpu_supports("sse4.1");
}

atm_sha256_blocks atm_sha256_best_blocks(void) { return has_sha() ? blocks_sha : atm_sha256_blocks_plain; }
#else
atm_sha256_blocks atm_sha256_best_blocks(void) { return atm_sha256_blocks_plain; }
#endif
