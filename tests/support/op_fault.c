#include "support/op_fault.h"

#include <math.h>

const char *const op_fault_names[OP_FAULT_COUNT] = {
    "1 % too large", "one element 1 % too large", "an element not written", "a write beyond the end",
    "an input changed", "dependence on the thread count",
};

static struct { atm_backend backend; atm_kernel real; atm_op op; int slot; op_fault fault; } faulty;

static double get(const atm_tensor *t, size_t i)
{
    return t->dtype == ATM_F64 ? ((const double *)t->data)[i] : ((const float *)t->data)[i];
}

static void set(const atm_tensor *t, size_t i, double x)
{
    if (t->dtype == ATM_F64) ((double *)t->data)[i] = x;
    else ((float *)t->data)[i] = (float)x;
}

static size_t largest(const atm_tensor *t)
{
    size_t at = 0;
    for (size_t i = 1; i < atm_count(*t); i++)
        if (fabs(get(t, i)) > fabs(get(t, at))) at = i;
    return at;
}

static void flip_last_bit(const atm_tensor *t, size_t i)
{
    ((unsigned char *)t->data)[i * atm_dtype_size(t->dtype)] ^= 1u;
}

static void spoil(const atm_tensor *t, const atm_op_args *args, const atm_run_env *env)
{
    size_t n = atm_count(*t), top = largest(t);
    switch (faulty.fault) {
    case OP_FAULT_ALL:       for (size_t i = 0; i < n; i++) set(t, i, 1.01 * get(t, i)); break;
    case OP_FAULT_ONE:       set(t, top, 1.01 * get(t, top)); break;
    case OP_FAULT_UNWRITTEN: set(t, n - 1, NAN); break;
    case OP_FAULT_BEYOND:    set(t, n, 0); break;
    case OP_FAULT_INPUT:     flip_last_bit(&args->t[0], 0); break;
    case OP_FAULT_THREADS:   if (atm_pool_size(env->pool) > 1) flip_last_bit(t, n - 1); break;
    case OP_FAULT_COUNT:     break;
    }
}

static void run(const atm_op_args *args, const atm_run_env *env)
{
    faulty.real.run(args, env);
    if (atm_present(args->t[faulty.slot])) spoil(&args->t[faulty.slot], args, env);
}

const atm_backend *op_faulty_backend(const atm_backend *of, atm_op op, int slot, op_fault fault)
{
    faulty.backend = *of;
    faulty.real = of->kernel[op];
    faulty.backend.kernel[op].run = run;
    faulty.op = op;
    faulty.slot = slot;
    faulty.fault = fault;
    return &faulty.backend;
}
