/* op_instance.h - a case laid out in memory and run by one backend.
 *
 * All tensors lie in one block, 256 bytes of pattern around each; outputs hold
 * the same pattern before a run.  The pattern reads as NaN in float and in
 * double, so what is read from outside a tensor, or not written, shows up in
 * the results; what is written outside shows up in op_instance_damage. */
#ifndef ATM_TEST_OP_INSTANCE_H
#define ATM_TEST_OP_INSTANCE_H

#include "kernels/device.h"
#include "support/op_case.h"

typedef struct {
    unsigned absent;            /* bit i: output slot i is left out                         */
    bool trainable;             /* weights are not constant: nothing may be packed for good */
} op_variant;

typedef struct {
    const op_case *c;
    atm_device *device;
    atm_op_args args;
    atm_prepared prepared;
    unsigned char *block, *workspace;
    size_t bytes;
} op_instance;

atm_status op_instance_open(const op_case *c, atm_device *device, op_variant variant, op_instance *out);
void       op_instance_close(op_instance *x);

/* Once, with outputs and workspace full of the pattern before. */
void op_instance_run(op_instance *x);

/* The kernel and nothing else: what a benchmark measures. */
void op_instance_compute(op_instance *x);

/* Whole tensors; doubles whatever the backend's type. */
void op_instance_write(op_instance *x, int slot, const double *from);
void op_instance_read(const op_instance *x, int slot, double *to);

/* What the last run overwrote that is not its own, or NULL. */
const char *op_instance_damage(const op_instance *x);

#endif
