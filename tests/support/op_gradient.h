/* op_gradient.h - gradients of one op, by its rule in src/plan and by finite
 * differences of the reference kernel in double. */
#ifndef ATM_TEST_OP_GRADIENT_H
#define ATM_TEST_OP_GRADIENT_H

#include "support/op_check.h"

/* Gradients of <dy, first output> by each differentiable input: grad[slot] is
 * malloc'd, NULL for the other slots.  A plan with one op and its rule. */
atm_status op_gradients(const op_case *c, atm_device *device, const double *dy,
                        double *grad[ATM_MAX_OP_TENSORS]);

/* Compares the rule with differences of fourth order,
 *     f'(0) = (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h,   f(h) = <dy, y(x + h v)>,
 * for each input along random directions and at single elements.
 * `fault` multiplies the rule's gradient: 1, or a deliberate error. */
bool op_check_gradient(const op_case *c, atm_device *ref64, uint64_t seed, double fault,
                       char text[OP_MESSAGE]);

bool op_input_is_differentiable(atm_op op, int slot);

#endif
