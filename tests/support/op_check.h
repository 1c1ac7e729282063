/* op_check.h - the rules that a kernel must keep, checked on one case.
 *
 * Accuracy.  max |y - exact| <= k max |naive - exact| + 4 ulp(max |exact|): exact
 * is ref64, naive is ref, the plain loops in float; k is 2, for gradients 3.
 * The ulps are for ops in which the naive loop happens to round to the exact
 * result (a copy, a sum of one).
 * Rules of kernels/ops.h.  Nothing but outputs is written; every element of an
 * output is; outputs may be absent; the same bits at 1, 2, 4 threads, with
 * constant or trainable weights (to the accuracy above), and for a sample alone
 * or in a batch. */
#ifndef ATM_TEST_OP_CHECK_H
#define ATM_TEST_OP_CHECK_H

#include "support/op_instance.h"

enum { OP_MESSAGE = 512 };

/* A backend opened with 1, 2 and 4 threads. */
enum { OP_POOLS = 3 };
typedef struct { const char *name; atm_device *device[OP_POOLS]; } op_subject;

/* `backend` NULL: the one called `name`. */
atm_status op_subject_open(const char *name, const atm_backend *backend, op_subject *out);
void       op_subject_close(op_subject *s);

/* What the outputs of a case should be. */
typedef struct {
    double *exact[ATM_MAX_OP_TENSORS];
    double tolerance[ATM_MAX_OP_TENSORS];
} op_truth;

atm_status op_truth_make(const op_case *c, atm_device *ref, atm_device *ref64, op_truth *out);
void       op_truth_free(op_truth *t);

/* All of the above; false with a message in `text`. */
bool op_check(const op_case *c, const op_truth *truth, const op_subject *subject, char text[OP_MESSAGE]);

#endif
