#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/philox.h"
#include "model/noise.h"

enum { N = 8 * 25 * 16 };

static void clips_and_steps_differ(void **state)
{
    (void)state;
    static float a[N], b[N];
    atm_noise_latent(7, 0, a, N);
    atm_noise_latent(7, 1, b, N);
    assert_memory_not_equal(a, b, sizeof a);
    atm_noise_step(7, 0, 0, b, N);
    assert_memory_not_equal(a, b, sizeof a);
    atm_noise_step(7, 0, 1, a, N);
    assert_memory_not_equal(a, b, sizeof a);
}

static void same_place_same_bits(void **state)
{
    (void)state;
    static float a[N], b[N], longer[2 * N];
    atm_noise_latent(7, 3, a, N);
    atm_noise_latent(7, 3, b, N);
    assert_memory_equal(a, b, sizeof a);
    atm_noise_latent(7, 3, longer, 2 * N);
    assert_memory_equal(a, longer, sizeof a);
}

/* The place in the counter is part of the format: a seed must mean the same clip for ever. */
static void place_is_fixed(void **state)
{
    (void)state;
    float latent[4], expected[4];
    atm_noise_latent(UINT64_C(0x123456789), 5, latent, 4);
    atm_normal((atm_rng){ UINT64_C(0x123456789), 1, 0, 5 }, expected, 4);
    assert_memory_equal(latent, expected, sizeof latent);
    atm_noise_step(UINT64_C(0x123456789), 5, 9, latent, 4);
    atm_normal((atm_rng){ UINT64_C(0x123456789), 2, 9, 5 }, expected, 4);
    assert_memory_equal(latent, expected, sizeof latent);
}

/* Mean and variance within five standard errors of 0 and 1. */
static void looks_normal(void **state)
{
    (void)state;
    static float x[N];
    double sum = 0, squares = 0;
    atm_noise_latent(1, 0, x, N);
    for (int i = 0; i < N; i++) {
        sum += x[i];
        squares += (double)x[i] * x[i];
    }
    assert_true(fabs(sum / N) < 5 / sqrt(N));
    assert_true(fabs(squares / N - 1) < 5 * sqrt(2.0 / N));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clips_and_steps_differ), cmocka_unit_test(same_place_same_bits),
        cmocka_unit_test(place_is_fixed), cmocka_unit_test(looks_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
