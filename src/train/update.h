/* update.h - one update of the weights: gradients of all micro-batches, sum over ranks,
 * clipping, AdamW. */
#ifndef ATM_TRAIN_UPDATE_H
#define ATM_TRAIN_UPDATE_H

#include "train/checkpoint.h"

typedef struct {
    double metric[ATM_STAGE_METRICS];       /* mean over micro-batches and ranks                     */
    double grad_norm;                       /* of the last group that was updated, before clipping   */
    double learning_rate;
    bool bad;                               /* NaN or Inf somewhere: nothing was changed             */
    int wish;                               /* the largest of what ranks have asked for              */
} atm_update;

/* How many metrics the stage has. */
int atm_stage_n_metrics(const atm_stage *stage);

/* Takes the next micro-batches of `loader` and updates the groups.  `wish` is this rank's.  A bad update is counted
 * in *state and skipped.  state->step grows by one in every case. */
atm_status atm_train_update(atm_stage *stage, atm_loader *loader, int wish, atm_train_state *state, atm_update *out);

/* Gradients of one step and nothing else, for a dry run. */
atm_status atm_train_gradients(atm_stage *stage, atm_loader *loader, double *metrics);

/* Means of metrics over ranks, in place; *wish becomes the largest.  The same bits on every rank. */
atm_status atm_train_agree(const atm_stage *stage, double *metrics, int n, int *wish);

#endif
