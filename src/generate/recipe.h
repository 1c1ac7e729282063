/* recipe.h - what model `init` writes: a model's sizes from a YAML file (configs/).
 *
 * Keys have the names of the HF layout's config.json files.  A key that is left out has
 * the value of AudioLDM2 with ImageBind, so an empty file is the full-size model.
 * Widths that must agree between networks are said once. */
#ifndef ATM_GENERATE_RECIPE_H
#define ATM_GENERATE_RECIPE_H

#include "base/dtype.h"
#include "model/model_dir.h"

typedef struct {
    atm_model_config config;
    atm_dtype dtype;                /* of the weight files */
    int text_tokens;                /* L of the T5 states  */
} atm_recipe;

/* Then applies n assignments of a command line, "unet.layers_per_block=1".
 * ATM_E_CONFIG with the line, and the nearest name of an unknown key. */
atm_status atm_recipe_load(const char *path, const char *const *assignment, int n, atm_recipe *out);
atm_status atm_recipe_parse(const char *yaml, size_t bytes, const char *source, atm_recipe *out);

/* The small model that is built in, as YAML (configs/nano.yaml). */
extern const char engine_nano_yaml[];

#endif
