/* CLIP's vision tower (Radford et al., ICML 2021; transformers' CLIPVisionModelWithProjection).
 *
 *     x = pre_layrnorm([class | W * pixels] + positions)
 *     x += out_proj(attention(q_proj h, k_proj h, v_proj h)), h = layer_norm1 x
 *     x += fc2(act(fc1(layer_norm2 x)))                  act: x sigmoid(1.702 x)
 *     embeds = visual_projection(post_layernorm(x[0]))   no bias
 *
 * "pre_layrnorm" is misspelt in every checkpoint. */
#include "model/clip.h"

#include "model/encoder.h"

static atm_tensor stem(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels)
{
    const int width = c->hidden_size, k = c->patch_size, side = c->image_size / k;
    atm_scope(p, "embeddings");
    const atm_tensor w = atm_param(p, "patch_embedding.weight", ATM_DIMS(width, 3, k, k));
    const atm_tensor first = atm_param(p, "class_embedding", ATM_DIMS(width));
    const atm_tensor places = atm_param(p, "position_embedding.weight", ATM_DIMS(1 + side * side, width));
    const atm_tensor x = atm_nn_embed_patches(p, pixels, w, first, places);
    atm_scope_end(p);
    return atm_nn_layer_norm(p, "pre_layrnorm", x, c->layer_norm_eps);
}

static atm_tensor attend(atm_plan *p, const atm_image_encoder_config *c, atm_tensor x)
{
    const int width = c->hidden_size;
    const atm_linear_options plain = { 0 };
    const atm_tensor h = atm_nn_layer_norm(p, "layer_norm1", x, c->layer_norm_eps);
    atm_scope(p, "self_attn");
    const atm_tensor q = atm_nn_linear(p, "q_proj", h, width, plain);
    const atm_tensor k = atm_nn_linear(p, "k_proj", h, width, plain);
    const atm_tensor v = atm_nn_linear(p, "v_proj", h, width, plain);
    const atm_attention_options heads = { .heads = c->num_attention_heads };
    const atm_tensor y = atm_attention(p, q, k, v, heads);
    x = atm_nn_linear(p, "out_proj", y, width, (atm_linear_options){ .residual = x });
    atm_scope_end(p);
    return x;
}

static atm_tensor tower(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels)
{
    const atm_mlp_options mlp = { .norm = "layer_norm2", .up = "mlp.fc1", .down = "mlp.fc2",
                                  .width = c->intermediate_size, .eps = c->layer_norm_eps, .act = c->act };
    atm_scope(p, "vision_model");
    atm_tensor x = stem(p, c, pixels);
    for (int i = 0; i < c->num_hidden_layers; i++) {
        atm_scope(p, "encoder.layers.%d", i);
        x = atm_nn_mlp(p, attend(p, c, x), mlp);
        atm_scope_end(p);
    }
    x = atm_nn_layer_norm(p, "post_layernorm", atm_nn_token(p, x, 0), c->layer_norm_eps);
    atm_scope_end(p);
    return x;
}

atm_tensor atm_clip(atm_plan *p, const atm_image_encoder_config *c, atm_tensor pixels)
{
    return atm_nn_linear_no_bias(p, "visual_projection", tower(p, c, pixels), c->projection_dim,
                                 (atm_linear_options){ 0 });
}
