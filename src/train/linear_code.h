/* linear_code.h - a VAE encoder that begins as the best linear code of its data. */
#ifndef ATM_TRAIN_LINEAR_CODE_H
#define ATM_TRAIN_LINEAR_CODE_H

#include "train/stage.h"

/* Sets `group` (a whole VAE: every tensor of it must be trained) so that the posterior's mean is the
 * first latent_channels principal components of the scale x scale patches of clips/mel, and the decoder
 * begins near their inverse; see linear_code.c.  ATM_E_CONFIG when the VAE's shape does not allow it. */
atm_status atm_linear_code_init(const atm_stage *stage, atm_group *group);

#endif
