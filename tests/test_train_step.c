/* test_train_step.c - one step of training the adapter (adapter, unrolled GPT-2, UNet, guidance, min-SNR): loss and
 * gradients against PyTorch, and what `train-step` refuses.
 *
 * The references are diffusers' and transformers' own modules (scripts/fixtures/training.py), in double precision.
 * Bounds, relative to the largest element: 1e-10 in double, for the answers of two programs
 * that sum in another order; in single the plain loops say how far rounding moves a result, and ten times
 * that is allowed, as in test_networks.c. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/bytes.h"
#include "support/plan_fixture.h"
#include "support/plan_numbers.h"
#include "support/projection.h"
#include "support/tiny_run.h"
#include "train/train_step.h"

static const double DOUBLE_BOUND = 1e-10, SINGLE_FACTOR = 10;

static const struct { const char *name; double guidance; bool v; bool projected; } cases[] = {
    { "epsilon_1", 1, false, true }, { "epsilon_3.5", 3.5, false, false },
    { "v_prediction_1", 1, true, false }, { "v_prediction_3.5", 3.5, true, true },
};
enum { CASES = sizeof cases / sizeof *cases };

static const char *training_fixture(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "training/%s.safetensors", name);
    return fixture_path(path);
}

static atm_tensor_file *open_fixture(const char *name)
{
    atm_tensor_file *file;
    must(atm_tensor_file_open(training_fixture(name), &file));
    return file;
}

/* ------------------------------------------------------------------ the models of the fixture */

static const char *const folders[] = { "adapter", "language_model", "unet" };

/* "epsilon" and "v" differ in the scheduler alone. */
static int make_models(void **state)
{
    static const char *const change[] = { "scheduler.prediction_type=v_prediction" };
    (void)state;
    scratch_make();
    tiny_model_write("epsilon", NULL, 0);
    tiny_model_write("v", change, 1);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        tiny_weights_by_name("epsilon", folders[i]);
        tiny_weights_by_name("v", folders[i]);
    }
    return 0;
}

static int remove_models(void **state)
{
    (void)state;
    tiny_remove("epsilon");
    tiny_remove("v");
    tiny_remove("out.safetensors");
    scratch_remove();
    return 0;
}

/* ------------------------------------------------------------------ against PyTorch */

static double *doubles_of(const atm_file_tensor *t, size_t *n)
{
    *n = t->bytes / atm_dtype_size(t->dtype);
    double *x = malloc(*n * sizeof *x);
    assert_non_null(x);
    atm_convert(x, ATM_F64, t->data, t->dtype, *n);
    return x;
}

static const char *after(const char *name, const char *start)
{
    const size_t n = strlen(start);
    return strncmp(name, start, n) == 0 ? name + n : NULL;
}

static void run_step(int which, const char *backend, const char *const *grad, atm_tensor_file **out)
{
    atm_device *device;
    must(atm_device_open(backend, 1, &device));
    must(atm_train_step_forward(device, &(atm_train_step_request){
        .model = scratch_path(cases[which].v ? "v" : "epsilon"), .inputs = training_fixture("step"), .grad = grad,
        .outputs = scratch_path("out.safetensors"), .guidance = cases[which].guidance, .snr_gamma = 5 }));
    must(atm_tensor_file_open(scratch_path("out.safetensors"), out));
    atm_device_close(device);
}

typedef struct { double loss, adapter, projection; } errors;

/* Of one tensor of the fixture that belongs to this case. */
static void compare_tensor(const atm_tensor_file *got, const atm_file_tensor *truth, const char *rest, errors *e)
{
    char name[512];
    size_t n;
    const char *of = after(rest, "projection.");
    if (of) snprintf(name, sizeof name, "grad.%s", of);
    else snprintf(name, sizeof name, "%s", rest);
    const atm_file_tensor *t = atm_tensor_file_find(got, name);
    if (!t) fail_msg("there is no %s", name);
    double *x = doubles_of(t, &n);
    const double *y = truth->data;
    if (of) e->projection = fmax(e->projection, projection_error(x, n, of, y, 1e-6));
    else if (strcmp(rest, "loss") == 0) e->loss = fabs(x[0] - y[0]) / fabs(y[0]);
    else e->adapter = fmax(e->adapter, distance_of(x, y, n));
    free(x);
}

