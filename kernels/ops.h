/* ops.h - THE contract between plans and kernels: the list of ops, their typed
 * arguments, and the table of functions that a backend is.
 *
 * Layout.  Everything is dense, row-major, channels last:
 *     images [N, H, W, C]   sequences [N, L, C]   vectors [N, C]
 * and a sequence is an image of height 1, so 1-D convolution is conv2d.
 * Weights keep PyTorch's layout: linear [out, in], conv [O, I, kh, kw],
 * transposed conv [Cin, Cout, kh, kw]; kernels re-pack them in `prepare`.
 *
 * Letters.  x, y: input and output; w, b: weight and bias; r: residual;
 * z: value before the activation; dx: gradient of the loss by x.
 *
 * Rules for kernels.
 *  - A tensor with id 0 is absent (data NULL).  An input is optional where its
 *    op says so.  ANY output may be absent: nobody reads it; skip it.
 *  - Outputs never overlap inputs; outputs are overwritten, not accumulated,
 *    and may hold garbage (NaN) before.
 *  - Scalars are double, so that ref64 keeps 1/sqrt(80) and a slope of 0.1 exactly.
 *  - `run` only computes: no allocation, no locks, no failure.  What can fail
 *    (memory, unsupported arguments) is decided in `prepare`.
 *  - The same inputs give the same bits at any thread count, and a sample gives
 *    the same bits alone or in any place of a batch.
 *
 * To add an op: a struct, a row in ATM_OPS, a builder (src/plan/ops_*.c), a
 * gradient rule or NO_GRADIENT, kernels in ref/ and cpu/, a case in
 * tests/cases.  The completeness test names what is missing. */
#ifndef ATM_KERNELS_OPS_H
#define ATM_KERNELS_OPS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/dtype.h"
#include "base/status.h"
#include "base/threads.h"

enum { ATM_MAX_RANK = 5 };

typedef struct atm_tensor {
    int id;                     /* index of the value in its plan; 0: absent          */
    atm_dtype dtype;            /* F32 or F64 as the backend says; I32 for indices    */
    int rank, dim[ATM_MAX_RANK];
    bool constant;              /* a frozen weight: may be re-packed once in prepare  */
    void *data;                 /* filled in before `prepare`                         */
} atm_tensor;

static inline bool atm_present(atm_tensor t) { return t.id != 0; }

/* Number of elements; the plan has checked that it fits. */
static inline size_t atm_count(atm_tensor t)
{
    size_t n = 1;
    for (int i = 0; i < t.rank; i++) n *= (size_t)t.dim[i];
    return n;
}

static inline int atm_last_dim(atm_tensor t) { return t.dim[t.rank - 1]; }

/* Number of rows when t is read as a matrix [rows, last dim]. */
static inline size_t atm_rows(atm_tensor t) { return atm_count(t) / (size_t)atm_last_dim(t); }

/* Activations.  GELU is x * Phi(x) with the exact erf; GELU_TANH is GPT-2's
 * "gelu_new"; QUICK_GELU is CLIP's x * sigmoid(1.702 x); LOG is ln(max(x, slope)),
 * its gradient 0 up to the floor: log-mel spectrograms. */
typedef enum {
    ATM_ACT_NONE, ATM_ACT_SILU, ATM_ACT_GELU, ATM_ACT_GELU_TANH, ATM_ACT_QUICK_GELU,
    ATM_ACT_TANH, ATM_ACT_RELU, ATM_ACT_LEAKY_RELU, ATM_ACT_LOG,
    ATM_ACT_COUNT
} atm_act;

/* Geometry of a convolution.  Output y[p, q] reads input rows
 * p * stride_h - pad_top + i * dil_h; what lies outside the image is zero.
 * Bottom and right padding follow from the output's size. */
typedef struct { int stride_h, stride_w, pad_top, pad_left, dil_h, dil_w; } atm_conv_shape;

/* ------------------------------------------------- arguments: inputs, outputs, scalars */

typedef atm_tensor T_;          /* short for the tables below only */

/* y = act(z) + r, z = x W^T + b.  b, r optional.  w is [out, in], or [in, out]
 * when `transposed` (GPT-2's Conv1D; also dx = dy W of a plain linear). */
typedef struct { T_ x, w, b, r, y, z; atm_act act; double slope; bool transposed; } atm_linear_args;
/* dw = dy^T x, in w's layout. */
typedef struct { T_ dy, x, dw; bool transposed; } atm_linear_dw_args;

