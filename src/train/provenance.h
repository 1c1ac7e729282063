/* provenance.h - where a dataset's rows come from, and under which licences: what a model card
 * owes to those whose works a model has learnt from. */
#ifndef ATM_TRAIN_PROVENANCE_H
#define ATM_TRAIN_PROVENANCE_H

#include "data/dataset.h"

enum { ATM_VALUES_MAX = 256 };              /* different ones that are told apart */

typedef struct { char *text; size_t rows; } atm_value_rows;

typedef struct {
    atm_value_rows value[ATM_VALUES_MAX];   /* most rows first; "" is a value too */
    int n;
    size_t other_rows;                      /* with still other values            */
} atm_values;

/* The different values of a text column, e.g. "clips/licence".  No such column: none.
 * ATM_E_DATA as atm_dataset_read. */
atm_status atm_values_count(const atm_dataset *dataset, const char *column, atm_values *out);
void       atm_values_free(atm_values *values);             /* back to {0} */

#endif
