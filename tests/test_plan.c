/* test_plan.c - names, gradients that add up, state, copies, printing.
 * Errors are in test_plan_errors.c; what happens to the list of steps in
 * test_plan_passes.c (results stay) and test_plan_steps.c (which steps stay). */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/plan_fixture.h"

static void assert_close(const double *x, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++) assert_true(fabs(x[i] - y[i]) <= 1e-13 * fmax(1, fabs(y[i])));
}

/* ------------------------------------------------------------------ names */

static void test_names(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
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
    must_finish(p);
    assert_int_equal(atm_plan_n_outputs(p), 1);
    assert_string_equal(atm_plan_output_at(p, 0).name, "y");
    assert_int_equal(atm_plan_output_at(p, 0).t.dim[1], 5);
}

/* ------------------------------------------------------------------ gradients that add up */

/* y = x W^T W'^T with W' = W: the gradient by W is the sum of both uses. */
static void test_param_used_twice(void **state)
{
    plan_fixture *f = *state;
    atm_plan *p = f->p;
    double x[3] = { 0.5, -1, 2 }, dy[3] = { 1, -2, 0.25 }, h[3] = { 0 }, dh[3] = { 0 }, got[9], expected[9];
    atm_tensor in = atm_input(p, "x", 0, ATM_DIMS(1, 3)), cotangent = atm_input(p, "dy", 0, ATM_DIMS(1, 3));
    atm_tensor w1 = atm_param(p, "w", ATM_DIMS(3, 3)), w2 = atm_param(p, "w", ATM_DIMS(3, 3));
    atm_tensor once = atm_linear(p, in, w1, ATM_NONE, (atm_linear_options){ 0 });
    atm_tensor y = atm_linear(p, once, w2, ATM_NONE, (atm_linear_options){ 0 });
    atm_plan_backward(p, 1, &y, &cotangent);
    atm_tensor grad = atm_grad(p, atm_plan_find_param(p, "w"));
    atm_output(p, "dw", grad);
    must_finish(p);
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
    atm_plan *p = ((plan_fixture *)*state)->p;
    double x[6] = { 1, 2, 3, 4, 5, 6 }, dy[6] = { 1, -1, 2, -2, 3, -3 }, got[6], expected[6];
    atm_tensor in = atm_input(p, "x", ATM_INPUT_GRAD, ATM_DIMS(2, 3));
    atm_tensor cotangent = atm_input(p, "dy", 0, ATM_DIMS(6));
    atm_tensor flat = atm_reshape(p, in, ATM_DIMS(6));
    atm_tensor crossed = atm_transpose(p, atm_reshape(p, flat, ATM_DIMS(1, 3, 2)));
    crossed = atm_reshape(p, crossed, ATM_DIMS(6));
    atm_tensor y = atm_add(p, atm_add_scaled(p, flat, 1, atm_reshape(p, in, ATM_DIMS(6)), 3), crossed);
    atm_plan_backward(p, 1, &y, &cotangent);
    atm_tensor grad = atm_grad(p, in);
    assert_int_equal(grad.rank, 2);
    assert_int_equal(grad.dim[1], 3);
    assert_int_equal(atm_grad(p, flat).rank, 1);
    atm_output(p, "dx", grad);
    must_finish(p);
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
    atm_plan *p = ((plan_fixture *)*state)->p;
    double x[2] = { 3, 4 }, dy[4] = { 1, 10, 100, 1000 }, got[2];
    atm_tensor in = atm_input(p, "x", ATM_INPUT_GRAD, ATM_DIMS(2));
    atm_tensor other = atm_input(p, "other", ATM_INPUT_GRAD, ATM_DIMS(2));
    atm_tensor d[2] = { atm_input(p, "d0", 0, ATM_DIMS(2)), atm_input(p, "d1", 0, ATM_DIMS(2)) };
    atm_tensor inner = atm_affine(p, in, 2, 0), y[2] = { inner, atm_affine(p, inner, 5, 1) };
    atm_plan_backward(p, 2, y, d);
    assert_int_equal(atm_grad(p, other).id, 0);
    atm_output(p, "dx", atm_grad(p, in));
    must_finish(p);
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
    atm_plan *p = ((plan_fixture *)*state)->p;
    double x = 1, y;
    atm_tensor in = atm_input(p, "x", 0, ATM_DIMS(1)), before = atm_input(p, "before", 0, ATM_DIMS(1));
    atm_tensor next = atm_affine(p, in, 2, 1);
    atm_assign(p, before, in);
    atm_assign(p, in, next);
    atm_tensor old = atm_affine(p, in, 10, 0);
    atm_output(p, "old", old);
    must_finish(p);
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

/* Trainable parameters may change between runs. */
static void test_changed_parameter(void **state)
{
    plan_fixture *f = *state;
    double x[2] = { 1, 0 }, y;
    atm_tensor in = atm_input(f->p, "x", ATM_INPUT_STATIC, ATM_DIMS(1, 2));
    atm_tensor w = atm_param(f->p, "w", ATM_DIMS(1, 2));
    atm_tensor out = atm_linear(f->p, in, w, ATM_NONE, (atm_linear_options){ 0 });
    atm_output(f->p, "y", out);
    must_finish(f->p);
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
    atm_plan *p = ((plan_fixture *)*state)->p;
    const float x[3] = { 0.1f, -2, 3 };
    float y[3];
    double wide[3];
    atm_tensor in = atm_input(p, "x", 0, ATM_DIMS(3)), out = atm_affine(p, in, 2, 0);
    atm_output(p, "y", out);
    must_finish(p);
    must(atm_plan_write_f32(p, in, x));
    must(atm_plan_run(p));
    must(atm_plan_read_f32(p, out, y));
    must(atm_plan_read(p, out, wide));
    for (int i = 0; i < 3; i++) assert_true(y[i] == 2 * x[i] && wide[i] == 2 * (double)x[i]);
}

/* ------------------------------------------------------------------ printing */

static void test_print(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
    static char text[8192];
    atm_tensor in = atm_input(p, "sample", 0, ATM_DIMS(1, 3));
    atm_scope(p, "conv_in");
    atm_tensor w = atm_param(p, "w", ATM_DIMS(4, 3));
    atm_output(p, "y", atm_linear(p, in, w, ATM_NONE, (atm_linear_options){ 0 }));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAN_TEST(test_names), PLAN_TEST(test_param_used_twice), PLAN_TEST(test_reshape_gradient),
        PLAN_TEST(test_several_outputs), PLAN_TEST(test_assign), PLAN_TEST(test_changed_parameter),
        PLAN_TEST(test_f32_copies), PLAN_TEST(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
