/* layers.c - see layers.h.  Sources: diffusers 0.27.2 models/resnet.py
 * (ResnetBlock2D), models/attention.py (BasicTransformerBlock, GEGLU),
 * models/transformers/transformer_2d.py, models/attention_processor.py. */
#include "model/layers.h"

/* ------------------------------------------------------------------ leaf layers */

static atm_tensor linear(atm_plan *p, const char *name, atm_tensor x, int out, atm_linear_options o,
                         bool bias)
{
    const int in = atm_channels(x);
    atm_scope(p, "%s", name);
    const atm_tensor w = o.transposed ? atm_param(p, "weight", ATM_DIMS(in, out))
                                      : atm_param(p, "weight", ATM_DIMS(out, in));
    const atm_tensor b = bias ? atm_param(p, "bias", ATM_DIMS(out)) : ATM_NONE;
    const atm_tensor y = atm_linear(p, x, w, b, o);
    atm_scope_end(p);
    return y;
}

atm_tensor atm_nn_linear(atm_plan *p, const char *name, atm_tensor x, int out, atm_linear_options o)
{
    return linear(p, name, x, out, o, true);
}

atm_tensor atm_nn_linear_no_bias(atm_plan *p, const char *name, atm_tensor x, int out, atm_linear_options o)
{
    return linear(p, name, x, out, o, false);
}

atm_tensor atm_nn_conv1x1(atm_plan *p, const char *name, atm_tensor x, int out, atm_linear_options o)
{
    const int in = atm_channels(x);
    atm_scope(p, "%s", name);
    const atm_tensor w = atm_reshape(p, atm_param(p, "weight", ATM_DIMS(out, in, 1, 1)), ATM_DIMS(out, in));
    const atm_tensor y = atm_linear(p, x, w, atm_param(p, "bias", ATM_DIMS(out)), o);
    atm_scope_end(p);
    return y;
}

atm_tensor atm_nn_conv2d(atm_plan *p, const char *name, atm_tensor x, int out, int kernel,
                         atm_conv_options o)
{
    atm_scope(p, "%s", name);
    const atm_tensor w = atm_param(p, "weight", ATM_DIMS(out, atm_channels(x), kernel, kernel));
    const atm_tensor y = atm_conv2d(p, x, w, atm_param(p, "bias", ATM_DIMS(out)), o);
    atm_scope_end(p);
    return y;
}

atm_tensor atm_nn_conv1d(atm_plan *p, const char *name, atm_tensor x, int out, int kernel,
                         atm_conv_options o)
{
    o.is_1d = true;
    atm_scope(p, "%s", name);
    const atm_tensor w = atm_param(p, "weight", ATM_DIMS(out, atm_channels(x), kernel));
    const atm_tensor y = atm_conv2d(p, x, w, atm_param(p, "bias", ATM_DIMS(out)), o);
    atm_scope_end(p);
    return y;
}

atm_tensor atm_nn_conv_transpose1d(atm_plan *p, const char *name, atm_tensor x, int out, int kernel,
                                   int stride, int pad)
{
    atm_scope(p, "%s", name);
    const atm_tensor w = atm_param(p, "weight", ATM_DIMS(atm_channels(x), out, kernel));
    const atm_tensor y = atm_conv_transpose1d(p, x, w, atm_param(p, "bias", ATM_DIMS(out)), stride, pad);
    atm_scope_end(p);
    return y;
}

atm_tensor atm_nn_group_norm(atm_plan *p, const char *name, atm_tensor x, int groups, double eps,
                             atm_act act)
{
    const int c = atm_channels(x);
    atm_scope(p, "%s", name);
    const atm_tensor w = atm_param(p, "weight", ATM_DIMS(c)), b = atm_param(p, "bias", ATM_DIMS(c));
    const atm_tensor y = atm_group_norm(p, x, w, b, groups, eps, act);
    atm_scope_end(p);
    return y;
}

atm_tensor atm_nn_layer_norm(atm_plan *p, const char *name, atm_tensor x, double eps)
{
    const int c = atm_channels(x);
    atm_scope(p, "%s", name);
    const atm_tensor w = atm_param(p, "weight", ATM_DIMS(c)), b = atm_param(p, "bias", ATM_DIMS(c));
    const atm_tensor y = atm_layer_norm(p, x, w, b, eps);
    atm_scope_end(p);
    return y;
}

/* ------------------------------------------------------------------ residual block */

/* [n, out]: what the time adds to every pixel of each sample. */
static atm_tensor time_bias(atm_plan *p, const atm_time_embedding *time, int n, int out)
{
    if (!time) return ATM_NONE;
    atm_tensor e = atm_nn_linear(p, "time_emb_proj", time->embedding, out, (atm_linear_options){ 0 });
    if (atm_present(time->index)) e = atm_gather(p, e, time->index);
    return e.dim[0] > n ? atm_slice(p, e, 0, 0, n) : e;
}

