/* op_fault.h - a backend with one deliberate fault, to see that the checks see it. */
#ifndef ATM_TEST_OP_FAULT_H
#define ATM_TEST_OP_FAULT_H

#include "kernels/ops.h"

typedef enum {
    OP_FAULT_ALL,               /* an output 1 % too large                               */
    OP_FAULT_ONE,               /* its largest element 1 % too large                     */
    OP_FAULT_UNWRITTEN,         /* its last element not written                          */
    OP_FAULT_BEYOND,            /* one element written behind its end                    */
    OP_FAULT_INPUT,             /* an input changed                                      */
    OP_FAULT_THREADS,           /* the last bit of an element depends on the thread count */
    OP_FAULT_COUNT
} op_fault;

extern const char *const op_fault_names[OP_FAULT_COUNT];

/* `of`, with the output `slot` of `op` faulty.  There is one faulty backend at
 * a time: the next call changes it. */
const atm_backend *op_faulty_backend(const atm_backend *of, atm_op op, int slot, op_fault fault);

#endif
