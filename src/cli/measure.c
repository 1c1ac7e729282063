/* measure.c - see measure.h. */
#include "cli/measure.h"

#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"

/* ------------------------------------------------------------------ arithmetic */

/* Twelve independent chains hide the latency of a multiply-add on every CPU so far. */
enum { CHAINS = 12, ROUNDS = 4000000 };

#define BURN(name, bytes, target)                                                                    \
    typedef float name##_vector __attribute__((vector_size(bytes)));                                 \
    target static float name(int rounds)                                                             \
    {                                                                                                \
        name##_vector a[CHAINS], sum = { 0 };                                                        \
        const name##_vector scale = { 0 }, step = { 0 };                                             \
        name##_vector s = scale + 0.999f, d = step + 1e-3f;                                          \
        for (int k = 0; k < CHAINS; k++) a[k] = s + (float)k;                                        \
        for (int i = 0; i < rounds; i++) {                                                           \
            __asm__ volatile("" : "+x"(s), "+x"(d));    /* or the loop would be folded away */       \
            for (int k = 0; k < CHAINS; k++) a[k] = a[k] * s + d;                                    \
        }                                                                                            \
        for (int k = 0; k < CHAINS; k++) sum += a[k];                                                \
        return sum[0];                                                                               \
    }

#if defined(__x86_64__)
BURN(burn_avx512, 64, __attribute__((target("avx512f"), optimize("fp-contract=fast", "unroll-loops"))))
BURN(burn_avx2, 32, __attribute__((target("avx2,fma"), optimize("fp-contract=fast", "unroll-loops"))))
BURN(burn_portable, 16, __attribute__((optimize("unroll-loops"))))
#endif

typedef struct { float (*burn)(int rounds); int lanes; } burner;

static burner best_burner(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return (burner){ burn_avx512, 16 };
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return (burner){ burn_avx2, 8 };
    return (burner){ burn_portable, 4 };
#else
    return (burner){ 0 };
#endif
}

static void burn_task(int task, int thread, void *arg)
{
    (void)task;
    (void)thread;
    ((const burner *)arg)->burn(ROUNDS);        /* its `asm` keeps it from being dropped */
}

static double seconds_of(atm_pool *pool, int tasks, atm_task task, void *arg)
{
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        const double start = cli_seconds();
        atm_pool_run(pool, tasks, task, arg);
        const double took = cli_seconds() - start;
        if (took < best) best = took;
    }
    return best;
}

double cli_measure_flops(atm_pool *pool)
{
    burner b = best_burner();
    if (!b.burn) return 0;
    const int tasks = atm_pool_size(pool);
    return 2.0 * ROUNDS * CHAINS * b.lanes * tasks / seconds_of(pool, tasks, burn_task, &b) / 1e9;
}

/* ------------------------------------------------------------------ memory */

enum { SLICE = 32 << 20 };      /* bytes that each thread reads, and as many that it writes */

static void copy_task(int task, int thread, void *arg)
{
    char *memory = arg;
    (void)thread;
    memcpy(memory + (size_t)(2 * task + 1) * SLICE, memory + (size_t)(2 * task) * SLICE, SLICE);
}

double cli_measure_bandwidth(atm_pool *pool)
{
    const int tasks = atm_pool_size(pool);
    const size_t bytes = 2 * (size_t)tasks * SLICE;
    char *memory = malloc(bytes);
    if (!memory) return 0;
    memset(memory, 1, bytes);
    const double speed = (double)bytes / seconds_of(pool, tasks, copy_task, memory) / 1e9;
    free(memory);
    return speed;
}
