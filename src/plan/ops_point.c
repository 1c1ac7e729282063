/* ops_point.c - elementwise ops and the sampler: shapes and gradient rules. */
#include "plan/internal.h"

/* ------------------------------------------------------------------ activations */

bool plan_activation_fits(atm_plan *p, atm_act act, double slope)
{
    if (act == ATM_ACT_LOG && !(slope > 0))
        atm_plan_fail(p, "log: the floor (slope) is %g, it must be positive", slope);
    return plan_ok(p);
}

atm_tensor atm_activate(atm_plan *p, atm_tensor x, atm_act act, double slope)
{
    if (!plan_ok(p) || !plan_activation_fits(p, act, slope)) return ATM_NONE;
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

/* ------------------------------------------------------------------ mixtures of samples */

/* What the op has no gradient by; asking for one must not go unanswered silently. */
static void refuse_gradient(atm_plan *p, const char *op, const char *name, atm_tensor t)
{
    if (plan_wants(p, t)) atm_plan_fail(p, "%s: there is no gradient by its %s", op, name);
}

atm_tensor atm_mix(atm_plan *p, atm_tensor x, atm_tensor b, atm_tensor coef)
{
    if (!plan_ok(p)) return ATM_NONE;
    const size_t N = (size_t)x.dim[0];
    if (atm_count(b) != atm_count(x) && atm_count(b) != atm_count(x) / N)
        atm_plan_fail(p, "mix: a is %s, b %s: b must be like a or like one sample of it",
                      plan_shape_text(x), plan_shape_text(b));
    else if (atm_count(coef) != 2 * N)
        atm_plan_fail(p, "mix: a is %s, coef %s: two numbers a sample",
                      plan_shape_text(x), plan_shape_text(coef));
    atm_op_args a = { .mix = { .a = x, .b = b, .coef = coef, .y = plan_like(x) } };
    return plan_emit(p, ATM_OP_mix, &a);
}

void rule_mix(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_mix_args *a = &args->mix;
    refuse_gradient(p, "mix", "coef", a->coef);
    atm_op_args g = { .mix_dx = { .dy = atm_reshape(p, dy, a->a.rank, a->a.dim), .coef = a->coef,
                                  .da = plan_wants(p, a->a) ? plan_like(a->a) : ATM_NONE,
                                  .db = plan_wants(p, a->b) ? plan_like(a->b) : ATM_NONE } };
    plan_emit(p, ATM_OP_mix_dx, &g);
    plan_accumulate(p, a->a, g.mix_dx.da);
    plan_accumulate(p, a->b, g.mix_dx.db);
}

atm_tensor atm_posterior(atm_plan *p, atm_tensor mean, atm_tensor logvar, atm_tensor noise)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (atm_count(mean) != atm_count(logvar) || atm_count(mean) != atm_count(noise))
        atm_plan_fail(p, "posterior: mean is %s, logvar %s, noise %s: all must have as many elements",
                      plan_shape_text(mean), plan_shape_text(logvar), plan_shape_text(noise));
    atm_op_args a = { .posterior = { .mean = mean, .logvar = logvar, .noise = noise, .z = plan_like(mean) } };
    return plan_emit(p, ATM_OP_posterior, &a);
}

void rule_posterior(atm_plan *p, const atm_op_args *args, atm_tensor dz)
{
    const atm_posterior_args *a = &args->posterior;
    refuse_gradient(p, "posterior", "noise", a->noise);
    plan_accumulate(p, a->mean, dz);
    if (!plan_wants(p, a->logvar)) return;
    atm_op_args g = { .posterior_dx = { .dz = dz, .logvar = a->logvar, .noise = a->noise,
                                        .dlogvar = plan_like(a->logvar) } };
    plan_accumulate(p, a->logvar, plan_emit(p, ATM_OP_posterior_dx, &g));
}

/* ------------------------------------------------------------------ magnitudes */

atm_tensor atm_magnitude(atm_plan *p, atm_tensor x, double eps)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (atm_last_dim(x) % 2)
        atm_plan_fail(p, "magnitude: %s has no real and imaginary half", plan_shape_text(x));
    if (!(eps > 0))
        atm_plan_fail(p, "magnitude: eps is %g: silence has no gradient unless it is positive", eps);
    atm_tensor y = plan_like(x);
    y.dim[x.rank - 1] /= 2;
    atm_op_args a = { .magnitude = { .x = x, .y = y, .eps = eps } };
    return plan_emit(p, ATM_OP_magnitude, &a);
}

void rule_magnitude(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_magnitude_args *a = &args->magnitude;
    atm_op_args g = { .magnitude_dx = { .dy = dy, .x = a->x, .dx = plan_like(a->x), .eps = a->eps } };
    plan_accumulate(p, a->x, plan_emit(p, ATM_OP_magnitude_dx, &g));
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