/* y = act(z) + r, z = conv(x, w) + b + e.  b [O], e [N, O] (one bias per sample:
 * the time embedding), r [N, P, Q, O] optional. */
typedef struct { T_ x, w, b, e, r, y, z; atm_conv_shape s; atm_act act; double slope; } atm_conv2d_args;
/* The transpose of conv2d: x [N, P, Q, Cin], w [Cin, Cout, kh, kw], b [Cout] optional,
 * y [N, H, W, Cout]; s is the geometry of the conv2d that maps y to x.
 * It is also conv2d's dx. */
typedef struct { T_ x, w, b, y; atm_conv_shape s; } atm_conv_transpose2d_args;
/* dw [O, I, kh, kw] of conv2d. */
typedef struct { T_ dy, x, dw; atm_conv_shape s; } atm_conv2d_dw_args;

/* Sums over rows: x read as [G, R, C] with C x's last dim, y as [G, C];
 * G = count(y) / C.  Bias gradients (G = 1), gradients of e (G = N). */
typedef struct { T_ x, y; } atm_reduce_rows_args;

/* y = act((x - mean) * rstd * w + b) over (pixels, C / groups) of each sample.
 * x [N, ..., C]; mean, rstd [N, groups].  act is NONE or SILU. */
typedef struct { T_ x, w, b, y, mean, rstd; int groups; double eps; atm_act act; } atm_group_norm_args;
typedef struct { T_ dy, x, w, b, mean, rstd, dx, dw, db; int groups; atm_act act; } atm_group_norm_dx_args;

/* Over the last dim; mean, rstd have one element a row. */
typedef struct { T_ x, w, b, y, mean, rstd; double eps; } atm_layer_norm_args;
typedef struct { T_ dy, x, w, mean, rstd, dx; } atm_layer_norm_dx_args;
typedef struct { T_ dy, x, mean, rstd, dw, db; } atm_layer_norm_dw_args;

/* Softmax(q k^T * scale + mask) v for each head; head h owns columns
 * [h d, (h+1) d) with d = C / heads.  q [N, Lq, C], k and v [N, Lk, C], y like q,
 * lse [N, heads, Lq] = log-sum-exp of the scores.  mask [N, Lk] is added to the
 * scores of each key; optional.  causal: query i sees keys j <= i + Lk - Lq. */
typedef struct { T_ q, k, v, mask, y, lse; int heads; double scale; bool causal; } atm_attention_args;
typedef struct { T_ dy, q, k, v, mask, y, lse, dq, dk, dv; int heads; double scale; bool causal; }
    atm_attention_dx_args;

/* y = x[..., :C] * gelu(x[..., C:]): the gate is the SECOND half, exact erf. */
typedef struct { T_ x, y; } atm_geglu_args;
typedef struct { T_ dy, x, dx; } atm_geglu_dx_args;

typedef struct { T_ x, y; atm_act act; double slope; } atm_act_args;
typedef struct { T_ dy, x, dx; atm_act act; double slope; } atm_act_dx_args;

/* y = alpha a + beta b; b may have fewer elements and is then repeated over
 * a's leading dims (count(a) is a multiple of count(b)). */
typedef struct { T_ a, b, y; double alpha, beta; } atm_add_args;
typedef struct { T_ x, y; double scale, shift; } atm_affine_args;     /* y = scale x + shift */

/* Nearest neighbour to y's size: source row = floor(p * H / P). */
typedef struct { T_ x, y; } atm_upsample_args;
typedef struct { T_ dy, dx; } atm_upsample_dx_args;

typedef struct { T_ a, b, y; int axis; } atm_concat_args;
typedef struct { T_ x, y; int axis, from; } atm_slice_args;          /* length: y's dim      */
typedef struct { T_ dy, dx; int axis, from; } atm_slice_dx_args;     /* zero elsewhere       */
typedef struct { T_ x, y; } atm_transpose_args;                      /* the last two axes    */
typedef struct { T_ x, index, y; } atm_gather_args;                  /* y[i] = x[index[i]], rows of the last dim */
typedef struct { T_ dy, index, dx; } atm_gather_dx_args;
typedef struct { T_ x, y; } atm_copy_args;                           /* y: state that outlives a run */

/* y[n] = [cos(t f_i) | sin(t f_i)] (sin first unless flip), f_i = 10000^(-i / (half - shift)). */
typedef struct { T_ t, y; bool flip; double shift; } atm_timestep_embedding_args;

