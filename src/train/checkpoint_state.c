/* checkpoint_state.c - state.json. */
#include <float.h>
#include <stdio.h>
#include <string.h>

#include "io/json.h"
#include "train/checkpoint_private.h"
#include "train/update.h"

/* The counters: where they are, and what they may be. */
#define AT(member) offsetof(atm_train_state, member)
static const struct { const char *key; size_t offset; } counter[] = {
    { "step", AT(step) }, { "bad_steps", AT(bad_steps) }, { "bad_in_a_row", AT(bad_in_a_row) },
    { "metrics_bytes", AT(metrics_bytes) }, { "summed", AT(summed) },
};
#undef AT
enum { N_COUNTERS = sizeof counter / sizeof *counter };
static const double MOST_SECONDS = 1e12;

/* state.sum is kept under the names of metrics.jsonl: those of the stage, and one more at the end. */
static const char *sum_name(const atm_stage *stage, int i)
{
    return i < atm_stage_n_metrics(stage) ? stage->metric[i] : "grad_norm";
}

static int sum_place(const atm_stage *stage, int i)
{
    return i < atm_stage_n_metrics(stage) ? i : ATM_STAGE_METRICS;
}

/* ------------------------------------------------------------------ writing */

static json_t *optimizer_steps(const atm_stage *stage, const atm_train_state *state)
{
    json_t *list = json_array();
    int failed = 0;
    for (int g = 0; g < stage->n_groups; g++)
        failed |= json_array_append_new(list, json_integer((json_int_t)state->optimizer_steps[g]));
    if (!failed) return list;
    json_decref(list);
    return NULL;
}

static json_t *sums_json(const atm_stage *stage, const atm_train_state *state)
{
    json_t *sums = json_object();
    int failed = 0;
    for (int i = 0; i <= atm_stage_n_metrics(stage); i++)
        failed |= json_object_set_new(sums, sum_name(stage, i), json_real(state->sum[sum_place(stage, i)]));
    if (!failed) return sums;
    json_decref(sums);
    return NULL;
}

static json_t *counter_json(const atm_train_state *state, int i)
{
    uint64_t value;                     /* metrics_bytes is an int64_t, and not negative */
    memcpy(&value, (const char *)state + counter[i].offset, sizeof value);
    return json_integer((json_int_t)value);
}

/* NULL: no memory, or a sum is not finite. */
static json_t *state_json(const atm_stage *stage, const atm_train_state *state)
{
    json_t *root = json_pack("{s:i, s:s, s:f, s:s}", "version", (int)ATM_CHECKPOINT_VERSION, "stage",
                             stage->info->name, "seconds", state->seconds, "dataset", state->dataset);
    int failed = json_object_set_new(root, "optimizer_steps", optimizer_steps(stage, state));
    failed |= json_object_set_new(root, "sums", sums_json(stage, state));
    for (int i = 0; i < N_COUNTERS; i++) failed |= json_object_set_new(root, counter[i].key, counter_json(state, i));
    if (!failed) return root;
    json_decref(root);
    return NULL;
}

atm_status atm_checkpoint_write_state(const char *folder, const atm_stage *stage, const atm_train_state *state)
{
    char path[ATM_PATH_BYTES];
    TRY_RETURN(atm_model_path(path, folder, ATM_CHECKPOINT_STATE, NULL));
    json_t *root = state_json(stage, state);
    if (!root) return atm_fail(ATM_E_MEMORY, "%s: no memory, or a sum of metrics that is not finite", path);
    const atm_status status = atm_json_write(path, root);
    json_decref(root);
    return status;
}

/* ------------------------------------------------------------------ reading */

static atm_status read_count(const atm_json *json, const char *key, const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return atm_fail(ATM_E_DATA, "%s: %s is missing, or not a count", json->path, key);
    *out = (uint64_t)json_integer_value(value);
    return ATM_OK;
}

