/* machine.h - what this machine can do, measured: the denominators of every
 * "percent of peak" that arttomus prints. */
#ifndef ATM_BASE_MACHINE_H
#define ATM_BASE_MACHINE_H

#include <stdbool.h>

#include "base/threads.h"

/* float32 fused multiply-adds in registers on all threads of the pool, about
 * 0.1 s: GFLOP/s, an FMA counting two.  The best of several bursts. */
double atm_machine_peak_gflops(atm_pool *pool);

/* Copy of arrays far larger than the caches: GB/s, bytes read plus written. */
double atm_machine_copy_gbs(atm_pool *pool);

bool atm_cpu_has_avx2_fma(void);
bool atm_cpu_has_avx512(void);

double atm_seconds(void);       /* monotonic */

#endif
