/* imagebind.h - what the modalities of ImageBind share: blocks and head.  Equations: imagebind.c. */
#ifndef ATM_MODEL_IMAGEBIND_H
#define ATM_MODEL_IMAGEBIND_H

#include "plan/plan.h"

typedef struct {
    const char *modality;           /* "vision": part of every tensor's name                */
    int layers, heads, intermediate, projection_dim;
    double eps;
    bool norm_before;               /* a layer norm before the blocks (vision)              */
    bool bias_kv;                   /* a learned key and value beside the tokens' (audio)   */
} atm_imagebind_trunk;

/* tokens [N, L, C], the class token first -> [N, projection_dim], before normalisation. */
atm_tensor atm_imagebind(atm_plan *p, atm_tensor tokens, atm_imagebind_trunk t);

#endif
