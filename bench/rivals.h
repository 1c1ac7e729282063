/* rivals.h - what users would use instead, on the same arguments in the same run. */
#ifndef ATM_BENCH_RIVALS_H
#define ATM_BENCH_RIVALS_H

#include "kernels/ops.h"

/* A prepared problem of a rival: run it as often as you like.  Layout changes
 * and weight packing that a user would do once happen in `prepare` and are not
 * timed: the comparison is on the rival's own terms. */
typedef struct rival_problem rival_problem;

typedef struct {
    const char *name;
    rival_problem *(*prepare)(atm_op op, const atm_op_args *args);     /* NULL: not supported */
    void (*run)(rival_problem *problem);
    void (*result)(rival_problem *problem, float *y);                  /* channels last, as ours */
    void (*release)(rival_problem *problem);
    void (*set_threads)(int threads);
} rival;

extern const rival *const rivals[];     /* NULL-terminated; only what was found at build time */

#endif
