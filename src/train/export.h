/* export.h - a trained stage as a model folder that `generate` opens.
 *
 * A complete copy of the model that training began from, in which the trained components hold
 * the new weights (EMA where there is one), with README.md, the model card.  export.c copies,
 * export_weights.c writes the new weights, model_card.c the card. */
#ifndef ATM_TRAIN_EXPORT_H
#define ATM_TRAIN_EXPORT_H

#include "train/stage.h"

typedef struct {
    atm_dtype dtype;                    /* of the trained components' weights: F32, F16, BF16 */
    const char *config_yaml;
    uint64_t step;
    double seconds;
    const char *const *metric;          /* last validation: names, NULL ends; NULL: there was none */
    const double *value;
} atm_export_options;

/* Writes into <folder>.tmp, then renames; an older <folder> is replaced only when the new one is whole.
 * ATM_E_IO; and what reading the model that training began from may fail with. */
atm_status atm_export_model(atm_stage *stage, const char *folder, const atm_export_options *options);

#endif
