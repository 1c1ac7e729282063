/* config.h - run configurations: YAML into a C struct, by a table.
 *
 *     typedef struct { int steps; double lr; atm_int_list channels; } run;
 *     static const atm_config_field field[] = {
 *         ATM_CONFIG_INT   (run, steps,    "sampler.steps", 1, 1000, "denoising steps"),
 *         ATM_CONFIG_DOUBLE(run, lr,       "train.lr",      0, 1,    "learning rate"),
 *         ATM_CONFIG_INTS  (run, channels, "unet.channels", 1, 8192, "per level"),
 *     };
 *     run r = defaults;
 *     TRY(atm_config_load("configs/nano.yaml", field, n, &r));
 *     TRY(atm_config_override("sampler.steps=20", field, n, &r));
 *
 * Groups may be written nested (unet:, then channels: below it) or dotted
 * (unet.channels:).  Anchors, aliases, tags, keys given twice and unknown keys
 * are errors (ATM_E_CONFIG) that say the line and, for a key, the nearest known
 * name; a value's error says what is allowed.  Keys that the file does not
 * mention keep the values they had. */
#ifndef ATM_IO_CONFIG_H
#define ATM_IO_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/int_list.h"

enum { ATM_CONFIG_TEXT_MAX = 512 };
typedef char atm_config_text[ATM_CONFIG_TEXT_MAX];

typedef enum {              /* C type of the member */
    ATM_CONFIG_TYPE_INT,    /* int             */
    ATM_CONFIG_TYPE_INT64,  /* int64_t         */
    ATM_CONFIG_TYPE_DOUBLE, /* double          */
    ATM_CONFIG_TYPE_BOOL,   /* bool            */
    ATM_CONFIG_TYPE_TEXT,   /* atm_config_text */
    ATM_CONFIG_TYPE_ENUM,   /* int, an index into `names` */
    ATM_CONFIG_TYPE_INTS,   /* atm_int_list    */
    ATM_CONFIG_TYPE_TABLE,  /* atm_int_table   */
} atm_config_type;

typedef struct atm_config_field {
    const char *key;                /* dotted; keep fields of one group together */
    atm_config_type type;
    size_t offset;
    double min, max;                /* of a number, or of each element of a list */
    const char *const *names;       /* enum: NULL-terminated */
    const char *help;
} atm_config_field;

/* The middle operand makes a member of the wrong C type a compile error. */
#define ATM_CONFIG_FIELD_(T, member, ctype, key_, ...) \
    { .key = (key_), __VA_ARGS__, \
      .offset = offsetof(T, member) + 0 * sizeof((ctype *)0 == &((T *)0)->member) }
#define ATM_CONFIG_INT(T, member, key, lo, hi, text) ATM_CONFIG_FIELD_(T, member, int, key, \
    .type = ATM_CONFIG_TYPE_INT, .min = (lo), .max = (hi), .help = (text))
#define ATM_CONFIG_INT64(T, member, key, lo, hi, text) ATM_CONFIG_FIELD_(T, member, int64_t, key, \
    .type = ATM_CONFIG_TYPE_INT64, .min = (lo), .max = (hi), .help = (text))    /* 0x1p63: no bound */
#define ATM_CONFIG_DOUBLE(T, member, key, lo, hi, text) ATM_CONFIG_FIELD_(T, member, double, key, \
    .type = ATM_CONFIG_TYPE_DOUBLE, .min = (lo), .max = (hi), .help = (text))
#define ATM_CONFIG_BOOL(T, member, key, text) ATM_CONFIG_FIELD_(T, member, bool, key, \
    .type = ATM_CONFIG_TYPE_BOOL, .help = (text))
#define ATM_CONFIG_TEXT(T, member, key, text) ATM_CONFIG_FIELD_(T, member, atm_config_text, key, \
    .type = ATM_CONFIG_TYPE_TEXT, .help = (text))
#define ATM_CONFIG_ENUM(T, member, key, names_, text) ATM_CONFIG_FIELD_(T, member, int, key, \
    .type = ATM_CONFIG_TYPE_ENUM, .names = (names_), .help = (text))
#define ATM_CONFIG_INTS(T, member, key, lo, hi, text) ATM_CONFIG_FIELD_(T, member, atm_int_list, key, \
    .type = ATM_CONFIG_TYPE_INTS, .min = (lo), .max = (hi), .help = (text))
#define ATM_CONFIG_TABLE(T, member, key, lo, hi, text) ATM_CONFIG_FIELD_(T, member, atm_int_table, key, \
    .type = ATM_CONFIG_TYPE_TABLE, .min = (lo), .max = (hi), .help = (text))

/* At most 1 MiB of YAML.  `out` is the struct of the table's offsets; after an
 * error its content is unspecified.  ATM_E_NOINPUT when `path` cannot be read. */
atm_status atm_config_load(const char *path, const atm_config_field *field, size_t n, void *out);
atm_status atm_config_parse(const char *yaml, size_t bytes, const char *source,
                            const atm_config_field *field, size_t n, void *out);

/* One assignment of a command line: "unet.channels=[32,64]". */
atm_status atm_config_override(const char *assignment, const atm_config_field *field, size_t n, void *out);

/* The resolved configuration as YAML, readable by atm_config_parse() with the
 * same result.  *out is the caller's to free(). */
atm_status atm_config_print(const atm_config_field *field, size_t n, const void *in, char **out);

/* The same with each key's help and allowed values as a comment behind it. */
atm_status atm_config_print_explained(const atm_config_field *field, size_t n, const void *in, char **out);

#endif
