#include "model/config_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/hf_config.h"

enum { KEY_BYTES = 128 };

/* "a, b, c" */
static const char *list(char *text, size_t bytes, const char *const *names)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; names[i] && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", names[i]);
    return text;
}

static atm_status read_enum(const atm_json *json, const char *key, const atm_field *f, int *out)
{
    const char *word = NULL;
    char known[256];
    TRY_RETURN(atm_json_string(json, key, f->presence, &word));
    if (!word) return ATM_OK;
    for (int i = 0; f->names[i]; i++)
        if (strcmp(word, f->names[i]) == 0) {
            *out = i;
            return ATM_OK;
        }
    return atm_fail(ATM_E_CONFIG, "%s: '%s' is \"%.100s\"; known: %s", json->path, key, word,
                    list(known, sizeof known, f->names));
}

static atm_status read_float(const atm_json *json, const char *key, const atm_field *f, float *out)
{
    double wide = (double)*out;
    TRY_RETURN(atm_json_double(json, key, f->presence, f->min, f->max, &wide));
    *out = (float)wide;
    return ATM_OK;
}

static atm_status read_field(const atm_json *json, const char *key, const atm_field *f, void *at)
{
    switch (f->kind) {
    case ATM_FIELD_KIND_INT:    return atm_json_int(json, key, f->presence, (int)f->min, (int)f->max, at);
    case ATM_FIELD_KIND_DOUBLE: return atm_json_double(json, key, f->presence, f->min, f->max, at);
    case ATM_FIELD_KIND_FLOAT:  return read_float(json, key, f, at);
    case ATM_FIELD_KIND_BOOL:   return atm_json_bool(json, key, f->presence, at);
    case ATM_FIELD_KIND_ENUM:   return read_enum(json, key, f, at);
    default:                    return atm_hf_expect(json, &(atm_hf_fixed){ key, { f->literal } }, 1);
    }
}

atm_status atm_fields_read(const atm_json *json, const char *group, const atm_field *field, size_t n,
                           void *out)
{
    for (size_t i = 0; i < n; i++) {
        char key[KEY_BYTES];
        snprintf(key, sizeof key, "%s%s%s", group ? group : "", group ? "." : "", field[i].key);
        TRY_RETURN(read_field(json, key, &field[i], (char *)out + field[i].offset));
    }
    return ATM_OK;
}

/* A float as the shortest decimal that gives it back: 1e-05, not 9.99999974e-06. */
static json_t *short_real(float x)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    return json_real(strtod(text, NULL));
}

static json_t *value_of(const atm_field *f, const void *at)
{
    switch (f->kind) {
    case ATM_FIELD_KIND_INT:    return json_integer(*(const int *)at);
    case ATM_FIELD_KIND_DOUBLE: return json_real(*(const double *)at);
    case ATM_FIELD_KIND_FLOAT:  return short_real(*(const float *)at);
    case ATM_FIELD_KIND_BOOL:   return json_boolean(*(const bool *)at);
    case ATM_FIELD_KIND_ENUM:   return json_string(f->names[*(const int *)at]);
    default:                    return json_loads(f->literal, JSON_DECODE_ANY, NULL);
    }
}

void atm_fields_write(json_t *object, const atm_field *field, size_t n, const void *in)
{
    for (size_t i = 0; i < n; i++)
        json_object_set_new(object, field[i].key, value_of(&field[i], (const char *)in + field[i].offset));
}
