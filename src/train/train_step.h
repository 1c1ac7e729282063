/* train_step.h - the loss and the gradients of one training step on tensors of a file: the component
 * `train-step` of `arttomus forward`, to compare training with the reference. */
#ifndef ATM_TRAIN_TRAIN_STEP_H
#define ATM_TRAIN_TRAIN_STEP_H

#include "kernels/device.h"

typedef struct {
    const char *model;                  /* folder of a whole model                                       */
    const char *inputs, *outputs;       /* safetensors; outputs are in the device's dtype                */
    const char *const *grad;            /* globs of tensors, "unet.conv_in.*"; NULL ends; NULL: adapter.* */
    double guidance, snr_gamma;         /* diffusion_loss.h                                              */
} atm_train_step_request;

/* Inputs:
 *     image_embeds [B, E]    latents, noise [B, C, T, F]    timestep [B]
 *     prompt_embeds ... as in conditioning.safetensors (conditioning.h), all five or none: the model's own
 * where latents are what the UNet sees: scaled.  Outputs: loss [1] and grad.TENSOR for each tensor that a glob
 * matches.  ATM_E_USAGE: a glob that matches nothing; ATM_E_NOINPUT, ATM_E_DATA, ATM_E_CONFIG: as the files
 * deserve. */
atm_status atm_train_step_forward(atm_device *device, const atm_train_step_request *request);

#endif
