/* test_plan.c - building a plan: names, views, errors, gradients that add up,
 * state, limits.  test_plan_passes.c has what happens to the list of steps. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"
#include "support/random_params.h"

typedef struct { atm_device *device; atm_plan *p; random_params params; } fixture;

static void must(atm_status status)
{
    if (status != ATM_OK) print_error("%s\n", atm_error());
    assert_int_equal(status, ATM_OK);
}

static int open_plan(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    must(atm_device_open("ref64", 1, &f->device));
    must(atm_plan_create(f->device, &f->p));
    f->params = random_params_new(true);
    atm_plan_params(f->p, &f->params.source);
    *state = f;
    return 0;
}

static int close_plan(void **state)
{
    fixture *f = *state;
    atm_plan_destroy(f->p);
    atm_device_close(f->device);
    random_params_free(&f->params);
    free(f);
    return 0;
}

static void finish(atm_plan *p) { must(atm_plan_finish(p, (atm_plan_options){ 0 })); }

static void assert_close(const double *x, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++) assert_true(fabs(x[i] - y[i]) <= 1e-13 * fmax(1, fabs(y[i])));
}

/* ------------------------------------------------------------------ names */

static void test_names(void **state)
{
    atm_plan *p = ((fixture *)*state)->p;
    atm_tensor x = atm_input(p, "x", 0, ATM_DIMS(1, 3));
    atm_scope(p, "down_blocks.%d", 2);
    atm_scope(p, "attn");
    atm_tensor w = atm_param(p, "weight", ATM_DIMS(5, 3));
    atm_scope_end(p);
    atm_tensor b = atm_param(p, "bias", ATM_DIMS(5));
    atm_scope_end(p);
    atm_tensor again = atm_param(p, "down_blocks.2.bias", ATM_DIMS(5));
    assert_int_equal(again.id, b.id);
    assert_int_equal(atm_plan_n_params(p), 2);
    assert_string_equal(atm_plan_param_at(p, 0).name, "down_blocks.2.attn.weight");
    assert_string_equal(atm_plan_param_at(p, 1).name, "down_blocks.2.bias");
    assert_int_equal(atm_plan_find_param(p, "down_blocks.2.attn.weight").id, w.id);
    assert_int_equal(atm_plan_find_param(p, "weight").id, 0);
    assert_int_equal(atm_plan_find_input(p, "x").id, x.id);
    assert_int_equal(atm_plan_find_input(p, "y").id, 0);
    atm_output(p, "y", atm_linear(p, x, w, b, (atm_linear_options){ 0 }));
    finish(p);
    assert_int_equal(atm_plan_n_outputs(p), 1);
    assert_string_equal(atm_plan_output_at(p, 0).name, "y");
    assert_int_equal(atm_plan_output_at(p, 0).t.dim[1], 5);
}

/* ------------------------------------------------------------------ errors */

