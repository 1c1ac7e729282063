#include "model/model_parts.h"

#include <stdio.h>

#include "model/schedule_config.h"

/* Each part's own reader and writer, applied to its member of atm_model_config. */
#define PART(member, config_read, config_json) \
    static atm_status read_##member(const atm_json *json, atm_model_config *out) \
    { \
        return config_read(json, &out->member); \
    } \
    static json_t *json_##member(const atm_model_config *config) \
    { \
        return config_json(&config->member); \
    }

PART(image_encoder, atm_image_encoder_config_read, atm_image_encoder_config_json)
PART(adapter, atm_adapter_config_read, atm_adapter_config_json)
PART(language_model, atm_gpt2_config_read, atm_gpt2_config_json)
PART(unet, atm_unet_config_read, atm_unet_config_json)
PART(vae, atm_vae_config_read, atm_vae_config_json)
PART(vocoder, atm_hifigan_config_read, atm_hifigan_config_json)
PART(audio_encoder, atm_audio_encoder_config_read, atm_audio_encoder_config_json)
PART(schedule, atm_schedule_config_read, atm_schedule_config_json)

static bool no_audio_encoder(const atm_model_config *c) { return c->audio_encoder.hidden_size == 0; }

#define FUNCTIONS(member) .read = read_##member, .json = json_##member
#define DIFFUSERS_WEIGHTS "diffusion_pytorch_model.safetensors"
#define TRANSFORMERS_WEIGHTS "model.safetensors"

const atm_model_part_info atm_model_parts[] = {
    { "image_encoder", "config.json", TRANSFORMERS_WEIGHTS, "arttomus", "ImageEncoder",
      FUNCTIONS(image_encoder), { "image-encoder" } },
    { "adapter", "config.json", TRANSFORMERS_WEIGHTS, "arttomus", "ImageAdapter",
      FUNCTIONS(adapter), { "adapter" } },
    { "language_model", "config.json", TRANSFORMERS_WEIGHTS, "transformers", "GPT2Model",
      FUNCTIONS(language_model), { "language-model" } },
    { "unet", "config.json", DIFFUSERS_WEIGHTS, "audioldm2", "AudioLDM2UNet2DConditionModel",
      FUNCTIONS(unet), { "unet" } },
    { "vae", "config.json", DIFFUSERS_WEIGHTS, "diffusers", "AutoencoderKL",
      FUNCTIONS(vae), { "vae-encoder", "vae-decoder" } },
    { "vocoder", "config.json", TRANSFORMERS_WEIGHTS, "transformers", "SpeechT5HifiGan",
      FUNCTIONS(vocoder), { "vocoder" } },
    { "scheduler", "scheduler_config.json", NULL, "diffusers", "DDIMScheduler",
      FUNCTIONS(schedule), { NULL } },
    { "audio_encoder", "config.json", TRANSFORMERS_WEIGHTS, "arttomus", "AudioEncoder",
      FUNCTIONS(audio_encoder), { "audio-encoder" }, no_audio_encoder },
};
const int atm_n_model_parts = sizeof atm_model_parts / sizeof *atm_model_parts;

atm_status atm_model_path(char path[ATM_PATH_BYTES], const char *dir, const char *folder, const char *file)
{
    const int n = snprintf(path, ATM_PATH_BYTES, "%s/%s%s%s", dir, folder, file ? "/" : "", file ? file : "");
    if (n >= 0 && n < ATM_PATH_BYTES) return ATM_OK;
    return atm_fail(ATM_E_USAGE, "%.100s...: the path is longer than %d bytes", dir, ATM_PATH_BYTES - 1);
}
