/* params.c - see params.h. */
#include <fnmatch.h>

#include "base/status.h"
#include "model/params.h"

static atm_param_data find(atm_param_source *self, const char *name, int rank, const int *dim,
                           atm_dtype dtype)
{
    const atm_params *params = (const atm_params *)self;
    int64_t wide[ATM_MAX_RANK];
    atm_weight weight;
    for (int i = 0; i < rank; i++) wide[i] = dim[i];
    if (!atm_weights_find(params->weights, name, rank, wide, dtype, &weight)) return (atm_param_data){ 0 };
    return (atm_param_data){ weight.data, atm_matches_any(name, params->trainable) };
}

static void prepared(atm_param_source *self, const void *data, size_t bytes)
{
    atm_weights_release_pages(((const atm_params *)self)->weights, data, bytes);
}

atm_status atm_params_open(const char *path, const atm_weight_rules *rules,
                           const char *const *trainable, atm_params *out)
{
    static const atm_weight_rules no_rules = { 0 };
    if (!rules) rules = &no_rules;
    *out = (atm_params){ .source = { find, prepared }, .rules = rules, .trainable = trainable };
    TRY_RETURN(atm_weights_open(path, rules->prefix, &out->weights));
    for (int i = 0; rules->alias && rules->alias[i][0]; i++)
        atm_weights_alias(out->weights, rules->alias[i][0], rules->alias[i][1]);
    return ATM_OK;
}

void atm_params_close(atm_params *params)
{
    if (!params) return;
    atm_weights_close(params->weights);
    *params = (atm_params){ 0 };
}

atm_status atm_params_check(const atm_params *params)
{
    return atm_weights_check(params->weights, params->rules->ignore);
}

bool atm_matches_any(const char *name, const char *const *glob)
{
    for (; glob && *glob; glob++)
        if (fnmatch(*glob, name, 0) == 0) return true;
    return false;
}

void atm_params_forget(atm_device *device, const atm_plan *plan)
{
    for (int i = 0; plan && i < atm_plan_n_params(plan); i++) {
        const atm_tensor t = atm_plan_param_at(plan, i).t;
        if (t.data) atm_device_forget(device, t.data, atm_count(t) * atm_dtype_size(t.dtype));
    }
}

size_t atm_params_count(const atm_plan *plan)
{
    size_t count = 0;
    for (int i = 0; i < atm_plan_n_params(plan); i++) count += atm_count(atm_plan_param_at(plan, i).t);
    return count;
}
