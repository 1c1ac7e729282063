/* encoder.h - the pieces of plain transformers, shared by imagebind.c (with vit.c and
 * audio_encoder.c), clip.c and gpt2.c.
 *
 * All are pre-norm: x += attention(norm x); x += mlp(norm x).  They differ in
 * names, in the activation, and in how the projections are packed. */
#ifndef ATM_MODEL_ENCODER_H
#define ATM_MODEL_ENCODER_H

#include "model/layers.h"

/* [N, L, C] of each. */
typedef struct { atm_tensor q, k, v; } atm_qkv;

/* packed [N, L, 3 C], in the order q | k | v. */
atm_qkv atm_nn_split_qkv(atm_plan *p, atm_tensor packed);

/* x + down(act(up(norm x))), x [N, L, C], up: C -> width, down: width -> C. */
typedef struct {
    const char *norm, *up, *down;
    int width;
    float eps;
    atm_act act;
    bool transposed;            /* weights are [in, out] */
} atm_mlp_options;
atm_tensor atm_nn_mlp(atm_plan *p, atm_tensor x, atm_mlp_options o);

/* pixels [N, C_in, H, W] cut into patches, each through the weight [C, C_in, k, k] (no
 * bias), row by row: [N, patches, C].  stride < k: they overlap. */
atm_tensor atm_nn_patches(atm_plan *p, atm_tensor pixels, atm_tensor weight, int stride);

/* x [N, L, C] and one learned row [C elements], the same in every sample: [N, L + 1, C]. */
atm_tensor atm_nn_prepend(atm_plan *p, atm_tensor row, atm_tensor x);
atm_tensor atm_nn_append(atm_plan *p, atm_tensor x, atm_tensor row);

/* What a vision transformer begins with: pixels [N, 3, H, W] cut into patches, each
 * through the weight [C, 3, k, k] (no bias), row by row; the class token [C elements]
 * before them; positions [1 + patches, C] added.  Returns [N, 1 + patches, C]. */
atm_tensor atm_nn_embed_patches(atm_plan *p, atm_tensor pixels, atm_tensor weight, atm_tensor class_token,
                                atm_tensor positions);

/* x [N, L, C] -> x[:, at] as [N, C]. */
atm_tensor atm_nn_token(atm_plan *p, atm_tensor x, int at);

#endif
