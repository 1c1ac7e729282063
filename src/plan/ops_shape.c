/* ops_shape.c - views and data movement: shapes and gradient rules. */
#include "plan/internal.h"

static int from_the_end(atm_tensor x, int axis) { return axis < 0 ? axis + x.rank : axis; }

/* ------------------------------------------------------------------ views */

atm_tensor atm_reshape(atm_plan *p, atm_tensor x, int rank, const int *dim)
{
    if (!plan_ok(p) || !x.id) return ATM_NONE;
    atm_tensor y = x;
    y.rank = rank;
    for (int i = 0; i < rank; i++) y.dim[i] = dim[i];
    if (rank < 1 || rank > ATM_MAX_RANK || atm_count(y) != atm_count(x)) {
        atm_plan_fail(p, "reshape: %s does not have as many elements as %s", plan_shape_text(x), plan_shape_text(y));
        return ATM_NONE;
    }
    return y;
}

/* ------------------------------------------------------------------ upsample */

atm_tensor atm_upsample(atm_plan *p, atm_tensor x, int height, int width)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (x.rank != 4) {
        atm_plan_fail(p, "upsample: %s is not [N, H, W, C]", plan_shape_text(x));
        return ATM_NONE;
    }
    atm_op_args a = { .upsample = { .x = x, .y = plan_new(p, 4, (int[]){ x.dim[0], height, width, x.dim[3] }) } };
    return plan_emit(p, ATM_OP_upsample, &a);
}

void rule_upsample(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_upsample_args *a = &args->upsample;
    atm_tensor shaped = atm_reshape(p, dy, 4, a->y.dim);
    atm_op_args g = { .upsample_dx = { .dy = shaped, .dx = plan_like(a->x) } };
    plan_accumulate(p, a->x, plan_emit(p, ATM_OP_upsample_dx, &g));
}

/* ------------------------------------------------------------------ concat and slice */

atm_tensor atm_concat(atm_plan *p, atm_tensor a_, atm_tensor b, int axis)
{
    if (!plan_ok(p)) return ATM_NONE;
    axis = from_the_end(a_, axis);
    atm_tensor y = plan_like(a_), expected = b;
    bool fits = axis >= 0 && axis < a_.rank && a_.rank == b.rank;
    if (fits) {
        expected.dim[axis] = a_.dim[axis];
        fits = plan_same_shape(a_, expected);
        y.dim[axis] += b.dim[axis];
    }
    if (!fits) {
        atm_plan_fail(p, "concat: %s and %s differ off axis %d", plan_shape_text(a_), plan_shape_text(b), axis);
        return ATM_NONE;
    }
    atm_op_args a = { .concat = { .a = a_, .b = b, .y = y, .axis = axis } };
    return plan_emit(p, ATM_OP_concat, &a);
}

atm_tensor atm_slice(atm_plan *p, atm_tensor x, int axis, int from, int length)
{
    if (!plan_ok(p)) return ATM_NONE;
    axis = from_the_end(x, axis);
    if (axis < 0 || axis >= x.rank || from < 0 || length < 1 || from > x.dim[axis] - length) {
        atm_plan_fail(p, "slice: [%d, %d) of axis %d is outside %s", from, from + length, axis, plan_shape_text(x));
        return ATM_NONE;
    }
    atm_tensor y = plan_like(x);
    y.dim[axis] = length;
    atm_op_args a = { .slice = { .x = x, .y = y, .axis = axis, .from = from } };
    return plan_emit(p, ATM_OP_slice, &a);
}

void rule_concat(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_concat_args *a = &args->concat;
    int in_a = a->a.dim[a->axis], in_b = a->b.dim[a->axis];
    dy = atm_reshape(p, dy, a->y.rank, a->y.dim);
    if (plan_wants(p, a->a)) plan_accumulate(p, a->a, atm_slice(p, dy, a->axis, 0, in_a));
    if (plan_wants(p, a->b)) plan_accumulate(p, a->b, atm_slice(p, dy, a->axis, in_a, in_b));
}

void rule_slice(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_slice_args *a = &args->slice;
    dy = atm_reshape(p, dy, a->y.rank, a->y.dim);
    atm_op_args g = { .slice_dx = { .dy = dy, .dx = plan_like(a->x), .axis = a->axis, .from = a->from } };
    plan_accumulate(p, a->x, plan_emit(p, ATM_OP_slice_dx, &g));
}

/* ------------------------------------------------------------------ transpose */

atm_tensor atm_transpose(atm_plan *p, atm_tensor x)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (x.rank < 2) {
        atm_plan_fail(p, "transpose: %s has no two last axes", plan_shape_text(x));
        return ATM_NONE;
    }
    atm_tensor y = plan_like(x);
    y.dim[x.rank - 2] = x.dim[x.rank - 1];
    y.dim[x.rank - 1] = x.dim[x.rank - 2];
    atm_op_args a = { .transpose = { .x = x, .y = y } };
    return plan_emit(p, ATM_OP_transpose, &a);
}

void rule_transpose(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_transpose_args *a = &args->transpose;
    plan_accumulate(p, a->x, atm_transpose(p, atm_reshape(p, dy, a->y.rank, a->y.dim)));
}

atm_tensor atm_to_channels_last(atm_plan *p, atm_tensor x)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (x.rank != 4) atm_plan_fail(p, "%s is not [N, C, H, W]", plan_shape_text(x));
    int n = x.dim[0], c = x.dim[1], h = x.dim[2], w = x.dim[3];
    atm_tensor y = atm_transpose(p, atm_reshape(p, x, 3, (int[]){ n, c, h * w }));
    return atm_reshape(p, y, 4, (int[]){ n, h, w, c });
}

atm_tensor atm_to_channels_first(atm_plan *p, atm_tensor x)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (x.rank != 4) atm_plan_fail(p, "%s is not [N, H, W, C]", plan_shape_text(x));
    int n = x.dim[0], h = x.dim[1], w = x.dim[2], c = x.dim[3];
    atm_tensor y = atm_transpose(p, atm_reshape(p, x, 3, (int[]){ n, h * w, c }));
    return atm_reshape(p, y, 4, (int[]){ n, c, h, w });
}

/* ------------------------------------------------------------------ gather */

atm_tensor atm_gather(atm_plan *p, atm_tensor x, atm_tensor index)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (x.rank != 2 || index.rank != 1 || index.dtype != ATM_I32) {
        atm_plan_fail(p, "gather: x %s must have rank 2, index %s rank 1 and type I32", plan_shape_text(x), plan_shape_text(index));
        return ATM_NONE;
    }
    atm_op_args a = { .gather = { .x = x, .index = index, .y = plan_new(p, 2, (int[]){ index.dim[0], x.dim[1] }) } };
    return plan_emit(p, ATM_OP_gather, &a);
}

void rule_gather(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_gather_args *a = &args->gather;
    atm_op_args g = { .gather_dx = { .dy = dy, .index = a->index, .dx = plan_like(a->x) } };
    plan_accumulate(p, a->x, plan_emit(p, ATM_OP_gather_dx, &g));
}
