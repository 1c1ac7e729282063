/* validate.h - the fixed validation set: the same items, crops and noise each time. */
#ifndef ATM_TRAIN_VALIDATE_H
#define ATM_TRAIN_VALIDATE_H

#include "train/stage.h"

/* Means over train.validation_batches batches of the validation split, on the moving average of the
 * weights when there is one.  *any false: there is no validation split, or no batches are wanted. */
atm_status atm_train_validate(atm_stage *stage, double *metrics, bool *any);

/* Exchanges the weights and their moving average (nothing where there is none): call it twice. */
void atm_train_swap_average(atm_stage *stage);

#endif
