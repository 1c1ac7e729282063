/* test_discriminators.c - discriminators and adversarial losses against PyTorch code written from the
 * papers (scripts/fixtures/losses.py): scores, the three losses, gradients by the generated sound or
 * picture, and of each weight's gradient an inner product and its length. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/discriminators.h"
#include "support/media.h"
#include "support/plan_fixture.h"
#include "support/plan_numbers.h"

/* ------------------------------------------------------------------ weights named by their tensors */

enum { MOST = 256 };
typedef struct { atm_param_source source; void *data[MOST]; int n; } named_noise;

static float weight_at(const char *name, int rank, double fan_in, uint32_t index)
{
    const uint32_t first = (uint32_t)fnv1a(name, strlen(name));
    const float scale = (float)(rank > 1 ? sqrt(3 / fan_in) : 0.1);
    const float x = scale * noise_float_at(first + index);
    return strstr(name, "norm.weight") ? x + 1 : x;
}

static atm_param_data find(atm_param_source *source, const char *name, int rank, const int *dim,
                           atm_dtype dtype)
{
    named_noise *self = (named_noise *)(void *)source;
    size_t n = 1;
    for (int i = 0; i < rank; i++) n *= (size_t)dim[i];
    float *numbers = malloc(n * sizeof *numbers);
    void *data = malloc(n * atm_dtype_size(dtype));
    assert_true(numbers && data && self->n < MOST);
    for (size_t i = 0; i < n; i++) numbers[i] = weight_at(name, rank, (double)n / dim[0], (uint32_t)i);
    atm_convert(data, dtype, numbers, ATM_F32, n);
    free(numbers);
    self->data[self->n++] = data;
    return (atm_param_data){ data, true };
}

/* ------------------------------------------------------------------ the two problems */

typedef struct {
    const char *name;                       /* of the fixture */
    atm_verdict (*discriminate)(atm_plan *p, atm_tensor x);
    int rank, dim[4];
} problem;

static atm_verdict waveforms(atm_plan *p, atm_tensor x)
{
    const atm_waveform_discriminator_config narrow = { .channels = 1, .groups = 2 };
    return atm_waveform_discriminators(p, &narrow, x);
}

static atm_verdict patches(atm_plan *p, atm_tensor x)
{
    return atm_patch_discriminator(p, &(atm_patch_discriminator_config){ .channels = 8, .layers = 2 }, x);
}