typedef struct { T_ x, y; double eps; } atm_l2_normalize_args;        /* x / max(|x|, eps), last dim */
typedef struct { T_ dy, x, dx; double eps; } atm_l2_normalize_dx_args;

/* Each sample mixed by its own numbers: y[n] = coef[n, 0] a[n] + coef[n, 1] b[n], coef [N, 2].
 * b is like a, or one sample for all: count(b) = count(a) / N.  Noised latents, v targets,
 * condition dropout.  db of a shared b is the sum over samples. */
typedef struct { T_ a, b, coef, y; } atm_mix_args;
typedef struct { T_ dy, coef, da, db; } atm_mix_dx_args;

/* y [.., K] = sqrt(re^2 + im^2 + eps), x [.., 2K] = re | im. */
typedef struct { T_ x, y; double eps; } atm_magnitude_args;
typedef struct { T_ dy, x, dx; double eps; } atm_magnitude_dx_args;

/* A sample of a VAE's diagonal Gaussian: z = mean + exp(logvar / 2) noise.  The gradient
 * by mean is dz itself. */
typedef struct { T_ mean, logvar, noise, z; } atm_posterior_args;
typedef struct { T_ dz, logvar, noise, dlogvar; } atm_posterior_dx_args;

/* Losses [1] are means over samples, x's first dim; dloss [1].  weight [N] is optional (min-SNR).
 * mse: weight[n] * mean((x[n] - target[n])^2); l1: the same with |x - target|, slope 0 at 0. */
typedef struct { T_ x, target, weight, loss; } atm_mse_args;
typedef struct { T_ x, target, weight, dloss, dx; } atm_mse_dx_args;
typedef struct { T_ x, target, weight, loss; } atm_l1_args;
typedef struct { T_ x, target, weight, dloss, dx; } atm_l1_dx_args;
/* Divergence from N(0, 1): half the SUM over a sample's elements of mean^2 + exp(logvar) - 1 - logvar. */
typedef struct { T_ mean, logvar, loss; } atm_kl_args;
typedef struct { T_ mean, logvar, dloss, dmean, dlogvar; } atm_kl_dx_args;
/* |target - x| / |target| (Frobenius); norms [N, 2] holds both.  A target of length 0 counts 0. */
typedef struct { T_ x, target, loss, norms; } atm_spectral_convergence_args;
typedef struct { T_ x, target, norms, dloss, dx; } atm_spectral_convergence_dx_args;
/* -log softmax(x[n])[index[n]] of logits x [N, C].  An index outside [0, C) reads nothing:
 * the loss, and dx of its row, are NaN. */
typedef struct { T_ x, index, loss; } atm_cross_entropy_args;
typedef struct { T_ x, index, dloss, dx; } atm_cross_entropy_dx_args;

/* One step of a sampler; coef [8] of this step (src/model/schedule.h):
 *     x0 = c0 x + c1 e
 *     y  = c2 x + c3 x0 + c4 e + c5 h + c6 n
 * e: the network's output, h: x0 of the step before (optional), n: noise (optional). */
typedef struct { T_ x, e, h, n, coef, y, x0; } atm_sampler_step_args;

/* ------------------------------------------------------------------------ the list */

/* X(name, inputs, outputs, gradient): HAS_GRADIENT ops have a rule in src/plan;
 * NO_GRADIENT ops are gradients themselves, or have nothing to differentiate. */
