#include "io/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory_stream.h"
#include "io/atomic_file.h"
#include "io/read_file.h"

enum { MAX_BYTES = 100000000, MAX_KEY = 256 };

static atm_status parse(const char *path, const char *text, size_t bytes, atm_json *out)
{
    json_error_t error;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (!root && !*error.text)                          /* how jansson reports most of its lack of memory */
        return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    if (!root)
        return atm_fail(ATM_E_DATA, "%s:%d:%d: %s", path, error.line, error.column, error.text);
    char *copy = json_is_object(root) ? strdup(path) : NULL;
    if (!copy) {
        atm_status status = json_is_object(root) ? atm_fail(ATM_E_MEMORY, "%s: no memory", path)
                                                 : atm_fail(ATM_E_DATA, "%s: is not a JSON object", path);
        json_decref(root);
        return status;
    }
    *out = (atm_json){ copy, root };
    return ATM_OK;
}

atm_status atm_json_load(const char *path, atm_json *out)
{
    char *text;
    size_t bytes;
    TRY_RETURN(atm_read_file(path, MAX_BYTES, &text, &bytes));
    atm_status status = parse(path, text, bytes, out);
    free(text);
    return status;
}

void atm_json_free(atm_json *json)
{
    json_decref(json->root);
    free(json->path);
    *json = (atm_json){ 0 };
}

json_t *atm_json_get(const atm_json *json, const char *key)
{
    char word[MAX_KEY];
    json_t *value = json->root;
    for (const char *p = key; value; p++) {
        size_t length = strcspn(p, ".");
        if (length >= sizeof word) return NULL;
        memcpy(word, p, length);
        word[length] = '\0';
        value = json_object_get(value, word);
        p += length;
        if (!*p) break;
    }
    return value;
}

/* "FILE: key: VALUE is not ALLOWED" */
static atm_status __attribute__((format(printf, 4, 5)))
refuse(const atm_json *json, const char *key, const json_t *value, const char *format, ...)
{
    enum { SHOWN = 60 };
    char allowed[200];
    va_list args;
    va_start(args, format);
    vsnprintf(allowed, sizeof allowed, format, args);
    va_end(args);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *shown = text ? text : "the value", *more = strlen(shown) > SHOWN ? "..." : "";
    atm_fail(ATM_E_CONFIG, "%s: %s: %.*s%s is not %s", json->path, key, SHOWN, shown, more, allowed);
    free(text);
    return ATM_E_CONFIG;
}

/* *value is NULL when there is none and none is needed. */
static atm_status get(const atm_json *json, const char *key, atm_presence presence, json_t **value)
{
    *value = atm_json_get(json, key);
    if (*value && !json_is_null(*value)) return ATM_OK;
    if (presence == ATM_REQUIRED)
        return atm_fail(ATM_E_CONFIG, "%s: the key %s is missing", json->path, key);
    *value = NULL;
    return ATM_OK;
}

static atm_status integer(const atm_json *json, const char *key, const json_t *value, int min, int max,
                          int *out)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < min || number > max)
        return refuse(json, key, value, "an integer from %d to %d", min, max);
    *out = (int)number;
    return ATM_OK;
}

atm_status atm_json_int(const atm_json *json, const char *key, atm_presence presence,
                        int min, int max, int *out)
{
    json_t *value;
    TRY_RETURN(get(json, key, presence, &value));
    return value ? integer(json, key, value, min, max, out) : ATM_OK;
}

atm_status atm_json_double(const atm_json *json, const char *key, atm_presence presence,
                           double min, double max, double *out)
{
    json_t *value;
    TRY_RETURN(get(json, key, presence, &value));
    if (!value) return ATM_OK;
    double number = json_number_value(value);
    if (!json_is_number(value) || number < min || number > max)
        return refuse(json, key, value, "a number from %g to %g", min, max);
    *out = number;
    return ATM_OK;
}

