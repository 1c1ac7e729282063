#include "train/provenance.h"

#include <stdlib.h>
#include <string.h>

static atm_value_rows *find(atm_values *values, const char *text)
{
    for (int i = 0; i < values->n; i++)
        if (strcmp(values->value[i].text, text) == 0) return &values->value[i];
    return NULL;
}

static atm_status count(atm_values *values, const char *text)
{
    atm_value_rows *known = find(values, text);
    if (known) known->rows++;
    else if (values->n == ATM_VALUES_MAX) values->other_rows++;
    else {
        char *copy = strdup(text);
        if (!copy) return atm_fail(ATM_E_MEMORY, "no memory to count values");
        values->value[values->n++] = (atm_value_rows){ copy, 1 };
    }
    return ATM_OK;
}

static int most_rows_first(const void *a, const void *b)
{
    const atm_value_rows *x = a, *y = b;
    return x->rows != y->rows ? (x->rows < y->rows) - (x->rows > y->rows) : strcmp(x->text, y->text);
}

atm_status atm_values_count(const atm_dataset *dataset, const char *column, atm_values *out)
{
    const atm_column *c = atm_dataset_find(dataset, column);
    *out = (atm_values){ 0 };
    if (!c || !c->text) return ATM_OK;
    char *text = calloc(c->row_bytes + 1, 1);           /* a full row has no zero byte of its own */
    atm_status status = text ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a row of %s", column);
    for (size_t row = 0; row < c->rows && status == ATM_OK; row++) {
        status = atm_dataset_read(dataset, c, row, text);
        if (status == ATM_OK) status = count(out, text);
    }
    free(text);
    qsort(out->value, (size_t)out->n, sizeof *out->value, most_rows_first);
    if (status != ATM_OK) atm_values_free(out);
    return status;
}

void atm_values_free(atm_values *values)
{
    for (int i = 0; i < values->n; i++) free(values->value[i].text);
    *values = (atm_values){ 0 };
}
