/* audio_encoder.h - sound -> embedding, in the space of ImageBind's images: how well music
 * goes with a picture is the cosine of the two.  Equations: audio_encoder.c. */
#ifndef ATM_MODEL_AUDIO_ENCODER_H
#define ATM_MODEL_AUDIO_ENCODER_H

#include "io/json.h"
#include "plan/plan.h"

typedef struct {
    int num_mel_bins, num_frames;   /* the log-mel picture: 128 x 204                   */
    int patch_size, patch_stride;   /* patches overlap; what they do not reach is unread */
    int hidden_size, intermediate_size;
    int num_hidden_layers, num_attention_heads;
    int projection_dim;             /* E, the length of the embedding                   */
} atm_audio_encoder_config;

extern const atm_audio_encoder_config atm_imagebind_huge_audio;

/* audio_encoder/config.json: "model_type": "imagebind_audio" and the members above;
 * intermediate_size may be left out (4 hidden_size). */
atm_status atm_audio_encoder_config_read(const atm_json *json, atm_audio_encoder_config *out);
json_t    *atm_audio_encoder_config_json(const atm_audio_encoder_config *config);

/* Both [N, E]. */
typedef struct {
    atm_tensor embeds, unit;        /* what the head gives; the same divided by its length */
} atm_audio_embeds;

/* features [N, 1, num_mel_bins, num_frames], normalised (data/audio_clips.h). */
atm_audio_embeds atm_audio_encoder(atm_plan *p, const atm_audio_encoder_config *c, atm_tensor features);

#endif