/* The first error stays, whatever follows; each of `words` is in its message. */
static void expect_error(fixture *f, const char *const *words)
{
    assert_true(atm_plan_failed(f->p));
    assert_int_equal(atm_activate(f->p, atm_input(f->p, "late", 0, ATM_DIMS(2)), ATM_ACT_RELU, 0).id, 0);
    atm_plan_fail(f->p, "a later error");
    assert_int_not_equal(atm_plan_finish(f->p, (atm_plan_options){ 0 }), ATM_OK);
    for (; *words; words++) {
        if (!strstr(atm_error(), *words)) print_error("'%s' lacks '%s'\n", atm_error(), *words);
        assert_non_null(strstr(atm_error(), *words));
    }
    assert_int_not_equal(atm_plan_run(f->p), ATM_OK);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_error_linear(void **state)
{
    fixture *f = *state;
    atm_scope(f->p, "mid_block");
    atm_scope(f->p, "to_q");
    atm_tensor x = atm_input(f->p, "x", 0, ATM_DIMS(2, 7)), w = atm_param(f->p, "weight", ATM_DIMS(5, 3));
    atm_linear(f->p, x, w, ATM_NONE, (atm_linear_options){ 0 });
    atm_scope_end(f->p);
    atm_scope_end(f->p);
    expect_error(f, WORDS("mid_block.to_q", "[2, 7]", "[5, 3]"));
}

static void test_error_conv(void **state)
{
    fixture *f = *state;
    atm_tensor x = atm_input(f->p, "x", 0, ATM_DIMS(1, 8, 8, 6)), w = atm_param(f->p, "weight", ATM_DIMS(4, 5, 3, 3));
    atm_conv2d(f->p, x, w, ATM_NONE, (atm_conv_options){ .pad = 1 });
    expect_error(f, WORDS("conv2d", "[1, 8, 8, 6]", "[4, 5, 3, 3]"));
}

static void test_error_kernel_too_large(void **state)
{
    fixture *f = *state;
    atm_tensor x = atm_input(f->p, "x", 0, ATM_DIMS(1, 2, 2, 5)), w = atm_param(f->p, "weight", ATM_DIMS(4, 5, 3, 3));
    atm_conv2d(f->p, x, w, ATM_NONE, (atm_conv_options){ 0 });
    expect_error(f, WORDS("[1, 0, 0, 4]"));
}

static void test_error_heads(void **state)
{
    fixture *f = *state;
    atm_tensor q = atm_input(f->p, "q", 0, ATM_DIMS(1, 4, 10));
    atm_attention(f->p, q, q, q, (atm_attention_options){ .heads = 3 });
    expect_error(f, WORDS("3", "10"));
}

static void test_error_add(void **state)
{
    fixture *f = *state;
    atm_add(f->p, atm_input(f->p, "a", 0, ATM_DIMS(2, 7)), atm_input(f->p, "b", 0, ATM_DIMS(2, 5)));
    expect_error(f, WORDS("[2, 7]", "[2, 5]"));
}

static void test_error_reshape(void **state)
{
    fixture *f = *state;
    atm_reshape(f->p, atm_input(f->p, "a", 0, ATM_DIMS(2, 7)), ATM_DIMS(3, 5));
    expect_error(f, WORDS("[2, 7]", "[3, 5]"));
}

static void test_error_slice(void **state)
{
    fixture *f = *state;
    atm_slice(f->p, atm_input(f->p, "a", 0, ATM_DIMS(2, 7)), -1, 5, 3);
    expect_error(f, WORDS("[5, 8)", "[2, 7]"));
}

static void test_error_param_shape(void **state)
{
    fixture *f = *state;
    atm_param(f->p, "w", ATM_DIMS(2, 3));
    atm_param(f->p, "w", ATM_DIMS(3, 2));
    expect_error(f, WORDS("w", "[2, 3]", "[3, 2]"));
}

static void test_error_huge(void **state)
{
    fixture *f = *state;
    atm_input(f->p, "a", 0, ATM_DIMS(2147483647, 2147483647, 2147483647));
    expect_error(f, WORDS("2147483647"));
}

static void test_error_empty(void **state)
{
    fixture *f = *state;
    atm_input(f->p, "a", 0, ATM_DIMS(2, 0));
    expect_error(f, WORDS("[2, 0]"));
}

static void test_error_scopes(void **state)
{
    fixture *f = *state;
    atm_scope_end(f->p);
    expect_error(f, WORDS("scope"));
}

/* ------------------------------------------------------------------ wrong use */

static void test_wrong_use(void **state)
{
    atm_plan *p = ((fixture *)*state)->p;
    double x[6] = { 0 };
    atm_tensor in = atm_input(p, "x", 0, ATM_DIMS(2, 3));
    atm_tensor hidden = atm_affine(p, in, 2, 0), w = atm_param(p, "w", ATM_DIMS(4, 3));
    atm_output(p, "y", atm_linear(p, hidden, w, ATM_NONE, (atm_linear_options){ 0 }));
    assert_int_not_equal(atm_plan_run(p), ATM_OK);
    assert_int_not_equal(atm_plan_write(p, in, x), ATM_OK);
    finish(p);
    assert_int_not_equal(atm_plan_finish(p, (atm_plan_options){ 0 }), ATM_OK);
    must(atm_plan_write(p, in, x));
    must(atm_plan_run(p));
    must(atm_plan_read(p, in, x));
    assert_int_not_equal(atm_plan_write(p, ATM_NONE, x), ATM_OK);
    assert_int_not_equal(atm_plan_read(p, hidden, x), ATM_OK);          /* not kept: its memory is others' */
    assert_int_not_equal(atm_plan_write(p, w, x), ATM_OK);              /* the weights are not the plan's  */
}

static void test_no_weights(void **state)
{
    fixture *f = *state;
    atm_plan_params(f->p, NULL);
    atm_tensor x = atm_input(f->p, "x", 0, ATM_DIMS(2, 3)), w = atm_param(f->p, "proj.weight", ATM_DIMS(4, 3));
    atm_output(f->p, "y", atm_linear(f->p, x, w, ATM_NONE, (atm_linear_options){ 0 }));
    assert_int_equal(atm_plan_finish(f->p, (atm_plan_options){ 0 }), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "proj.weight"));
}

