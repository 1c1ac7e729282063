/* ops_matrix.c - linear layers and convolutions: shapes and gradient rules. */
#include "plan/internal.h"

/* z, the value before the activation, is an output only where its gradient
 * could be asked for; without a reader it is dropped again. */
static atm_tensor pre_activation(atm_act act, atm_tensor y) { return act == ATM_ACT_NONE ? ATM_NONE : plan_like(y); }

/* The gradient by z, given the gradient by y - r. */
static atm_tensor through_activation(atm_plan *p, atm_tensor dy, atm_tensor z, atm_act act, double slope)
{
    if (act == ATM_ACT_NONE) return dy;
    atm_op_args g = { .act_dx = { .dy = dy, .x = z, .dx = plan_like(z), .act = act, .slope = slope } };
    return plan_emit(p, ATM_OP_act_dx, &g);
}

static void accumulate_bias(atm_plan *p, atm_tensor b, atm_tensor dz, int groups)
{
    if (!plan_wants(p, b)) return;
    atm_tensor flat = atm_reshape(p, dz, 3, (int[]){ groups, (int)(atm_rows(dz) / (size_t)groups), atm_last_dim(dz) });
    plan_accumulate(p, b, atm_reduce_rows(p, flat, groups));
}

/* ------------------------------------------------------------------ linear */

atm_tensor atm_linear(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, atm_linear_options o)
{
    if (!plan_ok(p) || !plan_activation_fits(p, o.act, o.slope)) return ATM_NONE;
    int in = w.dim[o.transposed ? 0 : 1], out = w.dim[o.transposed ? 1 : 0];
    atm_tensor y = plan_like(x), r = o.residual;
    if (w.rank != 2 || x.rank < 1 || atm_last_dim(x) != in)
        atm_plan_fail(p, "linear: x is %s, w is %s: the last dimension of x must be %d",
                      plan_shape_text(x), plan_shape_text(w), in);
    else if (b.id && (b.rank != 1 || b.dim[0] != out))
        atm_plan_fail(p, "linear: bias is %s, w has %d outputs", plan_shape_text(b), out);
    if (!plan_ok(p)) return ATM_NONE;
    y.dim[x.rank - 1] = out;
    if (r.id && atm_count(r) != atm_count(y))
        atm_plan_fail(p, "linear: residual is %s, the result %s", plan_shape_text(r), plan_shape_text(y));
    atm_op_args a = { .linear = { .x = x, .w = w, .b = b, .r = r, .y = y, .z = pre_activation(o.act, y),
                                  .act = o.act, .slope = o.slope, .transposed = o.transposed } };
    return plan_emit(p, ATM_OP_linear, &a);
}

void rule_linear(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_linear_args *a = &args->linear;
    plan_accumulate(p, a->r, dy);
    if (!plan_wants(p, a->x) && !plan_wants(p, a->w) && !plan_wants(p, a->b)) return;
    atm_tensor dz = through_activation(p, dy, a->z, a->act, a->slope);
    if (plan_wants(p, a->x))
        plan_accumulate(p, a->x, atm_linear(p, dz, a->w, ATM_NONE, (atm_linear_options){ .transposed = !a->transposed }));
    if (plan_wants(p, a->w)) {
        atm_op_args g = { .linear_dw = { .dy = dz, .x = a->x, .dw = plan_like(a->w), .transposed = a->transposed } };
        plan_accumulate(p, a->w, plan_emit(p, ATM_OP_linear_dw, &g));
    }
    accumulate_bias(p, a->b, dz, 1);
}

/* ------------------------------------------------------------------ convolution */

static int or_else(int value, int otherwise) { return value ? value : otherwise; }

static atm_conv_shape conv_shape(atm_conv_options o)
{
    int stride = or_else(o.stride, 1), dil = or_else(o.dil, 1);
    return (atm_conv_shape){ .stride_h = o.is_1d ? 1 : stride, .stride_w = stride,
                             .dil_h = o.is_1d ? 1 : dil, .dil_w = dil,
                             .pad_top = o.is_1d ? 0 : or_else(o.pad_top, o.pad), .pad_left = or_else(o.pad_left, o.pad) };
}

