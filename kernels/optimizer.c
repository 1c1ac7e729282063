/* optimizer.c - see optimizer.h.  Memory-bound: one pass over all arrays. */
#include "kernels/optimizer.h"

#include <math.h>

enum { MAX_PARTS = 1024, SMALLEST_PART = 1 << 13 };

/* Parts depend on n alone, so that sums do not depend on the number of threads. */
static size_t part_size(size_t n)
{
    const size_t size = (n + MAX_PARTS - 1) / MAX_PARTS;
    return size < SMALLEST_PART ? SMALLEST_PART : (size + 15) / 16 * 16;
}

static int part_count(size_t n) { return (int)((n + part_size(n) - 1) / part_size(n)); }

static size_t part_end(size_t n, size_t begin)
{
    return begin + part_size(n) < n ? begin + part_size(n) : n;
}

/* ------------------------------------------------------------------ AdamW */

typedef struct {
    size_t n;
    const float *g;
    float *p, *m, *v, *ema;
    float scale, beta1, rest1, beta2, rest2, decay, step_size, root, eps, follow;
} adamw_job;

/* Operation by operation what torch.optim.AdamW does, so that the bits are its own: no division may become
 * a product, no two products one.  rest1 is not 1 - beta1 in single precision: of 0.999 that
 * would be 1e-5 off, for ever. */
static void adamw_range(const adamw_job *j, size_t begin, size_t end)
{
    const float *restrict g = j->g;
    float *restrict p = j->p, *restrict m = j->m, *restrict v = j->v;
    for (size_t i = begin; i < end; i++) {
        const float x = g[i] * j->scale;
        m[i] = m[i] * j->beta1 + j->rest1 * x;
        v[i] = v[i] * j->beta2 + j->rest2 * x * x;
        p[i] = p[i] * j->decay - j->step_size * m[i] / (sqrtf(v[i]) / j->root + j->eps);
    }
}

static void ema_range(const adamw_job *j, size_t begin, size_t end)
{
    const float *restrict p = j->p;
    float *restrict ema = j->ema;
    for (size_t i = begin; i < end; i++) ema[i] += j->follow * (p[i] - ema[i]);
}

static void adamw_part(int task, int thread, void *arg)
{
    const adamw_job *j = arg;
    const size_t begin = (size_t)task * part_size(j->n), end = part_end(j->n, begin);
    (void)thread;
    adamw_range(j, begin, end);
    if (j->ema) ema_range(j, begin, end);
}

void atm_adamw(atm_pool *pool, const atm_adamw_options *o, size_t n, const float *g, float *p, float *m, float *v,
               float *ema)
{
    const double correction1 = 1 - pow(o->beta1, (double)o->step), correction2 = 1 - pow(o->beta2, (double)o->step);
    adamw_job job = {
        .n = n, .g = g, .p = p, .m = m, .v = v, .ema = ema,
        .scale = (float)o->scale, .beta1 = (float)o->beta1, .rest1 = (float)(1 - o->beta1),
        .beta2 = (float)o->beta2, .rest2 = (float)(1 - o->beta2),
        .decay = (float)(1 - o->lr * o->weight_decay), .step_size = (float)(o->lr / correction1),
        .root = (float)sqrt(correction2), .eps = (float)o->eps, .follow = (float)(1 - o->ema_decay)
    };
    atm_pool_run(pool, part_count(n), adamw_part, &job);
}

/* ------------------------------------------------------------------ norm */

typedef struct {
    size_t n;
    const float *x;
    double sum[MAX_PARTS];
} squares_job;

static void squares_part(int task, int thread, void *arg)
{
    squares_job *j = arg;
    const size_t begin = (size_t)task * part_size(j->n), end = part_end(j->n, begin);
    double lane[8] = { 0 };
    (void)thread;
    for (size_t i = begin; i < end; i++) lane[i % 8] += (double)j->x[i] * j->x[i];
    j->sum[task] = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

double atm_sum_of_squares(atm_pool *pool, const float *x, size_t n)
{
    squares_job job = { .n = n, .x = x };
    double sum = 0;
    atm_pool_run(pool, part_count(n), squares_part, &job);
    for (int i = 0; i < part_count(n); i++) sum += job.sum[i];
    return sum;
}
