/* component_table.c - the components: one build function and one row each.
 * Names, inputs, outputs and layouts are those of the reference. */
#include "base/status.h"
#include "model/adapter.h"
#include "model/audio_encoder.h"
#include "model/component.h"
#include "model/gpt2.h"
#include "model/hifigan.h"
#include "model/image_encoder.h"
#include "model/unet.h"
#include "model/vae.h"

/* Nominal sizes: a clip of 10.24 s. */
enum { LATENT_FRAMES = 256, LATENT_BANDS = 16, MEL_FRAMES = 1024, MEL_BANDS = 64 };
enum { PREFIX_TOKENS = 4, LOA_VECTORS = 8, T5_TOKENS = 16 };

static atm_tensor image_input(atm_component_call *c, const char *name, int channels, int height, int width)
{
    const int dim[] = { ATM_ANY(1), channels, ATM_ANY(height), ATM_ANY(width) };
    return atm_to_channels_last(c->plan, atm_component_input(c, name, 4, dim));
}

static void image_output(atm_component_call *c, const char *name, atm_tensor t)
{
    atm_component_output(c, name, atm_to_channels_first(c->plan, t));
}

/* ------------------------------------------------------------------ UNet */

/* The width of a context: the first stream that reads it says so; 0: none does. */
static int context_width(const atm_unet_config *c, int context)
{
    for (int level = 0; level < c->levels; level++)
        for (int stream = 0; stream < c->streams[level]; stream++)
            if (c->context_dim[level][stream] && (stream > 1) == context)
                return c->context_dim[level][stream];
    return 0;
}

static atm_status build_unet(atm_component_call *c)
{
    atm_unet_config config;
    TRY_RETURN(atm_unet_config_read(c->config, &config));
    const int loa = context_width(&config, 0), t5 = context_width(&config, 1);
    atm_unet_inputs in = { 0 };
    in.sample = image_input(c, "sample", config.in_channels, LATENT_FRAMES, LATENT_BANDS);
    in.timestep = atm_component_input(c, "timestep", ATM_DIMS(ATM_ANY(1)));
    if (loa)
        in.context[0] = atm_component_input(c, "encoder_hidden_states",
                                            ATM_DIMS(ATM_ANY(1), ATM_ANY(LOA_VECTORS), loa));
    if (t5) {
        in.context[1] = atm_component_input(c, "encoder_hidden_states_1",
                                            ATM_DIMS(ATM_ANY(1), ATM_ANY(T5_TOKENS), t5));
        in.mask[1] = atm_component_optional(c, "encoder_attention_mask_1",
                                            ATM_DIMS(ATM_ANY(1), ATM_ANY(T5_TOKENS)));
    }
    image_output(c, "out", atm_unet(c->plan, &config, in));
    return ATM_OK;
}

/* ------------------------------------------------------------------ VAE */

static const char *const encoder_only[] = { "encoder.*", "quant_conv.*", NULL };
static const char *const decoder_only[] = { "decoder.*", "post_quant_conv.*", NULL };

static atm_status build_vae_encoder(atm_component_call *c)
{
    atm_vae_config config;
    TRY_RETURN(atm_vae_config_read(c->config, &config));
    const atm_tensor mel = image_input(c, "mel", config.in_channels, MEL_FRAMES, MEL_BANDS);
    const atm_vae_posterior posterior = atm_vae_encode(c->plan, &config, mel);
    image_output(c, "mean", posterior.mean);
    image_output(c, "logvar", posterior.logvar);
    return ATM_OK;
}

static atm_status build_vae_decoder(atm_component_call *c)
{
    atm_vae_config config;
    TRY_RETURN(atm_vae_config_read(c->config, &config));
    const atm_tensor latents = image_input(c, "latents", config.latent_channels, LATENT_FRAMES, LATENT_BANDS);
    image_output(c, "mel", atm_vae_decode(c->plan, &config, latents));
    return ATM_OK;
}

/* ------------------------------------------------------------------ vocoder */

static const char *const normalisation[] = { "mean", "scale", NULL };   /* never read: see hifigan.c */

static atm_status build_vocoder(atm_component_call *c)
{
    atm_hifigan_config config;
    TRY_RETURN(atm_hifigan_config_read(c->config, &config));
    const int dim[] = { ATM_ANY(1), ATM_ANY(MEL_FRAMES), config.model_in_dim };
    const atm_tensor mel = atm_component_input(c, "spectrogram", 3, dim);
    atm_component_output(c, "waveform", atm_hifigan(c->plan, &config, mel));
    return ATM_OK;
}

