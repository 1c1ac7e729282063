#include "support/op_spec.h"

#include <stdio.h>
#include <string.h>

/* Tensors in the order of the struct.  Dims are variables of the case, numbers, or
 *     S        the case's `shape`
 *     S/v      the same with dimension `axis` (the last by default) replaced by v
 *     T        the same with the last two dimensions exchanged
 *     L/v      its last v dimensions
 * p and q are the size of a convolution's output; w0, w1 of a linear weight. */
static const char *const tensors[ATM_OP_COUNT] = {
    [ATM_OP_linear]     = "x:S w:w0,w1@param b?bias:out@param r?residual:S/out y:S/out z?act:S/out",
    [ATM_OP_linear_dw]  = "dy:S/out x:S dw:w0,w1",
    [ATM_OP_conv2d]     = "x:n,h,w,c w:o,c,k_h,k_w@param b?bias:o@param e?e:n,o r?residual:n,p,q,o"
                          " y:n,p,q,o z?act:n,p,q,o",
    [ATM_OP_conv2d_dw]  = "dy:n,p,q,o x:n,h,w,c dw:o,c,k_h,k_w",
    [ATM_OP_conv_transpose2d] = "x:n,p,q,o w:o,c,k_h,k_w@param b?bias:c@param y:n,h,w,c",
    [ATM_OP_reduce_rows] = "x:n,r,c y:n,c",
    [ATM_OP_group_norm]    = "x:S w:c@param b:c@param y:S mean:n,groups rstd:n,groups",
    [ATM_OP_group_norm_dx] = "dy:S x:S w:c@param b:c@param mean:n,groups@forward"
                             " rstd:n,groups@forward dx:S dw:c db:c",
    [ATM_OP_layer_norm]    = "x:S w:c@param b:c@param y:S mean:rows rstd:rows",
    [ATM_OP_layer_norm_dx] = "dy:S x:S w:c@param mean:rows@forward rstd:rows@forward dx:S",
    [ATM_OP_layer_norm_dw] = "dy:S x:S mean:rows@forward rstd:rows@forward dw:c db:c",
    [ATM_OP_attention]     = "q:n,lq,c k:n,lk,c v:n,lk,c mask?mask:n,lk@mask y:n,lq,c lse:n,heads,lq",
    [ATM_OP_attention_dx]  = "dy:n,lq,c q:n,lq,c k:n,lk,c v:n,lk,c mask?mask:n,lk@mask y:n,lq,c@forward"
                             " lse:n,heads,lq@forward dq:n,lq,c dk:n,lk,c dv:n,lk,c",
    [ATM_OP_geglu]       = "x:S y:S/half",
    [ATM_OP_geglu_dx]    = "dy:S/half x:S dx:S",
    [ATM_OP_act]         = "x:S y:S",
    [ATM_OP_act_dx]      = "dy:S x:S dx:S",
    [ATM_OP_add]         = "a:S b:L/last y:S",
    [ATM_OP_affine]      = "x:S y:S",
    [ATM_OP_upsample]    = "x:n,h,w,c y:n,p,q,c",
    [ATM_OP_upsample_dx] = "dy:n,p,q,c dx:n,h,w,c",
    [ATM_OP_concat]      = "a:S b:S/more y:S/total",
    [ATM_OP_slice]       = "x:S y:S/length",
    [ATM_OP_slice_dx]    = "dy:S/length dx:S",
    [ATM_OP_transpose]   = "x:S y:T",
    [ATM_OP_gather]      = "x:r,c@param index:m@index y:m,c",
    [ATM_OP_gather_dx]   = "dy:m,c index:m@index dx:r,c",
    [ATM_OP_copy]        = "x:S y:S",
    [ATM_OP_timestep_embedding] = "t:n@time y:n,dim",
    [ATM_OP_l2_normalize]    = "x:S y:S",
    [ATM_OP_l2_normalize_dx] = "dy:S x:S dx:S",
    [ATM_OP_mix]          = "a:S b:L/last coef:n,2@given y:S",
    [ATM_OP_mix_dx]       = "dy:S coef:n,2@given da:S db:L/last",
    [ATM_OP_magnitude]    = "x:S y:S/half",
    [ATM_OP_magnitude_dx] = "dy:S/half x:S dx:S",
    [ATM_OP_posterior]    = "mean:S logvar:S noise:S@given z:S",
    [ATM_OP_posterior_dx] = "dz:S logvar:S noise:S@given dlogvar:S",
    [ATM_OP_mse]          = "x:S target:S weight?weight:n@positive loss:1",
    [ATM_OP_mse_dx]       = "x:S target:S weight?weight:n@positive dloss:1 dx:S",
    [ATM_OP_l1]           = "x:S target:S weight?weight:n@positive loss:1",
    [ATM_OP_l1_dx]        = "x:S target:S weight?weight:n@positive dloss:1 dx:S",
    [ATM_OP_kl]           = "mean:S logvar:S loss:1",
    [ATM_OP_kl_dx]        = "mean:S logvar:S dloss:1 dmean:S dlogvar:S",
    [ATM_OP_spectral_convergence]    = "x:S target:S@given loss:1 norms:n,2",
    [ATM_OP_spectral_convergence_dx] = "x:S target:S@given norms:n,2@forward dloss:1 dx:S",
    [ATM_OP_cross_entropy]    = "x:S index:n@index loss:1",
    [ATM_OP_cross_entropy_dx] = "x:S index:n@index dloss:1 dx:S",
    [ATM_OP_sampler_step] = "x:S e:S h?h:S n?noise:S coef:8 y:S x0:S",
};

/* ------------------------------------------------------------------ scalars */

