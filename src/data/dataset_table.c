/* dataset_table.c - see dataset_table.h. */
#include "data/dataset_table.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/size.h"
#include "io/utf8.h"

const char *const atm_split_names[ATM_SPLITS + 1] = { "train", "validation", "test", NULL };
const char *const atm_dataset_groups[ATM_DATASET_GROUPS + 1] = { "artworks", "clips", "pairs", NULL };

static const char *const pair_columns[] = { "pairs/artwork", "pairs/clip", "pairs/split", NULL };

/* ------------------------------------------------------------------ columns */

/* A dot would be a companion, a slash another group. */
bool atm_dataset_is_name(const char *name)
{
    const size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_') return false;
    return n > 0 && n <= ATM_DATASET_NAME;
}

bool atm_dataset_is_printable(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] < ' ' || text[i] > '~') return false;
    return n > 0;
}

/* Where the name goes on after "group/"; NULL: it is in none of our groups. */
static const char *after_group(const char *name)
{
    for (const char *const *group = atm_dataset_groups; *group; group++) {
        const size_t n = strlen(*group);
        if (strncmp(name, *group, n) == 0 && name[n] == '/') return name + n + 1;
    }
    return NULL;
}

static bool row_size(const atm_column *c, size_t *out)
{
    size_t bytes = atm_dtype_size(c->dtype), all;
    for (int i = 0; i < c->rank; i++)
        if (c->dim[i] < 1 || !atm_mul_size(bytes, (size_t)c->dim[i], &bytes)) return false;
    if (!atm_mul_size(bytes, c->rows, &all) || all > (size_t)INT64_MAX) return false;
    *out = bytes;
    return true;
}

static atm_status check_column(const atm_column *c, size_t *row_bytes)
{
    const char *rest = after_group(c->name);
    if (!rest || !atm_dataset_is_name(rest))
        return atm_fail(ATM_E_DATA, "%s: not a column's name; those are artworks/x, clips/x or pairs/x, x "
                        "being 1 to %d letters, digits and underscores", c->name, ATM_DATASET_NAME);
    if (c->rank < 0 || c->rank > ATM_COLUMN_MAX_RANK || (c->text && (c->rank != 1 || c->dtype != ATM_U8)))
        return atm_fail(ATM_E_DATA, "%s: a row of rank %d; 0 to %d are possible, 1 for text", c->name,
                        c->rank, ATM_COLUMN_MAX_RANK);
    if (c->rows > INT32_MAX || !row_size(c, row_bytes))
        return atm_fail(ATM_E_DATA, "%s: %zu rows of a size that is zero or too large", c->name, c->rows);
    return ATM_OK;
}

atm_dataset_entry *atm_dataset_entry_of(const atm_dataset_table *table, const char *name)
{
    for (int i = 0; i < table->n_entries; i++)
        if (strcmp(table->entry[i]->column.name, name) == 0) return table->entry[i];
    return NULL;
}

atm_status atm_dataset_add(atm_dataset_table *table, const atm_column *column, atm_dataset_entry **out)
{
    size_t row_bytes = 0;
    TRY_RETURN(check_column(column, &row_bytes));
    if (atm_dataset_entry_of(table, column->name))
        return atm_fail(ATM_E_DATA, "%s: the column is there twice", column->name);
    if (table->n_entries == ATM_DATASET_COLUMNS)
        return atm_fail(ATM_E_DATA, "%s: more than %d columns", column->name, ATM_DATASET_COLUMNS);
    atm_dataset_entry *entry = atm_arena_alloc(&table->arena, 1, sizeof *entry);
    const char *name = atm_arena_strdup(&table->arena, column->name);
    if (!entry || !name) return atm_fail(ATM_E_MEMORY, "%s: out of memory", column->name);
    entry->column = *column;
    entry->column.name = name;
    entry->column.row_bytes = row_bytes;
    table->entry[table->n_entries++] = entry;
    *out = entry;
    return ATM_OK;
}

/* ------------------------------------------------------------------ attributes */

static atm_dataset_attr *find_attribute(const atm_dataset_table *table, const char *name)
{
    for (int i = 0; i < table->n_attributes; i++)
        if (strcmp(table->attribute[i].name, name) == 0) return (atm_dataset_attr *)&table->attribute[i];
    return NULL;
}

const char *atm_dataset_table_get(const atm_dataset_table *table, const char *name)
{
    const atm_dataset_attr *found = find_attribute(table, name);
    return found ? found->text : NULL;
}

