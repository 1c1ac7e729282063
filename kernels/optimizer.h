/* optimizer.h - one AdamW update of a flat buffer, and what it needs to know.
 *
 *     g' = g * scale                                  scale: 1 / (ranks * micro-batches) and clipping
 *     m  = beta1 m + (1 - beta1) g'
 *     v  = beta2 v + (1 - beta2) g'^2
 *     p  = p (1 - lr wd) - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
 *     ema = ema + (1 - decay) (p - ema)
 *
 * Source: Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019;
 * arithmetic in the order of torch.optim.AdamW (no amsgrad). */
#ifndef ATM_KERNELS_OPTIMIZER_H
#define ATM_KERNELS_OPTIMIZER_H

#include <stddef.h>

#include "base/threads.h"

typedef struct {
    double lr, beta1, beta2, eps, weight_decay;
    double scale;                   /* of the gradient                          */
    double ema_decay;               /* used when ema is given                   */
    long step;                      /* t, from 1                                */
} atm_adamw_options;

/* All arrays [n], 64-byte aligned; ema may be NULL.  The same bits at any thread count. */
void atm_adamw(atm_pool *pool, const atm_adamw_options *o, size_t n, const float *g, float *p, float *m, float *v,
               float *ema);

/* Sum of squares in double, in an order that does not depend on threads.  NaN and Inf come through. */
double atm_sum_of_squares(atm_pool *pool, const float *x, size_t n);

#endif
