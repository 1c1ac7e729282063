/* Do the parts of a model fit together? */
#include "model/model_dir.h"

#include <stdio.h>
#include <string.h>

int atm_model_latent_channels(const atm_model_config *c) { return c->unet.in_channels; }

int atm_model_latent_mels(const atm_model_config *c)
{
    return c->vocoder.model_in_dim / atm_vae_scale(&c->vae);
}

/* Streams 0 and 1 read the language-of-audio vectors, 2 and 3 the text (unet.h). */
static int context_dim(const atm_unet_config *c, int context)
{
    for (int level = 0; level < c->levels; level++)
        for (int stream = 0; stream < c->streams[level]; stream++)
            if (stream / 2 == context && c->context_dim[level][stream]) return c->context_dim[level][stream];
    return 0;
}

int atm_model_text_dim(const atm_model_config *c) { return context_dim(&c->unet, 1); }

int atm_model_loa_dim(const atm_model_config *c) { return context_dim(&c->unet, 0); }

typedef struct { const char *a_name; int a; const char *b_name; int b; } pair;

atm_status atm_model_config_check(const atm_model_config *c)
{
    const int scale = atm_vae_scale(&c->vae);
    const pair equal[] = {
        { "adapter in_dim", c->adapter.in_dim, "image_encoder projection_dim",
          c->image_encoder.projection_dim },
        { "adapter out_dim", c->adapter.out_dim, "language_model n_embd", c->language_model.n_embd },
        { "unet cross_attention_dim (stream 1)", atm_model_loa_dim(c), "language_model n_embd",
          c->language_model.n_embd },
        { "unet in_channels", c->unet.in_channels, "unet out_channels", c->unet.out_channels },
        { "unet in_channels", c->unet.in_channels, "vae latent_channels", c->vae.latent_channels },
        { "vae out_channels", c->vae.out_channels, "the vocoder's input channels", 1 },
        { "vae in_channels", c->vae.in_channels, "the mel front end's channels", 1 },
        { "vocoder model_in_dim modulo the vae's scale", c->vocoder.model_in_dim % scale, "no rest", 0 },
    };
    char list[2000] = "";
    TRY_RETURN(atm_image_encoder_config_check(&c->image_encoder));
    TRY_RETURN(atm_schedule_check(&c->schedule));
    for (size_t i = 0; i < sizeof equal / sizeof *equal; i++)
        if (equal[i].a != equal[i].b)
            snprintf(list + strlen(list), sizeof list - strlen(list), "\n  %s is %d, %s is %d",
                     equal[i].a_name, equal[i].a, equal[i].b_name, equal[i].b);
    const int positions = c->adapter.n_tokens + c->language_model.max_new_tokens - 1;
    if (positions > c->language_model.n_positions)
        snprintf(list + strlen(list), sizeof list - strlen(list),
                 "\n  adapter n_tokens %d needs %d positions, language_model n_positions is %d",
                 c->adapter.n_tokens, positions, c->language_model.n_positions);
    return list[0] ? atm_fail(ATM_E_CONFIG, "the parts of the model do not fit together:%s", list) : ATM_OK;
}
