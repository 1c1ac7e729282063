/* sha256.h - SHA-256 (FIPS 180-4): the hash that `sha256sum` prints, for manifests and
 * model cards that people check with their own tools.
 *
 *     atm_sha256 h = atm_sha256_begin();
 *     atm_sha256_add(&h, data, bytes);
 *     char text[ATM_SHA256_TEXT];
 *     atm_sha256_text(&h, text);
 *
 * With the SHA instructions of x86 where they are there, otherwise in plain C. */
#ifndef ATM_BASE_SHA256_H
#define ATM_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { ATM_SHA256_BLOCK = 64, ATM_SHA256_BYTES = 32, ATM_SHA256_TEXT = 2 * ATM_SHA256_BYTES + 1 };

typedef struct {
    uint32_t state[8];
    uint64_t bytes;                         /* given so far                    */
    unsigned char block[ATM_SHA256_BLOCK];  /* its last bytes % 64 wait here   */
} atm_sha256;

atm_sha256 atm_sha256_begin(void);
void       atm_sha256_add(atm_sha256 *h, const void *data, size_t bytes);

/* The hash of all that was added; `h` itself may go on. */
void atm_sha256_digest(const atm_sha256 *h, unsigned char digest[ATM_SHA256_BYTES]);
void atm_sha256_text(const atm_sha256 *h, char text[ATM_SHA256_TEXT]);     /* 64 hex digits and a zero byte */

#endif
