/* fingerprint.c - see fingerprint.h. */
#include "model/fingerprint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BLOCK_BYTES = 1 << 20 };

static void write_text(XXH128_hash_t hash, char out[ATM_FINGERPRINT_TEXT])
{
    snprintf(out, ATM_FINGERPRINT_TEXT, "%016" PRIx64 "%016" PRIx64, hash.high64, hash.low64);
}

void atm_fingerprint_bytes(const void *data, size_t bytes, char out[ATM_FINGERPRINT_TEXT])
{
    write_text(XXH3_128bits(data, bytes), out);
}

static atm_status add_file(const char *path, XXH3_state_t *hash, void *block)
{
    FILE *in = fopen(path, "rbe");
    if (!in) return atm_fail(ATM_E_NOINPUT, "%s: %s", path, strerror(errno));
    for (size_t got; (got = fread(block, 1, BLOCK_BYTES, in)) > 0; ) XXH3_128bits_update(hash, block, got);
    const atm_status status = ferror(in) ? atm_fail(ATM_E_NOINPUT, "%s: %s", path, strerror(errno)) : ATM_OK;
    fclose(in);
    return status;
}

static atm_status hash_files(const atm_weights *weights, char out[ATM_FINGERPRINT_TEXT])
{
    atm_status status = ATM_OK;
    XXH3_state_t *hash = XXH3_createState();
    void *block = malloc(BLOCK_BYTES);
    if (!hash || !block) TRY(atm_fail(ATM_E_MEMORY, "no memory for a fingerprint"));
    XXH3_128bits_reset(hash);
    for (size_t i = 0; i < atm_weights_file_count(weights); i++)
        TRY(add_file(atm_tensor_file_path(atm_weights_file(weights, i)), hash, block));
    write_text(XXH3_128bits_digest(hash), out);
done:
    XXH3_freeState(hash);
    free(block);
    return status;
}

atm_status atm_model_fingerprint(const atm_model_dir *dir, const char *component,
                                 char out[ATM_FINGERPRINT_TEXT])
{
    atm_params params = { 0 };
    TRY_RETURN(atm_model_dir_params(dir, component, &params));
    const atm_status status = hash_files(params.weights, out);
    atm_params_close(&params);
    return status;
}
