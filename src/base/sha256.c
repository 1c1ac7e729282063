#include "base/sha256.h"

#include <stdio.h>
#include <string.h>

#include "base/sha256_blocks.h"

/* The fractional parts of the square roots of the first eight primes. */
atm_sha256 atm_sha256_begin(void)
{
    return (atm_sha256){ .state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

static size_t at_most(size_t a, size_t b) { return a < b ? a : b; }

void atm_sha256_add(atm_sha256 *h, const void *data, size_t bytes)
{
    const atm_sha256_blocks take = atm_sha256_best_blocks();
    const unsigned char *p = data;
    const size_t waiting = h->bytes % ATM_SHA256_BLOCK;
    h->bytes += bytes;
    if (waiting) {
        const size_t n = at_most(bytes, ATM_SHA256_BLOCK - waiting);
        memcpy(h->block + waiting, p, n);
        if (waiting + n < ATM_SHA256_BLOCK) return;
        take(h->state, h->block, 1);
        p += n;
        bytes -= n;
    }
    take(h->state, p, bytes / ATM_SHA256_BLOCK);
    if (bytes % ATM_SHA256_BLOCK) memcpy(h->block, p + bytes - bytes % ATM_SHA256_BLOCK, bytes % ATM_SHA256_BLOCK);
}

/* A one bit, zeros, and the number of bits, up to a whole block. */
static void pad(atm_sha256 *h)
{
    static const unsigned char one_bit[ATM_SHA256_BLOCK] = { 0x80 };
    const uint64_t bits = 8 * h->bytes;
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(bits >> (56 - 8 * i));
    const size_t used = (h->bytes + sizeof length) % ATM_SHA256_BLOCK;
    atm_sha256_add(h, one_bit, ATM_SHA256_BLOCK - used);
    atm_sha256_add(h, length, sizeof length);
}

void atm_sha256_digest(const atm_sha256 *h, unsigned char digest[ATM_SHA256_BYTES])
{
    atm_sha256 end = *h;
    pad(&end);
    for (int i = 0; i < ATM_SHA256_BYTES; i++) digest[i] = (unsigned char)(end.state[i / 4] >> (24 - 8 * (i % 4)));
}

void atm_sha256_text(const atm_sha256 *h, char text[ATM_SHA256_TEXT])
{
    unsigned char digest[ATM_SHA256_BYTES];
    atm_sha256_digest(h, digest);
    for (int i = 0; i < ATM_SHA256_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
}
