#include "io/file_digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PIECE = 1 << 20 };

static atm_status hash_stream(FILE *in, const char *path, atm_digest_kind kind, void *piece, XXH3_state_t *fast,
                              atm_file_digest *out)
{
    atm_sha256 sha = atm_sha256_begin();
    XXH3_128bits_reset(fast);
    for (size_t n; (n = fread(piece, 1, PIECE, in)) > 0; out->bytes += (int64_t)n) {
        XXH3_128bits_update(fast, piece, n);
        if (kind == ATM_DIGEST_FULL) atm_sha256_add(&sha, piece, n);
    }
    if (ferror(in)) return atm_fail(ATM_E_NOINPUT, "%s: %s", path, strerror(errno));
    const XXH128_hash_t hash = XXH3_128bits_digest(fast);
    snprintf(out->xxh3, sizeof out->xxh3, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    if (kind == ATM_DIGEST_FULL) atm_sha256_text(&sha, out->sha256);
    return ATM_OK;
}

atm_status atm_file_digest_read(const char *path, atm_digest_kind kind, atm_file_digest *out)
{
    *out = (atm_file_digest){ 0 };
    FILE *in = fopen(path, "rbe");
    if (!in) return atm_fail(ATM_E_NOINPUT, "%s: %s", path, strerror(errno));
    setvbuf(in, NULL, _IONBF, 0);
    void *piece = malloc(PIECE);
    XXH3_state_t *fast = XXH3_createState();
    const atm_status status = piece && fast ? hash_stream(in, path, kind, piece, fast, out)
                                            : atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    XXH3_freeState(fast);
    free(piece);
    fclose(in);
    return status;
}
