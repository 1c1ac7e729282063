/* hf_config.c - see hf_config.h. */
#include "model/hf_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { MAX_CHANNELS = 1 << 15, N_ALLOWED = sizeof ((atm_hf_fixed *)0)->allowed / sizeof(char *) };

/* ------------------------------------------------------------------ fixed values */

static bool equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static bool is_allowed(const json_t *value, const atm_hf_fixed *fixed)
{
    bool allowed = false;
    for (int i = 0; i < N_ALLOWED && fixed->allowed[i] && !allowed; i++) {
        json_t *one = json_loads(fixed->allowed[i], JSON_DECODE_ANY, NULL);
        allowed = equal(value, one);
        json_decref(one);
    }
    return allowed;
}

atm_status atm_hf_expect(const atm_json *json, const atm_hf_fixed *fixed, int n)
{
    for (int i = 0; i < n; i++) {
        const json_t *value = atm_json_get(json, fixed[i].key);
        if (!value || is_allowed(value, &fixed[i])) continue;
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        atm_fail(ATM_E_CONFIG, "%s: '%s' is %.200s; implemented is %s", json->path, fixed[i].key,
                 text ? text : "?", fixed[i].allowed[0]);
        free(text);
        return ATM_E_CONFIG;
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ numbers */

atm_status atm_hf_channels(const atm_json *json, int most, int groups, int *levels, int *channels)
{
    static const char key[] = "block_out_channels";
    atm_int_list list;
    TRY_RETURN(atm_json_int_list(json, key, ATM_REQUIRED, 1, MAX_CHANNELS, &list));
    if (list.n < 1 || list.n > most)
        return atm_fail(ATM_E_CONFIG, "%s: '%s' has %d levels; 1 to %d are implemented",
                        json->path, key, list.n, most);
    for (int i = 0; i < list.n; i++)
        if (list.v[i] % groups)
            return atm_fail(ATM_E_CONFIG, "%s: 'norm_num_groups' %d does not divide the %d channels of level"
                            " %d", json->path, groups, list.v[i], i);
    *levels = list.n;
    memcpy(channels, list.v, (size_t)list.n * sizeof *list.v);
    return ATM_OK;
}

atm_status atm_hf_levels(const atm_json *json, const char *key, int n, int max, int *out)
{
    atm_int_list list = { 0 };
    const json_t *value = atm_json_get(json, key);
    if (!value || json_is_null(value)) return ATM_OK;
    TRY_RETURN(atm_json_int_list(json, key, ATM_REQUIRED, 1, max, &list));
    if (list.n != 1 && list.n != n)
        return atm_fail(ATM_E_CONFIG, "%s: '%s' has %d values for %d levels", json->path, key, list.n, n);
    for (int i = 0; i < n; i++) out[i] = list.v[list.n == 1 ? 0 : i];
    return ATM_OK;
}

json_t *atm_hf_ints_json(const int *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, json_integer(v[i]));
    return list;
}

/* ------------------------------------------------------------------ block types */

static atm_status block_type(const atm_json *json, const char *key, const json_t *value, const char *no,
                             const char *yes, bool *out)
{
    const char *text = json_string_value(value);
    if (!text) return atm_fail(ATM_E_CONFIG, "%s: '%s' must be a list of names", json->path, key);
    *out = strcmp(text, yes) == 0;
    if (*out || strcmp(text, no) == 0) return ATM_OK;
    return atm_fail(ATM_E_CONFIG, "%s: '%s' has \"%.100s\"; known: %s%s%s", json->path, key, text, no,
                    strcmp(no, yes) ? ", " : "", strcmp(no, yes) ? yes : "");
}

atm_status atm_hf_block_types(const atm_json *json, const char *key, int n, const char *no, const char *yes,
                              bool *out)
{
    const json_t *list = atm_json_get(json, key);
    for (int i = 0; i < n; i++) out[i] = false;
    if (!list) return ATM_OK;
    if (!json_is_array(list) || json_array_size(list) != (size_t)n)
        return atm_fail(ATM_E_CONFIG, "%s: '%s' must be a list of %d names, one a level", json->path, key, n);
    for (int i = 0; i < n; i++)
        TRY_RETURN(block_type(json, key, json_array_get(list, (size_t)i), no, yes, &out[i]));
    return ATM_OK;
}

json_t *atm_hf_block_types_json(const bool *is_yes, int n, const char *no, const char *yes)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, json_string(is_yes[i] ? yes : no));
    return list;
}
