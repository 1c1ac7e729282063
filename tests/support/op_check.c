#include "support/op_check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool complain(char text[OP_MESSAGE], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, OP_MESSAGE, format, args);
    va_end(args);
    return false;
}

/* ------------------------------------------------------------------ subjects */

atm_status op_subject_open(const char *name, const atm_backend *backend, op_subject *out)
{
    atm_status status = ATM_OK;
    *out = (op_subject){ .name = name };
    for (int i = 0; i < OP_POOLS; i++) {
        TRY(atm_device_open(backend ? "ref" : name, 1 << i, &out->device[i]));
        if (backend) out->device[i]->backend = backend;
    }
done:
    if (status != ATM_OK) op_subject_close(out);
    return status;
}

void op_subject_close(op_subject *s)
{
    for (int i = 0; i < OP_POOLS; i++) atm_device_close(s->device[i]);
    *s = (op_subject){ 0 };
}

/* ------------------------------------------------------------------ outputs */

typedef struct { double *y[ATM_MAX_OP_TENSORS]; } outputs;

static void free_outputs(outputs *o)
{
    for (int i = 0; i < ATM_MAX_OP_TENSORS; i++) free(o->y[i]);
    *o = (outputs){ 0 };
}

static bool read_outputs(const op_instance *x, outputs *o, char text[OP_MESSAGE])
{
    for (int i = 0; i < op_n_slots(x->c->op); i++) {
        if (!op_is_output(x->c->op, i) || !atm_present(x->args.t[i])) continue;
        o->y[i] = malloc(atm_count(x->args.t[i]) * sizeof(double));
        if (!o->y[i]) return complain(text, "no memory");
        op_instance_read(x, i, o->y[i]);
    }
    return true;
}

/* Runs once; false when memory was damaged. */
static bool run(const op_case *c, atm_device *device, op_variant variant, outputs *o, char text[OP_MESSAGE])
{
    op_instance x;
    *o = (outputs){ 0 };
    if (op_instance_open(c, device, variant, &x) != ATM_OK) return complain(text, "%s", atm_error());
    op_instance_run(&x);
    const char *damage = op_instance_damage(&x);
    bool ok = damage ? complain(text, "%s overwritten", damage) : read_outputs(&x, o, text);
    op_instance_close(&x);
    if (!ok) free_outputs(o);
    return ok;
}

static bool same_bits(const op_case *c, const outputs *a, const outputs *b, char text[OP_MESSAGE])
{
    for (int i = 0; i < op_n_slots(c->op); i++)
        if (a->y[i] && b->y[i] && memcmp(a->y[i], b->y[i], atm_count(c->args.t[i]) * sizeof(double)) != 0)
            return complain(text, "other bits in %s", op_slot_of(c->op, i).name);
    return true;
}

/* ------------------------------------------------------------------ truth */

static double largest(const double *x, size_t n)
{
    double m = 0;
    for (size_t i = 0; i < n; i++) m = fmax(m, fabs(x[i]));
    return m;
}

/* Largest difference; infinite when an element is not a number. */
static double distance(const double *a, const double *b, size_t n, size_t *where)
{
    double m = 0;
    *where = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs(a[i] - b[i]);
        if (d <= m) continue;
        *where = i;
        if (isnan(d)) return INFINITY;
        m = d;
    }
    return m;
}

static void set_tolerances(const op_case *c, const outputs *naive, op_truth *t)
{
    double factor = c->op == op_forward_of(c->op) ? 2 : 3;
    for (int i = 0; i < ATM_MAX_OP_TENSORS; i++) {
        size_t n = t->exact[i] ? atm_count(c->args.t[i]) : 0, where;
        if (n) t->tolerance[i] = factor * distance(naive->y[i], t->exact[i], n, &where)
                                 + 4 * 0x1p-24 * largest(t->exact[i], n);
    }
}

atm_status op_truth_make(const op_case *c, atm_device *ref, atm_device *ref64, op_truth *out)
{
    char text[OP_MESSAGE] = "";
    outputs exact, naive = { 0 };
    *out = (op_truth){ 0 };
    bool ok = run(c, ref64, (op_variant){ 0 }, &exact, text);
    memcpy(out->exact, exact.y, sizeof exact.y);
    if (ok) ok = run(c, ref, (op_variant){ 0 }, &naive, text);
    if (ok) set_tolerances(c, &naive, out);
    free_outputs(&naive);
    if (ok) return ATM_OK;
    op_truth_free(out);
    return atm_fail(ATM_E_BUG, "reference kernels: %s", text);
}

void op_truth_free(op_truth *t)
{
    for (int i = 0; i < ATM_MAX_OP_TENSORS; i++) free(t->exact[i]);
    *t = (op_truth){ 0 };
}

static bool accurate(const op_case *c, const op_truth *truth, const outputs *o, char text[OP_MESSAGE])
{
    for (int i = 0; i < op_n_slots(c->op); i++) {
        if (!o->y[i]) continue;
        size_t where;
        double error = distance(o->y[i], truth->exact[i], atm_count(c->args.t[i]), &where);
        if (!(error <= truth->tolerance[i]))
            return complain(text, "%s[%zu] is %.9g, exactly %.9g: error %.3g, allowed %.3g",
                            op_slot_of(c->op, i).name, where, o->y[i][where], truth->exact[i][where],
                            error, truth->tolerance[i]);
    }
    return true;
}

