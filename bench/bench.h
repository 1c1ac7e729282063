/* bench.h - timing and tables of all benchmarks. */
#ifndef ATM_BENCH_BENCH_H
#define ATM_BENCH_BENCH_H

#include <stdio.h>

#include "base/machine.h"

typedef struct { double peak_gflops, copy_gbs; int threads; } bench_machine;

bench_machine bench_measure_machine(atm_pool *pool);
void          bench_print_machine(const bench_machine *m, FILE *to);

/* Medians over runs of fn(arg): one warm-up, then at least `least` runs and until
 * `seconds` have passed.  `cpu` is what the process itself used, all threads
 * together: on a machine that lends its cores to others meanwhile (steal time,
 * other processes) it is the steadier number. */
typedef struct { double wall, cpu; } bench_time;
bench_time bench_median(void (*fn)(void *arg), void *arg, int least, double seconds);

/* Peak resident memory of this process so far, MiB. */
double bench_peak_mib(void);

#endif
