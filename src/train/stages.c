/* stages.c - the list of stages. */
#include "train/stages.h"

#include <stdio.h>
#include <string.h>

const atm_stage_info *const atm_stages[] = {
    &atm_stage_adapter, &atm_stage_diffusion, &atm_stage_vae, &atm_stage_vocoder, &atm_stage_align, NULL
};

const atm_stage_info *atm_stage_find(const char *name)
{
    for (int i = 0; atm_stages[i]; i++)
        if (strcmp(atm_stages[i]->name, name) == 0) return atm_stages[i];
    return NULL;
}

/* "[8,*,16]" */
static void shape_text(char out[64], int rank, const int *dim)
{
    size_t n = (size_t)snprintf(out, 64, "[");
    for (int i = 0; i < rank; i++) {
        const char *comma = i + 1 < rank ? "," : "";
        if (dim[i] < 0) n += (size_t)snprintf(out + n, 64 - n, "*%s", comma);
        else n += (size_t)snprintf(out + n, 64 - n, "%d%s", dim[i], comma);
    }
    snprintf(out + n, 64 - n, "]");
}

atm_status stage_check_column(const atm_stage *stage, const char *name, atm_dtype dtype, int rank, const int *dim,
                              const char *columns)
{
    char wanted[64], found[64];
    const char *path = atm_dataset_path(stage->dataset);
    const atm_column *c = atm_dataset_find(stage->dataset, name);
    if (!c)
        return atm_fail(ATM_E_DATA, "%s has no %s: run `arttomus prepare` with the columns %s", path, name, columns);
    bool fits = c->dtype == dtype && !c->text && c->rank == rank;
    for (int i = 0; i < rank && fits; i++) fits = dim[i] < 0 || c->dim[i] == dim[i];
    if (fits) return ATM_OK;
    shape_text(wanted, rank, dim);
    shape_text(found, c->rank, c->dim);
    return atm_fail(ATM_E_DATA, "%s: %s is %s%s, stage %s of this model takes %s%s: run `arttomus prepare` with it",
                    path, name, atm_dtype_name(c->dtype), found, stage->info->name, atm_dtype_name(dtype), wanted);
}

const char *const *stage_globs(const atm_stage *stage, const char *const *standard, atm_config_text text,
                               const char *list[ATM_STAGE_GLOBS + 1])
{
    int n = 0;
    char *rest = NULL;
    memcpy(text, stage->config->train.trainable, sizeof(atm_config_text));
    for (char *word = strtok_r(text, " ", &rest); word && n < ATM_STAGE_GLOBS; word = strtok_r(NULL, " ", &rest))
        list[n++] = word;
    list[n] = NULL;
    return n ? list : standard;
}
