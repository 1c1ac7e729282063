/* loader_order.c - the shuffled order of a run, without a table.
 *
 * Swap-or-not (Hoang, Morris, Rogaway, "An enciphering scheme based on a card shuffle", CRYPTO
 * 2012): in every round a random K pairs x with K - x mod n, and a random bit of the pair says whether
 * they change places.  A permutation of any n, in O(1) memory; item i of an epoch needs no other. */
#include "base/philox.h"
#include "data/loader.h"

enum { ROUNDS = 64 };       /* the deck is mixed after a small multiple of log2 n <= 32 rounds */

static uint32_t below(uint32_t n, uint32_t word) { return (uint32_t)((uint64_t)word * n >> 32); }

/* Stream place: (epoch, round), even samples for K, odd ones for the bits of all pairs. */
static uint32_t shuffle(uint64_t seed, uint32_t epoch, uint32_t x, uint32_t n)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        atm_rng rng = { seed, ATM_STREAM_ORDER, epoch, 2 * round };
        const uint32_t k = below(n, atm_uint32(rng, 0));
        const uint32_t other = k >= x ? k - x : k + (n - x);
        const uint32_t pair = x > other ? x : other;
        rng.sample++;
        if (atm_uint32(rng, pair / 32) >> pair % 32 & 1) x = other;
    }
    return x;
}

uint32_t atm_loader_order(uint64_t seed, uint64_t position, uint32_t n_items)
{
    return shuffle(seed, (uint32_t)(position / n_items), (uint32_t)(position % n_items), n_items);
}
