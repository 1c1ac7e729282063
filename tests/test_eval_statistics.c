/* test_eval_statistics.c - intervals and ranks against numbers worked out by hand. */
#include "support/support.h"

#include <math.h>

#include "base/philox.h"
#include "eval/bootstrap.h"
#include "eval/ranking.h"

enum { SEED = 5 };

static void assert_near(double got, double wanted, double tolerance)
{
    if (fabs(got - wanted) <= tolerance) return;            /* and not NaN */
    fail_msg("%.6g is not within %.3g of %.6g", got, tolerance, wanted);
}

/* ------------------------------------------------------------------ bootstrap */

static void quantiles_are_linear_between_neighbours(void **state)
{
    const double x[] = { 1, 2, 4, 8 };
    (void)state;
    assert_near(atm_quantile(x, 4, 0), 1, 0);
    assert_near(atm_quantile(x, 4, 1), 8, 0);
    assert_near(atm_quantile(x, 4, 0.5), 3, 0);             /* at place 1.5 */
    assert_near(atm_quantile(x, 4, 0.75), 5, 1e-15);        /* at place 2.25 */
    assert_near(atm_quantile(x, 1, 0.3), 1, 0);
}

/* Means of two draws from {0, 1}: 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4, so that both
 * quantiles are the extremes. */
static void interval_of_two_numbers(void **state)
{
    const double x[] = { 0, 1 };
    atm_estimate e;
    (void)state;
    assert_int_equal(atm_bootstrap_mean(2, x, NULL, SEED, &e), ATM_OK);
    assert_near(e.value, 0.5, 0);
    assert_near(e.low, 0, 0);
    assert_near(e.high, 1, 0);
}

/* A mean of 400 numbers is nearly normal: +- 1.96 s / sqrt n.  The 2.5 % quantile of 2000 draws
 * has itself a standard error of 2.7 s / sqrt(2000 n), 0.06 of a standard error of the mean. */
static void interval_of_many_numbers(void **state)
{
    enum { N = 400 };
    float normal[N];
    double x[N], mean = 0, square = 0;
    atm_estimate e;
    (void)state;
    atm_normal((atm_rng){ SEED, ATM_STREAM_TEST, 0, 0 }, normal, N);
    for (int i = 0; i < N; i++) {
        x[i] = 3 + 2 * (double)normal[i];
        mean += x[i] / N;
    }
    for (int i = 0; i < N; i++) square += (x[i] - mean) * (x[i] - mean) / N;
    const double error = sqrt(square / N);
    assert_int_equal(atm_bootstrap_mean(N, x, NULL, SEED, &e), ATM_OK);
    assert_near(e.value, mean, 1e-12);
    assert_near(e.low, mean - 1.96 * error, 4 * 0.06 * error);
    assert_near(e.high, mean + 1.96 * error, 4 * 0.06 * error);
}

/* Ten clips of each of two tracks say no more than the two tracks. */
static void clusters_are_drawn_whole(void **state)
{
    double x[20];
    int track[20];
    atm_estimate alone, together;
    (void)state;
    for (int i = 0; i < 20; i++) {
        track[i] = i < 10 ? 7 : 2;          /* numbers with gaps, as a split's tracks have */
        x[i] = i < 10;
    }
    assert_int_equal(atm_bootstrap_mean(20, x, NULL, SEED, &alone), ATM_OK);
    assert_int_equal(atm_bootstrap_mean(20, x, track, SEED, &together), ATM_OK);
    assert_near(together.value, 0.5, 0);
    assert_near(together.low, 0, 0);
    assert_near(together.high, 1, 0);
    assert_true(alone.low > 0.2 && alone.high < 0.8);
}

/* Unequal clusters: the mean is over numbers, not over clusters. */
static void clusters_count_by_their_size(void **state)
{
    const double x[] = { 0, 3, 3 };
    const int track[] = { 0, 1, 1 };
    atm_estimate e;
    (void)state;
    assert_int_equal(atm_bootstrap_mean(3, x, track, SEED, &e), ATM_OK);
    assert_near(e.value, 2, 0);
    assert_near(e.low, 0, 0);
    assert_near(e.high, 3, 0);
}

static void one_unit_has_no_interval(void **state)
{
    const double x[] = { 4, 6 };
    const int track[] = { 3, 3 };
    atm_estimate e;
    (void)state;
    assert_int_equal(atm_bootstrap_mean(2, x, track, SEED, &e), ATM_OK);
    assert_near(e.value, 5, 0);
    assert_false(atm_has_interval(e));
    assert_true(atm_has_interval((atm_estimate){ 1, 0, 2 }));
}

