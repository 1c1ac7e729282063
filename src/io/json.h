/* json.h - range-checked reading of JSON files (jansson below), and writing.
 *
 * For the config.json files of the HF layout.  A key may be a path:
 * "vision_config.hidden_size".  Every error names the file, the key, the value
 * found and what was allowed. */
#ifndef ATM_IO_JSON_H
#define ATM_IO_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"
#include "io/int_list.h"

typedef struct atm_json { char *path; json_t *root; } atm_json;      /* {0} is empty */

/* The root must be an object; no key twice; at most 100 MB.
 * ATM_E_NOINPUT when `path` cannot be read, ATM_E_DATA (file, line, column) when broken. */
atm_status atm_json_load(const char *path, atm_json *out);
void       atm_json_free(atm_json *json);                            /* back to {0} */

/* With ATM_OPTIONAL, a key that is absent or null leaves *out as it was: set
 * the default before.  ATM_E_CONFIG on a missing key, a wrong type or a value
 * outside min..max. */
typedef enum { ATM_REQUIRED, ATM_OPTIONAL } atm_presence;

atm_status atm_json_int(const atm_json *json, const char *key, atm_presence presence,
                        int min, int max, int *out);
atm_status atm_json_double(const atm_json *json, const char *key, atm_presence presence,
                           double min, double max, double *out);     /* integers are taken too */
atm_status atm_json_bool(const atm_json *json, const char *key, atm_presence presence, bool *out);
atm_status atm_json_string(const atm_json *json, const char *key, atm_presence presence,
                           const char **out);                        /* lives as long as `json` */

/* A lone number is a list of one.  The table takes [1, 2] for [[1, 2]]; null
 * inside a table becomes `null_value`. */
atm_status atm_json_int_list(const atm_json *json, const char *key, atm_presence presence,
                             int min, int max, atm_int_list *out);
atm_status atm_json_int_table(const atm_json *json, const char *key, atm_presence presence,
                              int min, int max, int null_value, atm_int_table *out);

/* The raw value, or NULL: for what the functions above cannot say. */
json_t *atm_json_get(const atm_json *json, const char *key);

/* Indented JSON and a newline; the caller's to free().  NULL: no memory, or text that is not UTF-8. */
char *atm_json_print(const json_t *root, size_t *bytes);

/* Writes the same, atomically (atomic_file.h). */
atm_status atm_json_write(const char *path, const json_t *root);

#endif
