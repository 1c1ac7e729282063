#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/tensor_file.h"
#include "train/checkpoint_private.h"
#include "train/manifest.h"

/* ------------------------------------------------------------------ tensors */

static bool fits(const atm_file_tensor *t, const atm_group_param *param)
{
    if (!t || t->dtype != ATM_F32 || t->rank != param->rank) return false;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] != param->dim[i]) return false;
    return t->bytes == param->count * sizeof(float);
}

static atm_status find_tensor(const atm_tensor_file *file, const char *word, const atm_group_param *param,
                              const atm_file_tensor **out)
{
    char name[1024], shape[ATM_SHAPE_TEXT], wanted[ATM_SHAPE_TEXT];
    int64_t dim[ATM_MAX_RANK];
    snprintf(name, sizeof name, "%s.%s", word, param->name);
    *out = atm_tensor_file_find(file, name);
    if (fits(*out, param)) return ATM_OK;
    for (int i = 0; i < param->rank; i++) dim[i] = param->dim[i];
    return atm_fail(ATM_E_DATA, "%s: %s is F32%s in this run, in the checkpoint %s%s: go on with the configuration "
                    "it was made with (config.yaml beside it)", atm_tensor_file_path(file), name,
                    atm_shape_text(wanted, dim, param->rank), *out ? atm_dtype_name((*out)->dtype) : "missing",
                    *out ? atm_shape_text(shape, (*out)->dim, (*out)->rank) : "");
}

/* Looks at all tensors, or copies all. */
static atm_status take_tensors(const atm_tensor_file *file, const atm_group *group, bool copy)
{
    atm_checkpoint_array array[ATM_CHECKPOINT_ARRAYS];
    const int n = atm_checkpoint_arrays(group, array);
    const size_t wanted = (size_t)n * (size_t)group->n_params;
    if (atm_tensor_file_count(file) != wanted)
        return atm_fail(ATM_E_DATA, "%s: holds %zu tensors, this run has %zu: go on with the configuration it was "
                        "made with (config.yaml beside it)", atm_tensor_file_path(file), atm_tensor_file_count(file),
                        wanted);
    for (int a = 0; a < n; a++)
        for (int i = 0; i < group->n_params; i++) {
            const atm_file_tensor *t;
            TRY_RETURN(find_tensor(file, array[a].word, &group->param[i], &t));
            if (copy) memcpy(array[a].data + group->param[i].offset, t->data, t->bytes);
        }
    return ATM_OK;
}

static atm_status open_groups(const char *folder, const atm_stage *stage, atm_tensor_file **file)
{
    char path[ATM_PATH_BYTES], name[ATM_CHECKPOINT_NAME];
    for (int g = 0; g < stage->n_groups; g++) {
        TRY_RETURN(atm_model_path(path, folder, atm_checkpoint_group_name(name, g), NULL));
        TRY_RETURN(atm_tensor_file_open(path, &file[g]));
        TRY_RETURN(take_tensors(file[g], &stage->group[g], false));
    }
    return ATM_OK;
}

/* A stage is filled as a whole, or not at all. */
static atm_status load(const char *folder, const atm_stage *stage, atm_train_state *state)
{
    atm_status status = ATM_OK;
    atm_tensor_file *file[ATM_STAGE_GROUPS] = { NULL };
    TRY(atm_checkpoint_read_state(folder, stage, state));
    TRY(open_groups(folder, stage, file));
    for (int g = 0; g < stage->n_groups; g++) TRY(take_tensors(file[g], &stage->group[g], true));
done:
    for (int g = 0; g < ATM_STAGE_GROUPS; g++) atm_tensor_file_close(file[g]);
    return status;
}

/* ------------------------------------------------------------------ which one */

static atm_status resume_from(const char *run_folder, const char *which, const atm_stage *stage,
                              atm_train_state *state)
{
    char path[ATM_PATH_BYTES], parent[ATM_PATH_BYTES];
    TRY_RETURN(atm_checkpoint_parent(parent, run_folder));
    const char *folder = strchr(which, '/') ? which : path;
    TRY_RETURN(atm_model_path(path, parent, which, NULL));
    TRY_RETURN(atm_manifest_verify(folder, ATM_DIGEST_FULL));
    return load(folder, stage, state);
}

/* Only damage makes an older one do: what is whole and does not fit is for the user to hear. */
static atm_status resume_newest(const char *run_folder, const atm_checkpoint_list *list, const atm_stage *stage,
                                atm_train_state *state)
{
    char path[ATM_PATH_BYTES];
    for (int i = 0; i < list->n; i++) {
        TRY_RETURN(atm_checkpoint_path(path, run_folder, list->step[i], ""));
        const atm_status status = atm_manifest_verify(path, ATM_DIGEST_FULL);
        if (status == ATM_OK) return load(path, stage, state);
        if (status == ATM_E_MEMORY) return status;
        atm_log(ATM_LOG_WARNING, "checkpoint %s is not valid, passed over: %s", path, atm_error());
    }
    return atm_fail(ATM_E_DATA, "%s: none of its %d checkpoints is valid (the last looked at: %s): train in a new "
                    "output folder", run_folder, list->n, atm_error());
}

atm_status atm_checkpoint_resume(const char *run_folder, const char *which, atm_stage *stage, atm_train_state *state)
{
    atm_checkpoint_list list;
    if (strcmp(which, "latest") != 0) return resume_from(run_folder, which, stage, state);
    TRY_RETURN(atm_checkpoint_list_steps(run_folder, "", &list));
    const atm_status status = list.n ? resume_newest(run_folder, &list, stage, state) : ATM_OK;
    free(list.step);
    return status;
}
