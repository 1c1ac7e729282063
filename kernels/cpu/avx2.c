/* The kernels for AVX2 and FMA (flags: cmake/kernels.cmake). */
#if defined(__x86_64__)
#define ATM_CPU_BACKEND atm_backend_cpu_avx2
#define ATM_CPU_NAME "cpu-avx2"
#include "kernels/cpu/simd/backend.c"
#endif
