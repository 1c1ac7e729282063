/* params.h - a plan's parameters taken from weight files, and lists of them.
 *
 *     atm_params params;
 *     TRY(atm_params_open("model/vae", &vae_rules, NULL, &params));
 *     atm_plan_params(plan, &params.source);
 *     ... append the networks ...
 *     TRY(atm_params_check(&params));      // all that is missing, unexpected, mis-shaped
 *     TRY(atm_plan_finish(plan, ...));     // then errors of the plan itself
 *     ...
 *     atm_params_forget(device, plan);     // its packed copies
 *     atm_plan_destroy(plan);
 *     atm_params_close(&params);           // last: the plan points into the files
 *
 * Several plans may share one atm_params (encoder and decoder of a VAE). */
#ifndef ATM_MODEL_PARAMS_H
#define ATM_MODEL_PARAMS_H

#include "io/weights.h"
#include "plan/plan.h"

/* How files of one network may differ from the names its code uses. */
typedef struct {
    const char *prefix;                 /* of every name in the file; NULL: none                 */
    const char *const (*alias)[2];      /* {our words, an older file's words}, {NULL} ends; NULL  */
    const char *const *ignore;          /* globs of tensors that need no use, NULL ends; or NULL  */
} atm_weight_rules;

typedef struct {
    atm_param_source source;            /* first member: the plan calls through it */
    atm_weights *weights;
    const atm_weight_rules *rules;
    const char *const *trainable;       /* globs on names, NULL ends; NULL: all are frozen */
} atm_params;

/* `path`: a component's folder or a weights file.  `rules` may be NULL; it and
 * `trainable` must outlive *out.  ATM_E_NOINPUT, ATM_E_DATA as atm_weights_open. */
atm_status atm_params_open(const char *path, const atm_weight_rules *rules,
                           const char *const *trainable, atm_params *out);
void       atm_params_close(atm_params *params);        /* {0} and NULL are allowed */

/* Drops the device's packed copies of a plan's weights.  Call it for each plan before
 * the plan and its atm_params go: other weights may come to lie at the same
 * addresses.  No other plan on the same weights may run afterwards. */
void atm_params_forget(atm_device *device, const atm_plan *plan);

/* One ATM_E_DATA listing every missing, mis-shaped or unexpected tensor. */
atm_status atm_params_check(const atm_params *params);

/* Is `name` matched by one of the globs (NULL ends; NULL matches nothing)? */
bool atm_matches_any(const char *name, const char *const *glob);

/* Number of elements of all parameters that the plan has asked for; the list
 * itself is atm_plan_param_at(), and a NULL source makes a plan that only lists. */
size_t atm_params_count(const atm_plan *plan);

#endif
