/* plan.h - a plan is a flat list of kernel calls over tensors whose shapes are
 * all known before anything is allocated.
 *
 *     atm_plan *p;
 *     TRY(atm_plan_create(device, &p));
 *     atm_plan_params(p, weights_source);
 *     atm_tensor x = atm_input(p, "sample", ATM_INPUT_VARIES, 4, (int[]){ 2, 256, 16, 8 });
 *     atm_tensor y = unet(p, &config, x, ...);           // model code appends steps
 *     atm_output(p, "out", y);
 *     TRY(atm_plan_finish(p, (atm_plan_options){ 0 }));  // prune, hoist, lay out, prepare
 *     TRY(atm_plan_write(p, x, host_x));  TRY(atm_plan_run(p));  atm_plan_read(p, y, host_y);
 *
 * Errors while building are sticky: the first one is kept with the scope it
 * happened in, later calls do nothing and return the absent tensor, and
 * atm_plan_finish reports it.  So model files hold no error code. */
#ifndef ATM_PLAN_PLAN_H
#define ATM_PLAN_PLAN_H

#include <stdio.h>

#include "kernels/device.h"
#include "kernels/ops.h"

typedef struct atm_plan atm_plan;

/* ------------------------------------------------------------------ parameters */

/* Where parameters come from: the weights of a component (src/io/weights.h), a
 * test's random numbers, or nowhere (NULL source: shapes only, for `init`,
 * `inspect` and memory plans). */
typedef struct {
    const void *data;           /* in the device's dtype; NULL: not there (recorded by the source) */
    bool trainable;             /* gets a gradient, and may change between runs                    */
} atm_param_data;

typedef struct atm_param_source {
    atm_param_data (*find)(struct atm_param_source *self, const char *name, int rank, const int *dim,
                           atm_dtype dtype);
    /* May be NULL.  A step that reads these weights has been prepared and has usually
     * packed a copy: their pages may leave memory now, weight by weight, or a network
     * would be resident twice while it loads.  Must still be readable. */
    void (*prepared)(struct atm_param_source *self, const void *data, size_t bytes);
} atm_param_source;

/* ------------------------------------------------------------------ building */

atm_status atm_plan_create(atm_device *device, atm_plan **out);
void       atm_plan_destroy(atm_plan *plan);                        /* NULL is allowed */
void       atm_plan_params(atm_plan *plan, atm_param_source *source);

/* Names: a parameter's name is the open scopes joined by '.', then its own:
 *     atm_scope(p, "down_blocks.%d", i);  ...  atm_scope_end(p);                      */
void atm_scope(atm_plan *plan, const char *format, ...) __attribute__((format(printf, 2, 3)));
void atm_scope_end(atm_plan *plan);

typedef enum {
    ATM_INPUT_VARIES  = 0,      /* may differ in every run                                          */
    ATM_INPUT_STATIC  = 1,      /* changes rarely: what depends on it alone is hoisted and kept     */
    ATM_INPUT_GRAD    = 2,      /* its gradient is wanted                                           */
    ATM_INPUT_INDEX   = 4       /* I32 instead of the device's dtype                                */
} atm_input_flags;

/* Holds zeros until it is written. */
atm_tensor atm_input(atm_plan *plan, const char *name, int flags, int rank, const int *dim);

/* The parameter `name` in the open scopes, of exactly this shape.  Asking twice
 * gives the same tensor. */
atm_tensor atm_param(atm_plan *plan, const char *name, int rank, const int *dim);
#define ATM_DIMS(...) ((int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))), ((int[]){ __VA_ARGS__ })
/* atm_param(p, "weight", ATM_DIMS(out, in)) */

/* Keeps t readable after a run, under a name. */
void atm_output(atm_plan *plan, const char *name, atm_tensor t);