/* Output size along one axis; 0 when the kernel does not fit. */
static int conv_size(int in, int kernel, int before, int after, int stride, int dil)
{
    int room = in + before + after - dil * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
}

static atm_tensor with_height_1(atm_plan *p, atm_tensor x)
{
    return x.id ? atm_reshape(p, x, 4, (int[]){ x.dim[0], 1, x.dim[1], x.dim[2] }) : x;
}

static bool conv_fits(atm_plan *p, const char *op, atm_tensor x, atm_tensor w, atm_tensor b, int in, int out)
{
    if (x.rank != 4 || w.rank != 4 || x.dim[3] != in)
        atm_plan_fail(p, "%s: x is %s, w is %s: x must have %d channels, last", op, plan_shape_text(x), plan_shape_text(w), in);
    else if (b.id && (b.rank != 1 || b.dim[0] != out))
        atm_plan_fail(p, "%s: bias is %s, w has %d outputs", op, plan_shape_text(b), out);
    return plan_ok(p);
}

static atm_tensor conv2d(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, atm_conv_options o)
{
    if (!conv_fits(p, "conv2d", x, w, b, w.dim[1], w.dim[0]) || !plan_activation_fits(p, o.act, o.slope)) return ATM_NONE;
    atm_conv_shape s = conv_shape(o);
    int below = o.is_1d ? 0 : or_else(o.pad_bottom, o.pad), right = or_else(o.pad_right, o.pad);
    atm_tensor y = plan_new(p, 4, (int[]){ x.dim[0], conv_size(x.dim[1], w.dim[2], s.pad_top, below, s.stride_h, s.dil_h),
                                           conv_size(x.dim[2], w.dim[3], s.pad_left, right, s.stride_w, s.dil_w), w.dim[0] });
    if (o.per_sample.id && atm_count(o.per_sample) != (size_t)y.dim[0] * y.dim[3])
        atm_plan_fail(p, "conv2d: bias per sample is %s, the result %s", plan_shape_text(o.per_sample), plan_shape_text(y));
    if (o.residual.id && atm_count(o.residual) != atm_count(y))
        atm_plan_fail(p, "conv2d: residual is %s, the result %s", plan_shape_text(o.residual), plan_shape_text(y));
    atm_op_args a = { .conv2d = { .x = x, .w = w, .b = b, .e = o.per_sample, .r = o.residual, .y = y,
                                  .z = pre_activation(o.act, y), .s = s, .act = o.act, .slope = o.slope } };
    return plan_emit(p, ATM_OP_conv2d, &a);
}

atm_tensor atm_conv2d(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, atm_conv_options o)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (!o.is_1d) return conv2d(p, x, w, b, o);
    if (x.rank != 3 || w.rank != 3) {
        atm_plan_fail(p, "conv1d: x is %s, w is %s: both need rank 3", plan_shape_text(x), plan_shape_text(w));
        return ATM_NONE;
    }
    o.residual = with_height_1(p, o.residual);
    w = atm_reshape(p, w, 4, (int[]){ w.dim[0], w.dim[1], 1, w.dim[2] });
    atm_tensor y = conv2d(p, with_height_1(p, x), w, b, o);
    return atm_reshape(p, y, 3, (int[]){ y.dim[0], y.dim[2], y.dim[3] });
}

static atm_tensor conv_transpose(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, atm_tensor y, atm_conv_shape s)
{
    if (!conv_fits(p, "conv_transpose", x, w, b, w.dim[0], w.dim[1])) return ATM_NONE;
    atm_op_args a = { .conv_transpose2d = { .x = x, .w = w, .b = b, .y = y, .s = s } };
    return plan_emit(p, ATM_OP_conv_transpose2d, &a);
}

