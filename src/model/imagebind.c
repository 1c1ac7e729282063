/* The blocks and the head of one modality of ImageBind (Girdhar et al., CVPR 2023;
 * facebookresearch/ImageBind).
 *
 *     x = LN(x)                                          vision: before the blocks, not after
 *     x += out_proj(attention(in_proj(norm_1 x)))        packed q | k | v rows
 *     x += fc2(gelu(fc1(norm_2 x)))                      exact gelu
 *     embeds = W LN(x)[0]                                no bias
 *
 * Audio, depth, thermal and IMU append bias_k and bias_v to the keys and values of every
 * sample, after the projection: a place to look at that is no token.
 * Another modality: its stem in a file of its own, then atm_imagebind(). */
#include "model/imagebind.h"

#include "model/encoder.h"

static atm_qkv project(atm_plan *p, atm_tensor x, bool bias_kv)
{
    const int width = atm_channels(x);
    const atm_tensor w = atm_param(p, "in_proj_weight", ATM_DIMS(3 * width, width));
    const atm_tensor b = atm_param(p, "in_proj_bias", ATM_DIMS(3 * width));
    atm_qkv a = atm_nn_split_qkv(p, atm_linear(p, x, w, b, (atm_linear_options){ 0 }));
    if (!bias_kv) return a;
    a.k = atm_nn_append(p, a.k, atm_param(p, "bias_k", ATM_DIMS(1, 1, width)));
    a.v = atm_nn_append(p, a.v, atm_param(p, "bias_v", ATM_DIMS(1, 1, width)));
    return a;
}

static atm_tensor attend(atm_plan *p, atm_tensor x, const atm_imagebind_trunk *t)
{
    const atm_tensor h = atm_nn_layer_norm(p, "norm_1", x, t->eps);
    atm_scope(p, "attn");
    const atm_qkv a = project(p, h, t->bias_kv);
    const atm_tensor y = atm_attention(p, a.q, a.k, a.v, (atm_attention_options){ .heads = t->heads });
    x = atm_nn_linear(p, "out_proj", y, atm_channels(x), (atm_linear_options){ .residual = x });
    atm_scope_end(p);
    return x;
}

static atm_tensor blocks(atm_plan *p, atm_tensor x, const atm_imagebind_trunk *t)
{
    const atm_mlp_options mlp = { .norm = "norm_2", .up = "mlp.fc1", .down = "mlp.fc2",
                                  .width = t->intermediate, .eps = (float)t->eps, .act = ATM_ACT_GELU };
    atm_scope(p, "modality_trunks.%s", t->modality);
    if (t->norm_before) x = atm_nn_layer_norm(p, "pre_transformer_layer.0", x, t->eps);
    for (int i = 0; i < t->layers; i++) {
        atm_scope(p, "blocks.%d", i);
        x = atm_nn_mlp(p, attend(p, x, t), mlp);
        atm_scope_end(p);
    }
    atm_scope_end(p);
    return x;
}

/* The norm works token by token, so taking the token first saves the others. */
static atm_tensor head(atm_plan *p, atm_tensor x, const atm_imagebind_trunk *t)
{
    atm_scope(p, "modality_heads.%s", t->modality);
    const atm_tensor first = atm_nn_layer_norm(p, "0", atm_nn_token(p, x, 0), t->eps);
    const atm_tensor y = atm_nn_linear_no_bias(p, "2", first, t->projection_dim, (atm_linear_options){ 0 });
    atm_scope_end(p);
    return y;
}

atm_tensor atm_imagebind(atm_plan *p, atm_tensor tokens, atm_imagebind_trunk t)
{
    return head(p, blocks(p, tokens, &t), &t);
}
