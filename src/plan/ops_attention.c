/* ops_attention.c - multi-head attention: shapes and gradient rule. */
#include <math.h>

#include "plan/internal.h"

static bool attention_fits(atm_plan *p, atm_tensor q, atm_tensor k, atm_tensor v, atm_attention_options o)
{
    if (!plan_ok(p)) return false;
    if (q.rank != 3 || k.rank != 3 || !plan_same_shape(k, v) || q.dim[0] != k.dim[0] || q.dim[2] != k.dim[2])
        atm_plan_fail(p, "attention: q %s, k %s, v %s do not fit", plan_shape_text(q), plan_shape_text(k), plan_shape_text(v));
    else if (o.heads < 1 || q.dim[2] % o.heads)
        atm_plan_fail(p, "attention: %d heads do not divide %d channels", o.heads, q.dim[2]);
    else if (o.mask.id && (o.mask.rank != 2 || o.mask.dim[0] != k.dim[0] || o.mask.dim[1] != k.dim[1]))
        atm_plan_fail(p, "attention: mask %s, k %s: the mask needs one value a key", plan_shape_text(o.mask), plan_shape_text(k));
    else if (o.causal && q.dim[1] > k.dim[1])
        atm_plan_fail(p, "attention: causal with %d queries and only %d keys", q.dim[1], k.dim[1]);
    return plan_ok(p);
}

atm_tensor atm_attention(atm_plan *p, atm_tensor q, atm_tensor k, atm_tensor v, atm_attention_options o)
{
    if (!attention_fits(p, q, k, v, o)) return ATM_NONE;
    double scale = o.scale != 0 ? o.scale : 1.0 / sqrt((double)(q.dim[2] / o.heads));
    atm_op_args a = { .attention = { .q = q, .k = k, .v = v, .mask = o.mask, .y = plan_like(q),
                                     .lse = plan_new(p, 3, (int[]){ q.dim[0], o.heads, q.dim[1] }),
                                     .heads = o.heads, .scale = scale, .causal = o.causal } };
    return plan_emit(p, ATM_OP_attention, &a);
}

/* The mask is a constant of the data: it gets no gradient. */
void rule_attention(atm_plan *p, const atm_op_args *args, atm_tensor dy)
{
    const atm_attention_args *a = &args->attention;
    atm_op_args g = { .attention_dx = { .dy = dy, .q = a->q, .k = a->k, .v = a->v, .mask = a->mask, .y = a->y, .lse = a->lse,
                                        .dq = plan_like(a->q), .dk = plan_like(a->k), .dv = plan_like(a->v),
                                        .heads = a->heads, .scale = a->scale, .causal = a->causal } };
    plan_emit(p, ATM_OP_attention_dx, &g);
    plan_accumulate(p, a->q, g.attention_dx.dq);
    plan_accumulate(p, a->k, g.attention_dx.dk);
    plan_accumulate(p, a->v, g.attention_dx.dv);
}
