/* cmd_init.c - `arttomus init`: a model folder with random weights. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "generate/recipe.h"
#include "io/folder.h"

typedef struct {
    cli_common common;
    const char *config, *out;
    uint64_t seed;
    int threads;
    bool force;
} args;

static const args defaults = { 0 };

#define AT(member) offsetof(args, member)
static const cli_option options[] = {
    { "config", 'c', CLI_TEXT, AT(config), .value = "FILE",
      .help = "sizes of the networks (YAML; configs/)" },
    { "out", 'o', CLI_TEXT, AT(out), .value = "DIR", .help = "folder to write" },
    { "seed", 's', CLI_SEED, AT(seed), .value = "N", .help = "same seed, same bytes (default 0)" },
    { "threads", 't', CLI_INT, AT(threads), 1, 1024, .value = "N", .help = "default: one for each core" },
    { "force", 'f', CLI_FLAG, AT(force), .help = "replace what is in the folder" },
    { 0 }
};

static bool has_files(const char *folder)
{
    bool found = false;
    DIR *dir = opendir(folder);
    if (!dir) return false;
    for (const struct dirent *entry; !found && (entry = readdir(dir)); )
        found = strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(dir);
    return found;
}

/* A new folder appears when it is complete; in one that is there (--force), file by file. */
static atm_status write_folder(const args *a, const atm_recipe *recipe, atm_model_init_options how)
{
    char *partial;
    if (has_files(a->out)) return atm_model_dir_init(&recipe->config, a->out, how);
    TRY_RETURN(atm_folder_begin(a->out, &partial));
    atm_status status = atm_model_dir_init(&recipe->config, partial, how);
    if (status == ATM_OK) status = atm_folder_commit(partial, a->out);
    else atm_folder_remove(partial);
    free(partial);
    return status;
}

static atm_status write_model(const args *a, const atm_recipe *recipe)
{
    atm_pool *pool;
    TRY_RETURN(atm_pool_create(a->threads, &pool));
    const double started = cli_seconds();
    const atm_status status = write_folder(a, recipe, (atm_model_init_options){
        .seed = a->seed, .dtype = recipe->dtype, .text_tokens = recipe->text_tokens, .pool = pool, .stop = cli_signal });
    atm_pool_destroy(pool);
    if (status != ATM_OK) return status;
    atm_log(ATM_LOG_INFO, "written in %.1f s; the weights are random, seed %llu", cli_seconds() - started,
            (unsigned long long)a->seed);
    printf("%s\n", a->out);
    return ATM_OK;
}

static atm_status init(void *values)
{
    const args *a = values;
    atm_recipe recipe;
    if (!a->config) return atm_fail(ATM_E_USAGE, "which sizes? --config FILE (configs/nano.yaml)");
    if (!a->out) return atm_fail(ATM_E_USAGE, "where to? --out DIR");
    TRY_RETURN(atm_recipe_load(a->config, a->common.rest.item, a->common.rest.n, &recipe));
    if (!a->force && has_files(a->out))
        return atm_fail(ATM_E_USAGE, "%s is not empty: --force replaces what is in it", a->out);
    return write_model(a, &recipe);
}

const cli_command cli_init = {
    "init", "[KEY=VALUE...]", "write a model with random weights",
    "  arttomus init --config configs/nano.yaml --seed 1 --out my-model unet.layers_per_block=2\n\n"
    "The folder has the layout and the names of Hugging Face diffusers.",
    options, &defaults, sizeof(args), 0, INT_MAX, init
};
