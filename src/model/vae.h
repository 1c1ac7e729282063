/* vae.h - the autoencoder between log-mel pictures and latents (AutoencoderKL).
 * Time is the height, mel bands are the width.  Equations: vae.c. */
#ifndef ATM_MODEL_VAE_H
#define ATM_MODEL_VAE_H

#include "io/json.h"
#include "plan/plan.h"

enum { ATM_VAE_LEVELS = 8 };

typedef struct {
    int in_channels, out_channels, latent_channels;
    int levels;
    int channels[ATM_VAE_LEVELS];
    int layers_per_block;               /* residual blocks a level; one more in the decoder */
    int norm_num_groups;
    double scaling_factor;              /* latent for the UNet = scaling_factor * sample     */
} atm_vae_config;

/* cvssp/audioldm2 and cvssp/audioldm2-music. */
atm_vae_config atm_vae_config_audioldm2(void);

/* vae/config.json as diffusers writes it; ATM_E_CONFIG as atm_unet_config_read. */
atm_status atm_vae_config_read(const atm_json *json, atm_vae_config *out);
json_t    *atm_vae_config_json(const atm_vae_config *config);

/* Mel frames (or bands) for each latent one: 4 for three levels. */
int atm_vae_scale(const atm_vae_config *config);

/* Names of the attention layers in files written before diffusers 0.18. */
extern const char *const atm_vae_aliases[][2];

/* The posterior of mel [B, T, M, in_channels]: mean and logvar
 * [B, T / scale, M / scale, latent_channels], logvar within [-30, 20].
 * sample = mean + exp(logvar / 2) * noise. */
typedef struct { atm_tensor mean, logvar; } atm_vae_posterior;
atm_vae_posterior atm_vae_encode(atm_plan *p, const atm_vae_config *config, atm_tensor mel);

/* latents [B, t, m, latent_channels], already divided by scaling_factor ->
 * [B, scale t, scale m, out_channels]. */
atm_tensor atm_vae_decode(atm_plan *p, const atm_vae_config *config, atm_tensor latents);

#endif
