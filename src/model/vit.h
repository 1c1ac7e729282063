/* vit.h - ImageBind's vision trunk: image -> embedding.  Equations: vit.c. */
#ifndef ATM_MODEL_VIT_H
#define ATM_MODEL_VIT_H

#include "model/image_encoder.h"

/* pixels [N, 3, image_size, image_size] -> [N, projection_dim], before normalisation. */
atm_tensor atm_vit(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels);

#endif
