/* plan_numbers.h - doubles in and out of a plan on any backend, and how far they are apart. */
#ifndef ATM_TEST_PLAN_NUMBERS_H
#define ATM_TEST_PLAN_NUMBERS_H

#include "io/tensor_file.h"
#include "plan/plan.h"

void   plan_put(atm_plan *p, atm_tensor t, const double *numbers);
void   plan_get(atm_plan *p, atm_tensor t, double *numbers);
double plan_get_one(atm_plan *p, atm_tensor t);

/* max |a - b| / max |b| */
double distance_of(const double *a, const double *b, size_t n);

/* The doubles of a fixture's tensor; fails the test when there is none. */
const double *fixture_doubles(const atm_tensor_file *file, const char *name, size_t *n);

#endif
