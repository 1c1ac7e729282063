/* clip.h - CLIP's vision tower with its projection: image -> embedding.  Equations: clip.c. */
#ifndef ATM_MODEL_CLIP_H
#define ATM_MODEL_CLIP_H

#include "model/image_encoder.h"

/* pixels [N, 3, image_size, image_size] -> [N, projection_dim], before normalisation. */
atm_tensor atm_clip(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels);

#endif
