/* file_digest.h - a file's size and hashes: what a manifest and a model card say of it. */
#ifndef ATM_IO_FILE_DIGEST_H
#define ATM_IO_FILE_DIGEST_H

#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

typedef enum {
    ATM_DIGEST_FAST,                    /* XXH3-128 alone, at the speed of memory: finds any accident */
    ATM_DIGEST_FULL                     /* SHA-256 too, which people can check with `sha256sum`       */
} atm_digest_kind;

typedef struct {
    int64_t bytes;
    char xxh3[33];                      /* hex, as `xxh128sum` prints it */
    char sha256[ATM_SHA256_TEXT];       /* "" when fast                  */
} atm_file_digest;

/* Reads the whole file.  ATM_E_NOINPUT when that fails. */
atm_status atm_file_digest_read(const char *path, atm_digest_kind kind, atm_file_digest *out);

#endif
