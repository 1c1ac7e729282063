#include "train/vae_loss.h"

atm_vae_losses atm_vae_loss(atm_plan *p, const atm_vae_config *config, atm_tensor mel, atm_tensor noise,
                            double kl_weight)
{
    atm_vae_losses l = { .posterior = atm_vae_encode(p, config, mel) };
    if (atm_plan_failed(p)) return l;
    const atm_tensor mean = l.posterior.mean, logvar = l.posterior.logvar;
    const double numbers = (double)atm_count(mean) / mean.dim[0];
    l.decoded = atm_vae_decode(p, config, atm_present(noise) ? atm_posterior(p, mean, logvar, noise) : mean);
    l.l1 = atm_l1(p, l.decoded, mel, ATM_NONE);
    l.kl = atm_affine(p, atm_kl(p, mean, logvar), 1 / numbers, 0);
    l.loss = atm_add_scaled(p, l.l1, 1, l.kl, kl_weight);
    return l;
}
