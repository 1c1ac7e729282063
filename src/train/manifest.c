#include "train/manifest.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/read_file.h"
#include "model/model_parts.h"

enum { MAX_MANIFEST = 1 << 20 };

/* ------------------------------------------------------------------ writing */

static json_t *describe(const atm_file_digest *d)
{
    return json_pack("{s:I, s:s, s:s}", "bytes", (json_int_t)d->bytes, "xxh3_128", d->xxh3, "sha256", d->sha256);
}

static atm_status add_file(const char *folder, const char *name, json_t *root)
{
    char path[ATM_PATH_BYTES];
    atm_file_digest digest;
    TRY_RETURN(atm_model_path(path, folder, name, NULL));
    TRY_RETURN(atm_file_digest_read(path, ATM_DIGEST_FULL, &digest));
    if (json_object_set_new(root, name, describe(&digest)) == 0) return ATM_OK;
    return atm_fail(ATM_E_MEMORY, "%s: no memory for a manifest", folder);
}

atm_status atm_manifest_write(const char *folder, const char *const *file, int n)
{
    atm_status status = ATM_OK;
    char path[ATM_PATH_BYTES];
    json_t *root = json_object();
    for (int i = 0; i < n; i++) TRY(add_file(folder, file[i], root));
    TRY(atm_model_path(path, folder, ATM_MANIFEST_NAME, NULL));
    status = atm_json_write(path, root);
done:
    json_decref(root);
    return status;
}

/* ------------------------------------------------------------------ verifying */

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

/* A name must not lead out of the folder. */
static atm_status check_file(const char *folder, const char *name, const json_t *entry, atm_digest_kind kind)
{
    char path[ATM_PATH_BYTES];
    atm_file_digest d;
    if (strchr(name, '/')) return atm_fail(ATM_E_DATA, "%s: the manifest names %s", folder, name);
    TRY_RETURN(atm_model_path(path, folder, name, NULL));
    const atm_status status = atm_file_digest_read(path, kind, &d);
    if (status == ATM_E_MEMORY) return status;
    if (status != ATM_OK) return atm_fail(ATM_E_DATA, "%s", atm_error());
    const json_int_t bytes = json_integer_value(json_object_get(entry, "bytes"));
    if (d.bytes != bytes)
        return atm_fail(ATM_E_DATA, "%s: has %lld bytes, its manifest says %lld", path, (long long)d.bytes,
                        (long long)bytes);
    if (strcmp(d.xxh3, text_of(entry, "xxh3_128")) != 0)
        return atm_fail(ATM_E_DATA, "%s: its content is not what the manifest says (XXH3-128 %s, not %s)", path,
                        d.xxh3, text_of(entry, "xxh3_128"));
    if (kind == ATM_DIGEST_FULL && strcmp(d.sha256, text_of(entry, "sha256")) != 0)
        return atm_fail(ATM_E_DATA, "%s: its content is not what the manifest says (SHA-256 %s, not %s)", path,
                        d.sha256, text_of(entry, "sha256"));
    return ATM_OK;
}

/* Is this text what we write for the values in it?  Then no bit has changed unnoticed, and
 * it has not lost its end. */
static atm_status check_text(const char *path, const json_t *root, const char *text, size_t bytes)
{
    size_t n = 0;
    char *again = atm_json_print(root, &n);
    if (!again) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    const bool same = bytes == n && memcmp(again, text, n) == 0;
    free(again);
    return same && json_object_size(root) ? ATM_OK : atm_fail(ATM_E_DATA, "%s: is damaged", path);
}

static atm_status parse(const char *path, const char *text, size_t bytes, json_t **root)
{
    json_error_t error;
    *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (*root) return check_text(path, *root, text, bytes);
    if (!*error.text) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    return atm_fail(ATM_E_DATA, "%s:%d:%d: is damaged: %s", path, error.line, error.column, error.text);
}

static atm_status check_files(const char *folder, const json_t *root, atm_digest_kind kind)
{
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)(uintptr_t)root, name, entry)
        TRY_RETURN(check_file(folder, name, entry, kind));
    return ATM_OK;
}

static atm_status read_manifest(const char *path, char **text, size_t *bytes)
{
    const atm_status status = atm_read_file(path, MAX_MANIFEST, text, bytes);
    if (status == ATM_OK) return ATM_OK;
    *text = NULL;
    return status == ATM_E_MEMORY ? status : atm_fail(ATM_E_DATA, "%s", atm_error());
}

atm_status atm_manifest_verify(const char *folder, atm_digest_kind kind)
{
    atm_status status = ATM_OK;
    char path[ATM_PATH_BYTES], *text = NULL;
    size_t bytes;
    json_t *root = NULL;
    TRY(atm_model_path(path, folder, ATM_MANIFEST_NAME, NULL));
    TRY(read_manifest(path, &text, &bytes));
    TRY(parse(path, text, bytes, &root));
    TRY(check_files(folder, root, kind));
done:
    json_decref(root);
    free(text);
    return status;
}
