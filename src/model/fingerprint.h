/* fingerprint.h - which weights, which file: XXH3-128 of their bytes, as text.
 * Says whether a dataset's embeddings and latents were made by the model at hand. */
#ifndef ATM_MODEL_FINGERPRINT_H
#define ATM_MODEL_FINGERPRINT_H

#include "base/status.h"
#include "model/model_dir.h"

enum { ATM_FINGERPRINT_TEXT = 33 };         /* 32 hex digits and the end */

void atm_fingerprint_bytes(const void *data, size_t bytes, char out[ATM_FINGERPRINT_TEXT]);

/* Of all weights files of a component ("vae-encoder"; component.h), one after the other.
 * Components in one folder share them, so "vae-decoder" gives the same.
 * ATM_E_USAGE: no such component; ATM_E_NOINPUT: a file cannot be read. */
atm_status atm_model_fingerprint(const atm_model_dir *dir, const char *component,
                                 char out[ATM_FINGERPRINT_TEXT]);

#endif
