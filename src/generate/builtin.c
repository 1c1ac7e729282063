/* builtin.c - the model that needs no files, until a trained one ships.
 *
 * Its random weights are written into a temporary folder as `init` would, opened,
 * and the folder is deleted at once: the mappings stay.  So it works without a
 * home and on read-only disks, and nothing is left behind, however we end. */
#define _GNU_SOURCE
#include "generate/builtin.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "generate/recipe.h"
#include "io/folder.h"

static atm_status open_all(atm_model *model, const char *folder)
{
    TRY_RETURN(atm_model_dir_open(folder, &model->dir));
    for (int part = 0; part < ENGINE_PARTS; part++) TRY_RETURN(engine_load(model, (engine_part)part));
    *model->dir.path = '\0';
    return ATM_OK;
}

static atm_status open_in(atm_model *model, const atm_recipe *recipe, const char *temporary)
{
    char folder[PATH_MAX];
    const int n = snprintf(folder, sizeof folder, "%s/arttomus-XXXXXX", temporary);
    if (n < 0 || n >= (int)sizeof folder || !mkdtemp(folder))
        return atm_fail(ATM_E_IO, "%s: no temporary folder can be made there: %s", temporary,
                        strerror(errno));
    const atm_model_init_options options = {
        .seed = 0, .dtype = recipe->dtype, .text_tokens = recipe->text_tokens, .pool = model->device->pool
    };
    atm_status status = atm_model_dir_init(&recipe->config, folder, options);
    if (status == ATM_OK) status = open_all(model, folder);
    atm_folder_remove(folder);
    return status;
}

atm_status engine_open_builtin(atm_model *model)
{
    const char *tmpdir = getenv("TMPDIR");
    const char *const places[] = { "/dev/shm", tmpdir && *tmpdir ? tmpdir : "/tmp", "/var/tmp", "." };
    atm_recipe recipe;
    atm_status status = ATM_E_IO;
    TRY_RETURN(atm_recipe_parse(engine_nano_yaml, strlen(engine_nano_yaml), "the built-in model", &recipe));
    for (size_t i = 0; i < sizeof places / sizeof places[0] && status == ATM_E_IO; i++)
        status = open_in(model, &recipe, places[i]);
    if (status == ATM_OK) return ATM_OK;
    return atm_fail_in(status, "the built-in model cannot be made; name another one");
}
