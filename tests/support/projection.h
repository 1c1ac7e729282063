/* projection.h - what fixtures keep of the gradient of a large tensor: its inner product with noise named by it, and
 * its length (scripts/fixtures/losses.py, project). */
#ifndef ATM_TEST_PROJECTION_H
#define ATM_TEST_PROJECTION_H

#include <stddef.h>

/* |projection of x - truth| over the length that truth says.  Gradients that are zero but for rounding (an attention's
 * key biases) have no size of their own: theirs is `floor`. */
double projection_error(const double *x, size_t n, const char *name, const double truth[2], double floor);

#endif
