/* plan_fixture.h - a device and an empty plan with random parameters, for cmocka:
 * `*state` of a test with plan_setup and plan_teardown is a plan_fixture. */
#ifndef ATM_TEST_PLAN_FIXTURE_H
#define ATM_TEST_PLAN_FIXTURE_H

#include "plan/plan.h"
#include "support/random_params.h"

typedef struct { atm_device *device; atm_plan *p; random_params params; } plan_fixture;

int plan_setup(void **state);               /* on ref64, one thread */
int plan_teardown(void **state);

#define PLAN_TEST(name) cmocka_unit_test_setup_teardown(name, plan_setup, plan_teardown)

/* The call succeeds, or the test fails with its message. */
void must(atm_status status);

/* atm_plan_finish without options. */
void must_finish(atm_plan *p);

#endif
