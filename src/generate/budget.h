/* budget.h - what a request costs, known before its first step. */
#ifndef ATM_GENERATE_BUDGET_H
#define ATM_GENERATE_BUDGET_H

#include <stdio.h>

#include "generate/request.h"

/* One row for each network. */
typedef struct {
    size_t weights;             /* bytes that stay once it has run           */
    size_t block;               /* bytes of its plan, while it runs          */
    double work;                /* FLOP of one run, prologue excluded        */
} engine_cost;

typedef struct {
    engine_cost part[ENGINE_PARTS];
    size_t results;             /* sounds, spectrograms, latents             */
} engine_budget;

/* Lays out every plan of the request, allocating none.  Without images to look at
 * the image encoder costs nothing. */
atm_status engine_budget_make(const atm_model *model, const engine_request *request, engine_budget *out);

/* All weights, the largest plan, and the results. */
size_t engine_budget_peak(const engine_budget *budget);

/* The table of the `largest` tensors of a network's plan. */
atm_status engine_print_plan(const atm_model *model, const engine_request *request, engine_part part,
                             FILE *to,
                             int largest);

/* ATM_E_MEMORY "needs X, have Y, try ..." when the peak does not fit. */
atm_status engine_budget_check(const atm_model *model, const engine_budget *budget);

#endif
