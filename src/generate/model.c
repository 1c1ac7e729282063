/* model.c - opening a model, and finding the default one. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "generate/builtin.h"
#include "generate/engine.h"

const char *atm_version(void) { return ATM_VERSION; }

/* ------------------------------------------------------------------ which folder */

static bool is_model(const char *folder)
{
    char index[PATH_MAX];
    const int n = snprintf(index, sizeof index, "%s/model_index.json", folder);
    return n > 0 && n < (int)sizeof index && access(index, R_OK) == 0;
}

/* Beside the program: as installed, or as in a build folder of the sources. */
static bool find_beside_program(char folder[PATH_MAX])
{
    static const char *const places[] = { "../share/arttomus/nano", "../../models/nano" };
    char program[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0) return false;
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const int length = snprintf(folder, PATH_MAX, "%s/%s", program, places[i]);
        if (length > 0 && length < PATH_MAX && is_model(folder)) return true;
    }
    return false;
}

static atm_status open_default(atm_model *model)
{
    char folder[PATH_MAX];
    const char *named = getenv("ARTTOMUS_MODEL");
    if (named && *named) return atm_model_dir_open(named, &model->dir);
    if (find_beside_program(folder)) return atm_model_dir_open(folder, &model->dir);
    return engine_open_builtin(model);
}

/* ------------------------------------------------------------------ opening */

/* `init` and the built-in model say so in their conditioning. */
static bool is_trained(const atm_model *model)
{
    return strncmp(model->dir.conditioning.source, "random", 6) != 0;
}

static atm_open_options with_defaults(const atm_open_options *given)
{
    atm_open_options o = { 0 };
    if (given) memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
    if (!o.backend) o.backend = "auto";
    return o;
}

static atm_status open_model(atm_model *model, const char *folder, const atm_open_options *o)
{
    TRY_RETURN(atm_device_open(o->backend, o->threads, &model->device));
    TRY_RETURN(folder ? atm_model_dir_open(folder, &model->dir) : open_default(model));
    model->memory_limit = o->memory_limit;
    model->trained = is_trained(model);
    return ATM_OK;
}

atm_status atm_open(const char *folder, const atm_open_options *options, atm_model **out)
{
    const atm_open_options o = with_defaults(options);
    atm_model *model = calloc(1, sizeof *model);
    *out = NULL;
    if (!model) return atm_fail(ATM_E_MEMORY, "no memory for a model");
    const atm_status status = open_model(model, folder, &o);
    if (status == ATM_OK) *out = model;
    else atm_close(model);
    return status;
}

void atm_close(atm_model *model)
{
    if (!model) return;
    for (int part = 0; part < ENGINE_PARTS; part++) atm_params_close(&model->params[part]);
    atm_model_dir_close(&model->dir);
    atm_device_close(model->device);
    free(model);
}

atm_status atm_get_info(const atm_model *model, atm_info *info)
{
    const atm_model_config *c = &model->dir.config;
    const size_t size = info->size;
    const atm_info all = {
        .size = size, .folder = model->dir.path, .backend = model->device->backend->name,
        .threads = atm_pool_size(model->device->pool), .trained = model->trained,
        .embedding_dim = c->image_encoder.projection_dim, .sample_rate = c->vocoder.sampling_rate,
        .latent_channels = c->unet.in_channels, .latent_bins = engine_bins(model),
        .mel_bins = c->vocoder.model_in_dim
    };
    if (size < sizeof info->size || size > 4096) return atm_fail(ATM_E_USAGE, "atm_info.size is %zu", size);
    memcpy(info, &all, size < sizeof all ? size : sizeof all);
    return ATM_OK;
}
