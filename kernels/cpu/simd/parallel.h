/* parallel.h - loops over ranges and over blocks of rows. */
#ifndef ATM_CPU_PARALLEL_H
#define ATM_CPU_PARALLEL_H

#include "kernels/ops.h"

enum { GRAIN = 1 << 14 };           /* elements worth a task: about 10 us of memory traffic */

/* Row r of a matrix of `width` columns. */
static inline float *row_of(atm_tensor t, size_t r, int width) { return (float *)t.data + r * (size_t)width; }

/* Does [from, to) of n items. */
typedef void (*range_function)(size_t from, size_t to, const void *arg);

typedef struct { size_t n, each; range_function function; const void *arg; } range_job;

static void range_task(int task, int thread, void *arg)
{
    (void)thread;
    const range_job *j = arg;
    const size_t from = (size_t)task * j->each, to = from + j->each;
    j->function(from, to < j->n ? to : j->n, j->arg);
}

/* Where the sample of `each` elements that holds element i ends, or `to` if that is nearer. */
static inline size_t sample_end(size_t i, size_t to, size_t each)
{
    const size_t end = (i / each + 1) * each;
    return end < to ? end : to;
}

/* n items of `size` elements each, in parallel when that is worth it. */
static void parallel(const atm_run_env *env, size_t n, size_t size, range_function function, const void *arg)
{
    if (n == 0) return;
    const size_t threads = (size_t)atm_pool_size(env->pool), least = GRAIN / (size ? size : 1) + 1;
    size_t each = (n + 8 * threads - 1) / (8 * threads);
    if (each < least) each = least;
    if (size == 1) each = (each + 15) / 16 * 16;        /* whole vectors */
    range_job job = { n, each, function, arg };
    atm_pool_run(env->pool, (int)((n + each - 1) / each), range_task, &job);
}

#endif
