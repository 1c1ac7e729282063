/* hifigan.h - the vocoder, from log-mel frames to a waveform (SpeechT5HifiGan).
 * Equations: hifigan.c. */
#ifndef ATM_MODEL_HIFIGAN_H
#define ATM_MODEL_HIFIGAN_H

#include "io/json.h"
#include "plan/plan.h"

/* How sound is made of a log-mel picture: by this network; by Griffin-Lim alone (data/griffin_lim.h); or by
 * Griffin-Lim on this network's phases.  Our own key "decoder" of vocoder/config.json, which others ignore: a
 * small vocoder may know phases before it knows loudness. */
typedef enum { ATM_DECODER_VOCODER, ATM_DECODER_GRIFFIN_LIM, ATM_DECODER_HYBRID, ATM_DECODER_COUNT } atm_decoder;
extern const char *const atm_decoder_names[ATM_DECODER_COUNT + 1];     /* NULL ends */

typedef struct {
    int decoder;                        /* atm_decoder */
    int model_in_dim;                   /* mel bands */
    int sampling_rate;
    int upsample_initial_channel;       /* after conv_pre; halved by every upsampler */
    double leaky_relu_slope;            /* of all but the last                       */
    atm_int_list upsample_rates, upsample_kernel_sizes;
    atm_int_list resblock_kernel_sizes;         /* of the residual blocks after each upsampler  */
    atm_int_table resblock_dilation_sizes;      /* a row for each of them                       */
} atm_hifigan_config;

/* cvssp/audioldm2 and cvssp/audioldm2-music. */
atm_hifigan_config atm_hifigan_config_audioldm2(void);

/* vocoder/config.json as transformers writes it; ATM_E_CONFIG as atm_unet_config_read. */
atm_status atm_hifigan_config_read(const atm_json *json, atm_hifigan_config *out);
json_t    *atm_hifigan_config_json(const atm_hifigan_config *config);

/* Samples for so many frames: 160 frames + 32 in AudioLDM2, the 32 being a surplus
 * of the first upsampler that callers cut off.  -1 when it does not fit an int. */
int atm_hifigan_length(const atm_hifigan_config *config, int frames);

/* mel [B, frames, model_in_dim] -> [B, atm_hifigan_length(frames)], within [-1, 1]. */
atm_tensor atm_hifigan(atm_plan *p, const atm_hifigan_config *config, atm_tensor mel);

#endif
