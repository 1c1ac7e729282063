/* test_generate.c - a whole generation with the tiny model: what must not change a
 * clip (threads, company, backend), and what must (artwork, seed, options). */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "generate/denoise.h"
#include "model/noise.h"
#include "support/tiny_model.h"

static const atm_generate_options quick = { .size = sizeof quick, .steps = 4, .duration = 1.2 };

static atm_result *make_with(atm_model *model, int n, const atm_artwork *artworks,
                             atm_generate_options options)
{
    atm_result *result = NULL;
    if (atm_generate(model, n, artworks, &options, &result)) fail_msg("%s", atm_error());
    return result;
}

static atm_result *make(atm_model *model, atm_generate_options options)
{
    return make_with(model, 1, tiny_artworks(1), options);
}

static void expect_same_clip(const atm_result *a, int i, const atm_result *b, int j)
{
    const atm_samples x = atm_result_audio(a, i), y = atm_result_audio(b, j);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.data, y.data, x.n * sizeof(float));
}

static bool same_clip(const atm_result *a, const atm_result *b)
{
    const atm_samples x = atm_result_audio(a, 0), y = atm_result_audio(b, 0);
    return x.n == y.n && !memcmp(x.data, y.data, x.n * sizeof(float));
}

/* ------------------------------------------------------------------ what must not matter */

static void test_threads(void **state)
{
    (void)state;
    static const char *const backend[] = { "cpu", "ref" };
    for (int b = 0; b < 2; b++) {
        atm_result *first = NULL;
        for (int threads = 1; threads <= 4; threads *= 2) {
            atm_model *model = tiny_model_open(backend[b], threads);
            atm_result *result = make(model, quick);
            if (first) expect_same_clip(first, 0, result, 0);
            else { first = result; result = NULL; }
            atm_result_free(result);
            atm_close(model);
        }
        atm_result_free(first);
    }
}

/* Three artworks, two variants of each, in batches of 4 (so one of 4 and one of 2) and
 * of 1, against each artwork alone.  With batch 1 one plan serves all artworks: its
 * prologue must be done again for each. */
static void test_company(void **state)
{
    (void)state;
    atm_model *model = tiny_model_open("cpu", 2);
    static const int batch[] = { 1, 4, 6 };
    for (int b = 0; b < 3; b++) {
        atm_generate_options options = quick;
        options.n = 2;
        options.batch = batch[b];
        atm_result *all = make_with(model, 3, tiny_artworks(3), options);
        assert_int_equal(atm_result_clips(all), 6);
        for (int i = 0; i < 3; i++) {
            options.batch = 1;
            atm_result *alone = make_with(model, 1, tiny_artworks(3) + i, options);
            for (int v = 0; v < 2; v++) expect_same_clip(all, 2 * i + v, alone, v);
            atm_result_free(alone);
        }
        atm_result_free(all);
    }
    atm_close(model);
}

static void test_again(void **state)
{
    (void)state;
    atm_model *model = tiny_model_open("cpu", 2);
    atm_generate_options noisy = quick;
    noisy.sampler = "ddim";
    noisy.eta = 1;
    atm_result *a = make(model, noisy), *other = make(model, quick), *b = make(model, noisy);
    expect_same_clip(a, 0, b, 0);
    assert_false(same_clip(a, other));
    atm_result_free(a);
    atm_result_free(b);
    atm_result_free(other);
    atm_close(model);
}

/* The fast kernels may not be further from the truth (double) than plain single
 * precision is, times two: the rule of tests/cases, for a whole generation. */
static void test_backends_agree(void **state)
{
    (void)state;
    static const char *const backend[] = { "ref64", "ref", "cpu" };
    atm_result *result[3];
    for (int b = 0; b < 3; b++) {
        atm_model *model = tiny_model_open(backend[b], 2);
        result[b] = make(model, quick);
        atm_close(model);
    }
    const atm_samples truth = atm_result_audio(result[0], 0);
    const double plain = relative_error(atm_result_audio(result[1], 0).data, truth.data, truth.n);
    const double fast = relative_error(atm_result_audio(result[2], 0).data, truth.data, truth.n);
    if (fast > 2 * plain) fail_msg("relative error %g of cpu, %g of ref", fast, plain);
    if (plain >= 1e-3) fail_msg("relative error %g of ref, %g of cpu", plain, fast);
    for (int b = 0; b < 3; b++) atm_result_free(result[b]);
}

/* ------------------------------------------------------------------ what must matter */

static void test_influences(void **state)
{
    (void)state;
    atm_model *model = tiny_model_open("cpu", 2);
    atm_result *base = make(model, quick);
    atm_generate_options changed[] = { quick, quick, quick, quick };
    changed[0].sampler = "ddim";
    changed[1].sampler = "dpm++-karras";
    changed[2].guidance = 5;
    changed[3].steps = 5;
    for (int i = 0; i < 4; i++) {
        atm_result *other = make(model, changed[i]);
        assert_false(same_clip(base, other));
        atm_result_free(other);
    }
    atm_artwork another = tiny_artworks(2)[1];
    another.seed = 0;
    atm_artwork reseeded = tiny_artworks(1)[0];
    reseeded.seed = 9;
    atm_result *by_picture = make_with(model, 1, &another, quick);
    atm_result *by_seed = make_with(model, 1, &reseeded, quick);
    assert_false(same_clip(base, by_picture));
    assert_false(same_clip(base, by_seed));
    atm_result_free(by_picture);
    atm_result_free(by_seed);
    atm_result_free(base);
    atm_close(model);
}

