/* export_weights.h - the weights of one component after training. */
#ifndef ATM_TRAIN_EXPORT_WEIGHTS_H
#define ATM_TRAIN_EXPORT_WEIGHTS_H

#include "model/model_parts.h"
#include "train/stage.h"

/* Writes one safetensors file `path`: every tensor of the part's files in the model that training began
 * from, those of the stage's groups with their new values (EMA or p) as `dtype`, the others
 * as they are.  Whatever wrapped the names in the old files is gone. */
atm_status atm_export_weights(const atm_stage *stage, const atm_model_part_info *part, atm_dtype dtype,
                              const char *path);

/* Is this the name of a file that holds weights, or the index of such? */
bool atm_is_weights_name(const char *name);

#endif
