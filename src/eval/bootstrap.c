/* bootstrap.c - see bootstrap.h. */
#include "eval/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "base/philox.h"

static const double OUTSIDE = 0.05;         /* of all draws, half on either side */

atm_estimate atm_estimate_of(double value) { return (atm_estimate){ value, NAN, NAN }; }

double atm_quantile(const double *x, int n, double q)
{
    const double at = q * (n - 1);
    const int i = (int)at;
    return i + 1 < n ? x[i] + (at - i) * (x[i + 1] - x[i]) : x[n - 1];
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void draw_again(uint64_t seed, int round, int n, int *unit)
{
    const atm_rng rng = { seed, ATM_STREAM_BOOTSTRAP, (uint32_t)round, 0 };
    for (int i = 0; i < n; i++)
        unit[i] = (int)(((uint64_t)atm_uint32(rng, (uint32_t)i) * (uint64_t)n) >> 32);
}

static void find_interval(int n, atm_statistic statistic, const void *user, uint64_t seed, int *unit,
                          double *value, atm_estimate *out)
{
    int defined = 0;
    for (int round = 0; round < ATM_BOOTSTRAP_ROUNDS; round++) {
        draw_again(seed, round, n, unit);
        const double x = statistic(unit, n, user);
        if (!isnan(x)) value[defined++] = x;
    }
    if (defined == 0) return;
    qsort(value, (size_t)defined, sizeof *value, ascending);
    out->low = atm_quantile(value, defined, OUTSIDE / 2);
    out->high = atm_quantile(value, defined, 1 - OUTSIDE / 2);
}

atm_status atm_bootstrap(int n, atm_statistic statistic, const void *user, uint64_t seed, atm_estimate *out)
{
    int *unit = calloc((size_t)n + 1, sizeof *unit);
    double *value = calloc(ATM_BOOTSTRAP_ROUNDS, sizeof *value);
    *out = atm_estimate_of(NAN);
    const bool memory = unit && value;
    if (memory) {
        for (int i = 0; i < n; i++) unit[i] = i;
        out->value = statistic(unit, n, user);
        if (n > 1) find_interval(n, statistic, user, seed, unit, value, out);
    }
    free(unit);
    free(value);
    return memory ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for an interval over %d units", n);
}

/* ------------------------------------------------------------------ means */

typedef struct { double sum, count; } cluster_sum;

static double mean_of_clusters(const int *unit, int n, const void *user)
{
    const cluster_sum *cluster = user;
    double sum = 0, count = 0;
    for (int i = 0; i < n; i++) {
        sum += cluster[unit[i]].sum;
        count += cluster[unit[i]].count;
    }
    return sum / count;
}

static int largest(const int *x, int n)
{
    int most = 0;
    for (int i = 0; i < n; i++) if (x[i] > most) most = x[i];
    return most;
}

/* Clusters without members, of numbers that nobody has, are no units. */
static int keep_members(cluster_sum *cluster, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) if (cluster[i].count > 0) cluster[kept++] = cluster[i];
    return kept;
}

atm_status atm_bootstrap_mean(int n, const double *x, const int *cluster, uint64_t seed, atm_estimate *out)
{
    const int clusters = cluster ? largest(cluster, n) + 1 : n;
    cluster_sum *sum = calloc((size_t)clusters + 1, sizeof *sum);
    if (!sum) return atm_fail(ATM_E_MEMORY, "no memory for an interval over %d units", clusters);
    for (int i = 0; i < n; i++) {
        cluster_sum *mine = &sum[cluster ? cluster[i] : i];
        mine->sum += x[i];
        mine->count++;
    }
    const atm_status status = atm_bootstrap(keep_members(sum, clusters), mean_of_clusters, sum, seed, out);
    free(sum);
    return status;
}
