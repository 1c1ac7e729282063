/* The kernels for AVX-512F (flags: cmake/kernels.cmake).  The same peak as AVX2 on
 * Zen 4, reached with half the instructions; twice the peak on server Intels. */
#if defined(__x86_64__)
#define ATM_CPU_BACKEND atm_backend_cpu_avx512
#define ATM_CPU_NAME "cpu-avx512"
#include "kernels/cpu/simd/backend.c"
#endif