/* ------------------------------------------------------------------ image encoder */

/* The published files hold all of ImageBind, or both halves of CLIP. */
static const char *const other_modalities[] = {
    "modality_*.text.*", "modality_*.audio.*", "modality_*.depth.*", "modality_*.thermal.*",
    "modality_*.imu.*", "text_model.*", "text_projection.*", "logit_scale", NULL
};

static atm_status build_image_encoder(atm_component_call *c)
{
    atm_image_encoder_config config;
    TRY_RETURN(atm_image_encoder_config_read(c->config, &config));
    const int side = config.image_size;
    const atm_tensor x = atm_component_input(c, "pixel_values", ATM_DIMS(ATM_ANY(1), 3, side, side));
    const atm_image_embeds y = atm_image_encoder(c->plan, &config, x);
    atm_component_output(c, "image_embeds", y.embeds);
    atm_component_output(c, "image_embeds_norm", y.unit);
    return ATM_OK;
}

/* ------------------------------------------------------------------ audio encoder */

static const char *const not_audio[] = {
    "modality_*.vision.*", "modality_*.text.*", "modality_*.depth.*", "modality_*.thermal.*",
    "modality_*.imu.*", "modality_postprocessors.*", NULL
};

static atm_status build_audio_encoder(atm_component_call *c)
{
    atm_audio_encoder_config config;
    TRY_RETURN(atm_audio_encoder_config_read(c->config, &config));
    const int dim[] = { ATM_ANY(1), 1, config.num_mel_bins, config.num_frames };
    const atm_audio_embeds y = atm_audio_encoder(c->plan, &config,
                                                 atm_component_input(c, "input_features", 4, dim));
    atm_component_output(c, "audio_embeds", y.embeds);
    atm_component_output(c, "audio_embeds_norm", y.unit);
    return ATM_OK;
}

/* ------------------------------------------------------------------ adapter */

static atm_status build_adapter(atm_component_call *c)
{
    atm_adapter_config config;
    TRY_RETURN(atm_adapter_config_read(c->config, &config));
    const atm_tensor x = atm_component_input(c, "image_embeds", ATM_DIMS(ATM_ANY(1), config.in_dim));
    atm_component_output(c, "tokens", atm_adapter(c->plan, &config, x));
    return ATM_OK;
}

/* ------------------------------------------------------------------ language model */

static const char *const token_table[] = { "wte.weight", NULL };        /* never read: see gpt2.h */

static atm_status build_language_model(atm_component_call *c)
{
    atm_gpt2_config config;
    TRY_RETURN(atm_gpt2_config_read(c->config, &config));
    const atm_tensor x = atm_component_input(c, "inputs_embeds",
                                             ATM_DIMS(ATM_ANY(1), ATM_ANY(PREFIX_TOKENS), config.n_embd));
    const atm_tensor mask = atm_component_optional(c, "attention_mask",
                                                   ATM_DIMS(ATM_ANY(1), ATM_ANY(PREFIX_TOKENS)));
    atm_component_output(c, "generated_embeds", atm_gpt2(c->plan, &config, x, mask));
    return ATM_OK;
}

/* ------------------------------------------------------------------ the table */

const atm_component atm_components[] = {
    { "image-encoder", "image_encoder", "normalised pixels to an embedding", build_image_encoder,
      { .ignore = other_modalities } },
    { "audio-encoder", "audio_encoder", "normalised log-mel picture to an embedding", build_audio_encoder,
      { .ignore = not_audio } },
    { "adapter", "adapter", "an image's embedding to tokens of the language model", build_adapter, { 0 } },
    { "language-model", "language_model", "tokens to the vectors called language of audio",
      build_language_model, { .ignore = token_table } },
    { "unet", "unet", "the denoiser: noise in a latent, given time and contexts", build_unet, { 0 } },
    { "vae-encoder", "vae", "log-mel picture to the mean and log-variance of latents", build_vae_encoder,
      { .alias = atm_vae_aliases, .ignore = decoder_only } },
    { "vae-decoder", "vae", "latents to a log-mel picture", build_vae_decoder,
      { .alias = atm_vae_aliases, .ignore = encoder_only } },
    { "vocoder", "vocoder", "log-mel frames to a waveform", build_vocoder, { .ignore = normalisation } },
};
const int atm_n_components = sizeof atm_components / sizeof *atm_components;
