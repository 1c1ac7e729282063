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

atm_tensor atm_nn_patches(atm_plan *p, atm_tensor pixels, atm_tensor weight, int stride)
{
    if (atm_plan_failed(p)) return ATM_NONE;
    const int n = pixels.dim[0], c = weight.dim[0];
    const atm_tensor image = atm_to_channels_last(p, pixels);
    const atm_tensor grid = atm_conv2d(p, image, weight, ATM_NONE, (atm_conv_options){ .stride = stride });
    return atm_reshape(p, grid, ATM_DIMS(n, grid.dim[1] * grid.dim[2], c));
}

/* [C elements] -> [n, 1, C]; of weights only, so it moves to the prologue. */
static atm_tensor repeat(atm_plan *p, atm_tensor row, int n, int c)
{
    const atm_tensor one = atm_reshape(p, row, ATM_DIMS(1, 1, c));
    atm_tensor y = one;
    for (int i = 1; i < n; i++) y = atm_concat(p, y, one, 0);
    return y;
}

atm_tensor atm_nn_prepend(atm_plan *p, atm_tensor row, atm_tensor x)
{
    return atm_concat(p, repeat(p, row, x.dim[0], atm_channels(x)), x, 1);
}

atm_tensor atm_nn_append(atm_plan *p, atm_tensor x, atm_tensor row)
{
    return atm_concat(p, x, repeat(p, row, x.dim[0], atm_channels(x)), 1);
}

atm_tensor atm_nn_embed_patches(atm_plan *p, atm_tensor pixels, atm_tensor weight, atm_tensor class_token,
                                atm_tensor positions)
{
    const atm_tensor patches = atm_nn_patches(p, pixels, weight, weight.dim[2]);
    return atm_add(p, atm_nn_prepend(p, class_token, patches), positions);
}

atm_tensor atm_nn_token(atm_plan *p, atm_tensor x, int at)
{
    const atm_tensor one = atm_slice(p, x, 1, at, 1);
    return atm_reshape(p, one, ATM_DIMS(one.dim[0], atm_channels(one)));
}
