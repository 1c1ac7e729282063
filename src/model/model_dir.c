#include "model/model_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/component.h"
#include "model/model_parts.h"

static const char INDEX[] = "model_index.json", CONDITIONING[] = "conditioning/conditioning.safetensors";

enum { LIST_BYTES = 3000 };

/* ------------------------------------------------------------------ what is missing */

static bool is_there(const char *dir, const char *folder, const char *file)
{
    char path[ATM_PATH_BYTES];
    return atm_model_path(path, dir, folder, file) == ATM_OK && access(path, R_OK) == 0;
}

static void note(char *list, const char *format, const char *a, const char *b)
{
    const size_t used = strlen(list);
    snprintf(list + used, LIST_BYTES - used, format, a, b);
}

/* The one part whose sizes can be told from its weights. */
static bool config_optional(const atm_model_part_info *part) { return strcmp(part->folder, "adapter") == 0; }

/* Opens and closes the weights: a broken file is an error of its own, at once. */
static atm_status look_at_weights(const char *dir, const atm_model_part_info *part, char *list)
{
    char path[ATM_PATH_BYTES];
    atm_weights *weights = NULL;
    TRY_RETURN(atm_model_path(path, dir, part->folder, NULL));
    const atm_status status = atm_weights_open(path, NULL, &weights);
    atm_weights_close(weights);
    if (status != ATM_E_NOINPUT) return status;
    note(list, "\n  %s/%s (or another weights file)", part->folder, part->weights);
    return ATM_OK;
}

/* A part that may be absent, and is. */
static bool lacks(const char *dir, const atm_model_part_info *part)
{
    return part->absent && !is_there(dir, part->folder, NULL);
}

static atm_status look_at_part(const char *dir, const atm_model_part_info *part, char *list)
{
    if (lacks(dir, part)) return ATM_OK;
    if (!is_there(dir, part->folder, part->config) && !config_optional(part))
        note(list, "\n  %s/%s", part->folder, part->config);
    return part->weights ? look_at_weights(dir, part, list) : ATM_OK;
}

static atm_status look_for_parts(const char *dir)
{
    char list[LIST_BYTES] = "";
    if (access(dir, R_OK | X_OK) != 0)
        return atm_fail(ATM_E_NOINPUT, "%s: no such model folder, or it cannot be read", dir);
    if (!is_there(dir, INDEX, NULL)) note(list, "\n  %s%s", INDEX, "");
    for (int i = 0; i < atm_n_model_parts; i++) TRY_RETURN(look_at_part(dir, &atm_model_parts[i], list));
    if (!is_there(dir, CONDITIONING, NULL)) note(list, "\n  %s%s", CONDITIONING, "");
    if (!list[0]) return ATM_OK;
    return atm_fail(ATM_E_NOINPUT, "%s: this is not a whole model; missing:%s", dir, list);
}

/* ------------------------------------------------------------------ configurations */

static atm_status infer_adapter(const char *dir, atm_model_config *config)
{
    char path[ATM_PATH_BYTES];
    atm_weights *weights = NULL;
    TRY_RETURN(atm_model_path(path, dir, "adapter", NULL));
    TRY_RETURN(atm_weights_open(path, NULL, &weights));
    const int width = config->language_model.n_embd;
    const atm_status status = atm_adapter_config_infer(atm_weights_file(weights, 0), width, &config->adapter);
    atm_weights_close(weights);
    return status;
}

static atm_status read_part(const char *dir, const atm_model_part_info *part, atm_model_config *config)
{
    char path[ATM_PATH_BYTES];
    atm_json json = { 0 };
    TRY_RETURN(atm_model_path(path, dir, part->folder, part->config));
    TRY_RETURN(atm_json_load(path, &json));
    const atm_status status = part->read(&json, config);
    atm_json_free(&json);
    return status;
}

static atm_status read_index(const char *dir)
{
    char path[ATM_PATH_BYTES];
    atm_json json = { 0 };
    TRY_RETURN(atm_model_path(path, dir, INDEX, NULL));
    TRY_RETURN(atm_json_load(path, &json));
    atm_json_free(&json);
    return ATM_OK;
}

/* The adapter comes last where its sizes follow from the language model's. */
static atm_status read_configs(const char *dir, atm_model_config *config)
{
    bool infer = false;
    TRY_RETURN(read_index(dir));
    for (int i = 0; i < atm_n_model_parts; i++) {
        const atm_model_part_info *part = &atm_model_parts[i];
        if (lacks(dir, part)) continue;
        if (config_optional(part) && !is_there(dir, part->folder, part->config)) infer = true;
        else TRY_RETURN(read_part(dir, part, config));
    }
    if (infer) TRY_RETURN(infer_adapter(dir, config));
    const atm_status status = atm_model_config_check(config);
    return status == ATM_OK ? ATM_OK : atm_fail_in(status, "%s", dir);
}

/* ------------------------------------------------------------------ conditioning */

static atm_status check_conditioning(const char *path, const atm_conditioning *c,
                                     const atm_model_config *config)
{
    const int text = atm_model_text_dim(config), loa = atm_model_loa_dim(config);
    const int tokens = config->language_model.max_new_tokens;
    if ((text == 0 || c->text_dim == text) && c->loa_dim == loa && c->loa_tokens == tokens) return ATM_OK;
    return atm_fail(ATM_E_CONFIG, "%s: text states are %d wide and the vectors [%d,%d]; the model's UNet "
                    "wants %d and [%d,%d]", path, c->text_dim, c->loa_tokens, c->loa_dim, text, tokens, loa);
}

static atm_status read_conditioning(const char *dir, atm_model_dir *out)
{
    char path[ATM_PATH_BYTES];
    TRY_RETURN(atm_model_path(path, dir, CONDITIONING, NULL));
    TRY_RETURN(atm_conditioning_read(path, &out->conditioning));
    return check_conditioning(path, &out->conditioning, &out->config);
}

/* ------------------------------------------------------------------ the whole */

atm_status atm_model_dir_open(const char *path, atm_model_dir *out)
{
    atm_status status = ATM_OK;
    *out = (atm_model_dir){ .path = strdup(path) };
    if (!out->path) TRY(atm_fail(ATM_E_MEMORY, "no memory to open %s", path));
    TRY(look_for_parts(path));
    TRY(read_configs(path, &out->config));
    TRY(read_conditioning(path, out));
done:
    if (status != ATM_OK) atm_model_dir_close(out);
    return status;
}

void atm_model_dir_close(atm_model_dir *dir)
{
    free(dir->path);
    atm_conditioning_free(&dir->conditioning);
    *dir = (atm_model_dir){ 0 };
}

atm_status atm_model_dir_params(const atm_model_dir *dir, const char *component, atm_params *out)
{
    char path[ATM_PATH_BYTES];
    const atm_component *c = atm_component_find(component);
    if (!c) return atm_fail(ATM_E_USAGE, "no component '%s'", component);
    TRY_RETURN(atm_model_path(path, dir->path, c->folder, NULL));
    return atm_params_open(path, &c->rules, NULL, out);
}
