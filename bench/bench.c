#include "bench.h"

#include <stdlib.h>
#include <sys/resource.h>

enum { MAX_RUNS = 1000 };

bench_machine bench_measure_machine(atm_pool *pool)
{
    return (bench_machine){ atm_machine_peak_gflops(pool), atm_machine_copy_gbs(pool), atm_pool_size(pool) };
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

double bench_median(void (*fn)(void *arg), void *arg, int least, double seconds)
{
    double run[MAX_RUNS], begin;
    int n = 0;
    fn(arg);
    begin = atm_seconds();
    while (n < MAX_RUNS && (n < least || atm_seconds() - begin < seconds)) {
        double start = atm_seconds();
        fn(arg);
        run[n++] = atm_seconds() - start;
    }
    qsort(run, (size_t)n, sizeof *run, ascending);
    return n % 2 ? run[n / 2] : 0.5 * (run[n / 2 - 1] + run[n / 2]);
}

double bench_peak_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}