/* ------------------------------------------------------------------ rules */

static bool check_threads(const op_case *c, const op_subject *s, const outputs *first, char text[OP_MESSAGE])
{
    for (int i = 1; i < OP_POOLS; i++) {
        outputs o;
        char why[OP_MESSAGE];
        bool ok = run(c, s->device[i], (op_variant){ 0 }, &o, why) && same_bits(c, first, &o, why);
        free_outputs(&o);
        if (!ok) return complain(text, "with %d threads: %.400s", 1 << i, why);
    }
    return true;
}

static bool check_trainable(const op_case *c, const op_truth *t, const op_subject *s, char text[OP_MESSAGE])
{
    outputs o;
    char why[OP_MESSAGE];
    bool ok = run(c, s->device[1], (op_variant){ .trainable = true }, &o, why) && accurate(c, t, &o, why);
    free_outputs(&o);
    return ok || complain(text, "weights not constant: %.400s", why);
}

/* Each output left out alone, then all. */
static bool check_absent(const op_case *c, const op_subject *s, const outputs *first, char text[OP_MESSAGE])
{
    unsigned all = 0;
    for (int i = 0; i < op_n_slots(c->op); i++)
        if (op_is_output(c->op, i) && atm_present(c->args.t[i])) all |= 1u << i;
    for (int i = 0; i <= op_n_slots(c->op); i++) {
        outputs o;
        char why[OP_MESSAGE];
        unsigned absent = i < op_n_slots(c->op) ? all & 1u << i : all;
        if (!absent) continue;
        bool ok = run(c, s->device[1], (op_variant){ .absent = absent }, &o, why)
                  && same_bits(c, first, &o, why);
        free_outputs(&o);
        if (!ok) return complain(text, "with absent outputs (slots %#x): %.400s", absent, why);
    }
    return true;
}

/* ------------------------------------------------------------------ batches */

/* How a tensor is cut along the batch: its rows of one sample; 0: it is shared, or not cut. */
static int rows_of_sample(const op_case *c, int slot, int N)
{
    op_slot s = op_slot_of(c->op, slot);
    const atm_tensor *t = &c->args.t[slot];
    bool batched = strcmp(s.dims, "n") == 0 || strncmp(s.dims, "n,", 2) == 0 || s.dims[0] == 'S'
                   || (s.dims[0] == 'T' && t->rank > 2) || (s.dims[0] == 'L' && t->rank == c->args.t[0].rank);
    return strcmp(s.dims, "rows") == 0 ? t->dim[0] / N : batched && t->dim[0] == N ? 1 : 0;
}

/* Sample s of c, without the outputs that belong to all samples; false when none is left. */
static bool cut_sample(const op_case *c, int s, op_case *one)
{
    int N = c->args.t[0].dim[0];
    bool any = false;
    *one = *c;
    if (N == 1 || c->args.t[0].rank < 2) return false;
    if (op_slot_named(c->op, "dloss") >= 0) return false;           /* the gradient of a mean over samples */
    for (int i = 0; i < op_n_slots(c->op); i++) {
        if (!atm_present(c->args.t[i])) continue;
        int rows = rows_of_sample(c, i, N);
        if (!rows && op_is_output(c->op, i)) one->args.t[i] = (atm_tensor){ 0 };
        if (!rows) continue;
        any |= op_is_output(c->op, i);
        one->args.t[i].dim[0] = rows;
        if (c->value[i]) one->value[i] = c->value[i] + (size_t)s * atm_count(one->args.t[i]);
    }
    return any;
}

static bool sample_is_same(const op_case *one, int s, const outputs *batch, const outputs *alone,
                           char text[OP_MESSAGE])
{
    for (int i = 0; i < op_n_slots(one->op); i++) {
        size_t n = alone->y[i] ? atm_count(one->args.t[i]) : 0;
        if (n && memcmp(batch->y[i] + (size_t)s * n, alone->y[i], n * sizeof(double)) != 0)
            return complain(text, "sample %d alone has other bits in %s", s, op_slot_of(one->op, i).name);
    }
    return true;
}

static bool check_batch(const op_case *c, const op_subject *s, const outputs *first, char text[OP_MESSAGE])
{
    op_case one;
    for (int n = 0; n < c->args.t[0].dim[0] && cut_sample(c, n, &one); n++) {
        outputs o;
        bool ok = run(&one, s->device[0], (op_variant){ 0 }, &o, text)
                  && sample_is_same(&one, n, first, &o, text);
        free_outputs(&o);
        if (!ok) return false;
    }
    return true;
}

bool op_check(const op_case *c, const op_truth *truth, const op_subject *s, char text[OP_MESSAGE])
{
    outputs o;
    bool ok = run(c, s->device[0], (op_variant){ 0 }, &o, text)
              && accurate(c, truth, &o, text) && check_threads(c, s, &o, text)
              && check_trainable(c, truth, s, text) && check_absent(c, s, &o, text)
              && check_batch(c, s, &o, text);
    free_outputs(&o);
    return ok;
}
