/* pairs_format.h - what the formats of pair tables share; for pairs*.c alone. */
#ifndef ATM_PREPARE_PAIRS_FORMAT_H
#define ATM_PREPARE_PAIRS_FORMAT_H

#include "prepare/pairs.h"

enum { ATM_PAIR_COLUMNS = 8, ATM_PAIR_TEXT_MAX = 4096 };

typedef struct {
    atm_pair_list *list;
    const char *path;
    int line;                           /* where the reader is, from 1 */
} atm_pair_reader;

/* ATM_E_DATA "path:line: ...". */
atm_status atm_pairs_broken(const atm_pair_reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The column called `name`, 0 .. ATM_PAIR_COLUMNS - 1. */
atm_status atm_pairs_column(const atm_pair_reader *r, const char *name, int *out);
const char *atm_pairs_column_name(int column);

/* Puts a cell's text into the row; copies it. */
atm_status atm_pairs_set(const atm_pair_reader *r, int column, const char *text, atm_pair_row *row);

/* The row that the next cells go into, and its end. */
atm_pair_row atm_pairs_row(const atm_pair_reader *r);
atm_status   atm_pairs_row_end(const atm_pair_reader *r, const atm_pair_row *row);

/* `text` [bytes], which is valid UTF-8 without zero bytes, and ends in one. */
atm_status atm_pairs_parse_csv(atm_pair_reader *r, char *text);
atm_status atm_pairs_parse_tsv(atm_pair_reader *r, char *text);
atm_status atm_pairs_parse_jsonl(atm_pair_reader *r, char *text);

#endif