/* ------------------------------------------------------------------ guidance */

/* e_u + g (e_c - e_u) at g = 1 is e_c: the single pass must agree with both halves
 * computed.  g = 1 + 2^-20 moves the result by about 1e-6 of the difference of the halves. */
static void test_guidance_one(void **state)
{
    (void)state;
    atm_model *model = tiny_model_open("cpu", 2);
    atm_generate_options one = quick, above = quick;
    one.guidance = 1;
    above.guidance = 1 + 0x1p-20;
    atm_result *a = make(model, one), *b = make(model, above);
    const atm_samples x = atm_result_audio(a, 0), y = atm_result_audio(b, 0);
    assert_true(relative_error(x.data, y.data, x.n) < 1e-3);
    atm_result_free(a);
    atm_result_free(b);
    atm_close(model);
}

/* ------------------------------------------------------------------ latents */

static void test_latents_in(void **state)
{
    (void)state;
    atm_model *model = tiny_model_open("cpu", 2);
    const int frames = atm_latent_frames(model, quick.duration);
    const size_t n = (size_t)frames * 8 * 16;
    float *noise = calloc(2 * n, sizeof *noise);
    atm_generate_options given = quick;
    given.n = 2;
    given.latents = noise;
    given.n_latents = 2 * n;
    for (uint32_t v = 0; v < 2; v++) atm_noise_latent(0, v, noise + v * n, n);
    atm_result *from_file = make(model, given);
    given.latents = NULL;
    given.n_latents = 0;
    atm_result *from_seed = make(model, given);
    for (int v = 0; v < 2; v++) expect_same_clip(from_file, v, from_seed, v);
    const atm_matrix latent = atm_result_latent(from_seed, 1);
    assert_int_equal(latent.rows, 8 * frames);
    assert_int_equal(latent.columns, 16);
    atm_result_free(from_file);
    atm_result_free(from_seed);
    free(noise);
    atm_close(model);
}

/* ------------------------------------------------------------------ durations */

static void test_durations(void **state)
{
    (void)state;
    static const struct { double seconds; int samples, frames; } duration[] = {
        { 1, 16000, 25 }, { 1.1, 17600, 28 }, { 2.5, 40000, 63 }, { 3.33, 53280, 84 }, { 4.35, 69600, 109 },
        { 10.005, 160080, 251 }
    };
    atm_model *model = tiny_model_open("cpu", 2);
    atm_generate_options options = quick;
    options.steps = 1;
    options.guidance = 1;
    for (size_t i = 0; i < sizeof duration / sizeof duration[0]; i++) {
        options.duration = duration[i].seconds;
        atm_result *result = make(model, options);
        assert_int_equal(atm_result_audio(result, 0).n, duration[i].samples);
        assert_int_equal(atm_result_mel(result, 0).rows, 4 * duration[i].frames);
        assert_int_equal(atm_latent_frames(model, duration[i].seconds), duration[i].frames);
        atm_result_free(result);
    }
    /* the examples of the reference */
    assert_int_equal(atm_latent_frames(model, 10.24), 256);
    assert_int_equal(atm_latent_frames(model, 10), 250);
    assert_int_equal(atm_latent_frames(model, 5.12), 128);
    assert_int_equal(atm_latent_frames(model, 30), 750);
    atm_close(model);
}

/* ------------------------------------------------------------------ hoisting */

/* Time projections, keys and values of the contexts are in the prologue; the plan
 * still has all of a UNet in its steps. */
static void test_hoisting(void **state)
{
    (void)state;
    atm_model *model = tiny_model_open("cpu", 1);
    engine_request request;
    engine_denoiser denoiser;
    assert_int_equal(engine_request_make(model, 1, &quick, &request), ATM_OK);
    assert_int_equal(engine_denoiser_open(model, &request, 1, &denoiser), ATM_OK);
    const atm_plan_stats stats = atm_plan_get_stats(denoiser.plan);
    const int attentions = 2 * (1 + 1 + 2);     /* to a context: two for each triple of transformers */
    const int resblocks = 2 + 2 + 4;
    assert_true(stats.prologue_steps >= 2 * attentions + resblocks);
    assert_true(stats.steps > 100);
    engine_denoiser_close(&denoiser);
    engine_request_free(&request);
    atm_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),         cmocka_unit_test(test_company),
        cmocka_unit_test(test_again),           cmocka_unit_test(test_backends_agree),
        cmocka_unit_test(test_influences),      cmocka_unit_test(test_guidance_one),
        cmocka_unit_test(test_latents_in),      cmocka_unit_test(test_durations),
        cmocka_unit_test(test_hoisting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
