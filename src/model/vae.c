/* vae.c - the autoencoder of AudioLDM2.
 *
 *     encode:  conv_in, levels x (layers x resblock, downsample), mid,
 *              conv_out(silu(norm h)), quant_conv -> [mean | logvar]
 *     decode:  post_quant_conv, conv_in, mid, levels x ((layers + 1) x resblock,
 *              upsample), conv_out(silu(norm h))
 *     mid:     resblock, attention with one head over all pixels, resblock
 *
 * These have caused bugs in ports: downsampling pads one row below and one
 * column to the right, not one all around (the picture shifts otherwise); the
 * epsilon of all norms is 1e-6; the last level has no down- or upsampling.
 *
 * Source: diffusers 0.27.2, models/autoencoders/{autoencoder_kl,vae}.py. */
#include "base/status.h"
#include "model/config_fields.h"
#include "model/hf_config.h"
#include "model/layers.h"
#include "model/vae.h"

static const double EPS = 1e-6;

const char *const atm_vae_aliases[][2] = {
    { "to_q", "query" }, { "to_k", "key" }, { "to_v", "value" }, { "to_out.0", "proj_attn" }, { NULL, NULL },
};

/* ------------------------------------------------------------------ configuration */

atm_vae_config atm_vae_config_audioldm2(void)
{
    return (atm_vae_config){
        .in_channels = 1, .out_channels = 1, .latent_channels = 8, .levels = 3, .channels = { 128, 256, 512 },
        .layers_per_block = 2, .norm_num_groups = 32, .scaling_factor = 0.4110932946205139,
    };
}

static const atm_field fields[] = {
    ATM_FIELD_INT(atm_vae_config, in_channels, 1, 4096, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_vae_config, out_channels, 1, 4096, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_vae_config, latent_channels, 1, 4096, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_vae_config, layers_per_block, 1, 16, ATM_OPTIONAL),
    ATM_FIELD_INT(atm_vae_config, norm_num_groups, 1, 1 << 15, ATM_OPTIONAL),
    ATM_FIELD_DOUBLE(atm_vae_config, scaling_factor, 1e-9, 1e9, ATM_OPTIONAL),
    ATM_FIELD_FIXED("act_fn", "\"silu\""),
    ATM_FIELD_FIXED("latents_mean", "null"),
    ATM_FIELD_FIXED("latents_std", "null"),
    ATM_FIELD_FIXED("mid_block_add_attention", "true"),         /* these three are of later versions */
    ATM_FIELD_FIXED("use_quant_conv", "true"),
    ATM_FIELD_FIXED("use_post_quant_conv", "true"),
};

static const char DOWN[] = "DownEncoderBlock2D", UP[] = "UpDecoderBlock2D";

atm_status atm_vae_config_read(const atm_json *json, atm_vae_config *out)
{
    bool same[ATM_VAE_LEVELS];
    *out = (atm_vae_config){ .in_channels = 3, .out_channels = 3, .latent_channels = 4, .layers_per_block = 1,
                             .norm_num_groups = 32, .scaling_factor = 0.18215 };
    TRY_RETURN(atm_fields_read(json, NULL, fields, ATM_N_FIELDS(fields), out));
    TRY_RETURN(atm_hf_channels(json, ATM_VAE_LEVELS, out->norm_num_groups, &out->levels, out->channels));
    TRY_RETURN(atm_hf_block_types(json, "down_block_types", out->levels, DOWN, DOWN, same));
    return atm_hf_block_types(json, "up_block_types", out->levels, UP, UP, same);
}

json_t *atm_vae_config_json(const atm_vae_config *c)
{
    static const bool same[ATM_VAE_LEVELS];
    json_t *object = json_object();
    json_object_set_new(object, "_class_name", json_string("AutoencoderKL"));
    json_object_set_new(object, "block_out_channels", atm_hf_ints_json(c->channels, c->levels));
    json_object_set_new(object, "down_block_types", atm_hf_block_types_json(same, c->levels, DOWN, DOWN));
    json_object_set_new(object, "up_block_types", atm_hf_block_types_json(same, c->levels, UP, UP));
    atm_fields_write(object, fields, ATM_N_FIELDS(fields), c);
    return object;
}

int atm_vae_scale(const atm_vae_config *c) { return 1 << (c->levels - 1); }

/* ------------------------------------------------------------------ blocks */

static const atm_conv_options SAME = { .pad = 1 };

