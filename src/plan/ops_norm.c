/* ops_norm.c - normalisations: shapes and gradient rules. */
#include "plan/internal.h"

static bool is_vector(atm_tensor t, int n) { return t.rank == 1 && t.dim[0] == n; }

static bool affine_fits(atm_plan *p, const char *op, atm_tensor x, atm_tensor w, atm_tensor b)
{
    if (!plan_ok(p)) return false;
    int c = atm_last_dim(x);
    if (!is_vector(w, c) || !is_vector(b, c))
        atm_plan_fail(p, "%s: x is %s, weight %s, bias %s: both must be [%d]", op,
                      plan_shape_text(x), plan_shape_text(w), plan_shape_text(b), c);
    return plan_ok(p);
}

/* ------------------------------------------------------------------ group norm */

atm_tensor atm_group_norm(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, int groups, double eps, atm_act act)
{
    if (!affine_fits(p, "group_norm", x, w, b)) return ATM_NONE;
    if (groups < 1 || atm_last_dim(x) % groups)
        atm_plan_fail(p, "group_norm: %d groups do not divide %d channels", groups, atm_last_dim(x));
    if (act != ATM_ACT_NONE && act != ATM_ACT_SILU) atm_plan_fail(p, "group_norm: only SiLU can be fused");
    atm_tensor stat = plan_new(p, 2, (int[]){ x.dim[0], groups });
    atm_op_args a = { .group_norm = { .x = x, .w = w, .b = b, .y = plan_like(x), .mean = stat, .rstd = stat,
                                      .groups = groups, .eps = eps, .act = act } };
    return plan_emit(p, ATM_OP_group_norm, &a);
}

void rule_group_norm(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_group_norm_args *a = &args->group_norm;
    atm_op_args g = { .group_norm_dx = { .dy = dy, .x = a->x, .w = a->w, .b = a->b, .mean = a->mean, .rstd = a->rstd,
                                         .groups = a->groups, .act = a->act } };
    if (plan_wants(p, a->x)) g.group_norm_dx.dx = plan_like(a->x);
    if (plan_wants(p, a->w)) g.group_norm_dx.dw = plan_like(a->w);
    if (plan_wants(p, a->b)) g.group_norm_dx.db = plan_like(a->b);
    plan_emit(p, ATM_OP_group_norm_dx, &g);
    plan_accumulate(p, a->x, g.group_norm_dx.dx);
    plan_accumulate(p, a->w, g.group_norm_dx.dw);
    plan_accumulate(p, a->b, g.group_norm_dx.db);
}

/* ------------------------------------------------------------------ layer norm */

atm_tensor atm_layer_norm(atm_plan *p, atm_tensor x, atm_tensor w, atm_tensor b, double eps)
{
    if (!affine_fits(p, "layer_norm", x, w, b)) return ATM_NONE;
    atm_tensor stat = plan_new(p, 1, (int[]){ (int)atm_rows(x) });
    atm_op_args a = { .layer_norm = { .x = x, .w = w, .b = b, .y = plan_like(x), .mean = stat, .rstd = stat, .eps = eps } };
    return plan_emit(p, ATM_OP_layer_norm, &a);
}

void rule_layer_norm(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_layer_norm_args *a = &args->layer_norm;
    if (plan_wants(p, a->x)) {
        atm_op_args g = { .layer_norm_dx = { .dy = dy, .x = a->x, .w = a->w, .mean = a->mean, .rstd = a->rstd,
                                             .dx = plan_like(a->x) } };
        plan_accumulate(p, a->x, plan_emit(p, ATM_OP_layer_norm_dx, &g));
    }
    if (plan_wants(p, a->w) || plan_wants(p, a->b)) {
        atm_op_args g = { .layer_norm_dw = { .dy = dy, .x = a->x, .mean = a->mean, .rstd = a->rstd,
                                             .dw = plan_like(a->w), .db = plan_like(a->b) } };
        plan_emit(p, ATM_OP_layer_norm_dw, &g);
        plan_accumulate(p, a->w, g.layer_norm_dw.dw);
        plan_accumulate(p, a->b, g.layer_norm_dw.db);
    }
}

/* ------------------------------------------------------------------ unit vectors */

atm_tensor atm_l2_normalize(atm_plan *p, atm_tensor x, double eps)
{
    if (!plan_ok(p)) return ATM_NONE;
    atm_op_args a = { .l2_normalize = { .x = x, .y = plan_like(x), .eps = eps } };
    return plan_emit(p, ATM_OP_l2_normalize, &a);
}

void rule_l2_normalize(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_l2_normalize_args *a = &args->l2_normalize;
    atm_op_args g = { .l2_normalize_dx = { .dy = dy, .x = a->x, .dx = plan_like(a->x), .eps = a->eps } };
    plan_accumulate(p, a->x, plan_emit(p, ATM_OP_l2_normalize_dx, &g));
}
