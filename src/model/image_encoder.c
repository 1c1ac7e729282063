#include "model/image_encoder.h"

#include <string.h>

#include "model/clip.h"
#include "model/config_fields.h"
#include "model/vit.h"

const atm_image_encoder_config atm_imagebind_huge = {
    .kind = ATM_IMAGE_ENCODER_IMAGEBIND, .image_size = 224, .patch_size = 14, .hidden_size = 1280,
    .intermediate_size = 5120, .num_hidden_layers = 32, .num_attention_heads = 16, .projection_dim = 1024,
    .act = ATM_ACT_GELU, .layer_norm_eps = 1e-6F
};

const atm_image_encoder_config atm_clip_vit_large_14 = {
    .kind = ATM_IMAGE_ENCODER_CLIP, .image_size = 224, .patch_size = 14, .hidden_size = 1024,
    .intermediate_size = 4096, .num_hidden_layers = 24, .num_attention_heads = 16, .projection_dim = 768,
    .act = ATM_ACT_QUICK_GELU, .layer_norm_eps = 1e-5F
};

/* What a config.json of transformers leaves out is CLIPVisionConfig's default; of ours, nothing may be. */
static const atm_image_encoder_config clip_defaults = {
    .kind = ATM_IMAGE_ENCODER_CLIP, .image_size = 224, .patch_size = 32, .hidden_size = 768,
    .intermediate_size = 3072, .num_hidden_layers = 12, .num_attention_heads = 12, .projection_dim = 512,
    .act = ATM_ACT_QUICK_GELU, .layer_norm_eps = 1e-5F
};

/* Indexed by atm_act: the spelling of transformers' hidden_act. */
static const char *const act_names[] = {
    "none", "silu", "gelu", "gelu_new", "quick_gelu", "tanh", "relu", "leaky_relu", NULL
};

#define SIZES(presence) \
    ATM_FIELD_INT(atm_image_encoder_config, image_size, 1, 4096, presence), \
    ATM_FIELD_INT(atm_image_encoder_config, patch_size, 1, 256, presence), \
    ATM_FIELD_INT(atm_image_encoder_config, hidden_size, 1, 16384, presence), \
    ATM_FIELD_INT(atm_image_encoder_config, num_hidden_layers, 1, 256, presence), \
    ATM_FIELD_INT(atm_image_encoder_config, num_attention_heads, 1, 256, presence), \
    ATM_FIELD_INT(atm_image_encoder_config, projection_dim, 1, 16384, presence), \
    ATM_FIELD_INT(atm_image_encoder_config, intermediate_size, 1, 65536, ATM_OPTIONAL)

static const atm_field imagebind_fields[] = { SIZES(ATM_REQUIRED) };

static const atm_field clip_fields[] = {
    SIZES(ATM_OPTIONAL),
    { .key = "hidden_act", .offset = offsetof(atm_image_encoder_config, act), .kind = ATM_FIELD_KIND_ENUM,
      .names = act_names, .presence = ATM_OPTIONAL },
    ATM_FIELD_FLOAT(atm_image_encoder_config, layer_norm_eps, 0, 1, ATM_OPTIONAL),
    ATM_FIELD_FIXED("num_channels", "3"),
};

static const struct {
    const char *model_type;
    atm_tensor (*forward)(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels);
    const atm_field *field;
    size_t n_fields;
} kinds[ATM_IMAGE_ENCODER_COUNT] = {
    [ATM_IMAGE_ENCODER_IMAGEBIND] =
        { "imagebind_vision", atm_vit, imagebind_fields, ATM_N_FIELDS(imagebind_fields) },
    [ATM_IMAGE_ENCODER_CLIP] =
        { "clip_vision_model", atm_clip, clip_fields, ATM_N_FIELDS(clip_fields) },
};

atm_status atm_image_encoder_config_check(const atm_image_encoder_config *c)
{
    if (c->image_size % c->patch_size)
        return atm_fail(ATM_E_CONFIG, "image encoder: patch_size %d does not divide image_size %d",
                        c->patch_size, c->image_size);
    if (c->hidden_size % c->num_attention_heads)
        return atm_fail(ATM_E_CONFIG, "image encoder: num_attention_heads %d does not divide hidden_size %d",
                        c->num_attention_heads, c->hidden_size);
    return ATM_OK;
}

static atm_status read_imagebind(const atm_json *json, atm_image_encoder_config *out)
{
    *out = atm_imagebind_huge;
    out->intermediate_size = 0;
    TRY_RETURN(atm_fields_read(json, NULL, imagebind_fields, ATM_N_FIELDS(imagebind_fields), out));
    if (out->intermediate_size == 0) out->intermediate_size = 4 * out->hidden_size;
    return ATM_OK;
}

/* The vision tower alone, or the whole of CLIP: there the outer projection_dim counts. */
static atm_status read_clip(const atm_json *json, atm_image_encoder_config *out)
{
    const char *group = atm_json_get(json, "vision_config") ? "vision_config" : NULL;
    *out = clip_defaults;
    TRY_RETURN(atm_fields_read(json, group, clip_fields, ATM_N_FIELDS(clip_fields), out));
    return atm_json_int(json, "projection_dim", ATM_OPTIONAL, 1, 16384, &out->projection_dim);
}

static const struct {
    const char *model_type;
    atm_status (*read)(const atm_json *json, atm_image_encoder_config *out);
} readers[] = {
    { "imagebind_vision", read_imagebind }, { "clip_vision_model", read_clip }, { "clip", read_clip },
};

static int reader_of(const char *model_type)
{
    for (int i = 0; i < (int)(sizeof readers / sizeof readers[0]); i++)
        if (strcmp(model_type, readers[i].model_type) == 0) return i;
    return -1;
}

atm_status atm_image_encoder_config_read(const atm_json *json, atm_image_encoder_config *out)
{
    const char *type = "";
    TRY_RETURN(atm_json_string(json, "model_type", ATM_REQUIRED, &type));
    const int reader = reader_of(type);
    if (reader < 0)
        return atm_fail(ATM_E_CONFIG, "%s: 'model_type' is \"%.100s\"; known: imagebind_vision, "
                        "clip_vision_model, clip", json->path, type);
    TRY_RETURN(readers[reader].read(json, out));
    atm_status status = atm_image_encoder_config_check(out);
    return status == ATM_OK ? ATM_OK : atm_fail_in(status, "%s", json->path);
}

json_t *atm_image_encoder_config_json(const atm_image_encoder_config *config)
{
    json_t *object = json_pack("{s:s}", "model_type", kinds[config->kind].model_type);
    atm_fields_write(object, kinds[config->kind].field, kinds[config->kind].n_fields, config);
    return object;
}

atm_image_embeds atm_image_encoder(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels)
{
    const atm_tensor embeds = kinds[c->kind].forward(p, c, pixels);
    return (atm_image_embeds){ embeds, atm_l2_normalize(p, embeds, 1e-12F) };
}
