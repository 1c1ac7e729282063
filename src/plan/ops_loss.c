/* ops_loss.c - losses: shapes and gradient rules.  Each gives one number, the
 * mean over samples; a sum of losses is atm_add_scaled. */
#include "plan/internal.h"

static atm_tensor one_number(atm_plan *p) { return plan_new(p, 1, (int[]){ 1 }); }

/* A prediction, its target, and perhaps one weight a sample. */
static bool errors_fit(atm_plan *p, const char *op, atm_tensor x, atm_tensor target, atm_tensor weight)
{
    if (!plan_ok(p)) return false;
    if (atm_count(x) != atm_count(target))
        atm_plan_fail(p, "%s: x is %s, target %s", op, plan_shape_text(x), plan_shape_text(target));
    else if (weight.id && atm_count(weight) != (size_t)x.dim[0])
        atm_plan_fail(p, "%s: weight is %s, x %s: one weight a sample", op, plan_shape_text(weight),
                      plan_shape_text(x));
    return plan_ok(p);
}

/* For losses of x - target. */
static void accumulate_error(atm_plan *p, atm_tensor x, atm_tensor target, atm_tensor dx)
{
    plan_accumulate(p, x, dx);
    if (plan_wants(p, target)) plan_accumulate(p, target, atm_affine(p, dx, -1, 0));
}

/* ------------------------------------------------------------------ mse, l1 */

atm_tensor atm_mse(atm_plan *p, atm_tensor x, atm_tensor target, atm_tensor weight)
{
    if (!errors_fit(p, "mse", x, target, weight)) return ATM_NONE;
    atm_op_args a = { .mse = { .x = x, .target = target, .weight = weight, .loss = one_number(p) } };
    return plan_emit(p, ATM_OP_mse, &a);
}

void rule_mse(atm_plan *p, const atm_op_args *args, atm_tensor dloss)
{
    const atm_mse_args *a = &args->mse;
    atm_op_args g = { .mse_dx = { .x = a->x, .target = a->target, .weight = a->weight, .dloss = dloss,
                                  .dx = plan_like(a->x) } };
    accumulate_error(p, a->x, a->target, plan_emit(p, ATM_OP_mse_dx, &g));
}

atm_tensor atm_l1(atm_plan *p, atm_tensor x, atm_tensor target, atm_tensor weight)
{
    if (!errors_fit(p, "l1", x, target, weight)) return ATM_NONE;
    atm_op_args a = { .l1 = { .x = x, .target = target, .weight = weight, .loss = one_number(p) } };
    return plan_emit(p, ATM_OP_l1, &a);
}

void rule_l1(atm_plan *p, const atm_op_args *args, atm_tensor dloss)
{
    const atm_l1_args *a = &args->l1;
    atm_op_args g = { .l1_dx = { .x = a->x, .target = a->target, .weight = a->weight, .dloss = dloss,
                                 .dx = plan_like(a->x) } };
    accumulate_error(p, a->x, a->target, plan_emit(p, ATM_OP_l1_dx, &g));
}

/* ------------------------------------------------------------------ kl */

atm_tensor atm_kl(atm_plan *p, atm_tensor mean, atm_tensor logvar)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (atm_count(mean) != atm_count(logvar))
        atm_plan_fail(p, "kl: mean is %s, logvar %s", plan_shape_text(mean), plan_shape_text(logvar));
    atm_op_args a = { .kl = { .mean = mean, .logvar = logvar, .loss = one_number(p) } };
    return plan_emit(p, ATM_OP_kl, &a);
}

void rule_kl(atm_plan *p, const atm_op_args *args, atm_tensor dloss)
{
    const atm_kl_args *a = &args->kl;
    atm_op_args g = { .kl_dx = { .mean = a->mean, .logvar = a->logvar, .dloss = dloss,
                                 .dmean = plan_like(a->mean), .dlogvar = plan_like(a->logvar) } };
    plan_emit(p, ATM_OP_kl_dx, &g);
    plan_accumulate(p, a->mean, g.kl_dx.dmean);
    plan_accumulate(p, a->logvar, g.kl_dx.dlogvar);
}

/* ------------------------------------------------------------------ spectral convergence */

atm_tensor atm_spectral_convergence(atm_plan *p, atm_tensor x, atm_tensor target)
{
    if (!errors_fit(p, "spectral_convergence", x, target, ATM_NONE)) return ATM_NONE;
    atm_op_args a = { .spectral_convergence = { .x = x, .target = target, .loss = one_number(p),
                                                .norms = plan_new(p, 2, (int[]){ x.dim[0], 2 }) } };
    return plan_emit(p, ATM_OP_spectral_convergence, &a);
}

void rule_spectral_convergence(atm_plan *p, const atm_op_args *args, atm_tensor dloss)
{
    const atm_spectral_convergence_args *a = &args->spectral_convergence;
    if (plan_wants(p, a->target))
        atm_plan_fail(p, "spectral_convergence: there is no gradient by its target");
    atm_op_args g = { .spectral_convergence_dx = { .x = a->x, .target = a->target, .norms = a->norms,
                                                   .dloss = dloss, .dx = plan_like(a->x) } };
    plan_accumulate(p, a->x, plan_emit(p, ATM_OP_spectral_convergence_dx, &g));
}

/* ------------------------------------------------------------------ cross entropy */

atm_tensor atm_cross_entropy(atm_plan *p, atm_tensor x, atm_tensor index)
{
    if (!plan_ok(p)) return ATM_NONE;
    if (x.rank != 2 || index.dtype != ATM_I32 || atm_count(index) != (size_t)x.dim[0])
        atm_plan_fail(p, "cross_entropy: x is %s, index %s %s: [N, C] and N indices are needed",
                      plan_shape_text(x), index.dtype == ATM_I32 ? "I32" : "not I32", plan_shape_text(index));
    atm_op_args a = { .cross_entropy = { .x = x, .index = index, .loss = one_number(p) } };
    return plan_emit(p, ATM_OP_cross_entropy, &a);
}

void rule_cross_entropy(atm_plan *p, const atm_op_args *args, atm_tensor dloss)
{
    const atm_cross_entropy_args *a = &args->cross_entropy;
    atm_op_args g = { .cross_entropy_dx = { .x = a->x, .index = a->index, .dloss = dloss,
                                            .dx = plan_like(a->x) } };
    plan_accumulate(p, a->x, plan_emit(p, ATM_OP_cross_entropy_dx, &g));
}
