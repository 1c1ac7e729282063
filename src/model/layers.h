/* layers.h - the pieces that networks share.
 *
 * Letters: N samples, H x W pixels, L positions, C channels; images are
 * [N, H, W, C], sequences [N, L, C].
 *
 * Two kinds of function:
 *  - leaf layers, atm_nn_OP(p, "name", x, ...): op OP of plan.h with parameters
 *    "name.weight" and "name.bias" of the open scope; the shapes follow from x
 *    and the number of outputs.
 *  - blocks, atm_nn_BLOCK(p, x, ...): several layers in the scope that is open.
 *
 *     atm_scope(p, "resnets.%d", i);
 *     x = atm_nn_resblock(p, x, 128, (atm_resblock_options){ .groups = 32, .eps = 1e-5 });
 *     atm_scope_end(p);
 *
 * Names are those of diffusers and transformers, so that files load unchanged. */
#ifndef ATM_MODEL_LAYERS_H
#define ATM_MODEL_LAYERS_H

#include "plan/plan.h"

/* The last dim; 0 for the absent tensor, which is what a failed plan hands out. */
static inline int atm_channels(atm_tensor t) { return t.rank > 0 ? t.dim[t.rank - 1] : 0; }

/* ------------------------------------------------------------------ leaf layers */

/* weight [out, in] ([in, out] when o.transposed: GPT-2), bias [out]; in = x's last dim. */
atm_tensor atm_nn_linear(atm_plan *p, const char *name, atm_tensor x, int out, atm_linear_options o);
atm_tensor atm_nn_linear_no_bias(atm_plan *p, const char *name, atm_tensor x, int out, atm_linear_options o);

/* A 1 x 1 convolution, weight [out, in, 1, 1], computed as the linear layer it is. */
atm_tensor atm_nn_conv1x1(atm_plan *p, const char *name, atm_tensor x, int out, atm_linear_options o);

/* x [N, H, W, C], weight [out, C, kernel, kernel], bias [out]. */
atm_tensor atm_nn_conv2d(atm_plan *p, const char *name, atm_tensor x, int out, int kernel,
                         atm_conv_options o);

/* x [N, L, C], weight [out, C, kernel], bias [out]; o.is_1d is set here. */
atm_tensor atm_nn_conv1d(atm_plan *p, const char *name, atm_tensor x, int out, int kernel,
                         atm_conv_options o);

/* x [N, L, C], weight [C, out, kernel], bias [out]. */
atm_tensor atm_nn_conv_transpose1d(atm_plan *p, const char *name, atm_tensor x, int out, int kernel,
                                   int stride, int pad);

/* weight, bias [C]. */
atm_tensor atm_nn_group_norm(atm_plan *p, const char *name, atm_tensor x, int groups, double eps,
                             atm_act act);
atm_tensor atm_nn_layer_norm(atm_plan *p, const char *name, atm_tensor x, double eps);

/* ------------------------------------------------------------------ blocks */

/* The time embedding, already through its activation.  Either one row a sample,
 * or one row for each step of a sampler and an index: then the projections of
 * the whole table depend on nothing that varies and move to the prologue. */
typedef struct {
    atm_tensor embedding;       /* [N, D] or [steps, D]                              */
    atm_tensor index;           /* I32 [N], rows of the table; absent: the first case */
} atm_time_embedding;

typedef struct {
    int groups;
    double eps;
    const atm_time_embedding *time;     /* NULL: a block without time (VAE) */
} atm_resblock_options;

/* ResnetBlock2D: h = conv1(silu(norm1 x)) + time_emb_proj(time);
 * y = conv2(silu(norm2 h)) + (conv_shortcut x, or x when the channels agree).
 * Time rows beyond N are ignored (see unet.h on the shared prefix). */
atm_tensor atm_nn_resblock(atm_plan *p, atm_tensor x, int out, atm_resblock_options o);

/* Multi-head attention with separate projections: to_q, to_k, to_v (bias when
 * `bias`) and to_out.0 (always with bias).  x [N, L, C]; returns
 * residual + to_out.0(attention). */
typedef struct {
    int heads;
    bool bias;
    atm_tensor context;         /* [N, Lk, D]; absent: x attends to itself      */
    atm_tensor mask;            /* [N, Lk], added to the scores; may be absent  */
    atm_tensor residual;        /* like x; may be absent                        */
} atm_cross_attention_options;
atm_tensor atm_nn_cross_attention(atm_plan *p, atm_tensor x, atm_cross_attention_options o);

/* x, stacked on itself until it has `n` samples (n: a power of two times its own): what
 * was computed once for several contexts, for each of them. */
atm_tensor atm_nn_repeat(atm_plan *p, atm_tensor x, int n);

/* BasicTransformerBlock, x [N, L, C]: x += attn1(norm1 x); x += attn2(norm2 x, context);
 * x += ff.net.2(geglu(ff.net.0.proj(norm3 x))).  Without a context attn2 is a
 * second self-attention ("double self attention").  A context of 2 N samples
 * gives 2 N: x is repeated just before it meets the context. */
typedef struct {
    int heads;
    atm_tensor context, mask;
} atm_transformer_options;
atm_tensor atm_nn_transformer_block(atm_plan *p, atm_tensor x, atm_transformer_options o);

/* Transformer2DModel, x [N, H, W, C]: x + proj_out(block(proj_in(norm x))), where
 * the pixels, row by row, are the sequence.  Repeats x as the block does. */
atm_tensor atm_nn_transformer2d(atm_plan *p, atm_tensor x, int groups, atm_transformer_options o);

/* The VAE's attention, x [N, H, W, C]: one head of width C over all pixels,
 * x + to_out.0(attention(group_norm x)). */
atm_tensor atm_nn_pixel_attention(atm_plan *p, atm_tensor x, int groups, double eps);

#endif
