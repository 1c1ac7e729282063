/* tiny_gradient.h - gradients of a stage that is open at tiny size: whether they are slopes, and whether two of them
 * are the same. */
#ifndef ATM_TEST_TINY_GRADIENT_H
#define ATM_TEST_TINY_GRADIENT_H

#include "support/tiny_run.h"

/* The gradients of all groups (undivided), and metrics, of the first update of a stage that is opened for it. */
typedef struct {
    int groups;
    float *g[ATM_STAGE_GROUPS];
    size_t n[ATM_STAGE_GROUPS];
    double metrics[ATM_STAGE_METRICS];
} tiny_gradient;

tiny_gradient tiny_gradient_of(const atm_train_config *config, int threads);
void          tiny_gradient_free(tiny_gradient *x);

/* Fails the test unless a configuration gives these bits. */
void tiny_same_gradient(const tiny_gradient *a, const atm_train_config *config, int threads);

/* Largest relative distance of the groups when `b` is divided by `parts`. */
double tiny_gradient_distance(const tiny_gradient *a, const tiny_gradient *b, int parts);

/* Of one batch, as often as wanted: nothing adds up. */
void tiny_gradients_of_batch(tiny_stage *s, const atm_loaded *batch, double *metrics);

/* A metric along the gradient of a group by it: the slope is the gradient's length, up to this relative error. */
double tiny_slope_error(tiny_stage *s, const atm_loaded *batch, int group, int metric);

#endif
