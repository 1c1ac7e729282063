/* config.c - from the flat list of yaml.h into the caller's struct, by the
 * table.  A new type is a row of `convert`, a row of config_print.c's `print`, and a macro. */
#define _GNU_SOURCE
#include "io/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "io/read_file.h"
#include "io/yaml.h"

enum { MAX_BYTES = 1 << 20 };

typedef struct {            /* where a value is, for its error message */
    const char *source;
    const atm_yaml_entry *entry;
    const atm_config_field *field;
} place;

/* "FILE:LINE: KEY: "VALUE" is not ALLOWED" */
static atm_status __attribute__((format(printf, 3, 4)))
refuse(const place *at, const char *value, const char *format, ...)
{
    char allowed[400];
    va_list args;
    va_start(args, format);
    vsnprintf(allowed, sizeof allowed, format, args);
    va_end(args);
    return atm_fail(ATM_E_CONFIG, "%s:%d: %s: \"%.80s\" is not %s", at->source, at->entry->line,
                    at->field->key, value, allowed);
}

static bool has_only(const char *text, const char *characters)
{
    return text[strspn(text, characters)] == '\0';
}

/* A bound of the table; comparing as double would round 2^53 + 1 down to 2^53. */
static int64_t bound(double x) { return x >= 0x1p63 ? INT64_MAX : x < -0x1p63 ? INT64_MIN : (int64_t)x; }

static atm_status integer(const place *at, const atm_yaml_item *item, int64_t *out)
{
    const atm_config_field *field = at->field;
    char *end;
    *out = 0;
    errno = 0;
    long long value = strtoll(item->text, &end, 10);
    bool is_integer = !item->quoted && *item->text && !*end && !isspace((unsigned char)*item->text) && !errno;
    if (!is_integer || value < bound(field->min) || value > bound(field->max))
        return refuse(at, item->text, "an integer from %.0f to %.0f", field->min, field->max);
    *out = value;
    return ATM_OK;
}

static atm_status to_int64(const place *at, void *out) { return integer(at, at->entry->item, out); }

static atm_status to_int(const place *at, void *out)
{
    int64_t value;
    TRY_RETURN(integer(at, at->entry->item, &value));
    *(int *)out = (int)value;
    return ATM_OK;
}

static atm_status to_double(const place *at, void *out)
{
    const atm_yaml_item *item = at->entry->item;
    const atm_config_field *field = at->field;
    double value;
    bool is_decimal = !item->quoted && has_only(item->text, "+-.0123456789eE");
    if (!is_decimal || !atm_yaml_double(item->text, &value) || !(value >= field->min && value <= field->max))
        return refuse(at, item->text, "a number from %g to %g", field->min, field->max);
    *(double *)out = value;
    return ATM_OK;
}

static atm_status to_bool(const place *at, void *out)
{
    const char *text = at->entry->item->text;
    bool yes = strcmp(text, "true") == 0;
    if (at->entry->item->quoted || (!yes && strcmp(text, "false") != 0))
        return refuse(at, text, "true or false");
    *(bool *)out = yes;
    return ATM_OK;
}

static atm_status to_text(const place *at, void *out)
{
    const char *text = at->entry->item->text;
    if (strlen(text) >= ATM_CONFIG_TEXT_MAX)
        return refuse(at, text, "a text below %d bytes", ATM_CONFIG_TEXT_MAX);
    memcpy(out, text, strlen(text) + 1);
    return ATM_OK;
}

static atm_status to_enum(const place *at, void *out)
{
    const char *text = at->entry->item->text;
    char names[300];
    size_t used = 0;
    for (int i = 0; at->field->names[i]; i++) {
        if (strcmp(text, at->field->names[i]) == 0) {
            *(int *)out = i;
            return ATM_OK;
        }
        const char *separator = i ? ", " : "";
        if (used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", separator,
                                     at->field->names[i]);
    }
    return refuse(at, text, "one of %s", names);
}

/* Items of one row. */
static atm_status to_row(const place *at, int row, atm_int_list *out)
{
    out->n = 0;
    for (size_t i = 0; i < at->entry->n; i++) {
        int64_t value;
        if (at->entry->item[i].row != row) continue;
        if (out->n == ATM_LIST_MAX)
            return refuse(at, at->entry->item[i].text, "allowed: a list holds at most %d", ATM_LIST_MAX);
        TRY_RETURN(integer(at, &at->entry->item[i], &value));
        out->v[out->n++] = (int)value;
    }
    return ATM_OK;
}

static atm_status to_ints(const place *at, void *out) { return to_row(at, 0, out); }

