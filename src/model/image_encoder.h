/* image_encoder.h - image -> embedding, by whichever encoder the model folder holds. */
#ifndef ATM_MODEL_IMAGE_ENCODER_H
#define ATM_MODEL_IMAGE_ENCODER_H

#include "io/json.h"
#include "plan/plan.h"

typedef enum {
    ATM_IMAGE_ENCODER_IMAGEBIND, ATM_IMAGE_ENCODER_CLIP, ATM_IMAGE_ENCODER_COUNT
} atm_image_encoder_kind;

typedef struct {
    atm_image_encoder_kind kind;
    int image_size, patch_size;     /* pixels; patches tile the image              */
    int hidden_size, intermediate_size;
    int num_hidden_layers, num_attention_heads;
    int projection_dim;             /* E, the length of the embedding              */
    atm_act act;
    float layer_norm_eps;
} atm_image_encoder_config;

extern const atm_image_encoder_config atm_imagebind_huge, atm_clip_vit_large_14;

/* image_encoder/config.json.  "model_type" says which one: "imagebind_vision" (ours: the
 * keys of CLIP's), or "clip_vision_model" and "clip" as transformers write them. */
atm_status atm_image_encoder_config_read(const atm_json *json, atm_image_encoder_config *out);
atm_status atm_image_encoder_config_check(const atm_image_encoder_config *config);
json_t    *atm_image_encoder_config_json(const atm_image_encoder_config *config);

/* Both [N, E]. */
typedef struct {
    atm_tensor embeds, unit;        /* what the projection gives; the same divided by its length */
} atm_image_embeds;

/* pixels [N, 3, image_size, image_size], normalised (data/image.h). */
atm_image_embeds atm_image_encoder(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels);

#endif
