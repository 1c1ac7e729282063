/* manifest.h - what the files of a folder must be, in a file of its own, written last:
 *
 *     {
 *       "group0.safetensors": { "bytes": 5312, "xxh3_128": "...", "sha256": "..." },
 *       ...
 *     }
 *
 * A folder is valid when its manifest verifies.  Not when a marker file exists: markers
 * outlive half a copy, and get lost in whole ones (both have happened elsewhere). */
#ifndef ATM_TRAIN_MANIFEST_H
#define ATM_TRAIN_MANIFEST_H

#include "io/file_digest.h"

#define ATM_MANIFEST_NAME "manifest.json"

/* Of these n files of `folder`, which are complete and fsync'd. */
atm_status atm_manifest_write(const char *folder, const char *const *file, int n);

/* ATM_E_DATA: the manifest is missing, is not one that the function above writes (to the byte), or
 * a file differs; the message says which and how.  FAST looks at sizes and XXH3 alone. */
atm_status atm_manifest_verify(const char *folder, atm_digest_kind kind);

#endif
