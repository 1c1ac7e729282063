/* sha256_blocks.h - the compression function of sha256.c, once for each kind of processor. */
#ifndef ATM_BASE_SHA256_BLOCKS_H
#define ATM_BASE_SHA256_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

/* Takes n blocks of 64 bytes into state[8]. */
typedef void (*atm_sha256_blocks)(uint32_t *state, const unsigned char *data, size_t n);

void atm_sha256_blocks_plain(uint32_t *state, const unsigned char *data, size_t n);

/* The fastest one that this processor runs. */
atm_sha256_blocks atm_sha256_best_blocks(void);

#endif