static atm_status to_table(const place *at, void *out)
{
    atm_int_table *table = out;
    if (at->entry->rows > ATM_LIST_MAX) return refuse(at, "...", "a list of at most %d lists", ATM_LIST_MAX);
    table->n = at->entry->rows;
    for (int i = 0; i < table->n; i++) TRY_RETURN(to_row(at, i, &table->row[i]));
    return ATM_OK;
}

static const struct {
    atm_yaml_shape shape;
    const char *name;
    atm_status (*to)(const place *at, void *out);
} convert[] = {
    [ATM_CONFIG_TYPE_INT]    = { ATM_YAML_SCALAR, "one integer",    to_int },
    [ATM_CONFIG_TYPE_INT64]  = { ATM_YAML_SCALAR, "one integer",    to_int64 },
    [ATM_CONFIG_TYPE_DOUBLE] = { ATM_YAML_SCALAR, "one number",     to_double },
    [ATM_CONFIG_TYPE_BOOL]   = { ATM_YAML_SCALAR, "true or false",  to_bool },
    [ATM_CONFIG_TYPE_TEXT]   = { ATM_YAML_SCALAR, "one text",       to_text },
    [ATM_CONFIG_TYPE_ENUM]   = { ATM_YAML_SCALAR, "one name",       to_enum },
    [ATM_CONFIG_TYPE_INTS]   = { ATM_YAML_LIST,   "a list [1, 2]",  to_ints },
    [ATM_CONFIG_TYPE_TABLE]  = { ATM_YAML_TABLE,  "a list of lists [[1, 2], [3]]", to_table },
};

/* [] is the empty form of either kind of list. */
static bool fits(const atm_yaml_entry *entry, atm_yaml_shape wanted)
{
    bool is_empty = entry->shape == ATM_YAML_LIST && entry->n == 0;
    return entry->shape == wanted || (is_empty && wanted == ATM_YAML_TABLE);
}

static atm_status unknown(const char *source, const atm_yaml_entry *entry,
                          const atm_config_field *field, size_t n)
{
    const char *near = atm_nearest(entry->key, field, n, sizeof *field);
    return atm_fail(ATM_E_CONFIG, "%s:%d: unknown key %.128s%s%s%s", source, entry->line, entry->key,
                    near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

static atm_status apply(const char *source, const atm_yaml_entry *entry,
                        const atm_config_field *field, size_t n, void *out)
{
    size_t i = 0;
    while (i < n && strcmp(field[i].key, entry->key) != 0) i++;
    if (i == n) return unknown(source, entry, field, n);
    const place at = { source, entry, &field[i] };
    if (!fits(entry, convert[field[i].type].shape))
        return refuse(&at, entry->n ? entry->item[0].text : "", "%s", convert[field[i].type].name);
    return convert[field[i].type].to(&at, (char *)out + field[i].offset);
}

static atm_status apply_all(const char *source, const atm_yaml *yaml,
                            const atm_config_field *field, size_t n, void *out)
{
    for (const atm_yaml_entry *entry = yaml->first; entry; entry = entry->next)
        if (entry->shape != ATM_YAML_GROUP) TRY_RETURN(apply(source, entry, field, n, out));
    return ATM_OK;
}

atm_status atm_config_parse(const char *text, size_t bytes, const char *source,
                            const atm_config_field *field, size_t n, void *out)
{
    atm_yaml yaml = { 0 };
    atm_status status = atm_yaml_parse(text, bytes, source, &yaml);
    if (status == ATM_OK) status = apply_all(source, &yaml, field, n, out);
    atm_yaml_free(&yaml);
    return status;
}

atm_status atm_config_load(const char *path, const atm_config_field *field, size_t n, void *out)
{
    char *text;
    size_t bytes;
    TRY_RETURN(atm_read_file(path, MAX_BYTES, &text, &bytes));
    atm_status status = atm_config_parse(text, bytes, path, field, n, out);
    free(text);
    return status;
}

/* "a.b=v" is the YAML "a.b: v". */
atm_status atm_config_override(const char *assignment, const atm_config_field *field, size_t n, void *out)
{
    const char *equals = strchr(assignment, '=');
    char *text = NULL;
    if (!equals || equals == assignment)
        return atm_fail(ATM_E_CONFIG, "\"%.80s\" is not of the form key=value", assignment);
    int bytes = asprintf(&text, "%.*s: %s", (int)(equals - assignment), assignment, equals + 1);
    if (bytes < 0) return atm_fail(ATM_E_MEMORY, "no memory for an override");
    atm_status status = atm_config_parse(text, (size_t)bytes, assignment, field, n, out);
    free(text);
    return status;
}
