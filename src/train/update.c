/* update.c - see update.h. */
#include "train/update.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/optimizer.h"

int atm_stage_n_metrics(const atm_stage *stage)
{
    int n = 0;
    while (n < ATM_STAGE_METRICS && stage->metric[n]) n++;
    return n;
}

/* ------------------------------------------------------------------ gradients */

static atm_status add_micro_batch(atm_stage *stage, const atm_loaded *batch, double *metrics)
{
    double values[ATM_STAGE_METRICS] = { 0 };
    for (int g = 0; g < stage->n_groups; g++) TRY_RETURN(stage->info->gradients(stage, g, batch, values));
    for (int i = 0; i < atm_stage_n_metrics(stage); i++)
        metrics[i] += values[i] / stage->config->train.gradient_accumulation_steps;
    return ATM_OK;
}

atm_status atm_train_gradients(atm_stage *stage, atm_loader *loader, double *metrics)
{
    atm_loaded batch;
    for (int i = 0; i < ATM_STAGE_METRICS; i++) metrics[i] = 0;
    for (int g = 0; g < stage->n_groups; g++) {
        memset(stage->group[g].g, 0, stage->group[g].count * sizeof(float));
        stage->group[g].idle = false;
    }
    for (int i = 0; i < stage->config->train.gradient_accumulation_steps; i++) {
        TRY_RETURN(atm_loader_next(loader, &batch));
        TRY_RETURN(add_micro_batch(stage, &batch, metrics));
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ ranks */

typedef struct { double metric[ATM_STAGE_METRICS]; double wish; } report;

atm_status atm_train_agree(const atm_stage *stage, double *metrics, int n, int *wish)
{
    const int ranks = atm_comm_size(stage->comm);
    report mine = { .wish = *wish };
    if (ranks == 1) return ATM_OK;
    report *all = malloc((size_t)ranks * sizeof *all);
    if (!all) return atm_fail(ATM_E_MEMORY, "no memory for the reports of %d ranks", ranks);
    memcpy(mine.metric, metrics, (size_t)n * sizeof *metrics);
    const atm_status status = atm_comm_gather(stage->comm, &mine, sizeof mine, all);
    for (int i = 0; i < n && status == ATM_OK; i++) {
        metrics[i] = 0;
        for (int r = 0; r < ranks; r++) metrics[i] += all[r].metric[i] / ranks;
    }
    for (int r = 0; r < ranks && status == ATM_OK; r++) if (all[r].wish > *wish) *wish = (int)all[r].wish;
    free(all);
    return status;
}

static atm_status sum_over_ranks(atm_stage *stage)
{
    for (int g = 0; g < stage->n_groups; g++)
        if (!stage->group[g].idle)
            TRY_RETURN(atm_comm_sum(stage->comm, stage->group[g].g, stage->group[g].count));
    return ATM_OK;
}

/* ------------------------------------------------------------------ the step */

static double gradient_share(const atm_stage *stage)
{
    return 1.0 / (stage->config->train.gradient_accumulation_steps * atm_comm_size(stage->comm));
}

/* Of the mean gradient. */
static double norm_of(const atm_stage *stage, const atm_group *g)
{
    return sqrt(atm_sum_of_squares(stage->device->pool, g->g, g->count)) * gradient_share(stage);
}

static bool all_finite(const atm_stage *stage, const double *metrics, const double *norm)
{
    bool finite = true;
    for (int i = 0; i < atm_stage_n_metrics(stage); i++) finite &= isfinite(metrics[i]) != 0;
    for (int g = 0; g < stage->n_groups; g++) finite &= isfinite(norm[g]) != 0;
    return finite;
}

/* torch.nn.utils.clip_grad_norm_ */
static double clip(double norm, double max_norm)
{
    return max_norm > 0 ? fmin(1, max_norm / (norm + 1e-6)) : 1;
}

static void step_group(atm_stage *stage, int index, double norm, uint64_t optimizer_step, double rate)
{
    const atm_train_config *c = stage->config;
    atm_group *g = &stage->group[index];
    const double own = stage->lr_scale[index] > 0 ? stage->lr_scale[index] : 1;
    atm_adamw(stage->device->pool, &(atm_adamw_options){
        .lr = rate * own, .beta1 = c->train.adam_beta1, .beta2 = c->train.adam_beta2, .eps = c->train.adam_epsilon,
        .weight_decay = c->train.adam_weight_decay, .ema_decay = c->train.ema_decay, .step = (long)optimizer_step,
        .scale = gradient_share(stage) * clip(norm, c->train.max_grad_norm)
    }, g->count, g->g, g->p, g->m, g->v, g->ema);
}

static atm_status count_bad(const atm_stage *stage, atm_train_state *state)
{
    state->bad_steps++;
    if (++state->bad_in_a_row < (uint64_t)stage->config->train.max_bad_steps) return ATM_OK;
    return atm_fail(ATM_E_DATA, "update %llu: NaN or Inf in the loss or the gradients, %llu times in a row "
                    "(train.max_bad_steps): lower train.learning_rate, or look at the data",
                    (unsigned long long)state->step, (unsigned long long)state->bad_in_a_row);
}

atm_status atm_train_update(atm_stage *stage, atm_loader *loader, int wish, atm_train_state *state, atm_update *out)
{
    double norm[ATM_STAGE_GROUPS] = { 0 };
    *out = (atm_update){ .wish = wish, .learning_rate = atm_train_learning_rate(stage->config, state->step) };
    TRY_RETURN(atm_train_gradients(stage, loader, out->metric));
    TRY_RETURN(sum_over_ranks(stage));
    TRY_RETURN(atm_train_agree(stage, out->metric, atm_stage_n_metrics(stage), &out->wish));
    for (int g = 0; g < stage->n_groups; g++)
        if (!stage->group[g].idle) out->grad_norm = norm[g] = norm_of(stage, &stage->group[g]);
    state->step++;
    out->bad = !all_finite(stage, out->metric, norm);
    if (out->bad) return count_bad(stage, state);
    state->bad_in_a_row = 0;
    for (int g = 0; g < stage->n_groups; g++)
        if (!stage->group[g].idle)
            step_group(stage, g, norm[g], ++state->optimizer_steps[g], out->learning_rate);
    return ATM_OK;
}
