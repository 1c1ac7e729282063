/* gradients.c - appends the backward pass: steps in reverse, one rule per op.
 *
 * The pruning is by construction: a rule emits only the gradients that are
 * wanted (plan_wants), so nothing upstream of the first trained tensor gets a
 * backward step, and frozen weights get no weight gradient. */
#include <stdlib.h>

#include "plan/internal.h"

static const plan_rule rule[ATM_OP_COUNT] = {
#define X(name, n_in, n_out, gradient) [ATM_OP_##name] = RULE_##gradient(name),
#define RULE_HAS_GRADIENT(name) rule_##name
#define RULE_NO_GRADIENT(name) NULL
    ATM_OPS(X)
#undef X
};

bool plan_wants(const atm_plan *p, atm_tensor t) { return t.id && p->value[t.id].needs_grad; }

static int *grad_slot(atm_plan *p, atm_tensor t) { return &p->value[p->value[t.id].origin].grad; }

/* `x` as another view of the same elements. */
static atm_tensor in_shape_of(atm_tensor x, atm_tensor like)
{
    x.rank = like.rank;
    for (int i = 0; i < like.rank; i++) x.dim[i] = like.dim[i];
    return x;
}

atm_tensor atm_grad(atm_plan *p, atm_tensor t)
{
    if (!plan_ok(p) || !t.id) return ATM_NONE;
    int id = *grad_slot(p, t);
    return id ? in_shape_of(p->value[id].t, t) : ATM_NONE;
}

/* dx is one of possibly many contributions: a tensor used twice gets the sum. */
void plan_accumulate(atm_plan *p, atm_tensor x, atm_tensor dx)
{
    if (!plan_ok(p) || !plan_wants(p, x)) return;
    atm_tensor so_far = atm_grad(p, x);
    atm_tensor sum = so_far.id ? atm_add(p, so_far, in_shape_of(dx, x)) : dx;
    if (plan_ok(p)) *grad_slot(p, x) = sum.id;
}

/* ------------------------------------------------------------------ recomputation */

static void read_copies(atm_plan *p, atm_op_args *args, int n, const int *copy_of)
{
    for (int k = 0; k < n; k++) {
        atm_tensor *t = &args->t[k];
        if (copy_of[t->id] != t->id) *t = in_shape_of(p->value[copy_of[t->id]].t, *t);
    }
}

/* Appends the segment's steps again.  Results become new values that share the
 * gradients of the originals, which can then die right after their last use in
 * the forward pass. */
static void recompute(atm_plan *p, int segment, int n_forward, int *copy_of)
{
    for (int i = 0; i < n_forward && plan_ok(p); i++) {
        if (p->step[i].segment != segment) continue;
        atm_step s = p->step[i];
        const atm_op_info *info = &atm_op_table[s.op];
        p->scope.name = s.scope;
        read_copies(p, &s.args, info->n_in, copy_of);
        plan_emit(p, s.op, &s.args);
        for (int k = info->n_in; k < plan_n_tensors(s.op) && plan_ok(p); k++) {
            int from = p->step[i].args.t[k].id, to = s.args.t[k].id;
            if (!from) continue;
            copy_of[from] = to;
            p->value[to].origin = p->value[from].origin;
        }
    }
}

/* ------------------------------------------------------------------ backward */

static void differentiate(atm_plan *p, int n_forward, int *copy_of)
{
    int recomputed = 0;
    for (int i = n_forward - 1; i >= 0 && plan_ok(p); i--) {
        atm_step s = p->step[i];
        atm_tensor y = s.args.t[atm_op_table[s.op].n_in], dy = atm_grad(p, y);
        if (!rule[s.op] || !plan_wants(p, y) || !dy.id) continue;
        if (s.segment && s.segment != recomputed) {
            recompute(p, s.segment, n_forward, copy_of);
            recomputed = s.segment;
        }
        read_copies(p, &s.args, plan_n_tensors(s.op), copy_of);
        p->scope.name = s.scope;
        rule[s.op](p, &s.args, dy);
    }
}

void atm_plan_backward(atm_plan *p, int n, const atm_tensor *y, const atm_tensor *dy)
{
    const char *scope = p->scope.name;
    if (!plan_ok(p)) return;
    int *copy_of = malloc((size_t)p->n_values * sizeof *copy_of);
    if (!copy_of) { atm_plan_fail(p, "no memory for the backward pass"); return; }
    for (int i = 0; i < p->n_values; i++) copy_of[i] = i;
    for (int i = 0; i < n; i++) {
        if (y[i].id && atm_count(y[i]) != atm_count(dy[i]))
            atm_plan_fail(p, "backward: output is %s, its gradient %s", plan_shape_text(y[i]), plan_shape_text(dy[i]));
        if (y[i].id) plan_accumulate(p, y[i], dy[i]);
    }
    p->segment = 0;
    differentiate(p, p->n_steps, copy_of);
    p->scope.name = scope;
    free(copy_of);
}
