/* validate.c - see validate.h. */
#include "train/validate.h"

#include "base/log.h"
#include "train/update.h"

/* Plans read the weights where they lie, so the average has to come there. */
void atm_train_swap_average(atm_stage *stage)
{
    for (int g = 0; g < stage->n_groups; g++) {
        atm_group *group = &stage->group[g];
        for (size_t i = 0; group->ema && i < group->count; i++) {
            const float p = group->p[i];
            group->p[i] = group->ema[i];
            group->ema[i] = p;
        }
    }
}

static bool has_validation(const atm_stage *stage)
{
    const atm_pair *pair = atm_dataset_pairs(stage->dataset);
    if (stage->config->train.validation_batches == 0) return false;
    for (size_t i = 0; i < atm_dataset_n_pairs(stage->dataset); i++)
        if (pair[i].split == ATM_SPLIT_VALIDATION) return true;
    atm_log(ATM_LOG_WARNING, "%s has no validation split: no validation losses", atm_dataset_path(stage->dataset));
    return false;
}

static atm_status add_batches(atm_stage *stage, atm_loader *loader, double *metrics)
{
    const int batches = stage->config->train.validation_batches;
    for (int b = 0; b < batches; b++) {
        double values[ATM_STAGE_METRICS] = { 0 };
        atm_loaded batch;
        TRY_RETURN(atm_loader_next(loader, &batch));
        TRY_RETURN(stage->info->validate(stage, &batch, values));
        for (int i = 0; i < atm_stage_n_metrics(stage); i++) metrics[i] += values[i] / batches;
    }
    return ATM_OK;
}

static atm_status open_loader(const atm_stage *stage, atm_loader **out)
{
    const int ranks = atm_comm_size(stage->comm);
    return atm_loader_open(&(atm_loader_options){
        .dataset = stage->dataset, .column = stage->column, .n_columns = stage->n_columns,
        .split = ATM_SPLIT_VALIDATION, .clips = stage->clips, .in_order = true,
        .seed = (uint64_t)stage->config->seed, .batch = stage->micro_batch * ranks, .micro_batches = 1,
        .rank = atm_comm_rank(stage->comm), .ranks = ranks
    }, out);
}

atm_status atm_train_validate(atm_stage *stage, double *metrics, bool *any)
{
    atm_loader *loader;
    int wish = 0;
    *any = has_validation(stage);
    for (int i = 0; i < ATM_STAGE_METRICS; i++) metrics[i] = 0;
    if (!*any) return ATM_OK;
    TRY_RETURN(open_loader(stage, &loader));
    atm_train_swap_average(stage);
    atm_status status = add_batches(stage, loader, metrics);
    atm_train_swap_average(stage);
    atm_loader_close(loader);
    if (status == ATM_OK) status = atm_train_agree(stage, metrics, atm_stage_n_metrics(stage), &wish);
    return status;
}
