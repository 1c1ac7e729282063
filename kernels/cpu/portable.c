/* The kernels for any CPU: vectors of 4 floats, what SSE2 and NEON have. */
#define ATM_CPU_BACKEND atm_backend_cpu_portable
#define ATM_CPU_NAME "cpu-portable"
#include "kernels/cpu/simd/backend.c"
