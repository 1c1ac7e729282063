/* train_progress.h - how far a training run is, for people: a bar, or a line each ten seconds. */
#ifndef ATM_CLI_TRAIN_PROGRESS_H
#define ATM_CLI_TRAIN_PROGRESS_H

#include "train/trainer.h"

void cli_train_progress(const atm_train_progress *progress);

#endif