static void test_shapes_only(void **state)
{
    fixture *f = *state;
    atm_plan_params(f->p, NULL);
    atm_tensor x = atm_input(f->p, "x", 0, ATM_DIMS(20, 3)), w = atm_param(f->p, "w", ATM_DIMS(4, 3));
    atm_output(f->p, "y", atm_linear(f->p, x, w, ATM_NONE, (atm_linear_options){ 0 }));
    must(atm_plan_finish(f->p, (atm_plan_options){ .shapes_only = true }));
    atm_plan_stats s = atm_plan_get_stats(f->p);
    assert_true(s.block_bytes >= (60 + 80) * sizeof(double));
    assert_int_equal(s.param_bytes, 12 * sizeof(double));
    assert_true(s.flops == 2 * 20 * 3 * 4);
    assert_int_not_equal(atm_plan_run(f->p), ATM_OK);
}

static void test_memory_limit(void **state)
{
    atm_plan *p = ((fixture *)*state)->p;
    atm_output(p, "y", atm_affine(p, atm_input(p, "x", 0, ATM_DIMS(1 << 20)), 2, 0));
    assert_int_equal(atm_plan_finish(p, (atm_plan_options){ .memory_limit = 1 << 20 }), ATM_E_MEMORY);
    assert_non_null(strstr(atm_error(), "16.0 MiB"));
    assert_non_null(strstr(atm_error(), "1.0 MiB"));
}

/* ------------------------------------------------------------------ checked mode */

static void test_checked_mode(void **state)
{
    atm_plan *p = ((fixture *)*state)->p;
    double x[3] = { 1, 2, 3 };
    atm_tensor in = atm_input(p, "x", 0, ATM_DIMS(1, 3));
    atm_scope(p, "mid_block.resnets.0");
    atm_tensor y = atm_linear(p, in, atm_param(p, "w", ATM_DIMS(4, 3)), ATM_NONE, (atm_linear_options){ 0 });
    atm_scope_end(p);
    atm_output(p, "y", atm_affine(p, y, 2, 0));
    must(atm_plan_finish(p, (atm_plan_options){ .checked = true }));
    must(atm_plan_write(p, in, x));
    must(atm_plan_run(p));
    x[1] = NAN;
    must(atm_plan_write(p, in, x));
    assert_int_equal(atm_plan_run(p), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "mid_block.resnets.0"));
    assert_non_null(strstr(atm_error(), "linear"));
    x[1] = 2;
    must(atm_plan_write(p, in, x));
    must(atm_plan_run(p));
}

/* ------------------------------------------------------------------ gradients that add up */

/* y = x W^T W'^T with W' = W: the gradient by W is the sum of both uses. */
static void test_param_used_twice(void **state)
{
    fixture *f = *state;
    atm_plan *p = f->p;
    double x[3] = { 0.5, -1, 2 }, dy[3] = { 1, -2, 0.25 }, got[9], expected[9] = { 0 }, h[3] = { 0 }, dh[3] = { 0 };
    atm_tensor in = atm_input(p, "x", 0, ATM_DIMS(1, 3)), cotangent = atm_input(p, "dy", 0, ATM_DIMS(1, 3));
    atm_tensor once = atm_linear(p, in, atm_param(p, "w", ATM_DIMS(3, 3)), ATM_NONE, (atm_linear_options){ 0 });
    atm_tensor y = atm_linear(p, once, atm_param(p, "w", ATM_DIMS(3, 3)), ATM_NONE, (atm_linear_options){ 0 });
    atm_plan_backward(p, 1, &y, &cotangent);
    atm_tensor grad = atm_grad(p, atm_plan_find_param(p, "w"));
    atm_output(p, "dw", grad);
    finish(p);
    must(atm_plan_write(p, in, x));
    must(atm_plan_write(p, cotangent, dy));
    must(atm_plan_run(p));
    must(atm_plan_read(p, grad, got));
    const double *w = f->params.data[0];
    for (int o = 0; o < 3; o++)
        for (int i = 0; i < 3; i++) { h[o] += w[3 * o + i] * x[i]; dh[i] += w[3 * o + i] * dy[o]; }
    for (int o = 0; o < 3; o++)
        for (int i = 0; i < 3; i++) expected[3 * o + i] = dy[o] * h[i] + dh[o] * x[i];
    assert_close(got, expected, 9);
}