static errors compare_case(int which, const char *backend, bool all)
{
    static const char *const every[] = { "adapter.*", "language_model.*", "unet.*", NULL };
    char prefix[64];
    errors e = { 0 };
    atm_tensor_file *truth = open_fixture("step"), *got;
    run_step(which, backend, all ? every : NULL, &got);
    snprintf(prefix, sizeof prefix, "%s.", cases[which].name);
    for (size_t i = 0; i < atm_tensor_file_count(truth); i++) {
        const atm_file_tensor *t = atm_tensor_file_at(truth, i);
        const char *rest = after(t->name, prefix);
        if (rest && (all || !after(rest, "projection."))) compare_tensor(got, t, rest, &e);
    }
    print_message("%-18s %-5s loss %.1e  adapter %.1e  others %.1e\n", cases[which].name, backend, e.loss, e.adapter,
                  e.projection);
    atm_tensor_file_close(truth);
    atm_tensor_file_close(got);
    return e;
}

static void the_step_is_that_of_pytorch_in_double(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const errors e = compare_case(i, "ref64", cases[i].projected);
        assert_true(e.loss < DOUBLE_BOUND && e.adapter < DOUBLE_BOUND && e.projection < DOUBLE_BOUND);
    }
}

static void the_step_is_that_of_pytorch_in_single(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const errors plain = compare_case(i, "ref", false), e = compare_case(i, "cpu", false);
        assert_true(plain.loss < 1e-5 && plain.adapter < 1e-3);
        assert_true(e.loss < 1e-5 && e.adapter < SINGLE_FACTOR * plain.adapter);
    }
}

/* ------------------------------------------------------------------ wrong inputs */

static void expect_refusal(const char *model, const char *inputs, const char *const *grad, atm_status status,
                           const char *words)
{
    atm_device *device;
    must(atm_device_open("cpu", 1, &device));
    const atm_status got = atm_train_step_forward(device, &(atm_train_step_request){
        .model = scratch_path(model), .inputs = inputs, .outputs = scratch_path("none.safetensors"), .grad = grad,
        .guidance = 1 });
    if (got != status || !strstr(atm_error(), words))
        fail_msg("%d, not %d with '%s': %s", got, status, words, atm_error());
    atm_device_close(device);
}

/* The fixture's inputs with one of them replaced. */
static const char *inputs_with(atm_file_tensor changed)
{
    static atm_file_tensor tensor[16];
    atm_tensor_file *file = open_fixture("step");
    size_t n = 0;
    for (size_t i = 0; i < atm_tensor_file_count(file); i++) {
        const atm_file_tensor *t = atm_tensor_file_at(file, i);
        if (strchr(t->name, '.')) continue;
        assert_true(n < 16);
        tensor[n++] = strcmp(t->name, changed.name) == 0 ? changed : *t;
    }
    must(atm_safetensors_write(scratch_path("in.safetensors"), tensor, n, NULL, 0));
    atm_tensor_file_close(file);
    return scratch_path("in.safetensors");
}

static void wrong_steps_are_refused(void **state)
{
    (void)state;
    static const double numbers[][3] = { { 801, 1000, 400 }, { 0.5, 1, 2 } };
    static const char *const nothing[] = { "adapter.*", "vocoder.*", NULL };
    const atm_file_tensor three = { .dtype = ATM_F64, .rank = 1, .dim = { 3 }, .data = numbers[0], .bytes = 24 };
    expect_refusal("nowhere", training_fixture("step"), NULL, ATM_E_NOINPUT, "nowhere");
    expect_refusal("epsilon", training_fixture("step"), nothing, ATM_E_USAGE, "no gradient by \"vocoder.*\"");
    atm_file_tensor t = three;
    t.name = "timestep";
    expect_refusal("epsilon", inputs_with(t), NULL, ATM_E_DATA, "a timestep is 1000");
    t.data = numbers[1];
    expect_refusal("epsilon", inputs_with(t), NULL, ATM_E_DATA, "a timestep is 0.5");
    t.name = "latents";
    expect_refusal("epsilon", inputs_with(t), NULL, ATM_E_DATA, "\"latents\" is [3]; needed is [1,8,1,16]");
    t = (atm_file_tensor){ .name = "prompt_embeds", .dtype = ATM_F64, .rank = 3, .dim = { 1, 3, 1 },
                           .data = numbers, .bytes = 24 };
    expect_refusal("epsilon", inputs_with(t), NULL, ATM_E_DATA, "conditioning");
    tiny_remove("in.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_step_is_that_of_pytorch_in_double),
        cmocka_unit_test(the_step_is_that_of_pytorch_in_single),
        cmocka_unit_test(wrong_steps_are_refused),
    };
    return cmocka_run_group_tests(tests, make_models, remove_models);
}