atm_tensor atm_conv_transpose1d(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, int stride, int pad)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (x.rank != 3 || w.rank != 3) {
        atm_plan_fail(p, "conv_transpose1d: x is %s, w is %s: both need rank 3", plan_shape_text(x), plan_shape_text(w));
        return ATM_NONE;
    }
    int length = (x.dim[1] - 1) * stride - 2 * pad + w.dim[2];
    atm_tensor y = plan_new(p, 4, (int[]){ x.dim[0], 1, length, w.dim[1] });
    atm_conv_shape s = { .stride_h = 1, .stride_w = stride, .pad_left = pad, .dil_h = 1, .dil_w = 1 };
    w = atm_reshape(p, w, 4, (int[]){ w.dim[0], w.dim[1], 1, w.dim[2] });
    y = conv_transpose(p, with_height_1(p, x), w, b, y, s);
    return atm_reshape(p, y, 3, (int[]){ y.dim[0], y.dim[2], y.dim[3] });
}

static void accumulate_conv_dw(atm_plan *p, atm_tensor w, atm_tensor dy, atm_tensor x, atm_conv_shape s)
{
    if (!plan_wants(p, w)) return;
    atm_op_args g = { .conv2d_dw = { .dy = dy, .x = x, .dw = plan_like(w), .s = s } };
    plan_accumulate(p, w, plan_emit(p, ATM_OP_conv2d_dw, &g));
}

void rule_conv2d(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_conv2d_args *a = &args->conv2d;
    plan_accumulate(p, a->r, dy);
    if (!plan_wants(p, a->x) && !plan_wants(p, a->w) && !plan_wants(p, a->b) && !plan_wants(p, a->e)) return;
    atm_tensor dz = through_activation(p, dy, a->z, a->act, a->slope);
    if (plan_wants(p, a->x)) plan_accumulate(p, a->x, conv_transpose(p, dz, a->w, ATM_NONE, plan_like(a->x), a->s));
    accumulate_conv_dw(p, a->w, dz, a->x, a->s);
    accumulate_bias(p, a->b, dz, 1);
    accumulate_bias(p, a->e, dz, a->x.dim[0]);
}

/* The transpose of the transpose: dx is a convolution of dy with the same w. */
void rule_conv_transpose2d(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_conv_transpose2d_args *a = &args->conv_transpose2d;
    if (plan_wants(p, a->x)) {
        atm_op_args g = { .conv2d = { .x = dy, .w = a->w, .y = plan_like(a->x), .s = a->s } };
        plan_accumulate(p, a->x, plan_emit(p, ATM_OP_conv2d, &g));
    }
    accumulate_conv_dw(p, a->w, a->x, dy, a->s);
    accumulate_bias(p, a->b, dy, 1);
}

/* ------------------------------------------------------------------ sums over rows */

atm_tensor atm_reduce_rows(atm_plan *p, atm_tensor x, int groups)
{
    if (!plan_ok(p)) return ATM_NONE;
    int c = atm_last_dim(x);
    if (groups < 1 || atm_rows(x) % (size_t)groups)
        atm_plan_fail(p, "reduce_rows: %s cannot be cut into %d groups", plan_shape_text(x), groups);
    atm_op_args a = { .reduce_rows = { .x = x, .y = plan_new(p, 2, (int[]){ groups, c }) } };
    return plan_emit(p, ATM_OP_reduce_rows, &a);
}

/* Each row gets the gradient of its sum: nearest upsampling of one pixel. */
void rule_reduce_rows(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_reduce_rows_args *a = &args->reduce_rows;
    int c = atm_last_dim(a->x), groups = (int)(atm_count(a->y) / (size_t)c);
    int rows = (int)(atm_rows(a->x) / (size_t)groups);
    dy = atm_reshape(p, dy, 4, (int[]){ groups, 1, 1, c });
    plan_accumulate(p, a->x, atm_upsample(p, dy, rows, 1));
}
