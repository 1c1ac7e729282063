/* pairs_jsonl.c - pair tables with a JSON object a line. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "prepare/pairs_format.h"

/* Numbers are taken where a text is meant, and the other way round; null is nothing. */
static atm_status set_value(const atm_pair_reader *r, const char *key, const json_t *value, atm_pair_row *row)
{
    char number[32];
    const char *text = json_string_value(value);
    int column;
    TRY_RETURN(atm_pairs_column(r, key, &column));
    if (json_is_null(value)) return ATM_OK;
    if (json_is_number(value)) {
        snprintf(number, sizeof number, "%.17g", json_number_value(value));
        text = number;
    }
    if (!text) return atm_pairs_broken(r, "\"%s\" must be a text or a number", key);
    return atm_pairs_set(r, column, text, row);
}

static atm_status read_object(const atm_pair_reader *r, json_t *root)
{
    atm_pair_row row = atm_pairs_row(r);
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) TRY_RETURN(set_value(r, key, value, &row));
    return atm_pairs_row_end(r, &row);
}

static atm_status read_line(const atm_pair_reader *r, const char *text, size_t length)
{
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    const atm_status status = json_is_object(root) ? read_object(r, root)
                            : atm_pairs_broken(r, "%s", root ? "must be a JSON object" : error.text);
    json_decref(root);
    return status;
}

atm_status atm_pairs_parse_jsonl(atm_pair_reader *r, char *text)
{
    for (; *text; r->line++) {
        const size_t length = strcspn(text, "\n");
        if (strspn(text, " \t\r") < length) TRY_RETURN(read_line(r, text, length));
        text += length + (text[length] == '\n');
    }
    return ATM_OK;
}