static const problem problems[] = {
    { "waveform", waveforms, 2, { 2, 131 } },
    { "patch",    patches,   4, { 2, 13, 22, 1 } },
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

typedef enum { ADVERSARIAL, FEATURES, DISCRIMINATOR, LOSSES } which_loss;
static const char *const loss_names[] = { "adversarial", "features", "discriminator" };

typedef struct {
    const problem *problem;
    atm_tensor_file *file;
    atm_device *device;
    named_noise weights;
    atm_plan *p;
    atm_tensor real, fake, loss, dloss;
    atm_verdict of_fake;
} run;

static atm_tensor loss_of(run *r, which_loss which)
{
    const atm_verdict of_real = r->problem->discriminate(r->p, r->real);
    r->of_fake = r->problem->discriminate(r->p, r->fake);
    if (which == ADVERSARIAL) return atm_adversarial_generator_loss(r->p, &r->of_fake);
    if (which == FEATURES) return atm_feature_matching_loss(r->p, &of_real, &r->of_fake);
    const atm_verdict both = r->problem->discriminate(r->p, atm_concat(r->p, r->real, r->fake, 0));
    return atm_adversarial_discriminator_loss(r->p, &both);
}

static void declare_outputs(run *r)
{
    atm_output(r->p, "loss", r->loss);
    atm_output(r->p, "dfake", atm_grad(r->p, r->fake));
    for (int i = 0; i < r->of_fake.n_scores; i++) atm_output(r->p, "score", r->of_fake.score[i]);
    for (int i = 0; i < atm_plan_n_params(r->p); i++)
        atm_output(r->p, "dw", atm_grad(r->p, atm_plan_param_at(r->p, i).t));
}

static run *run_problem(const problem *x, const char *backend, which_loss which)
{
    run *r = calloc(1, sizeof *r);
    char path[64];
    const double one = 1;
    assert_non_null(r);
    r->problem = x;
    r->weights.source.find = find;
    snprintf(path, sizeof path, "losses/%s.safetensors", x->name);
    must(atm_tensor_file_open(fixture_path(path), &r->file));
    must(atm_device_open(backend, 1, &r->device));
    must(atm_plan_create(r->device, &r->p));
    atm_plan_params(r->p, &r->weights.source);
    r->real = atm_input(r->p, "real", 0, x->rank, x->dim);
    r->fake = atm_input(r->p, "fake", ATM_INPUT_GRAD, x->rank, x->dim);
    r->loss = loss_of(r, which);
    r->dloss = atm_input(r->p, "dloss", 0, ATM_DIMS(1));
    atm_plan_backward(r->p, 1, &r->loss, &r->dloss);
    declare_outputs(r);
    must_finish(r->p);
    plan_put(r->p, r->real, fixture_doubles(r->file, "real", NULL));
    plan_put(r->p, r->fake, fixture_doubles(r->file, "fake", NULL));
    plan_put(r->p, r->dloss, &one);
    must(atm_plan_run(r->p));
    return r;
}

static void run_close(run *r)
{
    atm_plan_destroy(r->p);
    atm_device_close(r->device);
    atm_tensor_file_close(r->file);
    for (int i = 0; i < r->weights.n; i++) free(r->weights.data[i]);
    free(r);
}

/* ------------------------------------------------------------------ errors */

static double error_of(const run *r, atm_tensor t, const char *name)
{
    size_t n;
    const double *truth = fixture_doubles(r->file, name, &n);
    double *got = malloc(n * sizeof *got);
    assert_non_null(got);
    assert_int_equal(n, atm_count(t));
    plan_get(r->p, t, got);
    const double error = distance_of(got, truth, n);
    free(got);
    return error;
}

static double loss_error(const run *r, which_loss which)
{
    char name[64];
    snprintf(name, sizeof name, "grad.%s.fake", loss_names[which]);
    return fmax(error_of(r, r->loss, loss_names[which]), error_of(r, atm_grad(r->p, r->fake), name));
}

/* Scores of period discriminators lie [N q, L, 1], PyTorch's [N, 1, L, q]: compared as sums of squares
 * alone, for their losses have compared them in full. */
static double score_error(const run *r)
{
    double worst = 0;
    for (int i = 0; i < r->of_fake.n_scores; i++) {
        char name[64];
        size_t n;
        double squares = 0, truth = 0, *got = malloc(atm_count(r->of_fake.score[i]) * sizeof *got);
        assert_non_null(got);
        snprintf(name, sizeof name, "score.%d", i);
        const double *wanted = fixture_doubles(r->file, name, &n);
        assert_int_equal(n, atm_count(r->of_fake.score[i]));
        plan_get(r->p, r->of_fake.score[i], got);
        for (size_t k = 0; k < n; k++) {
            squares += got[k] * got[k];
            truth += wanted[k] * wanted[k];
        }
        worst = fmax(worst, fabs(squares - truth) / truth);
        free(got);
    }
    return worst;
}

/* Of the gradient by parameter `i`: its inner product with noise and its length, relative to the length. */
static double projection_error(const run *r, int i)
{
    const atm_named_tensor param = atm_plan_param_at(r->p, i);
    const atm_tensor gradient = atm_grad(r->p, param.t);
    char name[256];
    double product = 0, squares = 0, *got = malloc(atm_count(gradient) * sizeof *got);
    assert_non_null(got);
    plan_get(r->p, gradient, got);
    snprintf(name, sizeof name, "direction.%s", param.name);
    const uint32_t first = (uint32_t)fnv1a(name, strlen(name));
    for (size_t k = 0; k < atm_count(gradient); k++) {
        product += got[k] * (double)noise_float_at(first + (uint32_t)k);
        squares += got[k] * got[k];
    }
    free(got);
    snprintf(name, sizeof name, "projection.%s", param.name);
    const double *truth = fixture_doubles(r->file, name, NULL);
    return fmax(fabs(product - truth[0]), fabs(sqrt(squares) - truth[1])) / truth[1];
}

/* ------------------------------------------------------------------ tests */

static void check(const problem *x, const char *backend, double bound)
{
    for (which_loss which = 0; which < LOSSES; which++) {
        run *r = run_problem(x, backend, which);
        double error = fmax(loss_error(r, which), score_error(r));
        if (which == DISCRIMINATOR)
            for (int i = 0; i < atm_plan_n_params(r->p); i++) error = fmax(error, projection_error(r, i));
        print_message("%-8s %-5s %-13s off by %.1e\n", x->name, backend, loss_names[which], error);
        assert_true(error < bound);
        run_close(r);
    }
}

static void discriminators_agree_with_pytorch(void **state)
{
    (void)state;
    for (int i = 0; i < PROBLEMS; i++) check(&problems[i], "ref64", 1e-10);
}

static void kernels_agree_with_pytorch(void **state)
{
    (void)state;
    for (int i = 0; i < PROBLEMS; i++) check(&problems[i], "cpu", 5e-5);
}

/* Grouped convolutions of the paper's width, where every group has many channels. */
static void the_papers_width_builds(void **state)
{
    plan_fixture *f = *state;
    const atm_waveform_discriminator_config paper = { .channels = 32, .groups = 16 };
    atm_plan_params(f->p, NULL);
    const atm_tensor x = atm_input(f->p, "x", 0, ATM_DIMS(1, 8192));
    const atm_verdict v = atm_waveform_discriminators(f->p, &paper, x);
    assert_false(atm_plan_failed(f->p));
    assert_int_equal(v.n_scores, 8);
    assert_int_equal(v.n_features, 5 * 6 + 3 * 8);
    double parameters = 0;
    for (int i = 0; i < atm_plan_n_params(f->p); i++)
        parameters += (double)atm_count(atm_plan_param_at(f->p, i).t);
    assert_true(parameters == 41092165 + 29610627);     /* HiFi-GAN's, in PyTorch, without weight_g */
}

static void too_short_a_sound_is_refused(void **state)
{
    plan_fixture *f = *state;
    waveforms(f->p, atm_input(f->p, "x", 0, ATM_DIMS(1, 11)));
    assert_int_equal(atm_plan_finish(f->p, (atm_plan_options){ 0 }), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "more than 11 samples"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(discriminators_agree_with_pytorch),
        cmocka_unit_test(kernels_agree_with_pytorch),
        PLAN_TEST(the_papers_width_builds),
        PLAN_TEST(too_short_a_sound_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
