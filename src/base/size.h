/* size.h - arithmetic on sizes that come from files, images, the network.
 *
 * Every such product or sum goes through here: [4194305, 4194305, ...] once
 * wrapped to 4 in somebody's loader.  Each function returns false and leaves
 * *out untouched when the exact result does not fit in size_t. */
#ifndef ATM_BASE_SIZE_H
#define ATM_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool atm_mul_size(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) return false;
    *out = product;
    return true;
}

static inline bool atm_add_size(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *out = sum;
    return true;
}

/* Rounds up to a multiple of `unit`, a power of two. */
static inline bool atm_round_up_size(size_t a, size_t unit, size_t *out)
{
    size_t sum;
    if (!atm_add_size(a, unit - 1, &sum)) return false;
    *out = sum & ~(unit - 1);
    return true;
}

/* dim[0] * ... * dim[rank-1]; 1 for rank 0. */
static inline bool atm_shape_size(const int64_t *dim, int rank, size_t *out)
{
    size_t product = 1;
    for (int i = 0; i < rank; i++)
        if (dim[i] < 0 || !atm_mul_size(product, (size_t)dim[i], &product)) return false;
    *out = product;
    return true;
}

#endif