static void same_seed_same_interval(void **state)
{
    const double x[] = { 1, 2, 4, 8, 16, 32 };
    atm_estimate a, b, other;
    (void)state;
    assert_int_equal(atm_bootstrap_mean(6, x, NULL, SEED, &a), ATM_OK);
    assert_int_equal(atm_bootstrap_mean(6, x, NULL, SEED, &b), ATM_OK);
    assert_int_equal(atm_bootstrap_mean(6, x, NULL, SEED + 1, &other), ATM_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(a.low != other.low || a.high != other.high);
}

/* ------------------------------------------------------------------ ranks */

enum { N = 4 };

static const bool diagonal[N * N] = { [0] = true, [5] = true, [10] = true, [15] = true };

static atm_ranking square(const double *similarity)
{
    return (atm_ranking){ N, N, N, 1, similarity, diagonal };
}

static void finds_what_is_nearest(void **state)
{
    const double similarity[N * N] = {
        0.9, 0.1, 0.2, 0.3,     /* rank 1 */
        0.8, 0.7, 0.2, 0.3,     /* rank 2 */
        0.8, 0.7, 0.6, 0.9,     /* rank 4 */
        0.1, 0.2, 0.3, 0.4      /* rank 1 */
    };
    const atm_ranking r = square(similarity);
    int rank[N];
    atm_estimate e;
    (void)state;
    atm_ranking_ranks(&r, rank);
    assert_int_equal(rank[0], 1);
    assert_int_equal(rank[1], 2);
    assert_int_equal(rank[2], 4);
    assert_int_equal(rank[3], 1);
    assert_int_equal(atm_ranking_recall(rank, N, 1, SEED, &e), ATM_OK);
    assert_near(e.value, 0.5, 0);
    assert_int_equal(atm_ranking_recall(rank, N, 2, SEED, &e), ATM_OK);
    assert_near(e.value, 0.75, 0);
    assert_int_equal(atm_ranking_median(rank, N, SEED, &e), ATM_OK);
    assert_near(e.value, 1.5, 0);
    assert_true(e.low >= 1 && e.high <= 4);
}

/* By columns: candidates become queries. */
static void reads_columns_too(void **state)
{
    const double similarity[] = { 3, 1, 2,   0, 5, 4 };
    const bool relevant[] = { true, false, false,   false, true, true };
    const atm_ranking r = { 3, 2, 1, 3, similarity, relevant };
    int rank[3];
    (void)state;
    atm_ranking_ranks(&r, rank);
    assert_int_equal(rank[0], 1);
    assert_int_equal(rank[1], 1);
    assert_int_equal(rank[2], 1);
    const atm_ranking rows = { 2, 3, 3, 1, similarity, relevant };
    atm_ranking_ranks(&rows, rank);
    assert_int_equal(rank[0], 1);
    assert_int_equal(rank[1], 1);
}

/* Who finds everything equally near has found nothing. */
static void ties_count_against(void **state)
{
    const double similarity[N * N] = { 0 };
    const atm_ranking r = square(similarity);
    int rank[N];
    (void)state;
    atm_ranking_ranks(&r, rank);
    for (int i = 0; i < N; i++) assert_int_equal(rank[i], N);
}

/* Of 5 candidates 2 right: P(rank <= 1) = 2/5, P(rank <= 2) = 1 - C(3,2)/C(5,2) = 7/10, 4 suffice. */
static void chance_is_exact(void **state)
{
    const double similarity[5] = { 0 };
    const bool relevant[5] = { true, false, true, false, false };
    const atm_ranking r = { 1, 5, 5, 1, similarity, relevant };
    (void)state;
    assert_near(atm_ranking_chance_recall(&r, 1), 0.4, 1e-15);
    assert_near(atm_ranking_chance_recall(&r, 2), 0.7, 1e-15);
    assert_near(atm_ranking_chance_recall(&r, 4), 1, 1e-15);
    assert_near(atm_ranking_chance_recall(&r, 9), 1, 1e-15);
    assert_int_equal(atm_ranking_chance_median(&r), 2);
}

/* Random similarities come out at chance: 2000 queries, four standard errors. */
static void random_similarities_are_at_chance(void **state)
{
    enum { QUERIES = 2000, CANDIDATES = 10 };
    static float uniform[QUERIES * CANDIDATES];
    static double similarity[QUERIES * CANDIDATES];
    static bool relevant[QUERIES * CANDIDATES];
    static int rank[QUERIES];
    const atm_ranking r = { QUERIES, CANDIDATES, CANDIDATES, 1, similarity, relevant };
    atm_estimate e;
    (void)state;
    atm_uniform((atm_rng){ SEED, ATM_STREAM_TEST, 1, 0 }, uniform, QUERIES * CANDIDATES);
    for (int i = 0; i < QUERIES * CANDIDATES; i++) similarity[i] = (double)uniform[i];
    for (int q = 0; q < QUERIES; q++)
        for (int k = 0; k <= q % 3; k++) relevant[q * CANDIDATES + (q + 3 * k) % CANDIDATES] = true;
    atm_ranking_ranks(&r, rank);
    for (int k = 1; k <= 5; k += 4) {
        const double chance = atm_ranking_chance_recall(&r, k);
        assert_int_equal(atm_ranking_recall(rank, QUERIES, k, SEED, &e), ATM_OK);
        assert_near(e.value, chance, 4 * sqrt(chance * (1 - chance) / QUERIES));
        assert_true(e.low < chance && chance < e.high);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_linear_between_neighbours), cmocka_unit_test(interval_of_two_numbers),
        cmocka_unit_test(interval_of_many_numbers), cmocka_unit_test(clusters_are_drawn_whole),
        cmocka_unit_test(clusters_count_by_their_size), cmocka_unit_test(one_unit_has_no_interval),
        cmocka_unit_test(same_seed_same_interval), cmocka_unit_test(finds_what_is_nearest),
        cmocka_unit_test(reads_columns_too), cmocka_unit_test(ties_count_against),
        cmocka_unit_test(chance_is_exact), cmocka_unit_test(random_similarities_are_at_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
