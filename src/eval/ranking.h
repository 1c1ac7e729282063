/* ranking.h - finding what belongs to a query among candidates, and how often chance would.
 *
 * Every query ranks all N candidates by similarity; its rank is that of the first one that is
 * relevant, 1 the best.  An irrelevant candidate that is as similar stands before it: an encoder
 * that gives the same for everything finds nothing.
 *
 * By chance the order is random: with m of N relevant, and C the binomial coefficient,
 *     P(rank <= k) = 1 - C(N - m, k) / C(N, k)
 * recall at k is its mean over the queries, and the median rank the smallest k at which that
 * mean reaches one half. */
#ifndef ATM_EVAL_RANKING_H
#define ATM_EVAL_RANKING_H

#include <stddef.h>

#include "eval/bootstrap.h"

/* A table of similarities may be read by rows or by columns: query q and candidate c meet at
 * q query_step + c candidate_step. */
typedef struct {
    int queries, candidates;
    size_t query_step, candidate_step;
    const double *similarity;
    const bool *relevant;               /* for each query one candidate or more */
} atm_ranking;

/* Rank of each query; rank [queries]. */
void atm_ranking_ranks(const atm_ranking *r, int *rank);

/* Share of the queries whose rank is at most k; the median rank: intervals over queries. */
atm_status atm_ranking_recall(const int *rank, int queries, int k, uint64_t seed, atm_estimate *out);
atm_status atm_ranking_median(const int *rank, int queries, uint64_t seed, atm_estimate *out);

/* The same for a random order. */
double atm_ranking_chance_recall(const atm_ranking *r, int k);
int    atm_ranking_chance_median(const atm_ranking *r);

#endif
