/* samples.h - what a model in training sounds like: the same artworks with the same seeds each
 * time, so that one can hear it learn. */
#ifndef ATM_TRAIN_SAMPLES_H
#define ATM_TRAIN_SAMPLES_H

#include "data/dataset.h"
#include "train/run_log.h"

/* Opens the model, generates `duration` seconds in `steps` steps for the first n different artworks
 * of the validation split (column artworks/embedding; seeds 0, 1, 2 ...), and writes
 *     out_folder/artwork_ROW.wav  artwork_ROW.png
 * which also go to the log (NULL: to none) as samples/artwork_ROW and samples/artwork_ROW_mel.
 * ATM_E_DATA: the dataset has no embeddings, or those of another model.  Without a
 * validation split there is nothing to do. */
atm_status atm_train_samples(const char *model_folder, const atm_dataset *dataset, int n, int steps,
                             double duration, const char *out_folder, atm_run_log *log, uint64_t step);

#endif
