/* stages.h - the stages there are: one file and one row each. */
#ifndef ATM_TRAIN_STAGES_H
#define ATM_TRAIN_STAGES_H

#include "train/stage.h"

extern const atm_stage_info atm_stage_adapter, atm_stage_diffusion, atm_stage_vae, atm_stage_vocoder, atm_stage_align;

#endif
