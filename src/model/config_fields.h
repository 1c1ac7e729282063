/* config_fields.h - a network's config.json, both ways, by one table.
 *
 *     static const atm_field fields[] = {
 *         ATM_FIELD_INT  (atm_gpt2_config, n_layer, 1, 64, ATM_REQUIRED),
 *         ATM_FIELD_FLOAT(atm_gpt2_config, layer_norm_epsilon, 0, 1, ATM_OPTIONAL),
 *         ATM_FIELD_FIXED("activation_function", "\"gelu_new\""),
 *     };
 *
 * The JSON key is the member's name.  A FIXED key has the one value that the code
 * implements: another value in the file is an error, never ignored. */
#ifndef ATM_MODEL_CONFIG_FIELDS_H
#define ATM_MODEL_CONFIG_FIELDS_H

#include <stddef.h>

#include "io/json.h"

typedef enum {
    ATM_FIELD_KIND_INT, ATM_FIELD_KIND_DOUBLE, ATM_FIELD_KIND_FLOAT, ATM_FIELD_KIND_BOOL,
    ATM_FIELD_KIND_ENUM,            /* an enum or int, index into `names` */
    ATM_FIELD_KIND_FIXED,
} atm_field_kind;

typedef struct {
    const char *key;
    atm_field_kind kind;
    size_t offset;
    double min, max;
    atm_presence presence;          /* optional: the struct keeps its value */
    const char *const *names;       /* enum: NULL ends                      */
    const char *literal;            /* fixed: JSON text                     */
} atm_field;

/* The middle operand makes a member of the wrong C type a compile error. */
#define ATM_FIELD_(T, member, ctype, ...) \
    { .key = #member, .offset = offsetof(T, member) + 0 * sizeof((ctype *)0 == &((T *)0)->member), \
      __VA_ARGS__ }
#define ATM_FIELD_INT(T, member, lo, hi, needed) ATM_FIELD_(T, member, int, \
    .kind = ATM_FIELD_KIND_INT, .min = (lo), .max = (hi), .presence = (needed))
#define ATM_FIELD_DOUBLE(T, member, lo, hi, needed) ATM_FIELD_(T, member, double, \
    .kind = ATM_FIELD_KIND_DOUBLE, .min = (lo), .max = (hi), .presence = (needed))
#define ATM_FIELD_FLOAT(T, member, lo, hi, needed) ATM_FIELD_(T, member, float, \
    .kind = ATM_FIELD_KIND_FLOAT, .min = (lo), .max = (hi), .presence = (needed))
#define ATM_FIELD_BOOL(T, member, needed) ATM_FIELD_(T, member, bool, \
    .kind = ATM_FIELD_KIND_BOOL, .presence = (needed))
#define ATM_FIELD_ENUM(T, member, names_, needed) \
    { .key = #member, .offset = offsetof(T, member), .kind = ATM_FIELD_KIND_ENUM, .names = (names_), \
      .presence = (needed) }
#define ATM_FIELD_FIXED(key_, literal_) { .key = (key_), .kind = ATM_FIELD_KIND_FIXED, .literal = (literal_) }

#define ATM_N_FIELDS(table) (sizeof(table) / sizeof((table)[0]))

/* Keys are looked up below `group` ("vision_config", or NULL for the root).  `out` is
 * the struct of the offsets, holding the defaults.  ATM_E_CONFIG: file, key, value. */
atm_status atm_fields_read(const atm_json *json, const char *group, const atm_field *field, size_t n,
                           void *out);

/* Sets the keys in `object`. */
void atm_fields_write(json_t *object, const atm_field *field, size_t n, const void *in);

#endif
