/* stage.h - what is particular about training one network: its plans and its losses.
 *
 * The trainer (trainer.c) knows batches, optimizers, ranks, checkpoints and logs; a stage
 * knows what to compute on a micro-batch.  To add one: a file stage_NAME.c with an
 * atm_stage_info, and its row in stages.c.
 *
 * One update is: for each micro-batch, the gradients of every group (a discriminator has
 * its own group), all at the same weights; then for every group the sum over ranks,
 * clipping, AdamW. */
#ifndef ATM_TRAIN_STAGE_H
#define ATM_TRAIN_STAGE_H

#include "base/philox.h"
#include "comm/comm.h"
#include "data/loader.h"
#include "model/model_dir.h"
#include "train/config.h"
#include "train/group.h"

enum { ATM_STAGE_GROUPS = 2, ATM_STAGE_METRICS = 12, ATM_STAGE_COMPONENTS = 6 };

typedef struct atm_stage atm_stage;

typedef struct {
    const char *name, *help;
    /* Reads config and model, and fills the rest of `stage`: groups (allocated and loaded), columns, metrics;
     * builds the plans. */
    atm_status (*open)(atm_stage *stage);
    /* Forward and backward for group number `group` on a micro-batch: adds the gradient of its mean loss to
     * group->g (or sets group->idle) and writes its metrics into metrics[].  Random numbers by stage_rng(). */
    atm_status (*gradients)(atm_stage *stage, int group, const atm_loaded *batch, double *metrics);
    /* Forward alone on a batch of micro_batch samples, on the weights as they are (the trainer has put the moving
     * average there); metrics as above. */
    atm_status (*validate)(atm_stage *stage, const atm_loaded *batch, double *metrics);
    /* May be NULL.  Last changes to a model folder that is about to be shipped; the weights are there. */
    atm_status (*finish)(atm_stage *stage, const char *model_folder);
    void (*close)(atm_stage *stage);
} atm_stage_info;

struct atm_stage {
    /* Set by the trainer before open(). */
    const atm_stage_info *info;
    const atm_train_config *config;
    atm_device *device;
    const atm_model_dir *model;
    const atm_dataset *dataset;
    atm_comm *comm;
    int micro_batch;                            /* samples: batch_size / ranks / accumulation steps       */
    bool profile;                               /* time each step of the plan below                       */

    /* Set by open(). */
    atm_group group[ATM_STAGE_GROUPS];
    int n_groups;
    double lr_scale[ATM_STAGE_GROUPS];          /* of train.learning_rate; 0 counts as 1                  */
    const char *trained[ATM_STAGE_COMPONENTS];  /* folders of the model that get new weights, NULL ends   */
    const char *made_by[ATM_STAGE_COMPONENTS];  /* folders that made the columns: the dataset must come from
                                                   the same weights; NULL ends                            */
    atm_loader_column column[ATM_LOADER_COLUMNS];
    int n_columns;
    bool clips;                                 /* items are clips, not pairs                             */
    bool makes_music;                           /* validation can generate clips                          */
    const char *metric[ATM_STAGE_METRICS + 1];  /* "loss" first; NULL ends                                */
    const atm_plan *plan;                       /* of a training step, to look at; NULL: there are several */
    void *self;                                 /* the stage's own                                        */
};

extern const atm_stage_info *const atm_stages[];            /* NULL ends */
const atm_stage_info *atm_stage_find(const char *name);     /* NULL: no such stage */

/* The random numbers of sample i of a micro-batch: the same for any number of ranks and micro-batches. */
static inline atm_rng stage_rng(const atm_stage *stage, atm_stream stream, const atm_loaded *batch, int i)
{
    return (atm_rng){ (uint64_t)stage->config->seed, (uint32_t)stream, (uint32_t)batch->step,
                      (uint32_t)(batch->first + i) };
}

/* ATM_E_DATA unless the dataset has the column, with this type and shape (-1: any): the stages read rows as they
 * lie in memory.  The message names both, and the `columns` of `arttomus prepare`. */
atm_status stage_check_column(const atm_stage *stage, const char *name, atm_dtype dtype, int rank, const int *dim,
                              const char *columns);

/* train.trainable as a list of globs into `list` (whose texts lie in `text`), or `standard` when it is empty.
 * NULL ends both. */
enum { ATM_STAGE_GLOBS = 32 };
const char *const *stage_globs(const atm_stage *stage, const char *const *standard, atm_config_text text,
                               const char *list[ATM_STAGE_GLOBS + 1]);

#endif
