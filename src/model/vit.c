/* ImageBind's vision trunk (Girdhar et al., CVPR 2023; facebookresearch/ImageBind).
 *
 *     x = [class | W2d * pixels] + positions             W2d = W[:,:,0] + W[:,:,1]
 *     x = LN(x)                                          before the blocks, not after
 *     x += out_proj(attention(in_proj(norm_1 x)))        packed q | k | v rows
 *     x += fc2(gelu(fc1(norm_2 x)))                      exact gelu
 *     embeds = W LN(x)[0]                                no bias
 *
 * Details that have caused bugs:
 *  - The stem is a Conv3d over the image repeated to two identical frames.  Adding
 *    its two taps gives the same numbers from one frame for half the work; the sum
 *    depends on weights alone, so it happens once, in the prologue.
 *  - All norms have eps 1e-6.
 *  - The published image embedding is the normalised one; vision has no logit scale. */
#include "model/vit.h"

#include "model/encoder.h"

/* [C, 3, 2, k, k] -> [C, 3, k, k] */
static atm_tensor fold_frames(atm_plan *p, atm_tensor w, int c, int k)
{
    const atm_tensor taps = atm_reshape(p, w, ATM_DIMS(3 * c, 2, k * k));
    const atm_tensor sum = atm_add(p, atm_slice(p, taps, 1, 0, 1), atm_slice(p, taps, 1, 1, 1));
    return atm_reshape(p, sum, ATM_DIMS(c, 3, k, k));
}

static atm_tensor stem(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels)
{
    const int width = c->hidden_size, k = c->patch_size, side = c->image_size / k;
    atm_scope(p, "modality_preprocessors.vision");
    const atm_tensor w = atm_param(p, "rgbt_stem.proj.1.weight", ATM_DIMS(width, 3, 2, k, k));
    const atm_tensor first = atm_param(p, "cls_token", ATM_DIMS(1, 1, width));
    const atm_tensor places = atm_param(p, "pos_embedding_helper.pos_embed",
                                        ATM_DIMS(1, 1 + side * side, width));
    const atm_tensor x = atm_nn_embed_patches(p, pixels, fold_frames(p, w, width, k), first, places);
    atm_scope_end(p);
    return x;
}

static atm_tensor attend(atm_plan *p, const atm_image_encoder_config *c, atm_tensor x)
{
    const int width = c->hidden_size;
    const atm_tensor h = atm_nn_layer_norm(p, "norm_1", x, c->layer_norm_eps);
    atm_scope(p, "attn");
    const atm_tensor w = atm_param(p, "in_proj_weight", ATM_DIMS(3 * width, width));
    const atm_tensor b = atm_param(p, "in_proj_bias", ATM_DIMS(3 * width));
    const atm_qkv a = atm_nn_split_qkv(p, atm_linear(p, h, w, b, (atm_linear_options){ 0 }));
    const atm_attention_options heads = { .heads = c->num_attention_heads };
    const atm_tensor y = atm_attention(p, a.q, a.k, a.v, heads);
    x = atm_nn_linear(p, "out_proj", y, width, (atm_linear_options){ .residual = x });
    atm_scope_end(p);
    return x;
}

static atm_tensor trunk(atm_plan *p, const atm_image_encoder_config *c, atm_tensor x)
{
    const atm_mlp_options mlp = { .norm = "norm_2", .up = "mlp.fc1", .down = "mlp.fc2",
                                  .width = c->intermediate_size, .eps = c->layer_norm_eps, .act = c->act };
    atm_scope(p, "modality_trunks.vision");
    x = atm_nn_layer_norm(p, "pre_transformer_layer.0", x, c->layer_norm_eps);
    for (int i = 0; i < c->num_hidden_layers; i++) {
        atm_scope(p, "blocks.%d", i);
        x = atm_nn_mlp(p, attend(p, c, x), mlp);
        atm_scope_end(p);
    }
    atm_scope_end(p);
    return x;
}

/* The norm works token by token, so taking the token first saves the others. */
static atm_tensor head(atm_plan *p, const atm_image_encoder_config *c, atm_tensor x)
{
    atm_scope(p, "modality_heads.vision");
    const atm_tensor first = atm_nn_layer_norm(p, "0", atm_nn_token(p, x, 0), c->layer_norm_eps);
    const atm_tensor y = atm_nn_linear_no_bias(p, "2", first, c->projection_dim, (atm_linear_options){ 0 });
    atm_scope_end(p);
    return y;
}

atm_tensor atm_vit(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels)
{
    return head(p, c, trunk(p, c, stem(p, c, pixels)));
}
