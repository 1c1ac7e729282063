/* test_plan_errors.c - what a plan refuses, and what it says: building errors with
 * their scope and the two shapes, wrong calls, limits, and the NaN of checked mode. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "support/plan_fixture.h"

/* ------------------------------------------------------------------ errors */

/* The first error stays, whatever follows; each of `words` is in its message. */
static void expect_error(plan_fixture *f, const char *const *words)
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
    plan_fixture *f = *state;
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
    plan_fixture *f = *state;
    atm_tensor x = atm_input(f->p, "x", 0, ATM_DIMS(1, 8, 8, 6));
    atm_tensor w = atm_param(f->p, "weight", ATM_DIMS(4, 5, 3, 3));
    atm_conv2d(f->p, x, w, ATM_NONE, (atm_conv_options){ .pad = 1 });
    expect_error(f, WORDS("conv2d", "[1, 8, 8, 6]", "[4, 5, 3, 3]"));
}

static void test_error_kernel_too_large(void **state)
{
    plan_fixture *f = *state;
    atm_tensor x = atm_input(f->p, "x", 0, ATM_DIMS(1, 2, 2, 5));
    atm_tensor w = atm_param(f->p, "weight", ATM_DIMS(4, 5, 3, 3));
    atm_conv2d(f->p, x, w, ATM_NONE, (atm_conv_options){ 0 });
    expect_error(f, WORDS("[1, 0, 0, 4]"));
}

static void test_error_heads(void **state)
{
    plan_fixture *f = *state;
    atm_tensor q = atm_input(f->p, "q", 0, ATM_DIMS(1, 4, 10));
    atm_attention(f->p, q, q, q, (atm_attention_options){ .heads = 3 });
    expect_error(f, WORDS("3", "10"));
}

static void test_error_add(void **state)
{
    plan_fixture *f = *state;
    atm_add(f->p, atm_input(f->p, "a", 0, ATM_DIMS(2, 7)), atm_input(f->p, "b", 0, ATM_DIMS(2, 5)));
    expect_error(f, WORDS("[2, 7]", "[2, 5]"));
}

static void test_error_reshape(void **state)
{
    plan_fixture *f = *state;
    atm_reshape(f->p, atm_input(f->p, "a", 0, ATM_DIMS(2, 7)), ATM_DIMS(3, 5));
    expect_error(f, WORDS("[2, 7]", "[3, 5]"));
}

static void test_error_slice(void **state)
{
    plan_fixture *f = *state;
    atm_slice(f->p, atm_input(f->p, "a", 0, ATM_DIMS(2, 7)), -1, 5, 3);
    expect_error(f, WORDS("[5, 8)", "[2, 7]"));
}

static void test_error_param_shape(void **state)
{
    plan_fixture *f = *state;
    atm_param(f->p, "w", ATM_DIMS(2, 3));
    atm_param(f->p, "w", ATM_DIMS(3, 2));
    expect_error(f, WORDS("w", "[2, 3]", "[3, 2]"));
}

static void test_error_huge(void **state)
{
    plan_fixture *f = *state;
    atm_input(f->p, "a", 0, ATM_DIMS(2147483647, 2147483647, 2147483647));
    expect_error(f, WORDS("2147483647"));
}

static void test_error_empty(void **state)
{
    plan_fixture *f = *state;
    atm_input(f->p, "a", 0, ATM_DIMS(2, 0));
    expect_error(f, WORDS("[2, 0]"));
}

static void test_error_scopes(void **state)
{
    plan_fixture *f = *state;
    atm_scope_end(f->p);
    expect_error(f, WORDS("scope"));
}

static void test_assign_refuses(void **state)
{
    plan_fixture *f = *state;
    atm_tensor in = atm_input(f->p, "x", 0, ATM_DIMS(2));
    atm_assign(f->p, in, atm_input(f->p, "y", 0, ATM_DIMS(3)));
    expect_error(f, WORDS("[2]", "[3]"));
}

/* ------------------------------------------------------------------ wrong use */

static void test_wrong_use(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
    double x[6] = { 0 };
    atm_tensor in = atm_input(p, "x", 0, ATM_DIMS(2, 3));
    atm_tensor hidden = atm_affine(p, in, 2, 0), w = atm_param(p, "w", ATM_DIMS(4, 3));
    atm_output(p, "y", atm_linear(p, hidden, w, ATM_NONE, (atm_linear_options){ 0 }));
    assert_int_not_equal(atm_plan_run(p), ATM_OK);
    assert_int_not_equal(atm_plan_write(p, in, x), ATM_OK);
    must_finish(p);
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
    plan_fixture *f = *state;
    atm_plan_params(f->p, NULL);
    atm_tensor x = atm_input(f->p, "x", 0, ATM_DIMS(2, 3));
    atm_tensor w = atm_param(f->p, "proj.weight", ATM_DIMS(4, 3));
    atm_output(f->p, "y", atm_linear(f->p, x, w, ATM_NONE, (atm_linear_options){ 0 }));
    assert_int_equal(atm_plan_finish(f->p, (atm_plan_options){ 0 }), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "proj.weight"));
}

static void test_shapes_only(void **state)
{
    plan_fixture *f = *state;
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
    atm_plan *p = ((plan_fixture *)*state)->p;
    atm_output(p, "y", atm_affine(p, atm_input(p, "x", 0, ATM_DIMS(1 << 20)), 2, 0));
    assert_int_equal(atm_plan_finish(p, (atm_plan_options){ .memory_limit = 1 << 20 }), ATM_E_MEMORY);
    assert_non_null(strstr(atm_error(), "16.0 MiB"));
    assert_non_null(strstr(atm_error(), "1.0 MiB"));
}

/* ------------------------------------------------------------------ checked mode */

static void test_checked_mode(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAN_TEST(test_error_linear), PLAN_TEST(test_error_conv), PLAN_TEST(test_error_kernel_too_large),
        PLAN_TEST(test_error_heads), PLAN_TEST(test_error_add), PLAN_TEST(test_error_reshape),
        PLAN_TEST(test_error_slice), PLAN_TEST(test_error_param_shape), PLAN_TEST(test_error_huge),
        PLAN_TEST(test_error_empty), PLAN_TEST(test_error_scopes), PLAN_TEST(test_assign_refuses),
        PLAN_TEST(test_wrong_use), PLAN_TEST(test_no_weights), PLAN_TEST(test_shapes_only),
        PLAN_TEST(test_memory_limit), PLAN_TEST(test_checked_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
