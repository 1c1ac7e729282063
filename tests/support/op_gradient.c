#include "support/op_gradient.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "plan/internal.h"

bool op_input_is_differentiable(atm_op op, int slot)
{
    op_fill fill = op_slot_of(op, slot).fill;
    return !op_is_output(op, slot) && fill != OP_FILL_INDEX && fill != OP_FILL_MASK
           && fill != OP_FILL_TIME && fill != OP_FILL_POSITIVE && fill != OP_FILL_GIVEN;
}

/* ------------------------------------------------------------------ by the rule */

typedef struct { atm_tensor in[ATM_MAX_OP_TENSORS], y, dy; } handles;

static void build(atm_plan *p, const op_case *c, handles *h)
{
    atm_op_args a = c->args;
    for (int i = 0; i < op_n_slots(c->op); i++) {
        atm_tensor *t = &a.t[i];
        int flags = (op_input_is_differentiable(c->op, i) ? ATM_INPUT_GRAD : 0)
                    | (t->dtype == ATM_I32 ? ATM_INPUT_INDEX : 0);
        if (!atm_present(*t)) continue;
        if (op_is_output(c->op, i)) *t = plan_new(p, t->rank, t->dim);
        else *t = h->in[i] = atm_input(p, op_slot_of(c->op, i).name, flags, t->rank, t->dim);
    }
    h->y = plan_emit(p, c->op, &a);
    h->dy = atm_input(p, "cotangent", 0, h->y.rank, h->y.dim);
    atm_plan_backward(p, 1, &h->y, &h->dy);
    for (int i = 0; i < atm_op_table[c->op].n_in; i++) {
        if (!op_input_is_differentiable(c->op, i) || !h->in[i].id) continue;
        if (!atm_grad(p, h->in[i]).id) atm_plan_fail(p, "no gradient by %s", op_slot_of(c->op, i).name);
        atm_output(p, op_slot_of(c->op, i).name, atm_grad(p, h->in[i]));
    }
}

static atm_status write_inputs(atm_plan *p, const op_case *c, const handles *h, const double *dy)
{
    for (int i = 0; i < atm_op_table[c->op].n_in; i++) {
        if (!h->in[i].id) continue;
        size_t n = atm_count(h->in[i]);
        void *host = malloc(n * atm_dtype_size(h->in[i].dtype));
        if (!host) return atm_fail(ATM_E_MEMORY, "no memory for an input");
        atm_convert(host, h->in[i].dtype, c->value[i], ATM_F64, n);
        atm_status status = atm_plan_write(p, h->in[i], host);
        free(host);
        if (status != ATM_OK) return status;
    }
    return atm_plan_write(p, h->dy, dy);
}

static atm_status read_gradients(atm_plan *p, const op_case *c, const handles *h, double **grad)
{
    for (int i = 0; i < atm_op_table[c->op].n_in; i++) {
        if (!h->in[i].id || !op_input_is_differentiable(c->op, i)) continue;
        grad[i] = malloc(atm_count(h->in[i]) * sizeof **grad);
        if (!grad[i]) return atm_fail(ATM_E_MEMORY, "no memory for a gradient");
        TRY_RETURN(atm_plan_read(p, atm_grad(p, h->in[i]), grad[i]));
    }
    return ATM_OK;
}

atm_status op_gradients(const op_case *c, atm_device *device, const double *dy,
                        double *grad[ATM_MAX_OP_TENSORS])
{
    atm_status status = ATM_OK;
    atm_plan *p = NULL;
    handles h = { 0 };
    memset(grad, 0, ATM_MAX_OP_TENSORS * sizeof *grad);
    TRY(atm_plan_create(device, &p));
    build(p, c, &h);
    TRY(atm_plan_finish(p, (atm_plan_options){ 0 }));
    TRY(write_inputs(p, c, &h, dy));
    TRY(atm_plan_run(p));
    TRY(read_gradients(p, c, &h, grad));
done:
    atm_plan_destroy(p);
    return status;
}

/* ------------------------------------------------------------------ by differences */

typedef struct {
    op_instance x;
    const double *dy;
    double *y, *moved;          /* the output; an input plus h v */
    double size;                /* sum |dy y|: what rounding of f is relative to */
    int slot;
} probe;

static int first_output(const op_case *c) { return atm_op_table[c->op].n_in; }

/* f(h) = <dy, y(input + h v)> */
static double value_at(probe *p, const double *v, double h)
{
    const op_case *c = p->x.c;
    size_t n = atm_count(c->args.t[p->slot]), n_y = atm_count(c->args.t[first_output(c)]);
    double sum = 0;
    p->size = 0;
    for (size_t i = 0; i < n; i++) p->moved[i] = c->value[p->slot][i] + h * v[i];
    op_instance_write(&p->x, p->slot, p->moved);
    op_instance_run(&p->x);
    op_instance_read(&p->x, first_output(c), p->y);
    for (size_t i = 0; i < n_y; i++) {
        sum += p->dy[i] * p->y[i];
        p->size += fabs(p->dy[i] * p->y[i]);
    }
    return sum;
}

