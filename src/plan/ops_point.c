/* ops_point.c - elementwise ops, losses and the sampler: shapes and gradient rules. */
#include "plan/internal.h"

/* ------------------------------------------------------------------ activations */

atm_tensor atm_activate(atm_plan *p, atm_tensor x, atm_act act, double slope)
{
    if (!plan_ok(p)) return ATM_NONE;
    atm_op_args a = { .act = { .x = x, .y = plan_like(x), .act = act, .slope = slope } };
    return plan_emit(p, ATM_OP_act, &a);
}

void rule_act(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_act_args *a = &args->act;
    atm_op_args g = { .act_dx = { .dy = dy, .x = a->x, .dx = plan_like(a->x), .act = a->act, .slope = a->slope } };
    plan_accumulate(p, a->x, plan_emit(p, ATM_OP_act_dx, &g));
}

atm_tensor atm_geglu(atm_plan *p, atm_tensor x)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (atm_last_dim(x) % 2) atm_plan_fail(p, "geglu: %s has no two halves", plan_shape_text(x));
    atm_tensor y = plan_like(x);
    y.dim[x.rank - 1] /= 2;
    atm_op_args a = { .geglu = { .x = x, .y = y } };
    return plan_emit(p, ATM_OP_geglu, &a);
}

void rule_geglu(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_geglu_args *a = &args->geglu;
    atm_op_args g = { .geglu_dx = { .dy = dy, .x = a->x, .dx = plan_like(a->x) } };
    plan_accumulate(p, a->x, plan_emit(p, ATM_OP_geglu_dx, &g));
}

/* ------------------------------------------------------------------ sums */

atm_tensor atm_add_scaled(atm_plan *p, atm_tensor x, double alpha, atm_tensor b, double beta)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (!x.id || !b.id || atm_count(x) % atm_count(b)) {
        atm_plan_fail(p, "add: %s cannot be repeated over %s", plan_shape_text(b), plan_shape_text(x));
        return ATM_NONE;
    }
    atm_op_args a = { .add = { .a = x, .b = b, .y = plan_like(x), .alpha = alpha, .beta = beta } };
    return plan_emit(p, ATM_OP_add, &a);
}

atm_tensor atm_add(atm_plan *p, atm_tensor a, atm_tensor b) { return atm_add_scaled(p, a, 1, b, 1); }

static atm_tensor scaled(atm_plan *p, atm_tensor x, double scale) { return scale == 1 ? x : atm_affine(p, x, scale, 0); }

void rule_add(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_add_args *a = &args->add;
    if (plan_wants(p, a->a)) plan_accumulate(p, a->a, scaled(p, dy, a->alpha));
    if (!plan_wants(p, a->b)) return;
    int n = (int)atm_count(a->b), times = (int)(atm_count(a->a) / (size_t)n);
    if (times > 1) dy = atm_reduce_rows(p, atm_reshape(p, dy, 2, (int[]){ times, n }), 1);
    plan_accumulate(p, a->b, scaled(p, dy, a->beta));
}

atm_tensor atm_affine(atm_plan *p, atm_tensor x, double scale, double shift)
{
    if (!plan_ok(p)) return ATM_NONE;
    atm_op_args a = { .affine = { .x = x, .y = plan_like(x), .scale = scale, .shift = shift } };
    return plan_emit(p, ATM_OP_affine, &a);
}

void rule_affine(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    plan_accumulate(p, args->affine.x, scaled(p, dy, args->affine.scale));
}

/* ------------------------------------------------------------------ time */

atm_tensor atm_timestep_embedding(atm_plan *p, atm_tensor t, int dim, bool flip, double shift)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (t.rank != 1 || dim < 2 || dim % 2)
        atm_plan_fail(p, "timestep_embedding: t is %s, dim %d: rank 1 and an even dim are needed", plan_shape_text(t), dim);
    atm_op_args a = { .timestep_embedding = { .t = t, .y = plan_new(p, 2, (int[]){ t.dim[0], dim }), .flip = flip, .shift = shift } };
    return plan_emit(p, ATM_OP_timestep_embedding, &a);
}

/* ------------------------------------------------------------------ loss */

atm_tensor atm_mse(atm_plan *p, atm_tensor x, atm_tensor target, atm_tensor weight)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (atm_count(x) != atm_count(target))
        atm_plan_fail(p, "mse: x is %s, target %s", plan_shape_text(x), plan_shape_text(target));
    else if (weight.id && atm_count(weight) != (size_t)x.dim[0])
        atm_plan_fail(p, "mse: weight is %s, x %s: one weight a sample", plan_shape_text(weight), plan_shape_text(x));
    atm_op_args a = { .mse = { .x = x, .target = target, .weight = weight, .loss = plan_new(p, 1, (int[]){ 1 }) } };
    return plan_emit(p, ATM_OP_mse, &a);
}

void rule_mse(atm_plan *p, const atm_op_args *args, atm_tensor dloss)
{
    const atm_mse_args *a = &args->mse;
    atm_op_args g = { .mse_dx = { .x = a->x, .target = a->target, .weight = a->weight, .dloss = dloss, .dx = plan_like(a->x) } };
    atm_tensor dx = plan_emit(p, ATM_OP_mse_dx, &g);
    plan_accumulate(p, a->x, dx);
    if (plan_wants(p, a->target)) plan_accumulate(p, a->target, atm_affine(p, dx, -1, 0));
}

/* ------------------------------------------------------------------ sampling */

atm_sampled atm_sampler_step(atm_plan *p, atm_tensor x, atm_tensor e, atm_tensor h, atm_tensor n, atm_tensor coef)
{
    if (!plan_ok(p)) return (atm_sampled){ 0 };
    if (atm_count(x) != atm_count(e) || (h.id && atm_count(h) != atm_count(x)) || (n.id && atm_count(n) != atm_count(x)))
        atm_plan_fail(p, "sampler_step: x is %s, e %s: all must have as many elements", plan_shape_text(x), plan_shape_text(e));
    if (atm_count(coef) != 8) atm_plan_fail(p, "sampler_step: %s coefficients instead of 8", plan_shape_text(coef));
    atm_op_args a = { .sampler_step = { .x = x, .e = e, .h = h, .n = n, .coef = coef, .y = plan_like(x), .x0 = plan_like(x) } };
    plan_emit(p, ATM_OP_sampler_step, &a);
    return (atm_sampled){ a.sampler_step.y, a.sampler_step.x0 };
}
