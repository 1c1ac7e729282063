/* dataset_check.h - was this dataset made by the model that is being trained? */
#ifndef ATM_TRAIN_DATASET_CHECK_H
#define ATM_TRAIN_DATASET_CHECK_H

#include "train/stage.h"

/* Compares the fingerprints of stage->made_by in the dataset with those of the model.
 * ATM_E_DATA with both, and the remedy. */
atm_status atm_train_check_dataset(const atm_stage *stage);

#endif
