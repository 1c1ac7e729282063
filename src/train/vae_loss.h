/* vae_loss.h - the loss of the stage `vae`, as steps of a plan. */
#ifndef ATM_TRAIN_VAE_LOSS_H
#define ATM_TRAIN_VAE_LOSS_H

#include "model/vae.h"

typedef struct {
    atm_vae_posterior posterior;
    atm_tensor decoded;                 /* like mel                                          */
    atm_tensor l1, kl, loss;            /* [1]; kl: per number of a latent                   */
} atm_vae_losses;

/*     z = mean + exp(logvar / 2) noise,     loss = mean |decode(z) - mel| + kl_weight kl
 *
 * mel [N, T, M, in_channels], noise [N, T / scale, M / scale, latent_channels]; without noise (ATM_NONE) z is the
 * mean.  Parameters stand in the open scope.  Kingma, Welling 2014. */
atm_vae_losses atm_vae_loss(atm_plan *p, const atm_vae_config *config, atm_tensor mel, atm_tensor noise,
                            double kl_weight);

#endif