/* y = x + x^T + 3 x through views: dx = dy + dy^T + 3 dy, in the shape of x. */
static void test_reshape_gradient(void **state)
{
    atm_plan *p = ((fixture *)*state)->p;
    double x[6] = { 1, 2, 3, 4, 5, 6 }, dy[6] = { 1, -1, 2, -2, 3, -3 }, got[6], expected[6];
    atm_tensor in = atm_input(p, "x", ATM_INPUT_GRAD, ATM_DIMS(2, 3)), cotangent = atm_input(p, "dy", 0, ATM_DIMS(6));
    atm_tensor flat = atm_reshape(p, in, ATM_DIMS(6));
    atm_tensor crossed = atm_reshape(p, atm_transpose(p, atm_reshape(p, flat, ATM_DIMS(1, 3, 2))), ATM_DIMS(6));
    atm_tensor y = atm_add(p, atm_add_scaled(p, flat, 1, atm_reshape(p, in, ATM_DIMS(6)), 3), crossed);
    atm_plan_backward(p, 1, &y, &cotangent);
    atm_tensor grad = atm_grad(p, in);
    assert_int_equal(grad.rank, 2);
    assert_int_equal(grad.dim[1], 3);
    assert_int_equal(atm_grad(p, flat).rank, 1);
    atm_output(p, "dx", grad);
    finish(p);
    must(atm_plan_write(p, in, x));
    must(atm_plan_write(p, cotangent, dy));
    must(atm_plan_run(p));
    must(atm_plan_read(p, grad, got));
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 2; c++) expected[r * 2 + c] = 4 * dy[r * 2 + c] + dy[c * 3 + r];
    assert_close(got, expected, 6);
}

/* Several outputs, one of them an inner value of the other; and one without a gradient. */
static void test_several_outputs(void **state)
{
    atm_plan *p = ((fixture *)*state)->p;
    double x[2] = { 3, 4 }, dy[4] = { 1, 10, 100, 1000 }, got[2];
    atm_tensor in = atm_input(p, "x", ATM_INPUT_GRAD, ATM_DIMS(2));
    atm_tensor other = atm_input(p, "other", ATM_INPUT_GRAD, ATM_DIMS(2));
    atm_tensor d[2] = { atm_input(p, "d0", 0, ATM_DIMS(2)), atm_input(p, "d1", 0, ATM_DIMS(2)) };
    atm_tensor inner = atm_affine(p, in, 2, 0), y[2] = { inner, atm_affine(p, inner, 5, 1) };
    atm_plan_backward(p, 2, y, d);
    assert_int_equal(atm_grad(p, other).id, 0);
    atm_output(p, "dx", atm_grad(p, in));
    finish(p);
    must(atm_plan_write(p, in, x));
    must(atm_plan_write(p, d[0], dy));
    must(atm_plan_write(p, d[1], dy + 2));
    must(atm_plan_run(p));
    must(atm_plan_read(p, atm_grad(p, in), got));
    assert_close(got, (double[]){ 2 * (1 + 5 * 100), 2 * (10 + 5 * 1000) }, 2);
}

/* ------------------------------------------------------------------ state */