atm_status atm_dataset_table_set(atm_dataset_table *table, const char *name, const char *text)
{
    const size_t n = strlen(text);
    if (!atm_dataset_is_name(name) || n > ATM_DATASET_TEXT || !atm_utf8_valid(text, n))
        return atm_fail(ATM_E_DATA, "attribute %s: its name must be letters, digits and underscores, its "
                        "text UTF-8 of at most %d bytes", name, ATM_DATASET_TEXT);
    atm_dataset_attr *found = find_attribute(table, name);
    if (!found && table->n_attributes == ATM_DATASET_ATTRIBUTES)
        return atm_fail(ATM_E_DATA, "attribute %s: more than %d attributes", name, ATM_DATASET_ATTRIBUTES);
    const atm_dataset_attr copy = { found ? found->name : atm_arena_strdup(&table->arena, name),
                                    atm_arena_strdup(&table->arena, text) };
    if (!copy.name || !copy.text) return atm_fail(ATM_E_MEMORY, "attribute %s: out of memory", name);
    *(found ? found : &table->attribute[table->n_attributes++]) = copy;
    return ATM_OK;
}

/* ------------------------------------------------------------------ the whole */

static size_t group_length(const char *name) { return (size_t)(after_group(name) - name); }

static atm_status check_pairs(const atm_dataset_table *table)
{
    for (const char *const *name = pair_columns; *name; name++) {
        const atm_dataset_entry *e = atm_dataset_entry_of(table, *name);
        if (!e) return atm_fail(ATM_E_DATA, "there is no column %s", *name);
        if (e->column.text || e->column.rank != 0 || atm_dtype_is_float(e->column.dtype))
            return atm_fail(ATM_E_DATA, "%s: must be one whole number a row", *name);
    }
    return ATM_OK;
}

atm_status atm_dataset_table_check(const atm_dataset_table *table)
{
    for (int i = 0; i < table->n_entries; i++)
        for (int k = 0; k < i; k++) {
            const atm_column *a = &table->entry[k]->column, *b = &table->entry[i]->column;
            const size_t n = group_length(a->name);
            if (strncmp(a->name, b->name, n) == 0 && a->rows != b->rows)
                return atm_fail(ATM_E_DATA, "%s has %zu rows, %s has %zu; all columns of a group must have "
                                "the same number", a->name, a->rows, b->name, b->rows);
        }
    return check_pairs(table);
}

static int entries_by_name(const void *a, const void *b)
{
    return strcmp((*(atm_dataset_entry *const *)a)->column.name,
                  (*(atm_dataset_entry *const *)b)->column.name);
}

static int attributes_by_name(const void *a, const void *b)
{
    return strcmp(((const atm_dataset_attr *)a)->name, ((const atm_dataset_attr *)b)->name);
}

/* "clips/mel F32 120 1024x64\n", then the hashes of its rows. */
static void digest_column(XXH3_state_t *state, const atm_dataset_entry *entry)
{
    char line[256];
    const atm_column *c = &entry->column;
    int n = snprintf(line, sizeof line, "%s %s %zu ", c->name, c->text ? "TEXT" : atm_dtype_name(c->dtype),
                     c->rows);
    for (int i = 0; i < c->rank; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, "%s%d", i ? "x" : "", c->dim[i]);
    line[n++] = '\n';
    XXH3_128bits_update(state, line, (size_t)n);
    XXH3_128bits_update(state, entry->hash, c->rows * sizeof *entry->hash);
}

/* "@model 12\n", then the text. */
static void digest_attribute(XXH3_state_t *state, const atm_dataset_attr *a)
{
    char line[128];
    const size_t length = strlen(a->text);
    if (strcmp(a->name, "fingerprint") == 0) return;            /* that is what this is computed for */
    const int n = snprintf(line, sizeof line, "@%s %zu\n", a->name, length);
    XXH3_128bits_update(state, line, (size_t)n);
    XXH3_128bits_update(state, a->text, length);
}

atm_status atm_dataset_table_fingerprint(atm_dataset_table *table, char out[33])
{
    XXH3_state_t *state = XXH3_createState();
    if (!state) return atm_fail(ATM_E_MEMORY, "out of memory for a fingerprint");
    XXH3_128bits_reset(state);
    qsort(table->entry, (size_t)table->n_entries, sizeof table->entry[0], entries_by_name);
    qsort(table->attribute, (size_t)table->n_attributes, sizeof table->attribute[0], attributes_by_name);
    for (int i = 0; i < table->n_entries; i++) digest_column(state, table->entry[i]);
    for (int i = 0; i < table->n_attributes; i++) digest_attribute(state, &table->attribute[i]);
    const XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    return ATM_OK;
}
