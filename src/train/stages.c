/* stages.c - the list of stages. */
#include "train/stages.h"

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