static atm_tensor resblocks(atm_plan *p, const atm_vae_config *c, atm_tensor x, int first, int n, int out)
{
    for (int i = first; i < first + n; i++) {
        atm_scope(p, "resnets.%d", i);
        x = atm_nn_resblock(p, x, out, (atm_resblock_options){ .groups = c->norm_num_groups, .eps = EPS });
        atm_scope_end(p);
    }
    return x;
}

static atm_tensor mid_block(atm_plan *p, const atm_vae_config *c, atm_tensor x)
{
    const int channels = c->channels[c->levels - 1];
    atm_scope(p, "mid_block");
    x = resblocks(p, c, x, 0, 1, channels);
    atm_scope(p, "attentions.0");
    x = atm_nn_pixel_attention(p, x, c->norm_num_groups, EPS);
    atm_scope_end(p);
    x = resblocks(p, c, x, 1, 1, channels);
    atm_scope_end(p);
    return x;
}

static atm_tensor down_block(atm_plan *p, const atm_vae_config *c, int level, atm_tensor x)
{
    const atm_conv_options half = { .stride = 2, .pad_bottom = 1, .pad_right = 1 };
    atm_scope(p, "down_blocks.%d", level);
    x = resblocks(p, c, x, 0, c->layers_per_block, c->channels[level]);
    if (level < c->levels - 1) x = atm_nn_conv2d(p, "downsamplers.0.conv", x, c->channels[level], 3, half);
    atm_scope_end(p);
    return x;
}

static atm_tensor up_block(atm_plan *p, const atm_vae_config *c, int level, atm_tensor x)
{
    atm_scope(p, "up_blocks.%d", c->levels - 1 - level);
    x = resblocks(p, c, x, 0, c->layers_per_block + 1, c->channels[level]);
    if (level > 0) {
        x = atm_upsample(p, x, 2 * x.dim[1], 2 * x.dim[2]);
        x = atm_nn_conv2d(p, "upsamplers.0.conv", x, c->channels[level], 3, SAME);
    }
    atm_scope_end(p);
    return x;
}

static atm_tensor out_layers(atm_plan *p, const atm_vae_config *c, atm_tensor x, int out)
{
    x = atm_nn_group_norm(p, "conv_norm_out", x, c->norm_num_groups, EPS, ATM_ACT_SILU);
    return atm_nn_conv2d(p, "conv_out", x, out, 3, SAME);
}

/* ------------------------------------------------------------------ encoder, decoder */

/* x - relu(x - 20) + relu(-30 - x): within the bounds both terms are exactly 0. */
static atm_tensor clamp_logvar(atm_plan *p, atm_tensor x)
{
    const atm_tensor above = atm_activate(p, atm_affine(p, x, 1, -20), ATM_ACT_RELU, 0);
    const atm_tensor below = atm_activate(p, atm_affine(p, x, -1, -30), ATM_ACT_RELU, 0);
    return atm_add(p, atm_add_scaled(p, x, 1, above, -1), below);
}

atm_vae_posterior atm_vae_encode(atm_plan *p, const atm_vae_config *c, atm_tensor mel)
{
    const int n = c->latent_channels;
    atm_scope(p, "encoder");
    atm_tensor x = atm_nn_conv2d(p, "conv_in", mel, c->channels[0], 3, SAME);
    for (int level = 0; level < c->levels; level++) x = down_block(p, c, level, x);
    x = out_layers(p, c, mid_block(p, c, x), 2 * n);
    atm_scope_end(p);
    x = atm_nn_conv1x1(p, "quant_conv", x, 2 * n, (atm_linear_options){ 0 });
    return (atm_vae_posterior){ .mean = atm_slice(p, x, -1, 0, n),
                                .logvar = clamp_logvar(p, atm_slice(p, x, -1, n, n)) };
}

atm_tensor atm_vae_decode(atm_plan *p, const atm_vae_config *c, atm_tensor latents)
{
    const int top = c->levels - 1;
    const atm_linear_options plain = { 0 };
    atm_tensor x = atm_nn_conv1x1(p, "post_quant_conv", latents, c->latent_channels, plain);
    atm_scope(p, "decoder");
    x = mid_block(p, c, atm_nn_conv2d(p, "conv_in", x, c->channels[top], 3, SAME));
    for (int level = top; level >= 0; level--) x = up_block(p, c, level, x);
    x = out_layers(p, c, x, c->out_channels);
    atm_scope_end(p);
    return x;
}
