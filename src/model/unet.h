/* unet.h - the denoiser of AudioLDM2 (AudioLDM2UNet2DConditionModel): predicts the
 * noise in a latent, given the time and two contexts.  Equations: unet.c. */
#ifndef ATM_MODEL_UNET_H
#define ATM_MODEL_UNET_H

#include "io/json.h"
#include "plan/plan.h"

enum { ATM_UNET_LEVELS = 8, ATM_UNET_STREAMS = 4, ATM_UNET_CONTEXTS = 2, ATM_UNET_LAYERS = 8 };

typedef struct {
    int in_channels, out_channels;
    int levels;
    int channels[ATM_UNET_LEVELS];
    int layers_per_block;               /* residual blocks a level; one more on the way up    */
    bool attends_down[ATM_UNET_LEVELS]; /* by level                                           */
    bool attends_up[ATM_UNET_LEVELS];   /* by level too: the file lists them from the deepest */
    int heads[ATM_UNET_LEVELS];         /* "attention_head_dim" is the NUMBER of heads        */
    int streams[ATM_UNET_LEVELS];       /* transformers after each residual block             */
    int context_dim[ATM_UNET_LEVELS][ATM_UNET_STREAMS];     /* 0: no context, self-attention  */
    int norm_num_groups;
    double norm_eps;
    bool flip_sin_to_cos;
    double freq_shift;
} atm_unet_config;

/* cvssp/audioldm2 and cvssp/audioldm2-music. */
atm_unet_config atm_unet_config_audioldm2(void);

/* unet/config.json as diffusers writes it.  ATM_E_CONFIG names the key, its value
 * and what is implemented. */
atm_status atm_unet_config_read(const atm_json *json, atm_unet_config *out);
json_t    *atm_unet_config_json(const atm_unet_config *config);

/* B latents; N = B, or N = 2 B when one forward pass serves both halves of
 * classifier-free guidance: then rows n and n + B belong to latent n (the same
 * order as [uncond, cond] stacked), and all that precedes the first
 * cross-attention is computed once for both. */
typedef struct {
    atm_tensor sample;                  /* [B, T, F, in_channels]                                      */
    atm_tensor timestep;                /* [N], or [steps]: all of a sampler, with `index`              */
    atm_tensor index;                   /* I32 [N] into timestep; absent: timestep is per sample        */
    atm_tensor context[ATM_UNET_CONTEXTS];      /* [N, L, D]: LOA vectors (streams 0, 1), T5 states (2, 3) */
    atm_tensor mask[ATM_UNET_CONTEXTS];         /* [N, L], 1 = there, 0 = padding; may be absent           */
    bool recompute;                     /* training: blocks are segments, computed again in the backward pass  */
} atm_unet_inputs;

/* Returns the prediction [N, T, F, out_channels].  Any T and F >= 1.  With STATIC
 * timesteps and contexts, the time projections and the keys and values of the
 * contexts are computed once per plan_write, not per run. */
atm_tensor atm_unet(atm_plan *p, const atm_unet_config *config, atm_unet_inputs in);

#endif
