/* ImageBind's audio trunk (Girdhar et al., CVPR 2023; facebookresearch/ImageBind).
 *
 *     x = [class | LN(W * features)] + positions         16 x 16 patches every 10: 12 x 19
 *     embeds = what imagebind.c makes of x               with bias_k and bias_v
 *     unit = embeds / |embeds|
 *
 * Details that have caused bugs:
 *  - The stem's norm has eps 1e-5 (PyTorch's default), all others 1e-6.
 *  - The stem's norm comes before the class token and the positions; vision has none there.
 *  - What ImageBind returns for a sound is the mean over its three clips of 20 unit: a
 *    fixed scale, exp(modality_postprocessors.audio.1.log_logit_scale), that cosines do not
 *    see and that is not applied here.  The mean is the caller's; it is no unit vector. */
#include "model/audio_encoder.h"

#include <string.h>

#include "base/status.h"
#include "model/config_fields.h"
#include "model/encoder.h"
#include "model/imagebind.h"

static const double STEM_EPS = 1e-5, TRUNK_EPS = 1e-6;
static const char MODEL_TYPE[] = "imagebind_audio";

const atm_audio_encoder_config atm_imagebind_huge_audio = {
    .num_mel_bins = 128, .num_frames = 204, .patch_size = 16, .patch_stride = 10, .hidden_size = 768,
    .intermediate_size = 3072, .num_hidden_layers = 12, .num_attention_heads = 12, .projection_dim = 1024
};

/* ------------------------------------------------------------------ configuration */

static const atm_field fields[] = {
    ATM_FIELD_INT(atm_audio_encoder_config, num_mel_bins, 1, 4096, ATM_REQUIRED),
    ATM_FIELD_INT(atm_audio_encoder_config, num_frames, 1, 4096, ATM_REQUIRED),
    ATM_FIELD_INT(atm_audio_encoder_config, patch_size, 1, 256, ATM_REQUIRED),
    ATM_FIELD_INT(atm_audio_encoder_config, patch_stride, 1, 256, ATM_REQUIRED),
    ATM_FIELD_INT(atm_audio_encoder_config, hidden_size, 1, 16384, ATM_REQUIRED),
    ATM_FIELD_INT(atm_audio_encoder_config, num_hidden_layers, 1, 256, ATM_REQUIRED),
    ATM_FIELD_INT(atm_audio_encoder_config, num_attention_heads, 1, 256, ATM_REQUIRED),
    ATM_FIELD_INT(atm_audio_encoder_config, projection_dim, 1, 16384, ATM_REQUIRED),
    ATM_FIELD_INT(atm_audio_encoder_config, intermediate_size, 1, 65536, ATM_OPTIONAL),
};

static atm_status check_sizes(const atm_json *json, const atm_audio_encoder_config *c)
{
    if (c->patch_size > c->num_mel_bins || c->patch_size > c->num_frames)
        return atm_fail(ATM_E_CONFIG, "%s: patch_size %d exceeds num_mel_bins %d or num_frames %d",
                        json->path, c->patch_size, c->num_mel_bins, c->num_frames);
    if (c->hidden_size % c->num_attention_heads)
        return atm_fail(ATM_E_CONFIG, "%s: num_attention_heads %d does not divide hidden_size %d", json->path,
                        c->num_attention_heads, c->hidden_size);
    return ATM_OK;
}

atm_status atm_audio_encoder_config_read(const atm_json *json, atm_audio_encoder_config *out)
{
    const char *type = "";
    TRY_RETURN(atm_json_string(json, "model_type", ATM_REQUIRED, &type));
    if (strcmp(type, MODEL_TYPE) != 0)
        return atm_fail(ATM_E_CONFIG, "%s: 'model_type' is \"%.100s\"; known: %s", json->path, type,
                        MODEL_TYPE);
    *out = (atm_audio_encoder_config){ 0 };
    TRY_RETURN(atm_fields_read(json, NULL, fields, ATM_N_FIELDS(fields), out));
    if (out->intermediate_size == 0) out->intermediate_size = 4 * out->hidden_size;
    return check_sizes(json, out);
}

json_t *atm_audio_encoder_config_json(const atm_audio_encoder_config *config)
{
    json_t *object = json_pack("{s:s}", "model_type", MODEL_TYPE);
    atm_fields_write(object, fields, ATM_N_FIELDS(fields), config);
    return object;
}

/* ------------------------------------------------------------------ network */

/* How many patches lie along one side. */
static int patches_along(int length, const atm_audio_encoder_config *c)
{
    return (length - c->patch_size) / c->patch_stride + 1;
}

static atm_tensor stem(atm_plan *p, const atm_audio_encoder_config *c, atm_tensor features)
{
    const int width = c->hidden_size, k = c->patch_size;
    const int patches = patches_along(c->num_mel_bins, c) * patches_along(c->num_frames, c);
    atm_scope(p, "modality_preprocessors.audio");
    const atm_tensor w = atm_param(p, "rgbt_stem.proj.weight", ATM_DIMS(width, 1, k, k));
    const atm_tensor first = atm_param(p, "cls_token", ATM_DIMS(1, 1, width));
    const atm_tensor places = atm_param(p, "pos_embedding_helper.pos_embed", ATM_DIMS(1, 1 + patches, width));
    atm_tensor x = atm_nn_patches(p, features, w, c->patch_stride);
    x = atm_nn_layer_norm(p, "rgbt_stem.norm_layer", x, STEM_EPS);
    x = atm_add(p, atm_nn_prepend(p, first, x), places);
    atm_scope_end(p);
    return x;
}

atm_audio_embeds atm_audio_encoder(atm_plan *p, const atm_audio_encoder_config *c, atm_tensor features)
{
    const atm_tensor embeds = atm_imagebind(p, stem(p, c, features), (atm_imagebind_trunk){
        .modality = "audio", .layers = c->num_hidden_layers, .heads = c->num_attention_heads,
        .intermediate = c->intermediate_size, .projection_dim = c->projection_dim,
        .eps = TRUNK_EPS, .bias_kv = true });
    return (atm_audio_embeds){ embeds, atm_l2_normalize(p, embeds, 1e-12F) };
}
