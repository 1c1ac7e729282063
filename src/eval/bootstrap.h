/* bootstrap.h - how sure a measured number is: 95 % percentile intervals by resampling.
 *
 * Units are drawn again with replacement, as many as there are, and the statistic is computed on
 * each draw; the interval is between the 2.5 % and 97.5 % quantiles of those values.  A unit is
 * whatever is independent of the others: clips of one track are not, so tracks are drawn, each
 * with all its clips (cluster bootstrap).
 * Draws are a function of (seed, round) alone.
 *
 * Sources: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13;
 * Field, Welsh, "Bootstrapping clustered data", 2007. */
#ifndef ATM_EVAL_BOOTSTRAP_H
#define ATM_EVAL_BOOTSTRAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { ATM_BOOTSTRAP_ROUNDS = 2000 };

typedef struct { double value, low, high; } atm_estimate;       /* low and high NaN: no interval */

static inline bool atm_has_interval(atm_estimate e) { return e.low == e.low && e.high == e.high; }

/* A number without an interval. */
atm_estimate atm_estimate_of(double value);

/* Of units unit[0 .. n-1], in which some may be twice and others not at all.  NaN: undefined for
 * this draw, which then does not count. */
typedef double (*atm_statistic)(const int *unit, int n, const void *user);

/* The statistic of units 0 .. n-1, with its interval; without one when n < 2. */
atm_status atm_bootstrap(int n, atm_statistic statistic, const void *user, uint64_t seed, atm_estimate *out);

/* Of the mean of x [n]; cluster [n], >= 0, says what is drawn together (NULL: each alone). */
atm_status atm_bootstrap_mean(int n, const double *x, const int *cluster, uint64_t seed, atm_estimate *out);

/* Quantile q of ascending x [n], linear between neighbours: x at position q (n - 1). */
double atm_quantile(const double *x, int n, double q);

#endif
