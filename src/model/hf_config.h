/* hf_config.h - pieces for reading and writing config.json of the HF layout that
 * the table of config_fields.h has no row for: fixed values, and values for
 * every level of a network. */
#ifndef ATM_MODEL_HF_CONFIG_H
#define ATM_MODEL_HF_CONFIG_H

#include "io/json.h"

/* A key with the values, as JSON texts, that the code implements. */
typedef struct { const char *key, *allowed[3]; } atm_hf_fixed;

/* Absent keys have the reference's default, which is what we do.  ATM_E_CONFIG naming
 * file, key and value when it is another than the allowed ones. */
atm_status atm_hf_expect(const atm_json *json, const atm_hf_fixed *fixed, int n);

/* "block_out_channels": 1 to `most` levels; `groups` (of the norms) must divide each. */
atm_status atm_hf_channels(const atm_json *json, int most, int groups, int *levels, int *channels);

/* A number from 1 to max for each of n levels; a lone number holds for all.
 * Absent or null: *out stays. */
atm_status atm_hf_levels(const atm_json *json, const char *key, int n, int max, int *out);

/* Block types of n levels, each `no` or `yes`: out[i] = it is `yes`.  Absent: all are `no`. */
atm_status atm_hf_block_types(const atm_json *json, const char *key, int n, const char *no, const char *yes,
                              bool *out);

/* ---- writing: new JSON values, NULL when memory is out ---- */

json_t *atm_hf_ints_json(const int *v, int n);
json_t *atm_hf_block_types_json(const bool *is_yes, int n, const char *no, const char *yes);

#endif
