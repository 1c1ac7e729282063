/* dataset_check.c - see dataset_check.h. */
#include "train/dataset_check.h"

#include <stdio.h>
#include <string.h>

#include "model/component.h"
#include "model/fingerprint.h"

/* The first component whose weights lie in this folder. */
static const char *component_of(const char *folder)
{
    for (int i = 0; i < atm_n_components; i++)
        if (strcmp(atm_components[i].folder, folder) == 0) return atm_components[i].name;
    return NULL;
}

static atm_status check_one(const atm_stage *s, const char *folder)
{
    char now[ATM_FINGERPRINT_TEXT], attribute[64];
    snprintf(attribute, sizeof attribute, "%s_fingerprint", folder);
    const char *then = atm_dataset_attribute(s->dataset, attribute);
    if (!then) return ATM_OK;           /* a dataset from elsewhere: it says nothing */
    TRY_RETURN(atm_model_fingerprint(s->model, component_of(folder), now));
    if (strcmp(now, then) == 0) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s was made by another %s (%s) than that of %s (%s): run `arttomus prepare` with this model",
                    atm_dataset_path(s->dataset), folder, then, s->model->path, now);
}

atm_status atm_train_check_dataset(const atm_stage *s)
{
    for (int i = 0; i < ATM_STAGE_COMPONENTS && s->made_by[i]; i++) TRY_RETURN(check_one(s, s->made_by[i]));
    return ATM_OK;
}
