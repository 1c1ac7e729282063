/* dataset_table.h - what a dataset holds, without the file: columns, attributes, fingerprint.
 *
 * Private to dataset_*.c.  The writer fills one from declarations, the reader from a file; both
 * compute the fingerprint of docs/DATASET.md from it, so that they cannot disagree. */
#ifndef ATM_DATA_DATASET_TABLE_H
#define ATM_DATA_DATASET_TABLE_H

#include "base/arena.h"
#include "data/dataset.h"

#define ATM_DATASET_SCHEMA "arttomus-dataset-1"     /* the attribute "schema"; 1: ATM_DATASET_VERSION */

#define ATM_DATASET_COMPANION ".xxh3"               /* clips/mel.xxh3: hashes of the rows of clips/mel */

enum { ATM_DATASET_GROUPS = 3, ATM_DATASET_COLUMNS = 128, ATM_DATASET_ATTRIBUTES = 64,
       ATM_DATASET_NAME = 63,                       /* bytes of a name                                   */
       ATM_DATASET_TEXT = 32768 };                  /* of an attribute; HDF5 keeps it in a 64 KiB header */

extern const char *const atm_dataset_groups[ATM_DATASET_GROUPS + 1];    /* artworks, clips, pairs, NULL */

typedef struct {
    atm_column column;                  /* first: an atm_column * of ours is an atm_dataset_entry * */
    uint64_t *hash;                     /* [rows] XXH3-64; reader: NULL until its companion is found */
    uint64_t hash_offset;
    bool *put;                          /* [rows] writer only */
} atm_dataset_entry;

typedef struct { const char *name, *text; } atm_dataset_attr;

typedef struct {
    atm_dataset_entry *entry[ATM_DATASET_COLUMNS];
    atm_dataset_attr attribute[ATM_DATASET_ATTRIBUTES];
    int n_entries, n_attributes;
    atm_arena arena;                    /* owns all of it */
} atm_dataset_table;

/* 1 to 63 letters, digits and underscores. */
bool atm_dataset_is_name(const char *name);
/* At least one byte, all of printable ASCII: what a file says may then be quoted in one line. */
bool atm_dataset_is_printable(const char *text, size_t n);

/* Copies `column`, computes its row_bytes, and makes room for its hashes.  ATM_E_DATA: a name, shape or
 * size that no dataset has, or one of that name is there. */
atm_status atm_dataset_add(atm_dataset_table *table, const atm_column *column, atm_dataset_entry **out);

atm_dataset_entry *atm_dataset_entry_of(const atm_dataset_table *table, const char *name);  /* NULL: none */

/* Adds or replaces an attribute.  ATM_E_DATA: not a name, too long, or not UTF-8. */
atm_status atm_dataset_table_set(atm_dataset_table *table, const char *name, const char *text);
const char *atm_dataset_table_get(const atm_dataset_table *table, const char *name);        /* NULL: none */

/* All columns of a group have the same number of rows; pairs has its three columns. */
atm_status atm_dataset_table_check(const atm_dataset_table *table);

/* 32 hex digits of XXH3-128; sorts columns and attributes by name. */
atm_status atm_dataset_table_fingerprint(atm_dataset_table *table, char out[33]);

/* rows * row_bytes of a column that atm_dataset_add() has accepted. */
static inline size_t atm_column_bytes(const atm_column *column) { return column->rows * column->row_bytes; }

#endif
