/* latent_scale.h - latents of zero mean and unit variance, without another network. */
#ifndef ATM_TRAIN_LATENT_SCALE_H
#define ATM_TRAIN_LATENT_SCALE_H

#include "train/stage.h"

/* Measures the posterior's means over the training split with `plan` (mel in, mean out), and rewrites
 * vae/ of `model_folder`: the channels' means go into the biases of quant_conv and
 * post_quant_conv, one over their common standard deviation into scaling_factor. */
atm_status atm_normalize_latents(atm_stage *stage, atm_plan *plan, atm_tensor mel, atm_tensor mean,
                                 const char *model_folder);

#endif