static atm_status read_counters(const atm_json *json, atm_train_state *out)
{
    uint64_t value = 0;
    for (int i = 0; i < N_COUNTERS; i++) {
        TRY_RETURN(read_count(json, counter[i].key, atm_json_get(json, counter[i].key), &value));
        memcpy((char *)out + counter[i].offset, &value, sizeof value);
    }
    return ATM_OK;
}

static atm_status read_optimizer_steps(const atm_json *json, const atm_stage *stage, atm_train_state *out)
{
    const json_t *list = atm_json_get(json, "optimizer_steps");
    if (json_array_size(list) != (size_t)stage->n_groups)
        return atm_fail(ATM_E_DATA, "%s: has %zu optimizers, stage %s has %d", json->path, json_array_size(list),
                        stage->info->name, stage->n_groups);
    for (int g = 0; g < stage->n_groups; g++)
        TRY_RETURN(read_count(json, "optimizer_steps", json_array_get(list, (size_t)g), &out->optimizer_steps[g]));
    return ATM_OK;
}

static atm_status read_sums(const atm_json *json, const atm_stage *stage, atm_train_state *out)
{
    char key[100];
    for (int i = 0; i <= atm_stage_n_metrics(stage); i++) {
        snprintf(key, sizeof key, "sums.%s", sum_name(stage, i));
        TRY_RETURN(atm_json_double(json, key, ATM_REQUIRED, -DBL_MAX, DBL_MAX, &out->sum[sum_place(stage, i)]));
    }
    return ATM_OK;
}

static atm_status check_version(const atm_json *json)
{
    int version;
    TRY_RETURN(atm_json_int(json, "version", ATM_REQUIRED, 1, INT32_MAX, &version));
    if (version <= ATM_CHECKPOINT_VERSION) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: was written by a newer version of this program (format %d; this one reads up "
                    "to %d): go on with that one, or train in a new output folder", json->path, version,
                    (int)ATM_CHECKPOINT_VERSION);
}

static atm_status check_stage(const atm_json *json, const atm_stage *stage)
{
    const char *name;
    TRY_RETURN(atm_json_string(json, "stage", ATM_REQUIRED, &name));
    if (strcmp(name, stage->info->name) == 0) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: is of stage %s, this run trains %s: choose another output folder", json->path,
                    name, stage->info->name);
}

static atm_status read_dataset(const atm_json *json, atm_train_state *out)
{
    const char *text;
    TRY_RETURN(atm_json_string(json, "dataset", ATM_REQUIRED, &text));
    if (strlen(text) >= sizeof out->dataset) return atm_fail(ATM_E_DATA, "%s: dataset is too long", json->path);
    strcpy(out->dataset, text);
    return ATM_OK;
}

static atm_status read_all(const atm_json *json, const atm_stage *stage, atm_train_state *out)
{
    TRY_RETURN(check_version(json));
    TRY_RETURN(check_stage(json, stage));
    TRY_RETURN(read_counters(json, out));
    TRY_RETURN(read_optimizer_steps(json, stage, out));
    TRY_RETURN(read_sums(json, stage, out));
    TRY_RETURN(read_dataset(json, out));
    return atm_json_double(json, "seconds", ATM_REQUIRED, 0, MOST_SECONDS, &out->seconds);
}

atm_status atm_checkpoint_read_state(const char *folder, const atm_stage *stage, atm_train_state *out)
{
    char path[ATM_PATH_BYTES];
    atm_json json;
    *out = (atm_train_state){ 0 };
    TRY_RETURN(atm_model_path(path, folder, ATM_CHECKPOINT_STATE, NULL));
    TRY_RETURN(atm_json_load(path, &json));
    const atm_status status = read_all(&json, stage, out);
    atm_json_free(&json);
    return status == ATM_OK || status == ATM_E_MEMORY ? status : atm_fail(ATM_E_DATA, "%s", atm_error());
}