#define ATM_OPS(X)                                                                          \
    X(linear,             4, 2, HAS_GRADIENT) X(linear_dw,          2, 1, NO_GRADIENT)      \
    X(conv2d,             5, 2, HAS_GRADIENT) X(conv2d_dw,          2, 1, NO_GRADIENT)      \
    X(conv_transpose2d,   3, 1, HAS_GRADIENT) X(reduce_rows,        1, 1, HAS_GRADIENT)     \
    X(group_norm,         3, 3, HAS_GRADIENT) X(group_norm_dx,      6, 3, NO_GRADIENT)      \
    X(layer_norm,         3, 3, HAS_GRADIENT) X(layer_norm_dx,      5, 1, NO_GRADIENT)      \
    X(layer_norm_dw,      4, 2, NO_GRADIENT)                                                \
    X(attention,          4, 2, HAS_GRADIENT) X(attention_dx,       7, 3, NO_GRADIENT)      \
    X(geglu,              1, 1, HAS_GRADIENT) X(geglu_dx,           2, 1, NO_GRADIENT)      \
    X(act,                1, 1, HAS_GRADIENT) X(act_dx,             2, 1, NO_GRADIENT)      \
    X(add,                2, 1, HAS_GRADIENT) X(affine,             1, 1, HAS_GRADIENT)     \
    X(upsample,           1, 1, HAS_GRADIENT) X(upsample_dx,        1, 1, NO_GRADIENT)      \
    X(concat,             2, 1, HAS_GRADIENT) X(slice,              1, 1, HAS_GRADIENT)     \
    X(slice_dx,           1, 1, NO_GRADIENT)  X(transpose,          1, 1, HAS_GRADIENT)     \
    X(gather,             2, 1, HAS_GRADIENT) X(gather_dx,          2, 1, NO_GRADIENT)      \
    X(copy,               1, 1, NO_GRADIENT)  X(timestep_embedding, 1, 1, NO_GRADIENT)      \
    X(l2_normalize,       1, 1, HAS_GRADIENT) X(l2_normalize_dx,    2, 1, NO_GRADIENT)      \
    X(mix,                3, 1, HAS_GRADIENT) X(mix_dx,             2, 2, NO_GRADIENT)      \
    X(magnitude,          1, 1, HAS_GRADIENT) X(magnitude_dx,       2, 1, NO_GRADIENT)      \
    X(posterior,          3, 1, HAS_GRADIENT) X(posterior_dx,       3, 1, NO_GRADIENT)      \
    X(mse,                3, 1, HAS_GRADIENT) X(mse_dx,             4, 1, NO_GRADIENT)      \
    X(l1,                 3, 1, HAS_GRADIENT) X(l1_dx,              4, 1, NO_GRADIENT)      \
    X(kl,                 2, 1, HAS_GRADIENT) X(kl_dx,              3, 2, NO_GRADIENT)      \
    X(spectral_convergence, 2, 2, HAS_GRADIENT) X(spectral_convergence_dx, 4, 1, NO_GRADIENT) \
    X(cross_entropy,      2, 1, HAS_GRADIENT) X(cross_entropy_dx,   3, 1, NO_GRADIENT)      \
    X(sampler_step,       5, 2, NO_GRADIENT)

typedef enum {
#define X(name, n_in, n_out, gradient) ATM_OP_##name,
    ATM_OPS(X)
#undef X
    ATM_OP_COUNT
} atm_op;

enum { ATM_MAX_OP_TENSORS = 10 };

/* Kernels read args->conv2d.s.stride_h; the planner reads args->t[i]. */
typedef union {
    atm_tensor t[ATM_MAX_OP_TENSORS];
#define X(name, n_in, n_out, gradient) atm_##name##_args name;
    ATM_OPS(X)
#undef X
} atm_op_args;

typedef struct { const char *name; int n_in, n_out; bool has_gradient; } atm_op_info;
extern const atm_op_info atm_op_table[ATM_OP_COUNT];

/* Floating-point operations of a step (multiply-add counts 2; matrix-like work
 * only, 0 for the rest) and the bytes it must at least move. */
double atm_op_flops(atm_op op, const atm_op_args *args);
double atm_op_bytes(atm_op op, const atm_op_args *args);

/* ------------------------------------------------------------------------ backends */

typedef struct atm_device atm_device;

/* What `prepare` decides for one step. */
typedef struct {
    void *state;            /* backend's own: packed weights, chosen algorithm; may be NULL */
    size_t workspace;       /* bytes of scratch that `run` needs                             */
} atm_prepared;

typedef struct {
    atm_device *device;
    atm_pool *pool;         /* may be NULL: run on the caller                                */
    void *state;
    void *workspace;        /* 64-byte aligned, shared by all steps of a plan                */
} atm_run_env;

typedef struct {
    /* NULL when there is nothing to prepare.  Data pointers of constant tensors are
     * valid and final; those of other tensors may be read only in `run`. */
    atm_status (*prepare)(atm_device *device, const atm_op_args *args, atm_prepared *out);
    void (*run)(const atm_op_args *args, const atm_run_env *env);
} atm_kernel;

typedef struct {
    const char *name;                   /* "ref", "ref64", "cpu", "cuda"              */
    atm_dtype dtype;                    /* of all floating-point values of its plans  */
    atm_kernel kernel[ATM_OP_COUNT];
} atm_backend;

extern const atm_backend atm_backend_ref, atm_backend_ref64, atm_backend_cpu;

#endif
