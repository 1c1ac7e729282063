/* cpu.h - the fast CPU backend: one source, compiled once per instruction set.
 *
 *     simd/         the kernels, written on the vectors of simd/vec.h
 *     avx512.c, avx2.c, portable.c    include simd/backend.c under their flags
 *     cpu.c         atm_backend_cpu: picks the best of the three at run time
 *
 * The backends below are for tests; avx2 and avx512 may only run where
 * atm_cpu_variant lists them. */
#ifndef ATM_KERNELS_CPU_H
#define ATM_KERNELS_CPU_H

#include "kernels/ops.h"

extern const atm_backend atm_backend_cpu_portable;
#if defined(__x86_64__)
extern const atm_backend atm_backend_cpu_avx2, atm_backend_cpu_avx512;
#endif

/* The variants this machine can run, best first; NULL after the last. */
const atm_backend *atm_cpu_variant(int i);

#endif