atm_status atm_json_bool(const atm_json *json, const char *key, atm_presence presence, bool *out)
{
    json_t *value;
    TRY_RETURN(get(json, key, presence, &value));
    if (!value) return ATM_OK;
    if (!json_is_boolean(value)) return refuse(json, key, value, "true or false");
    *out = json_is_true(value);
    return ATM_OK;
}

atm_status atm_json_string(const atm_json *json, const char *key, atm_presence presence, const char **out)
{
    json_t *value;
    TRY_RETURN(get(json, key, presence, &value));
    if (!value) return ATM_OK;
    if (!json_is_string(value)) return refuse(json, key, value, "a text");
    *out = json_string_value(value);
    return ATM_OK;
}

static atm_status int_list(const atm_json *json, const char *key, const json_t *value, int min, int max,
                           atm_int_list *out)
{
    if (!json_is_array(value)) {
        out->n = 1;
        return integer(json, key, value, min, max, &out->v[0]);
    }
    if (json_array_size(value) > ATM_LIST_MAX)
        return refuse(json, key, value, "a list of at most %d", ATM_LIST_MAX);
    out->n = (int)json_array_size(value);
    for (int i = 0; i < out->n; i++)
        TRY_RETURN(integer(json, key, json_array_get(value, (size_t)i), min, max, &out->v[i]));
    return ATM_OK;
}

atm_status atm_json_int_list(const atm_json *json, const char *key, atm_presence presence,
                             int min, int max, atm_int_list *out)
{
    json_t *value;
    TRY_RETURN(get(json, key, presence, &value));
    return value ? int_list(json, key, value, min, max, out) : ATM_OK;
}

static atm_status int_row(const atm_json *json, const char *key, json_t *value, int min, int max,
                          int null_value, atm_int_list *row)
{
    if (!json_is_array(value) || json_array_size(value) > ATM_LIST_MAX)
        return refuse(json, key, value, "a list of at most %d integers", ATM_LIST_MAX);
    row->n = (int)json_array_size(value);
    for (int i = 0; i < row->n; i++) {
        const json_t *item = json_array_get(value, (size_t)i);
        row->v[i] = null_value;
        if (!json_is_null(item)) TRY_RETURN(integer(json, key, item, min, max, &row->v[i]));
    }
    return ATM_OK;
}

atm_status atm_json_int_table(const atm_json *json, const char *key, atm_presence presence,
                              int min, int max, int null_value, atm_int_table *out)
{
    json_t *value;
    TRY_RETURN(get(json, key, presence, &value));
    if (!value) return ATM_OK;
    if (!json_is_array(value) || json_array_size(value) > ATM_LIST_MAX)
        return refuse(json, key, value, "a list of at most %d lists", ATM_LIST_MAX);
    if (json_array_size(value) && !json_is_array(json_array_get(value, 0))) {
        out->n = 1;
        return int_row(json, key, value, min, max, null_value, &out->row[0]);
    }
    out->n = (int)json_array_size(value);
    for (int i = 0; i < out->n; i++)
        TRY_RETURN(int_row(json, key, json_array_get(value, (size_t)i), min, max, null_value, &out->row[i]));
    return ATM_OK;
}

/* Not json_dumps(): where memory runs out for a moment, it leaves out a key and goes on
 * (jansson 2.14). */
char *atm_json_print(const json_t *root, size_t *bytes)
{
    char *text;
    FILE *out = atm_memory_stream(&text, bytes);
    if (!out) return NULL;
    const bool printed = json_dumpf(root, out, JSON_INDENT(2)) == 0;
    fputc('\n', out);
    if (fclose(out) == 0 && printed) return text;
    free(text);
    return NULL;
}

atm_status atm_json_write(const char *path, const json_t *root)
{
    size_t bytes;
    char *text = atm_json_print(root, &bytes);
    if (!text) return atm_fail(ATM_E_MEMORY, "%s: no memory, or JSON that is not UTF-8", path);
    const atm_status status = atm_atomic_write_file(path, text, bytes);
    free(text);
    return status;
}