/* Records an error of the model's own ("heads %d do not divide %d"). */
void atm_plan_fail(atm_plan *plan, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool atm_plan_failed(const atm_plan *plan);

/* Steps between begin and end are computed again in the backward pass instead
 * of keeping their results.  Segments do not nest. */
void atm_segment_begin(atm_plan *plan);
void atm_segment_end(atm_plan *plan);

/* Appends the gradient steps of sum_i <dy[i], y[i]> by every input with
 * ATM_INPUT_GRAD and every trainable parameter.  dy[i] has y[i]'s shape (an
 * input of the plan, usually).  Call once, after the forward pass. */
void atm_plan_backward(atm_plan *plan, int n, const atm_tensor *y, const atm_tensor *dy);

/* The gradient of t, in t's shape; absent when nothing depends on t. */
atm_tensor atm_grad(atm_plan *plan, atm_tensor t);

/* ------------------------------------------------------------------ finishing and running */

typedef struct {
    bool no_reuse;              /* every tensor its own memory: to find layout bugs                */
    bool checked;               /* after each step look for NaN/Inf; fail naming the step          */
    bool profile;               /* time each step                                                  */
    bool shapes_only;           /* lay out but allocate nothing: the plan cannot run               */
    size_t memory_limit;        /* 0: none; else ATM_E_MEMORY "needs X, have Y" before allocating  */
} atm_plan_options;

/* Removes steps nobody reads, moves loop-invariant steps into a prologue, lays
 * out one block of memory and prepares the kernels.  Reports building errors. */
atm_status atm_plan_finish(atm_plan *plan, atm_plan_options options);

/* Whole-tensor copies between host and plan: `host` has the tensor's element
 * type and count.  For inputs, outputs, parameters' gradients kept by
 * atm_output.  Writing a STATIC input makes the next run redo the prologue. */
atm_status atm_plan_write(atm_plan *plan, atm_tensor t, const void *host);
atm_status atm_plan_read(atm_plan *plan, atm_tensor t, void *host);
/* The same with conversion from and to float. */
atm_status atm_plan_write_f32(atm_plan *plan, atm_tensor t, const float *host);
atm_status atm_plan_read_f32(atm_plan *plan, atm_tensor t, float *host);

/* Runs the prologue if needed, then the steps. */
atm_status atm_plan_run(atm_plan *plan);

/* ------------------------------------------------------------------ looking at a plan */

typedef struct { const char *name; atm_tensor t; } atm_named_tensor;

int              atm_plan_n_params(const atm_plan *plan);
atm_named_tensor atm_plan_param_at(const atm_plan *plan, int i);    /* in order of first use */
int              atm_plan_n_outputs(const atm_plan *plan);
atm_named_tensor atm_plan_output_at(const atm_plan *plan, int i);
atm_tensor       atm_plan_find_input(const atm_plan *plan, const char *name);   /* absent: none */
atm_tensor       atm_plan_find_param(const atm_plan *plan, const char *name);

typedef struct {
    int steps, prologue_steps, removed_steps;
    size_t block_bytes;         /* the plan's one block                                            */
    size_t tensor_bytes;        /* what it would be without reuse                                  */
    size_t workspace_bytes;     /* part of the block                                               */
    size_t param_bytes;
    double flops;               /* of one run, prologue excluded                                   */
} atm_plan_stats;

atm_plan_stats atm_plan_get_stats(const atm_plan *plan);
void atm_plan_print_memory(const atm_plan *plan, FILE *to, int largest);   /* the table of the largest */
void atm_plan_print_steps(const atm_plan *plan, FILE *to);
void atm_plan_print_profile(const atm_plan *plan, FILE *to);       /* by op and by scope; needs `profile` */

/* ------------------------------------------------------------------ ops
 * Each appends one step (or none) and returns its first output.  `b`, `r`, `e`,
 * `mask` may be ATM_NONE.  Shapes are those of kernels/ops.h. */

#define ATM_NONE ((atm_tensor){ 0 })

typedef struct { atm_act act; double slope; bool transposed; atm_tensor residual; } atm_linear_options;
atm_tensor atm_linear(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, atm_linear_options o);

typedef struct {
    int stride, pad, dil;           /* both axes, when the ones below are 0; stride and dil 0 mean 1  */
    int pad_top, pad_left, pad_bottom, pad_right;
    bool is_1d;                     /* x [N, L, C], w [O, I, k]: stride, pad, dil along L             */
    atm_act act; double slope;
    atm_tensor per_sample;          /* e [N, O] */
    atm_tensor residual;
} atm_conv_options;
atm_tensor atm_conv2d(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, atm_conv_options o);
/* x [N, L, Cin], w [Cin, Cout, k] -> [N, (L-1) stride - 2 pad + k, Cout], as torch.nn.ConvTranspose1d. */
atm_tensor atm_conv_transpose1d(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, int stride, int pad);

atm_tensor atm_group_norm(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, int groups, double eps, atm_act act);
atm_tensor atm_layer_norm(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, double eps);

typedef struct { int heads; double scale; /* 0: 1/sqrt(d) */ bool causal; atm_tensor mask; } atm_attention_options;
atm_tensor atm_attention(atm_plan *p, atm_tensor q, atm_tensor k, atm_tensor v, atm_attention_options o);

atm_tensor atm_geglu(atm_plan *p, atm_tensor x);
atm_tensor atm_activate(atm_plan *p, atm_tensor x, atm_act act, double slope);
atm_tensor atm_add(atm_plan *p, atm_tensor a, atm_tensor b);
atm_tensor atm_add_scaled(atm_plan *p, atm_tensor a, double alpha, atm_tensor b, double beta);
atm_tensor atm_affine(atm_plan *p, atm_tensor x, double scale, double shift);
atm_tensor atm_upsample(atm_plan *p, atm_tensor x, int height, int width);
atm_tensor atm_concat(atm_plan *p, atm_tensor a, atm_tensor b, int axis);       /* axis < 0: from the end */
atm_tensor atm_slice(atm_plan *p, atm_tensor x, int axis, int from, int length);
atm_tensor atm_transpose(atm_plan *p, atm_tensor x);                            /* last two axes */
atm_tensor atm_gather(atm_plan *p, atm_tensor x, atm_tensor index);             /* [R, C], [n] -> [n, C] */
atm_tensor atm_reshape(atm_plan *p, atm_tensor x, int rank, const int *dim);    /* a view: no step */
atm_tensor atm_reduce_rows(atm_plan *p, atm_tensor x, int groups);              /* [G, R, C] -> [G, C] */
atm_tensor atm_timestep_embedding(atm_plan *p, atm_tensor t, int dim, bool flip, double shift);
atm_tensor atm_l2_normalize(atm_plan *p, atm_tensor x, double eps);
atm_tensor atm_mix(atm_plan *p, atm_tensor a, atm_tensor b, atm_tensor coef);       /* coef [N, 2] */
atm_tensor atm_magnitude(atm_plan *p, atm_tensor x, double eps);                /* [.., re | im] -> [..] */
atm_tensor atm_posterior(atm_plan *p, atm_tensor mean, atm_tensor logvar, atm_tensor noise);

/* Losses, [1]: means over samples.  Only mse and l1 have a gradient by the target. */
atm_tensor atm_mse(atm_plan *p, atm_tensor x, atm_tensor target, atm_tensor weight);     /* weight [N] or none */
atm_tensor atm_l1(atm_plan *p, atm_tensor x, atm_tensor target, atm_tensor weight);
atm_tensor atm_kl(atm_plan *p, atm_tensor mean, atm_tensor logvar);
atm_tensor atm_spectral_convergence(atm_plan *p, atm_tensor x, atm_tensor target);
atm_tensor atm_cross_entropy(atm_plan *p, atm_tensor x, atm_tensor index);      /* [N, C], I32 [N] */

typedef struct { atm_tensor y, x0; } atm_sampled;
atm_sampled atm_sampler_step(atm_plan *p, atm_tensor x, atm_tensor e, atm_tensor h, atm_tensor n, atm_tensor coef);

/* At the end of a run copies x into `state`, an input of the plan: loop state
 * (the latent) stays where it is and never visits the host. */
void atm_assign(atm_plan *p, atm_tensor state, atm_tensor x);

/* NCHW at the edges: [N, C, H, W] -> [N, H, W, C] and back. */
atm_tensor atm_to_channels_last(atm_plan *p, atm_tensor x);
atm_tensor atm_to_channels_first(atm_plan *p, atm_tensor x);

#endif
