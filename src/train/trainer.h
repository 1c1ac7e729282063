/* trainer.h - a training run, from a configuration to a model folder.
 *
 *     output/config.yaml  metrics.jsonl  events.out.tfevents.*  log.jsonl  samples/step_N/
 *            checkpoints/step_NNNNNNNN/  model/
 *
 * The loop, on every rank:
 *     for step: for group: zero g; for micro-batch: stage gradients; sum over ranks;
 *                          clip; AdamW (+ EMA)
 *               log, validate, checkpoint as configured */
#ifndef ATM_TRAIN_TRAINER_H
#define ATM_TRAIN_TRAINER_H

#include <stdint.h>

#include "kernels/device.h"
#include "comm/comm.h"
#include "train/config.h"

typedef struct {
    uint64_t step, max_steps;           /* updates done, and wanted                        */
    double loss;                        /* mean since the last report                      */
    double steps_per_second, seconds_left;
    double data_wait;                   /* share of the time spent waiting for data, 0..1  */
    uint64_t bad_steps;                 /* skipped for NaN or Inf                          */
    const char *note;                   /* "validating", "saving" ...; NULL: training      */
} atm_train_progress;

/* What the caller wants, asked after every update; ranks agree on the largest. */
typedef enum { ATM_TRAIN_GO_ON, ATM_TRAIN_SAVE, ATM_TRAIN_SAVE_AND_STOP, ATM_TRAIN_STOP } atm_train_wish;
typedef atm_train_wish (*atm_train_callback)(const atm_train_progress *progress, void *user);

typedef struct {
    atm_device *device;
    atm_comm *comm;                     /* NULL: alone */
    atm_train_callback progress;        /* may be NULL */
    void *user;
    bool dry_run;                       /* check everything, run one step, write nothing */
} atm_train_options;

/* ATM_OK: all steps done and the model written.  ATM_E_REQUEUE: stopped and saved.
 * ATM_E_PEER: a rank was lost.  ATM_E_DATA: dataset broken, or made by another model; or
 * train.max_bad_steps updates in a row were NaN.  ATM_E_CONFIG: another run is using the folder. */
atm_status atm_train(const atm_train_config *config, const atm_train_options *options);

#endif
