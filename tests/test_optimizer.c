/* test_optimizer.c - AdamW, its moving average, clipping and the learning rates against PyTorch, transformers
 * and diffusers (scripts/fixtures/training.py).
 *
 * Ten steps of the same single-precision numbers must give the same bits: both sides do the
 * same operations in the same order.  Clipping cannot: torch sums squares in single precision, so that its
 * factor differs from ours by up to CLIP_ROUNDING; that moves m by as much, v by twice, and each of ten steps, at most
 * lr in size, by as much again. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"
#include "kernels/optimizer.h"
#include "support/media.h"
#include "support/plan_fixture.h"
#include "support/plan_numbers.h"
#include "train/config.h"

enum { STEPS = 10, N = 96 };
static const double EPS = 0x1p-24;      /* of single precision */

static atm_tensor_file *fixture(const char *name)
{
    atm_tensor_file *file;
    must(atm_tensor_file_open(fixture_path(name), &file));
    return file;
}

static const float *floats(const atm_tensor_file *file, const char *name)
{
    const atm_file_tensor *t = atm_tensor_file_find(file, name);
    if (!t || t->dtype != ATM_F32) fail_msg("there are no floats %s", name);
    return t->data;
}

/* ------------------------------------------------------------------ ten steps */

typedef struct { _Alignas(64) float p[N], m[N], v[N], ema[N]; } state;      /* N floats are 6 times 64 bytes */

static const atm_adamw_options how = {
    .lr = 3e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-2, .ema_decay = 0.95, .scale = 1
};

static state begin(const atm_tensor_file *file)
{
    state s = { .m = { 0 } };
    memcpy(s.p, floats(file, "p0"), sizeof s.p);
    memcpy(s.ema, s.p, sizeof s.ema);
    return s;
}

static void step(const atm_tensor_file *file, int k, double scale, state *s)
{
    atm_adamw_options o = how;
    o.lr = fixture_doubles(file, "lr", NULL)[k];
    o.step = k + 1;
    o.scale = scale;
    atm_adamw(NULL, &o, N, floats(file, "grad") + k * N, s->p, s->m, s->v, s->ema);
}

static void check_bits(const atm_tensor_file *file, const char *name, int k, const float *got)
{
    const float *truth = floats(file, name) + k * N;
    for (int i = 0; i < N; i++)
        if (memcmp(&got[i], &truth[i], sizeof *got) != 0)
            fail_msg("%s[%d] after step %d is %.9g, not %.9g", name, i, k + 1, (double)got[i], (double)truth[i]);
}

static void ten_steps_have_the_bits_of_torch(void **unused)
{
    (void)unused;
    atm_tensor_file *file = fixture("training/adamw.safetensors");
    state s = begin(file);
    for (int k = 0; k < STEPS; k++) {
        step(file, k, 1, &s);
        check_bits(file, "m", k, s.m);
        check_bits(file, "v", k, s.v);
        check_bits(file, "p", k, s.p);
        check_bits(file, "ema", k, s.ema);
    }
    atm_tensor_file_close(file);
}

/* ------------------------------------------------------------------ clipping */

/* N squares of single precision, each rounded and added with a rounding, then a root, a sum, a division. */
static const double CLIP_ROUNDING = (N + 4) * 0x1p-24;

static void check_near(const atm_tensor_file *file, const char *name, int k, const float *got, double relative,
                       double absolute)
{
    const float *truth = floats(file, name) + k * N;
    for (int i = 0; i < N; i++) {
        const double error = fabs((double)got[i] - (double)truth[i]);
        if (!(error <= relative * fabs((double)truth[i]) + absolute))
            fail_msg("%s[%d] after step %d is %.9g, not %.9g", name, i, k + 1, (double)got[i], (double)truth[i]);
    }
}

static void clipping_is_that_of_torch(void **unused)
{
    (void)unused;
    atm_tensor_file *file = fixture("training/adamw.safetensors");
    const double *norms = fixture_doubles(file, "clip.norm", NULL), *lr = fixture_doubles(file, "lr", NULL);
    state s = begin(file);
    double way = 0;
    for (int k = 0; k < STEPS; k++) {
        _Alignas(64) float g[N];
        memcpy(g, floats(file, "grad") + k * N, sizeof g);
        const double norm = sqrt(atm_sum_of_squares(NULL, g, N));
        assert_true(fabs(norm - norms[k]) < 1e-14 * norms[k]);
        assert_true(norm > 1);                                      /* or nothing would be clipped */
        step(file, k, 1 / (norm + 1e-6), &s);
        way += lr[k];
        /* m is a sum of terms of both signs: its error is measured by the largest clipped gradient, 1. */
        check_near(file, "clip.m", k, s.m, 0, 2 * CLIP_ROUNDING);
        check_near(file, "clip.v", k, s.v, 2 * CLIP_ROUNDING + 4 * (k + 1) * EPS, 0);
        check_near(file, "clip.p", k, s.p, 2 * (k + 1) * EPS, 20 * CLIP_ROUNDING * way);
    }
    atm_tensor_file_close(file);
}

