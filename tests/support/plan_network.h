/* plan_network.h - small networks for tests of the plan: one with the shape of a
 * UNet, one with that of GPT's loop, and any number of random ones.  Each names
 * its result `y` and the gradients of all inputs and parameters as outputs. */
#ifndef ATM_TEST_PLAN_NETWORK_H
#define ATM_TEST_PLAN_NETWORK_H

#include "plan/plan.h"

typedef struct {
    atm_plan *p;
    bool segments;              /* mark them; the network is the same without  */
    uint32_t seed;              /* of a random network                         */
    atm_tensor in[8];           /* inputs; the last is the cotangent of y      */
    int n_in;
} plan_network;

typedef void (*plan_builder)(plan_network *n);

void plan_build_unet(plan_network *n);
void plan_build_gpt(plan_network *n);
void plan_build_random(plan_network *n);

#endif