atm_tensor atm_nn_resblock(atm_plan *p, atm_tensor x, int out, atm_resblock_options o)
{
    const int n = x.dim[0], in = atm_channels(x);
    atm_tensor h = atm_nn_group_norm(p, "norm1", x, o.groups, o.eps, ATM_ACT_SILU);
    const atm_tensor bias = time_bias(p, o.time, n, out);
    h = atm_nn_conv2d(p, "conv1", h, out, 3, (atm_conv_options){ .pad = 1, .per_sample = bias });
    h = atm_nn_group_norm(p, "norm2", h, o.groups, o.eps, ATM_ACT_SILU);
    if (in != out) x = atm_nn_conv1x1(p, "conv_shortcut", x, out, (atm_linear_options){ 0 });
    return atm_nn_conv2d(p, "conv2", h, out, 3, (atm_conv_options){ .pad = 1, .residual = x });
}

/* ------------------------------------------------------------------ attention */

/* The sequence of an image's pixels, and back. */
static atm_tensor pixels(atm_plan *p, atm_tensor image)
{
    return atm_reshape(p, image, ATM_DIMS(image.dim[0], image.dim[1] * image.dim[2], image.dim[3]));
}

static atm_tensor shaped_like(atm_plan *p, atm_tensor x, atm_tensor like)
{
    return atm_reshape(p, x, like.rank, like.dim);
}

atm_tensor atm_nn_cross_attention(atm_plan *p, atm_tensor x, atm_cross_attention_options o)
{
    const int c = atm_channels(x);
    const atm_linear_options plain = { 0 };
    const atm_tensor from = atm_present(o.context) ? o.context : x;
    const atm_tensor q = linear(p, "to_q", x, c, plain, o.bias);
    const atm_tensor k = linear(p, "to_k", from, c, plain, o.bias);
    const atm_tensor v = linear(p, "to_v", from, c, plain, o.bias);
    const atm_attention_options heads = { .heads = o.heads, .mask = o.mask };
    const atm_tensor y = atm_attention(p, q, k, v, heads);
    return atm_nn_linear(p, "to_out.0", y, c, (atm_linear_options){ .residual = o.residual });
}

static const double LAYER_NORM_EPS = 1e-5, TRANSFORMER_GROUP_NORM_EPS = 1e-6;

/* x + attention(norm x), the residual added by the output projection. */
static atm_tensor attend(atm_plan *p, const char *norm, const char *name, atm_tensor x,
                         atm_cross_attention_options o)
{
    const atm_tensor h = atm_nn_layer_norm(p, norm, x, LAYER_NORM_EPS);
    o.residual = x;
    atm_scope(p, "%s", name);
    const atm_tensor y = atm_nn_cross_attention(p, h, o);
    atm_scope_end(p);
    return y;
}

atm_tensor atm_nn_repeat(atm_plan *p, atm_tensor x, int n)
{
    while (atm_present(x) && x.dim[0] < n) x = atm_concat(p, x, x, 0);
    return x;
}

/* x + net.2(geglu(net.0.proj(norm3 x))): the inner width is 4 C, twice for value and gate. */
static atm_tensor feed_forward(atm_plan *p, atm_tensor x)
{
    const int c = atm_channels(x);
    atm_tensor h = atm_nn_layer_norm(p, "norm3", x, LAYER_NORM_EPS);
    h = atm_nn_linear(p, "ff.net.0.proj", h, 8 * c, (atm_linear_options){ 0 });
    h = atm_geglu(p, h);
    return atm_nn_linear(p, "ff.net.2", h, c, (atm_linear_options){ .residual = x });
}

atm_tensor atm_nn_transformer_block(atm_plan *p, atm_tensor x, atm_transformer_options o)
{
    const atm_cross_attention_options self = { .heads = o.heads };
    const atm_cross_attention_options cross = { .heads = o.heads, .context = o.context, .mask = o.mask };
    x = attend(p, "norm1", "attn1", x, self);
    x = atm_nn_repeat(p, x, o.context.dim[0]);
    x = attend(p, "norm2", "attn2", x, cross);
    return feed_forward(p, x);
}

atm_tensor atm_nn_transformer2d(atm_plan *p, atm_tensor x, int groups, atm_transformer_options o)
{
    const int c = atm_channels(x);
    /* 1e-6 here, not the 1e-5 of the residual blocks around it */
    atm_tensor h = atm_nn_group_norm(p, "norm", x, groups, TRANSFORMER_GROUP_NORM_EPS, ATM_ACT_NONE);
    h = pixels(p, atm_nn_conv1x1(p, "proj_in", h, c, (atm_linear_options){ 0 }));
    atm_scope(p, "transformer_blocks.0");
    h = atm_nn_transformer_block(p, h, o);
    atm_scope_end(p);
    x = atm_nn_repeat(p, x, o.context.dim[0]);
    h = shaped_like(p, h, x);
    return atm_nn_conv1x1(p, "proj_out", h, c, (atm_linear_options){ .residual = x });
}

atm_tensor atm_nn_pixel_attention(atm_plan *p, atm_tensor x, int groups, double eps)
{
    const atm_tensor h = pixels(p, atm_nn_group_norm(p, "group_norm", x, groups, eps, ATM_ACT_NONE));
    const atm_cross_attention_options whole = { .heads = 1, .bias = true, .residual = pixels(p, x) };
    return shaped_like(p, atm_nn_cross_attention(p, h, whole), x);
}
