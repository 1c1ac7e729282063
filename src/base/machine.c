#include "base/machine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAINS = 12, ITERATIONS = 4000000, BURSTS = 12, COPY_MIB = 64 };

double atm_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#if defined(__x86_64__)
bool atm_cpu_has_avx2_fma(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool atm_cpu_has_avx512(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"); }
#else
bool atm_cpu_has_avx2_fma(void) { return false; }
bool atm_cpu_has_avx512(void) { return false; }
#endif

/* Twelve independent chains hide the latency of four cycles at two a cycle. */
#define BURN(name, bytes, attributes)                                               \
    attributes static void name(int task, int thread, void *arg)                    \
    {                                                                               \
        typedef float vec __attribute__((vector_size(bytes)));                      \
        vec a[CHAINS], x = { 0 }, y = { 0 };                                        \
        (void)thread;                                                               \
        x += 1.0f - 1e-7f;                                                          \
        y += 1e-7f;                                                                 \
        for (int i = 0; i < CHAINS; i++) a[i] = x + (float)i;                       \
        for (long n = 0; n < ITERATIONS; n++) {                                     \
            _Pragma("GCC unroll 12")                                                \
            for (int i = 0; i < CHAINS; i++) a[i] = a[i] * x + y;                   \
        }                                                                           \
        for (int i = 1; i < CHAINS; i++) a[0] += a[i];                              \
        ((volatile float *)arg)[16 * task] = a[0][0];                               \
    }

#pragma GCC push_options
#pragma GCC optimize("fp-contract=fast")
BURN(burn_portable, 32, )
#if defined(__x86_64__)
BURN(burn_avx2, 32, __attribute__((target("avx2,fma"))))
#endif
#pragma GCC pop_options

double atm_machine_peak_gflops(atm_pool *pool)
{
    atm_task burn = burn_portable;
    int n = atm_pool_size(pool);
    double best = 1e30, flops = 2.0 * 8 * CHAINS * ITERATIONS * n;
    float *sink = calloc((size_t)n, 16 * sizeof *sink);
#if defined(__x86_64__)
    if (atm_cpu_has_avx2_fma()) burn = burn_avx2;
#endif
    if (!sink) return 0;
    for (int i = 0; i < BURSTS; i++) {
        double start = atm_seconds();
        atm_pool_run(pool, n, burn, sink);
        double seconds = atm_seconds() - start;
        if (seconds < best) best = seconds;
    }
    free(sink);
    return 1e-9 * flops / best;
}

typedef struct { char *to, *from; size_t bytes; } copy_job;

static void copy_part(int task, int thread, void *arg)
{
    const copy_job *job = arg;
    (void)thread;
    memcpy(job->to + (size_t)task * job->bytes, job->from + (size_t)task * job->bytes, job->bytes);
}

double atm_machine_copy_gbs(atm_pool *pool)
{
    int n = atm_pool_size(pool);
    size_t bytes = (size_t)COPY_MIB << 20, total = bytes * (size_t)n;
    char *memory = malloc(2 * total);
    double best = 1e30;
    if (!memory) return 0;
    memset(memory, 1, 2 * total);
    copy_job job = { memory, memory + total, bytes };
    for (int i = 0; i < BURSTS; i++) {
        double start = atm_seconds();
        atm_pool_run(pool, n, copy_part, &job);
        double seconds = atm_seconds() - start;
        if (seconds < best) best = seconds;
    }
    free(memory);
    return 2e-9 * (double)total / best;
}