/* ------------------------------------------------------------------ large buffers, threads */

enum { LARGE = 300007 };

static float *aligned(size_t n)
{
    float *x = atm_device_alloc(n * sizeof *x);
    assert_non_null(x);
    memset(x, 0, n * sizeof *x);
    return x;
}

/* p, m, v, ema of a large buffer after two steps on so many threads. */
static float *large_steps(int threads, double *norm)
{
    atm_device *device;
    float *x = aligned(4 * (size_t)LARGE + 256), *g = aligned(LARGE);
    const size_t part = (LARGE + 15) / 16 * 16;
    must(atm_device_open("cpu", threads, &device));
    for (uint32_t i = 0; i < LARGE; i++) g[i] = noise_float_at(i);
    for (long t = 1; t <= 2; t++) {
        atm_adamw_options o = how;
        o.step = t;
        atm_adamw(device->pool, &o, LARGE, g, x, x + part, x + 2 * part, x + 3 * part);
    }
    *norm = atm_sum_of_squares(device->pool, g, LARGE);
    atm_device_close(device);
    atm_device_free(g);
    return x;
}

static void threads_change_nothing(void **unused)
{
    (void)unused;
    double norm, other, exact = 0;
    float *one = large_steps(1, &norm);
    for (uint32_t i = 0; i < LARGE; i++) exact += (double)noise_float_at(i) * (double)noise_float_at(i);
    assert_true(fabs(norm - exact) < 1e-12 * exact);
    for (int threads = 2; threads <= 3; threads++) {
        float *x = large_steps(threads, &other);
        assert_true(norm == other);
        assert_memory_equal(one, x, 4 * (size_t)LARGE * sizeof *x);
        atm_device_free(x);
    }
    atm_device_free(one);
}

static void what_is_not_a_number_shows_in_the_norm(void **unused)
{
    (void)unused;
    static _Alignas(64) float x[1000];
    x[777] = NAN;
    assert_true(isnan(atm_sum_of_squares(NULL, x, 1000)));
    x[777] = -INFINITY;
    assert_true(isinf(atm_sum_of_squares(NULL, x, 1000)));
    x[777] = 3e38F;
    assert_true(isfinite(atm_sum_of_squares(NULL, x, 1000)));       /* large is no error: clipping will do */
    assert_true(atm_sum_of_squares(NULL, x, 0) == 0);
}

/* ------------------------------------------------------------------ learning rates */

static void check_schedule(const atm_tensor_file *file, const char *name, int kind)
{
    size_t n;
    const double *truth = fixture_doubles(file, name, &n);
    atm_train_config c = atm_train_config_default();
    c.train.learning_rate = 3e-4;
    c.train.lr_scheduler = kind;
    c.train.lr_warmup_steps = 7;
    c.train.max_train_steps = 30;
    assert_int_equal(n, 31);
    for (size_t k = 0; k < n; k++) {
        const double got = atm_train_learning_rate(&c, k);
        if (!(fabs(got - truth[k]) <= 1e-15 * 3e-4))
            fail_msg("%s of update %zu is %.17g, not %.17g", name, k, got, truth[k]);
    }
}

static void learning_rates_are_those_of_transformers(void **unused)
{
    (void)unused;
    atm_tensor_file *file = fixture("training/schedules.safetensors");
    check_schedule(file, "constant", ATM_LR_CONSTANT);
    check_schedule(file, "constant_with_warmup", ATM_LR_CONSTANT_WITH_WARMUP);
    check_schedule(file, "linear", ATM_LR_LINEAR);
    check_schedule(file, "cosine", ATM_LR_COSINE);
    atm_tensor_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_steps_have_the_bits_of_torch),
        cmocka_unit_test(clipping_is_that_of_torch),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(what_is_not_a_number_shows_in_the_norm),
        cmocka_unit_test(learning_rates_are_those_of_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
