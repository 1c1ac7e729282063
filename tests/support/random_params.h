/* random_params.h - parameters for plans under test: random, the same for the same name. */
#ifndef ATM_TEST_RANDOM_PARAMS_H
#define ATM_TEST_RANDOM_PARAMS_H

#include "plan/plan.h"

enum { RANDOM_PARAMS = 64 };

typedef struct {
    atm_param_source source;                /* give &params.source to atm_plan_params          */
    bool trainable;
    const char *frozen;                     /* parameters whose name contains this are not     */
    int n;
    void *data[RANDOM_PARAMS];
} random_params;

random_params random_params_new(bool trainable);
void          random_params_free(random_params *p);

/* n numbers N(0, 1), a function of `name` alone. */
void random_numbers(const char *name, float *out, size_t n);

#endif
