/* test_philox.c - the random numbers: known answers, places, moments.
 *
 * Known answers: Random123's kat_vectors, lines "philox4x32 10". */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"

static void check_block(uint64_t key, const uint32_t counter[4], const uint32_t expected[4])
{
    atm_philox_block block = atm_philox(key, counter);
    assert_memory_equal(block.v, expected, sizeof block.v);
}

static void test_known_answers(void **state)
{
    static const uint32_t zero[4], ones[4] = { ~0u, ~0u, ~0u, ~0u };
    static const uint32_t pi[4] = { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 };
    (void)state;
    check_block(0, zero, (uint32_t[]){ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 });
    check_block(~(uint64_t)0, ones, (uint32_t[]){ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd });
    check_block(0x299f31d0a4093822, pi, (uint32_t[]){ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 });
}

/* Where a number comes from: block i / 4 of the counter, word i % 4. */
static void test_place(void **state)
{
    atm_rng rng = { .seed = 77, .stream = ATM_STREAM_TEST, .step = 5, .sample = 9 };
    float u[9];
    (void)state;
    atm_uniform(rng, u, 9);
    for (uint32_t i = 0; i < 9; i++) {
        const uint32_t counter[4] = { i / 4, rng.sample, rng.step, rng.stream };
        uint32_t word = atm_philox(rng.seed, counter).v[i % 4];
        assert_int_equal(atm_uint32(rng, i), word);
        assert_true(u[i] == ((float)(word >> 9) + 0.5f) * 0x1p-23f);
    }
}

/* Box-Muller on two neighbouring words. */
static void test_normal_by_definition(void **state)
{
    atm_rng rng = { .seed = 3, .stream = ATM_STREAM_TEST };
    float z[64];
    (void)state;
    atm_normal(rng, z, 64);
    for (uint32_t i = 0; i < 64; i += 2) {
        double radius = sqrt(-2 * log((atm_uint32(rng, i) + 0.5) / 4294967296.0));
        double angle = 2 * acos(-1) * ((atm_uint32(rng, i + 1) + 0.5) / 4294967296.0);
        assert_true(fabs(z[i] - radius * cos(angle)) <= 1e-6);
        assert_true(fabs(z[i + 1] - radius * sin(angle)) <= 1e-6);
    }
}

static void test_prefix(void **state)
{
    atm_rng rng = { .seed = 1, .stream = ATM_STREAM_LATENT };
    float all[100], some[100];
    (void)state;
    atm_normal(rng, all, 100);
    for (size_t n = 0; n < 100; n++) {
        memset(some, 0, sizeof some);
        atm_normal(rng, some, n);
        assert_memory_equal(some, all, n * sizeof *some);
        assert_true(some[n] == 0);                          /* and nothing behind it */
    }
}

static void test_places_differ(void **state)
{
    const atm_rng places[] = {
        { 1, 1, 1, 1 }, { 2, 1, 1, 1 }, { 1, 2, 1, 1 }, { 1, 1, 2, 1 }, { 1, 1, 1, 2 },
    };
    enum { N = sizeof places / sizeof *places };
    (void)state;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < i; k++) {
            int same = 0;
            for (uint32_t j = 0; j < 1000; j++) same += atm_uint32(places[i], j) == atm_uint32(places[k], j);
            assert_true(same <= 1);                         /* two chance hits: odds 1e-8 */
        }
}

/* Raw moments of n numbers; five standard errors are a chance of one in a million. */
static void check_moment(const float *x, size_t n, int power, double expected, double deviation)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += pow(x[i], power);
    assert_true(fabs(sum / (double)n - expected) <= 5 * deviation / sqrt((double)n));
}

static void test_moments(void **state)
{
    enum { N = 1000003 };
    float *x = malloc(N * sizeof *x);
    (void)state;
    assert_non_null(x);
    atm_normal((atm_rng){ .seed = 42, .stream = ATM_STREAM_TEST }, x, N);
    check_moment(x, N, 1, 0, 1);                            /* variance of z^k is E z^2k - (E z^k)^2 */
    check_moment(x, N, 2, 1, sqrt(2));
    check_moment(x, N, 3, 0, sqrt(15));
    check_moment(x, N, 4, 3, sqrt(96));
    atm_uniform((atm_rng){ .seed = 42, .stream = ATM_STREAM_TEST }, x, N);
    for (int i = 0; i < N; i++) assert_true(x[i] > 0 && x[i] < 1);
    check_moment(x, N, 1, 0.5, sqrt(1 / 12.0));
    check_moment(x, N, 2, 1 / 3.0, sqrt(1 / 5.0 - 1 / 9.0));
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers), cmocka_unit_test(test_place),
        cmocka_unit_test(test_normal_by_definition), cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_places_differ), cmocka_unit_test(test_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
