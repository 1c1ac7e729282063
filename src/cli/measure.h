/* measure.h - how fast this machine is, in a fraction of a second. */
#ifndef ATM_CLI_MEASURE_H
#define ATM_CLI_MEASURE_H

#include "base/threads.h"

/* Single-precision fused multiply-adds from registers, on all threads: GFLOP/s. */
double cli_measure_flops(atm_pool *pool);

/* Reading and writing memory far larger than the caches, on all threads: GB/s. */
double cli_measure_bandwidth(atm_pool *pool);

#endif
