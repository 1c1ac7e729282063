#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { MAX_RUNS = 1000 };

/* The best of many bursts: one alone may fall into another process' time slice. */
bench_machine bench_measure_machine(atm_pool *pool)
{
    bench_machine m = { .threads = atm_pool_size(pool) };
    for (int i = 0; i < 10; i++) {
        m.peak_gflops = fmax(m.peak_gflops, atm_machine_peak_gflops(pool));
        m.copy_gbs = fmax(m.copy_gbs, atm_machine_copy_gbs(pool));
    }
    return m;
}

void bench_print_machine(const bench_machine *m, FILE *to)
{
    fprintf(to, "# threads %d, measured FMA peak %.1f GFLOP/s, copy %.1f GB/s\n", m->threads, m->peak_gflops, m->copy_gbs);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bench_time bench_median(void (*fn)(void *arg), void *arg, int least, double seconds)
{
    double wall[MAX_RUNS], cpu[MAX_RUNS], begin;
    int n = 0;
    fn(arg);
    begin = atm_seconds();
    while (n < MAX_RUNS && (n < least || atm_seconds() - begin < seconds)) {
        double start = atm_seconds(), used = cpu_seconds();
        fn(arg);
        wall[n] = atm_seconds() - start;
        cpu[n++] = cpu_seconds() - used;
    }
    return (bench_time){ median(wall, n), median(cpu, n) };
}

double bench_peak_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}
