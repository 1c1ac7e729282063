/* cpu.c - atm_backend_cpu: each kernel is a door to the best variant this CPU runs. */
#include "kernels/cpu/cpu.h"

const atm_backend *atm_cpu_variant(int i)
{
    const atm_backend *variant[4] = { NULL };
    int n = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) variant[n++] = &atm_backend_cpu_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) variant[n++] = &atm_backend_cpu_avx2;
#endif
    variant[n++] = &atm_backend_cpu_portable;
    return i >= 0 && i < n ? variant[i] : NULL;
}

static atm_status prepare(atm_op op, atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    const atm_kernel *kernel = &atm_cpu_variant(0)->kernel[op];
    return kernel->prepare ? kernel->prepare(device, args, out) : ATM_OK;
}

#define X(name, n_in, n_out, gradient)                                                                \
    static atm_status prepare_##name(atm_device *device, const atm_op_args *args, atm_prepared *out)  \
    {                                                                                                 \
        return prepare(ATM_OP_##name, device, args, out);                                             \
    }                                                                                                 \
    static void run_##name(const atm_op_args *args, const atm_run_env *env)                           \
    {                                                                                                 \
        atm_cpu_variant(0)->kernel[ATM_OP_##name].run(args, env);                                     \
    }
ATM_OPS(X)
#undef X

const atm_backend atm_backend_cpu = {
    .name = "cpu",
    .dtype = ATM_F32,
    .kernel = {
#define X(name, n_in, n_out, gradient) [ATM_OP_##name] = { prepare_##name, run_##name },
        ATM_OPS(X)
#undef X
    }
};
