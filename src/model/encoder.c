#include "model/encoder.h"

atm_qkv atm_nn_split_qkv(atm_plan *p, atm_tensor packed)
{
    const int c = atm_channels(packed) / 3;
    return (atm_qkv){ atm_slice(p, packed, -1, 0, c), atm_slice(p, packed, -1, c, c),
                      atm_slice(p, packed, -1, 2 * c, c) };
}

atm_tensor atm_nn_mlp(atm_plan *p, atm_tensor x, atm_mlp_options o)
{
    atm_tensor h = atm_nn_layer_norm(p, o.norm, x, o.eps);
    h = atm_nn_linear(p, o.up, h, o.width, (atm_linear_options){ .act = o.act, .transposed = o.transposed });
    return atm_nn_linear(p, o.down, h, atm_channels(x),
                         (atm_linear_options){ .residual = x, .transposed = o.transposed });
}

/* [1, L, C] -> [n, L, C]; of weights only, so it moves to the prologue. */
static atm_tensor repeat(atm_plan *p, atm_tensor x, int n)
{
    atm_tensor y = x;
    for (int i = 1; i < n; i++) y = atm_concat(p, y, x, 0);
    return y;
}

atm_tensor atm_nn_embed_patches(atm_plan *p, atm_tensor pixels, atm_tensor weight, atm_tensor class_token,
                                atm_tensor positions)
{
    if (atm_plan_failed(p)) return ATM_NONE;
    const int n = pixels.dim[0], c = weight.dim[0], patch = weight.dim[2];
    const atm_tensor image = atm_to_channels_last(p, pixels);
    const atm_tensor grid = atm_conv2d(p, image, weight, ATM_NONE, (atm_conv_options){ .stride = patch });
    const atm_tensor patches = atm_reshape(p, grid, ATM_DIMS(n, grid.dim[1] * grid.dim[2], c));
    const atm_tensor first = repeat(p, atm_reshape(p, class_token, ATM_DIMS(1, 1, c)), n);
    return atm_add(p, atm_concat(p, first, patches, 1), positions);
}

atm_tensor atm_nn_token(atm_plan *p, atm_tensor x, int at)
{
    const atm_tensor one = atm_slice(p, x, 1, at, 1);
    return atm_reshape(p, one, ATM_DIMS(one.dim[0], atm_channels(one)));
}
