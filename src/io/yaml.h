/* yaml.h - the part of YAML that configurations need, flattened:
 *
 *     unet:                               unet           line 1  GROUP
 *       channels: [32, 64]          ->    unet.channels  line 2  LIST   32 64
 *       dilation: [[1, 3], [5]]           unet.dilation  line 3  TABLE  1 3 | 5
 *
 * libyaml's event interface below.  Refused: anchors and aliases (they can grow a
 * file a billionfold), tags, keys given twice, empty groups, more than one
 * document, and anything nested deeper than 8. */
#ifndef ATM_IO_YAML_H
#define ATM_IO_YAML_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/status.h"

typedef enum { ATM_YAML_SCALAR, ATM_YAML_LIST, ATM_YAML_TABLE, ATM_YAML_GROUP } atm_yaml_shape;

typedef struct atm_yaml_item {
    const char *text;
    bool quoted;                        /* "1" is a text, 1 a number */
    int row;                            /* of a table; else 0 */
} atm_yaml_item;

typedef struct atm_yaml_entry {
    const char *key;                    /* dotted path */
    int line;                           /* from 1 */
    atm_yaml_shape shape;
    size_t n;
    atm_yaml_item *item;                /* one for a scalar */
    int rows;                           /* of a table */
    struct atm_yaml_entry *next;        /* in the file's order */
} atm_yaml_entry;

typedef struct atm_yaml { atm_yaml_entry *first, *last; atm_arena arena; } atm_yaml;     /* {0} is empty */

/* ATM_E_CONFIG with source, line and reason.  Free `out` in any case. */
atm_status atm_yaml_parse(const char *text, size_t bytes, const char *source, atm_yaml *out);
void       atm_yaml_free(atm_yaml *yaml);

/* Finite decimal numbers, whatever the locale's decimal point is.  Printing uses
 * as few digits as give the same number back. */
enum { ATM_YAML_DOUBLE_TEXT = 32 };
bool atm_yaml_double(const char *text, double *out);
void atm_yaml_print_double(char text[ATM_YAML_DOUBLE_TEXT], double value);

#endif
