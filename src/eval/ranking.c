/* ranking.c - see ranking.h. */
#include "eval/ranking.h"

#include <math.h>
#include <stdlib.h>

static size_t place(const atm_ranking *r, int query, int candidate)
{
    return (size_t)query * r->query_step + (size_t)candidate * r->candidate_step;
}

static double best_relevant(const atm_ranking *r, int query)
{
    double best = -INFINITY;
    for (int c = 0; c < r->candidates; c++)
        if (r->relevant[place(r, query, c)]) best = fmax(best, r->similarity[place(r, query, c)]);
    return best;
}

void atm_ranking_ranks(const atm_ranking *r, int *rank)
{
    for (int q = 0; q < r->queries; q++) {
        const double best = best_relevant(r, q);
        rank[q] = 1;
        for (int c = 0; c < r->candidates; c++)
            rank[q] += !r->relevant[place(r, q, c)] && r->similarity[place(r, q, c)] >= best;
    }
}

/* ------------------------------------------------------------------ measured */

typedef struct { const int *rank; int k; } recall_query;

static double recall(const int *unit, int n, const void *user)
{
    const recall_query *q = user;
    int found = 0;
    for (int i = 0; i < n; i++) found += q->rank[unit[i]] <= q->k;
    return (double)found / n;
}

atm_status atm_ranking_recall(const int *rank, int queries, int k, uint64_t seed, atm_estimate *out)
{
    return atm_bootstrap(queries, recall, &(recall_query){ rank, k }, seed, out);
}

typedef struct { const int *rank; double *sorted; } median_query;

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const int *unit, int n, const void *user)
{
    const median_query *q = user;
    for (int i = 0; i < n; i++) q->sorted[i] = q->rank[unit[i]];
    qsort(q->sorted, (size_t)n, sizeof *q->sorted, ascending);
    return atm_quantile(q->sorted, n, 0.5);
}

atm_status atm_ranking_median(const int *rank, int queries, uint64_t seed, atm_estimate *out)
{
    double *sorted = calloc((size_t)queries + 1, sizeof *sorted);
    if (!sorted) return atm_fail(ATM_E_MEMORY, "no memory for %d ranks", queries);
    const atm_status status = atm_bootstrap(queries, median, &(median_query){ rank, sorted }, seed, out);
    free(sorted);
    return status;
}

/* ------------------------------------------------------------------ by chance */

/* C(N - m, k) / C(N, k): none of the first k is relevant. */
static double chance_of_none(int candidates, int relevant, int k)
{
    double p = 1;
    for (int i = 0; i < k && p > 0; i++)
        p *= fmax(0, (double)(candidates - relevant - i)) / (candidates - i);
    return p;
}

double atm_ranking_chance_recall(const atm_ranking *r, int k)
{
    double sum = 0;
    if (k > r->candidates) k = r->candidates;
    for (int q = 0; q < r->queries; q++) {
        int relevant = 0;
        for (int c = 0; c < r->candidates; c++) relevant += r->relevant[place(r, q, c)];
        sum += 1 - chance_of_none(r->candidates, relevant, k);
    }
    return sum / r->queries;
}

int atm_ranking_chance_median(const atm_ranking *r)
{
    int k = 1;
    while (k < r->candidates && atm_ranking_chance_recall(r, k) < 0.5) k++;
    return k;
}