/* x <- 2 x + 1 in place; what is read after the assignment is still the old x. */
static void test_assign(void **state)
{
    atm_plan *p = ((fixture *)*state)->p;
    double x = 1, y;
    atm_tensor in = atm_input(p, "x", 0, ATM_DIMS(1)), before = atm_input(p, "before", 0, ATM_DIMS(1));
    atm_tensor next = atm_affine(p, in, 2, 1);
    atm_assign(p, before, in);
    atm_assign(p, in, next);
    atm_tensor old = atm_affine(p, in, 10, 0);
    atm_output(p, "old", old);
    finish(p);
    must(atm_plan_write(p, in, &x));
    for (int i = 0; i < 5; i++, x = 2 * x + 1) {
        must(atm_plan_run(p));
        must(atm_plan_read(p, old, &y));
        assert_true(y == 10 * x);
        must(atm_plan_read(p, before, &y));
        assert_true(y == x);
    }
    must(atm_plan_read(p, in, &y));
    assert_true(y == 63);
}

static void test_assign_refuses(void **state)
{
    fixture *f = *state;
    atm_tensor in = atm_input(f->p, "x", 0, ATM_DIMS(2));
    atm_assign(f->p, in, atm_input(f->p, "y", 0, ATM_DIMS(3)));
    expect_error(f, WORDS("[2]", "[3]"));
}

/* Trainable parameters may change between runs. */
static void test_changed_parameter(void **state)
{
    fixture *f = *state;
    double x[2] = { 1, 0 }, y;
    atm_tensor in = atm_input(f->p, "x", ATM_INPUT_STATIC, ATM_DIMS(1, 2)), w = atm_param(f->p, "w", ATM_DIMS(1, 2));
    atm_tensor out = atm_linear(f->p, in, w, ATM_NONE, (atm_linear_options){ 0 });
    atm_output(f->p, "y", out);
    finish(f->p);
    must(atm_plan_write(f->p, in, x));
    for (int i = 0; i < 3; i++) {
        ((double *)f->params.data[0])[0] = i + 0.5;
        must(atm_plan_run(f->p));
        must(atm_plan_read(f->p, out, &y));
        assert_true(y == i + 0.5);
    }
}

static void test_f32_copies(void **state)
{
    atm_plan *p = ((fixture *)*state)->p;
    const float x[3] = { 0.1f, -2, 3 };
    float y[3];
    double wide[3];
    atm_tensor in = atm_input(p, "x", 0, ATM_DIMS(3)), out = atm_affine(p, in, 2, 0);
    atm_output(p, "y", out);
    finish(p);
    must(atm_plan_write_f32(p, in, x));
    must(atm_plan_run(p));
    must(atm_plan_read_f32(p, out, y));
    must(atm_plan_read(p, out, wide));
    for (int i = 0; i < 3; i++) assert_true(y[i] == 2 * x[i] && wide[i] == 2 * (double)x[i]);
}

/* ------------------------------------------------------------------ printing */

static void test_print(void **state)
{
    atm_plan *p = ((fixture *)*state)->p;
    static char text[8192];
    atm_tensor in = atm_input(p, "sample", 0, ATM_DIMS(1, 3));
    atm_scope(p, "conv_in");
    atm_output(p, "y", atm_linear(p, in, atm_param(p, "w", ATM_DIMS(4, 3)), ATM_NONE, (atm_linear_options){ 0 }));
    atm_scope_end(p);
    must(atm_plan_finish(p, (atm_plan_options){ .profile = true }));
    must(atm_plan_run(p));
    FILE *f = tmpfile();
    assert_non_null(f);
    atm_plan_print_memory(p, f, 10);
    atm_plan_print_steps(p, f);
    atm_plan_print_profile(p, f);
    rewind(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(text, "sample"));
    assert_non_null(strstr(text, "conv_in"));
    assert_non_null(strstr(text, "linear"));
    assert_non_null(strstr(text, "[1, 4]"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_plan, close_plan)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names), TEST(test_error_linear), TEST(test_error_conv), TEST(test_error_kernel_too_large),
        TEST(test_error_heads), TEST(test_error_add), TEST(test_error_reshape), TEST(test_error_slice),
        TEST(test_error_param_shape), TEST(test_error_huge), TEST(test_error_empty), TEST(test_error_scopes),
        TEST(test_wrong_use), TEST(test_no_weights), TEST(test_shapes_only), TEST(test_memory_limit),
        TEST(test_checked_mode), TEST(test_param_used_twice), TEST(test_reshape_gradient),
        TEST(test_several_outputs), TEST(test_assign), TEST(test_assign_refuses), TEST(test_changed_parameter),
        TEST(test_f32_copies), TEST(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
