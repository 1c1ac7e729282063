/* group.h - the parameters that one optimizer trains: all of them in one buffer,
 *
 *     p | g | m | v | ema          each [count] floats, tensors one after another
 *
 * so that clipping, AdamW, the all-reduce and a checkpoint are each one pass over memory.
 * Plans read the weights where they lie; what is not trained comes from the model's files.
 *
 * In training plans a network stands in the scope of its folder, so every name begins
 * with it: "unet.conv_in.weight".
 *
 *     TRY(atm_group_add(&g, outline, globs));                 // every tensor a glob matches
 *     TRY(atm_group_allocate(&g, use_ema));
 *     TRY(atm_group_load(&g, &source));                       // first values
 *     atm_plan_params(plan, &source.source);  ... build ...
 *     atm_group_outputs(&g, plan);                            // after atm_plan_backward
 *     TRY(atm_plan_finish(plan, ...));  TRY(atm_plan_run(plan));
 *     TRY(atm_group_gather(&g, plan));                        // g += gradients
 */
#ifndef ATM_TRAIN_GROUP_H
#define ATM_TRAIN_GROUP_H

#include "model/model_dir.h"
#include "plan/plan.h"

typedef struct {
    char *name;                         /* "unet.conv_in.weight" */
    int rank, dim[ATM_MAX_RANK];
    size_t offset, count;               /* in floats */
} atm_group_param;

typedef struct {
    atm_group_param *param;
    int n_params;
    size_t count;                       /* floats of all, each tensor padded to 16 */
    float *p, *g, *m, *v, *ema;         /* one block; ema NULL when not used        */
    float *scratch;                     /* of the largest tensor                    */
    bool idle;                          /* the stage has computed nothing for it: no update */
} atm_group;

/* Lists the tensors of `outline` (a plan, built and not finished) whose names match. */
atm_status atm_group_add(atm_group *group, const atm_plan *outline, const char *const *globs);

/* The buffer, zeroed.  ATM_E_MEMORY with the bytes. */
atm_status atm_group_allocate(atm_group *group, bool use_ema);
void       atm_group_free(atm_group *group);            /* back to {0} */

/* NULL: not trained. */
const atm_group_param *atm_group_find(const atm_group *group, const char *name);

/* ------------------------------------------------------------------ weights for plans */

enum { ATM_GROUP_BASES = 6, ATM_GROUP_SHARED = 2 };

/* A parameter source: trained tensors from the groups, others from the files of their component. */
typedef struct {
    atm_param_source source;            /* first member */
    const atm_group *group[ATM_GROUP_SHARED];
    struct { const char *component; atm_params params; } base[ATM_GROUP_BASES];
    int n_bases;
} atm_group_source;

/* Opens the weights of a component of the model ("unet", "vae-decoder": component.h) for names that begin
 * with its folder.  `source` must not move afterwards. */
atm_status atm_group_source_open(atm_group_source *source, const atm_model_dir *model, const char *component);
void       atm_group_source_close(atm_group_source *source);

/* Fills p from the model's files (and ema with the same).  ATM_E_DATA lists what is missing there. */
atm_status atm_group_load(atm_group *group, atm_group_source *source);

/* ------------------------------------------------------------------ gradients of plans */

/* Keeps the gradients of the group's parameters readable.  Call after atm_plan_backward. */
void       atm_group_outputs(const atm_group *group, atm_plan *plan);
/* g += the gradients that the last run has computed. */
atm_status atm_group_gather(atm_group *group, atm_plan *plan);

#endif
