/* model_dir.h - a whole model: a folder in the layout of HF diffusers.
 *
 *     model_index.json
 *     image_encoder/   config.json, weights       pixels -> embedding
 *     adapter/         config.json, weights       embedding -> tokens (config may be absent)
 *     language_model/  config.json, weights       tokens -> 8 vectors
 *     unet/  vae/  vocoder/  config.json, weights
 *     scheduler/       scheduler_config.json
 *     audio_encoder/   config.json, weights       music -> embedding (may be absent: nothing generated needs it)
 *     conditioning/    conditioning.safetensors   the constants of image-only generation
 *
 * Names of files and tensors are those of diffusers and transformers, unchanged;
 * weights may be safetensors, sharded, or .bin/.pt/.pth (io/weights.h). */
#ifndef ATM_MODEL_MODEL_DIR_H
#define ATM_MODEL_MODEL_DIR_H

#include "model/adapter.h"
#include "model/audio_encoder.h"
#include "model/conditioning.h"
#include "model/gpt2.h"
#include "model/hifigan.h"
#include "model/image_encoder.h"
#include "model/params.h"
#include "model/schedule.h"
#include "model/unet.h"
#include "model/vae.h"

typedef struct {
    atm_image_encoder_config image_encoder;
    atm_adapter_config adapter;
    atm_gpt2_config language_model;
    atm_unet_config unet;
    atm_vae_config vae;
    atm_hifigan_config vocoder;
    atm_schedule_config schedule;
    atm_audio_encoder_config audio_encoder;     /* music -> embedding; hidden_size 0: the model has none */
} atm_model_config;

/* Do the parts fit together (widths, channels)?  One ATM_E_CONFIG lists all that do not. */
atm_status atm_model_config_check(const atm_model_config *config);

/* Sizes that follow from the parts. */
int atm_model_latent_channels(const atm_model_config *config);
int atm_model_latent_mels(const atm_model_config *config);      /* mel bands / atm_vae_scale()            */
int atm_model_loa_dim(const atm_model_config *config);          /* D of the 8 vectors; 0: no such stream  */
int atm_model_text_dim(const atm_model_config *config);         /* E of the T5 states; 0: no such stream  */

/* ------------------------------------------------------------------ reading */

typedef struct {
    char *path;                         /* owned */
    atm_model_config config;
    atm_conditioning conditioning;
} atm_model_dir;

/* Reads all configurations and the conditioning, and opens every weights file once to
 * see that it is whole; binding tensors comes later, from the plans.
 * ATM_E_NOINPUT: one message with everything that is missing and what was expected.
 * ATM_E_CONFIG, ATM_E_DATA: a part is broken, or parts do not fit together. */
atm_status atm_model_dir_open(const char *path, atm_model_dir *out);
void       atm_model_dir_close(atm_model_dir *dir);             /* back to {0} */

/* The weights of a component (component.h: "unet", "vae-decoder" ...), to bind plans
 * to; close with atm_params_close.  All frozen.  ATM_E_USAGE: no such component. */
atm_status atm_model_dir_params(const atm_model_dir *dir, const char *component, atm_params *out);

/* ------------------------------------------------------------------ writing */

/* Writes a complete model folder with random weights: the same bytes for the same
 * arguments, whatever the number of threads.  `dir` is made when it is not there;
 * files in it are replaced.  dtype: F32, F16 or BF16 of all weights.  The
 * configuration is checked first.  ATM_E_IO as the file system says. */
typedef struct {
    uint64_t seed;
    atm_dtype dtype;
    int text_tokens;            /* L of the random T5 states */
    atm_pool *pool;             /* may be NULL               */
    int (*stop)(void);          /* asked between tensors: not 0 ends with ATM_E_CANCELLED; may be NULL */
} atm_model_init_options;
atm_status atm_model_dir_init(const atm_model_config *config, const char *dir,
                              atm_model_init_options options);

#endif