static double derivative(probe *p, const double *v, double h)
{
    double near = value_at(p, v, h) - value_at(p, v, -h);
    double far = value_at(p, v, 2 * h) - value_at(p, v, -2 * h);
    return (8 * near - far) / (12 * h);
}

static bool has_kink(atm_act act)
{
    return act == ATM_ACT_RELU || act == ATM_ACT_LEAKY_RELU || act == ATM_ACT_LOG;
}

/* Small beside the inputs; and beside the distance to a kink, where there is
 * little curvature that would call for a large step. */
static double step_of(const op_case *c)
{
    if (c->op == ATM_OP_l1) return 1e-7;
    for (int i = 0; i < op_n_scalars; i++) {
        if (op_scalars[i].op != c->op || op_scalars[i].type != OP_ACT) continue;
        atm_act act = *(const atm_act *)((const char *)&c->args + op_scalars[i].offset);
        if (has_kink(act)) return 1e-7 * fmin(1, c->gain);
    }
    return 1e-4 * fmin(1, c->gain);
}

static double norm(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

static bool agrees(probe *p, const double *v, const double *grad, double fault, const char *what,
                   char text[OP_MESSAGE])
{
    const op_case *c = p->x.c;
    size_t n = atm_count(c->args.t[p->slot]);
    double rule = 0, difference = derivative(p, v, step_of(c));
    for (size_t i = 0; i < n; i++) rule += fault * grad[i] * v[i];
    double typical = norm(grad, n) * norm(v, n) / sqrt((double)n);
    double rounding = 32 * 0x1p-53 * p->size / step_of(c);
    if (fabs(rule - difference) <= 1e-6 * fmax(fabs(difference), typical) + rounding) return true;
    snprintf(text, OP_MESSAGE, "gradient by %s, %s: rule %.12g, differences %.12g",
             op_slot_of(c->op, p->slot).name, what, rule, difference);
    return false;
}

enum { DIRECTIONS = 2, ELEMENTS = 6 };

static bool check_input(probe *p, const double *grad, double *v, uint64_t seed, double fault,
                        char text[OP_MESSAGE])
{
    size_t n = atm_count(p->x.c->args.t[p->slot]);
    atm_rng rng = { seed, ATM_STREAM_TEST, 1000 + (uint32_t)p->slot, 0 };
    for (int k = 0; k < DIRECTIONS; k++, rng.sample++) {
        for (size_t i = 0; i < n; i++) v[i] = atm_uint32(rng, (uint32_t)i) * 0x1p-31 - 1;
        if (!agrees(p, v, grad, fault, "random direction", text)) return false;
    }
    memset(v, 0, n * sizeof *v);
    for (uint32_t k = 0; k < ELEMENTS; k++) {
        char what[40];
        size_t i = k ? atm_uint32(rng, k) % n : n - 1;
        snprintf(what, sizeof what, "element %zu", i);
        v[i] = 1;
        if (!agrees(p, v, grad, fault, what, text)) return false;
        v[i] = 0;
    }
    return true;
}

static size_t largest_tensor(const op_case *c)
{
    size_t n = 0;
    for (int i = 0; i < op_n_slots(c->op); i++)
        if (atm_present(c->args.t[i]) && atm_count(c->args.t[i]) > n) n = atm_count(c->args.t[i]);
    return n;
}

/* `room` holds four arrays of n numbers. */
static bool compare(const op_case *c, atm_device *ref64, uint64_t seed, double fault, double *room, size_t n,
                    double **grad, char text[OP_MESSAGE])
{
    probe p = { .dy = room, .y = room + n, .moved = room + 2 * n };
    atm_rng rng = { seed, ATM_STREAM_TEST, 999, 0 };
    for (size_t i = 0; i < n; i++) room[i] = atm_uint32(rng, (uint32_t)i) * 0x1p-31 - 1;
    bool ok = op_gradients(c, ref64, p.dy, grad) == ATM_OK
              && op_instance_open(c, ref64, (op_variant){ 0 }, &p.x) == ATM_OK;
    if (!ok) snprintf(text, OP_MESSAGE, "%s", atm_error());
    for (int i = 0; ok && i < first_output(c); i++) {
        if (!grad[i]) continue;
        p.slot = i;
        ok = check_input(&p, grad[i], room + 3 * n, seed, fault, text);
        op_instance_write(&p.x, i, c->value[i]);
    }
    op_instance_close(&p.x);
    return ok;
}

bool op_check_gradient(const op_case *c, atm_device *ref64, uint64_t seed, double fault,
                       char text[OP_MESSAGE])
{
    double *grad[ATM_MAX_OP_TENSORS] = { 0 };
    size_t n = largest_tensor(c);
    double *room = calloc(4 * n, sizeof *room);
    bool ok = room && compare(c, ref64, seed, fault, room, n, grad, text);
    for (int i = 0; i < ATM_MAX_OP_TENSORS; i++) free(grad[i]);
    free(room);
    return ok;
}
