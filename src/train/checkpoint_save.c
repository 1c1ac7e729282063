#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "io/atomic_file.h"
#include "io/folder.h"
#include "io/safetensors.h"
#include "train/checkpoint_private.h"
#include "train/manifest.h"

const char *atm_checkpoint_group_name(char name[ATM_CHECKPOINT_NAME], int group)
{
    snprintf(name, ATM_CHECKPOINT_NAME, "group%d.safetensors", group);
    return name;
}

int atm_checkpoint_arrays(const atm_group *group, atm_checkpoint_array array[ATM_CHECKPOINT_ARRAYS])
{
    int n = 0;
    array[n++] = (atm_checkpoint_array){ "p", group->p };
    array[n++] = (atm_checkpoint_array){ "m", group->m };
    array[n++] = (atm_checkpoint_array){ "v", group->v };
    if (group->ema) array[n++] = (atm_checkpoint_array){ "ema", group->ema };
    return n;
}

/* ------------------------------------------------------------------ tensors */

/* A run that goes on from NaN never recovers: better the checkpoint before. */
static atm_status check_finite(const atm_group_param *param, const char *word, const float *x, uint64_t step)
{
    bool finite = true;
    for (size_t i = 0; i < param->count; i++) finite &= isfinite(x[i]) != 0;
    if (finite) return ATM_OK;
    return atm_fail(ATM_E_DATA, "update %llu: %s of %s holds NaN or Inf: not saved", (unsigned long long)step, word,
                    param->name);
}

static atm_status add_tensor(const atm_group_param *param, const atm_checkpoint_array *array, atm_arena *names,
                             atm_file_tensor *out)
{
    *out = (atm_file_tensor){ .name = atm_arena_printf(names, "%s.%s", array->word, param->name), .dtype = ATM_F32,
                              .rank = param->rank, .data = array->data + param->offset,
                              .bytes = param->count * sizeof(float) };
    for (int i = 0; i < param->rank; i++) out->dim[i] = param->dim[i];
    return out->name ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for tensor names");
}

static atm_status list_tensors(const atm_group *group, uint64_t step, atm_arena *names, atm_file_tensor *out)
{
    atm_checkpoint_array array[ATM_CHECKPOINT_ARRAYS];
    const int n = atm_checkpoint_arrays(group, array);
    for (int a = 0; a < n; a++)
        for (int i = 0; i < group->n_params; i++, out++) {
            const atm_group_param *param = &group->param[i];
            TRY_RETURN(check_finite(param, array[a].word, array[a].data + param->offset, step));
            TRY_RETURN(add_tensor(param, &array[a], names, out));
        }
    return ATM_OK;
}

static atm_status write_group(const char *folder, const char *name, const atm_group *group, uint64_t step)
{
    atm_status status = ATM_OK;
    char path[ATM_PATH_BYTES];
    atm_arena names = { 0 };
    const size_t n = (size_t)group->n_params * (group->ema ? ATM_CHECKPOINT_ARRAYS : ATM_CHECKPOINT_ARRAYS - 1);
    atm_file_tensor *tensor = calloc(n + 1, sizeof *tensor);
    if (!tensor) return atm_fail(ATM_E_MEMORY, "no memory for a list of %zu tensors", n);
    TRY(list_tensors(group, step, &names, tensor));
    TRY(atm_model_path(path, folder, name, NULL));
    TRY(atm_safetensors_write(path, tensor, n, NULL, 0));
done:
    atm_arena_free(&names);
    free(tensor);
    return status;
}

/* ------------------------------------------------------------------ the folder */

static atm_status write_files(const char *folder, const atm_stage *stage, const atm_train_state *state,
                              const char *config_yaml)
{
    char path[ATM_PATH_BYTES], group[ATM_STAGE_GROUPS][ATM_CHECKPOINT_NAME];
    const char *file[ATM_STAGE_GROUPS + 2] = { ATM_CHECKPOINT_STATE, ATM_CHECKPOINT_CONFIG };
    for (int g = 0; g < stage->n_groups; g++) {
        file[2 + g] = atm_checkpoint_group_name(group[g], g);
        TRY_RETURN(write_group(folder, group[g], &stage->group[g], state->step));
    }
    TRY_RETURN(atm_checkpoint_write_state(folder, stage, state));
    TRY_RETURN(atm_model_path(path, folder, ATM_CHECKPOINT_CONFIG, NULL));
    TRY_RETURN(atm_atomic_write_file(path, config_yaml, strlen(config_yaml)));
    return atm_manifest_write(folder, file, 2 + stage->n_groups);
}

atm_status atm_checkpoint_save(const char *run_folder, const atm_stage *stage, const atm_train_state *state,
                               const char *config_yaml)
{
    atm_status status = ATM_OK;
    char made[ATM_PATH_BYTES], path[ATM_PATH_BYTES];
    TRY_RETURN(atm_checkpoint_path(made, run_folder, state->step, ".tmp"));
    TRY_RETURN(atm_checkpoint_path(path, run_folder, state->step, ""));
    atm_folder_remove(made);                    /* a killed run's */
    TRY(atm_folder_make(made));
    TRY(write_files(made, stage, state, config_yaml));
    TRY(atm_folder_replace(made, path));
done:
    if (status != ATM_OK) atm_folder_remove(made);
    return status;
}
