#include "support/support.h"

#include <stdlib.h>

#include "support/plan_fixture.h"

void must(atm_status status)
{
    if (status != ATM_OK) print_error("%s\n", atm_error());
    assert_int_equal(status, ATM_OK);
}

void must_finish(atm_plan *p) { must(atm_plan_finish(p, (atm_plan_options){ 0 })); }

int plan_setup(void **state)
{
    plan_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    must(atm_device_open("ref64", 1, &f->device));
    must(atm_plan_create(f->device, &f->p));
    f->params = random_params_new(true);
    atm_plan_params(f->p, &f->params.source);
    *state = f;
    return 0;
}

int plan_teardown(void **state)
{
    plan_fixture *f = *state;
    atm_plan_destroy(f->p);
    atm_device_close(f->device);
    random_params_free(&f->params);
    free(f);
    return 0;
}
