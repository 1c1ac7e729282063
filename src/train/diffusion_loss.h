/* diffusion_loss.h - the loss of the stages `adapter` and `diffusion`, as steps of a plan.
 *
 *     atm_diffusion_net net;
 *     atm_diffusion_append(p, &how, z, &net);          // z: scaled latents [N, C, T, F], net.loss [1]
 *     atm_plan_backward(p, 1, &net.loss, &one);
 *     TRY(atm_plan_finish(p, ...));
 *     TRY(atm_diffusion_write_constants(p, how.conditioning));
 *     atm_diffused x = atm_diffuse(&schedule, abar, gamma, t);         // a row of mix, target, weight
 *
 * Parameters stand in the scopes of their folders: "adapter.", "language_model.", "unet.".
 * Equations and sources: diffusion_loss.c. */
#ifndef ATM_TRAIN_DIFFUSION_LOSS_H
#define ATM_TRAIN_DIFFUSION_LOSS_H

#include "model/model_dir.h"

typedef struct {
    const atm_model_config *model;
    const atm_conditioning *conditioning;
    double guidance;                    /* inside the loss; 1: none                          */
    bool recompute;                     /* blocks of the UNet again in the backward pass     */
} atm_diffusion_options;

/* Inputs that the caller writes before each run, and the loss. */
typedef struct {
    atm_tensor noise;                   /* [N, C, T, F]                                      */
    atm_tensor timestep, weight;        /* [N]                                               */
    atm_tensor mix, target, keep;       /* [N, 2]; keep: 1 0 the artwork, 0 1 the negative   */
    atm_tensor embedding;               /* [N, E]                                            */
    atm_tensor text, mask;              /* [N, L, D], [N, L]; absent in models without text  */
    atm_tensor loss;                    /* [1]                                               */
} atm_diffusion_net;

void atm_diffusion_append(atm_plan *p, const atm_diffusion_options *how, atm_tensor z, atm_diffusion_net *out);

/* The negative conditions, into a finished plan. */
atm_status atm_diffusion_write_constants(atm_plan *p, const atm_conditioning *conditioning);

/* z_t = mix[0] z + mix[1] n, the target = target[0] z + target[1] n, and the weight of a sample at time t. */
typedef struct { double mix[2], target[2], weight; } atm_diffused;
atm_diffused atm_diffuse(const atm_schedule_config *schedule, const double *abar, double snr_gamma, int t);

#endif