#define SCALAR(type, op, name, otherwise) \
    { ATM_OP_##op, #name, type, offsetof(atm_op_args, op.name), otherwise }
#define SHAPE(op, name, otherwise) { ATM_OP_##op, #name, OP_INT, offsetof(atm_op_args, op.s.name), otherwise }
#define CONV(op)                                                                        \
    SHAPE(op, stride_h, 1), SHAPE(op, stride_w, 1), SHAPE(op, dil_h, 1), SHAPE(op, dil_w, 1), \
    SHAPE(op, pad_top, 0), SHAPE(op, pad_left, 0)
#define ACT(op) SCALAR(OP_ACT, op, act, 0), SCALAR(OP_DOUBLE, op, slope, 0.1f)
#define NORM(op) SCALAR(OP_INT, op, groups, 1), SCALAR(OP_ACT, op, act, 0)
#define HEADS(op) \
    SCALAR(OP_INT, op, heads, 1), SCALAR(OP_DOUBLE, op, scale, 0), SCALAR(OP_BOOL, op, causal, 0)

const op_scalar op_scalars[] = {
    ACT(linear), SCALAR(OP_BOOL, linear, transposed, 0), SCALAR(OP_BOOL, linear_dw, transposed, 0),
    ACT(conv2d), CONV(conv2d), CONV(conv2d_dw), CONV(conv_transpose2d),
    NORM(group_norm), NORM(group_norm_dx), SCALAR(OP_DOUBLE, group_norm, eps, 1e-5),
    SCALAR(OP_DOUBLE, layer_norm, eps, 1e-5),
    HEADS(attention), HEADS(attention_dx),
    ACT(act), ACT(act_dx),
    SCALAR(OP_DOUBLE, add, alpha, 1), SCALAR(OP_DOUBLE, add, beta, 1),
    SCALAR(OP_DOUBLE, affine, scale, 1), SCALAR(OP_DOUBLE, affine, shift, 0),
    SCALAR(OP_INT, concat, axis, 0), SCALAR(OP_INT, slice, axis, 0), SCALAR(OP_INT, slice, from, 0),
    SCALAR(OP_INT, slice_dx, axis, 0), SCALAR(OP_INT, slice_dx, from, 0),
    SCALAR(OP_BOOL, timestep_embedding, flip, 0), SCALAR(OP_DOUBLE, timestep_embedding, shift, 0),
    SCALAR(OP_DOUBLE, magnitude, eps, 1e-6), SCALAR(OP_DOUBLE, magnitude_dx, eps, 1e-6),
    SCALAR(OP_DOUBLE, l2_normalize, eps, 1e-12), SCALAR(OP_DOUBLE, l2_normalize_dx, eps, 1e-12),
};
const int op_n_scalars = sizeof op_scalars / sizeof *op_scalars;

void op_scalar_set(const op_scalar *s, atm_op_args *args, double value)
{
    void *p = (char *)args + s->offset;
    switch (s->type) {
    case OP_INT:    *(int *)p = (int)value; break;
    case OP_DOUBLE: *(double *)p = value; break;
    case OP_BOOL:   *(bool *)p = value != 0; break;
    case OP_ACT:    *(atm_act *)p = (atm_act)value; break;
    }
}

/* ------------------------------------------------------------------ slots */

int op_n_slots(atm_op op) { return atm_op_table[op].n_in + atm_op_table[op].n_out; }

static op_fill fill_named(const char *name)
{
    static const char *const names[] = { "normal", "param", "index", "time", "mask", "positive", "given",
                                         "forward" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return (op_fill)i;
    return OP_FILL_NORMAL;
}

op_slot op_slot_of(atm_op op, int slot)
{
    op_slot s = { .fill = OP_FILL_NORMAL };
    char head[24] = "", fill[12] = "";
    const char *at = tensors[op] ? tensors[op] : "";
    for (int i = 0; i < slot && at; i++)
        if ((at = strchr(at, ' ')) != NULL) at++;
    if (!at || sscanf(at, "%23[^:]:%23[^@ ]@%11[a-z]", head, s.dims, fill) < 2) return s;
    sscanf(head, "%11[^?]?%11s", s.name, s.flag);
    s.fill = fill_named(fill);
    return s;
}

int op_slot_named(atm_op op, const char *name)
{
    for (int i = 0; i < op_n_slots(op); i++)
        if (strcmp(op_slot_of(op, i).name, name) == 0) return i;
    return -1;
}

int op_by_name(const char *name)
{
    for (int op = 0; op < ATM_OP_COUNT; op++)
        if (strcmp(atm_op_table[op].name, name) == 0) return op;
    return -1;
}

int op_act_by_name(const char *name)
{
    static const char *const names[ATM_ACT_COUNT] = {
        [ATM_ACT_NONE] = "none", [ATM_ACT_SILU] = "silu", [ATM_ACT_GELU] = "gelu",
        [ATM_ACT_GELU_TANH] = "gelu_tanh", [ATM_ACT_QUICK_GELU] = "quick_gelu", [ATM_ACT_TANH] = "tanh",
        [ATM_ACT_RELU] = "relu", [ATM_ACT_LEAKY_RELU] = "leaky_relu", [ATM_ACT_LOG] = "log",
    };
    for (int i = 0; i < ATM_ACT_COUNT; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

atm_op op_forward_of(atm_op op)
{
    char name[64];
    snprintf(name, sizeof name, "%s", atm_op_table[op].name);
    size_t n = strlen(name);
    if (n > 3 && (strcmp(name + n - 3, "_dx") == 0 || strcmp(name + n - 3, "_dw") == 0)) name[n - 3] = '\0';
    int forward = op_by_name(name);
    return forward < 0 ? op : (atm_op)forward;
}
