#define _GNU_SOURCE     /* asprintf */
#include "train/export.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/copy_file.h"
#include "io/folder.h"
#include "train/export_weights.h"
#include "train/model_card.h"

static const char CONDITIONING[] = "conditioning", CONSTANTS[] = "conditioning.safetensors";

static bool is_trained(const atm_stage *stage, const char *folder)
{
    for (int i = 0; i < ATM_STAGE_COMPONENTS && stage->trained[i]; i++)
        if (strcmp(stage->trained[i], folder) == 0) return true;
    return false;
}

/* ------------------------------------------------------------------ copying */

static int not_hidden(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static atm_status copy_one(const char *from, const char *to, const char *folder, const char *name)
{
    char source[ATM_PATH_BYTES], target[ATM_PATH_BYTES];
    struct stat info;
    TRY_RETURN(atm_model_path(source, from, folder, name));
    TRY_RETURN(atm_model_path(target, to, folder, name));
    if (stat(source, &info) == 0 && !S_ISREG(info.st_mode)) return ATM_OK;     /* a link to a file is a file */
    return atm_copy_file(source, target);
}

/* All files of a folder, with or without its weights; folders in it belong to others. */
static atm_status copy_folder(const char *from, const char *to, const char *folder, bool with_weights)
{
    char path[ATM_PATH_BYTES];
    struct dirent **entry;
    TRY_RETURN(atm_model_path(path, from, folder, NULL));
    const int n = scandir(path, &entry, not_hidden, alphasort);
    if (n < 0) return atm_fail(ATM_E_NOINPUT, "%s: %s", path, strerror(errno));
    atm_status status = ATM_OK;
    for (int i = 0; i < n; i++) {
        if (status == ATM_OK && (with_weights || !atm_is_weights_name(entry[i]->d_name)))
            status = copy_one(from, to, folder, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    return status;
}

/* ------------------------------------------------------------------ parts */

static atm_status make_part(const char *to, const char *folder)
{
    char path[ATM_PATH_BYTES];
    TRY_RETURN(atm_model_path(path, to, folder, NULL));
    return atm_folder_make(path);
}

static bool has_part(const atm_stage *stage, const char *folder)
{
    char path[ATM_PATH_BYTES];
    return atm_model_path(path, stage->model->path, folder, NULL) == ATM_OK && access(path, F_OK) == 0;
}

static atm_status write_part(const atm_stage *stage, const char *to, const atm_model_part_info *part, atm_dtype dtype)
{
    char path[ATM_PATH_BYTES];
    const bool trained = is_trained(stage, part->folder);
    if (!has_part(stage, part->folder)) return ATM_OK;              /* one that a model may lack */
    TRY_RETURN(make_part(to, part->folder));
    TRY_RETURN(copy_folder(stage->model->path, to, part->folder, !trained));
    if (!trained) return ATM_OK;
    TRY_RETURN(atm_model_path(path, to, part->folder, part->weights));
    return atm_export_weights(stage, part, dtype, path);
}

/* Random constants are as good as others once a UNet has been trained with them; but `generate`
 * takes a model whose constants call themselves random for an untrained one. */
static atm_status write_fixed_constants(const atm_stage *stage, const char *to)
{
    char path[ATM_PATH_BYTES];
    atm_conditioning c = stage->model->conditioning;
    TRY_RETURN(atm_model_path(path, to, CONDITIONING, CONSTANTS));
    if (asprintf(&c.source, "constants (%s), kept fixed in training", stage->model->conditioning.source) < 0)
        return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    const atm_status status = atm_conditioning_write(path, &c);
    free(c.source);
    return status;
}

static atm_status write_conditioning(const atm_stage *stage, const char *to)
{
    const bool random = strncmp(stage->model->conditioning.source, "random", 6) == 0;
    TRY_RETURN(make_part(to, CONDITIONING));
    return random && is_trained(stage, "unet") ? write_fixed_constants(stage, to)
                                               : copy_folder(stage->model->path, to, CONDITIONING, true);
}

/* ------------------------------------------------------------------ the whole */

static atm_status write_model(atm_stage *stage, const char *to, const atm_export_options *options)
{
    char from[ATM_PATH_BYTES], index[ATM_PATH_BYTES];
    TRY_RETURN(atm_folder_make(to));
    for (int i = 0; i < atm_n_model_parts; i++)
        TRY_RETURN(write_part(stage, to, &atm_model_parts[i], options->dtype));
    TRY_RETURN(write_conditioning(stage, to));
    TRY_RETURN(atm_model_path(from, stage->model->path, "model_index.json", NULL));
    TRY_RETURN(atm_model_path(index, to, "model_index.json", NULL));
    TRY_RETURN(atm_copy_file(from, index));
    if (stage->info->finish) TRY_RETURN(stage->info->finish(stage, to));
    return atm_model_card_write(stage, to, options);
}

static size_t length_without_slashes(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    return n;
}

atm_status atm_export_model(atm_stage *stage, const char *folder, const atm_export_options *options)
{
    char *made;
    if (asprintf(&made, "%.*s.tmp", (int)length_without_slashes(folder), folder) < 0)
        return atm_fail(ATM_E_MEMORY, "%s: no memory", folder);
    atm_folder_remove(made);                    /* a killed run's */
    atm_status status = write_model(stage, made, options);
    if (status == ATM_OK) status = atm_folder_replace(made, folder);
    if (status != ATM_OK) atm_folder_remove(made);
    free(made);
    return status;
}
