/* rival_openblas.c - sgemm for linear layers, im2col + sgemm for convolutions:
 * what one writes with a BLAS at hand.  The im2col copy is timed, since it has
 * to be made for every call; adding the bias is left out, in our disfavour. */
#include <cblas.h>
#include <stdlib.h>
#include <string.h>

#include "rivals.h"

struct rival_problem {
    atm_op op;
    const atm_op_args *args;
    float *w, *columns, *y;     /* w [O, kh kw I]; columns [pixels, kh kw I] of one sample */
    int pixels, k;
};

static void *floats(size_t n) { return malloc(n * sizeof(float)); }

static rival_problem *prepare_linear(const atm_op_args *args)
{
    rival_problem *p = calloc(1, sizeof *p);
    p->op = ATM_OP_linear;
    p->args = args;
    p->y = floats(atm_count(args->linear.y));
    return p;
}

/* [O, I, kh, kw] -> [O, kh, kw, I]: channels last, like the image. */
static void reorder_weights(const atm_conv2d_args *a, float *to)
{
    int o = a->w.dim[0], in = a->w.dim[1], taps = a->w.dim[2] * a->w.dim[3];
    const float *from = a->w.data;
    for (int i = 0; i < o; i++)
        for (int c = 0; c < in; c++)
            for (int t = 0; t < taps; t++)
                to[((size_t)i * taps + t) * in + c] = from[((size_t)i * in + c) * taps + t];
}

static rival_problem *prepare_conv(const atm_op_args *args)
{
    const atm_conv2d_args *a = &args->conv2d;
    rival_problem *p = calloc(1, sizeof *p);
    p->op = ATM_OP_conv2d;
    p->args = args;
    p->pixels = a->y.dim[1] * a->y.dim[2];
    p->k = a->w.dim[1] * a->w.dim[2] * a->w.dim[3];
    p->w = floats(atm_count(a->w));
    p->columns = floats((size_t)p->pixels * p->k);
    p->y = floats(atm_count(a->y));
    reorder_weights(a, p->w);
    return p;
}

static rival_problem *prepare(atm_op op, const atm_op_args *args)
{
    if (op == ATM_OP_linear && args->linear.act == ATM_ACT_NONE) return prepare_linear(args);
    if (op == ATM_OP_conv2d && args->conv2d.act == ATM_ACT_NONE) return prepare_conv(args);
    return NULL;
}

static void im2col(const atm_conv2d_args *a, const float *x, float *columns)
{
    int h = a->x.dim[1], w = a->x.dim[2], c = a->x.dim[3];
    for (int p = 0; p < a->y.dim[1]; p++)
        for (int q = 0; q < a->y.dim[2]; q++)
            for (int i = 0; i < a->w.dim[2]; i++)
                for (int j = 0; j < a->w.dim[3]; j++, columns += c) {
                    int row = p * a->s.stride_h - a->s.pad_top + i * a->s.dil_h;
                    int col = q * a->s.stride_w - a->s.pad_left + j * a->s.dil_w;
                    if (row < 0 || row >= h || col < 0 || col >= w) memset(columns, 0, (size_t)c * sizeof *columns);
                    else memcpy(columns, x + ((size_t)row * w + col) * c, (size_t)c * sizeof *columns);
                }
}

static void run_conv(rival_problem *p)
{
    const atm_conv2d_args *a = &p->args->conv2d;
    int o = a->w.dim[0];
    for (int n = 0; n < a->x.dim[0]; n++) {
        im2col(a, (const float *)a->x.data + (size_t)n * (atm_count(a->x) / a->x.dim[0]), p->columns);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p->pixels, o, p->k, 1, p->columns, p->k, p->w, p->k, 0,
                    p->y + (size_t)n * p->pixels * o, o);
    }
}

static void run(rival_problem *p)
{
    if (p->op == ATM_OP_conv2d) { run_conv(p); return; }
    const atm_linear_args *a = &p->args->linear;
    int m = (int)atm_rows(a->x), k = atm_last_dim(a->x), n = atm_last_dim(a->y);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, a->transposed ? CblasNoTrans : CblasTrans, m, n, k, 1, a->x.data, k,
                a->w.data, a->transposed ? n : k, 0, p->y, n);
}

static void result(rival_problem *p, float *y)
{
    memcpy(y, p->y, atm_count(p->op == ATM_OP_conv2d ? p->args->conv2d.y : p->args->linear.y) * sizeof *y);
}

static void release(rival_problem *p)
{
    free(p->w);
    free(p->columns);
    free(p->y);
    free(p);
}

const rival rival_openblas = { "OpenBLAS", prepare, run, result, release, openblas_set_num_threads };
