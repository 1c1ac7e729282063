/* test_plan_steps.c - which steps a finished plan holds, and how often they run:
 * dead steps, pruned gradients, the prologue, segments. */
#include "support/support.h"

#include "support/plan_fixture.h"

/* ------------------------------------------------------------------ a backend that counts */

static int n_linear;
static atm_backend counting;

static void count_linear(const atm_op_args *args, const atm_run_env *env)
{
    n_linear++;
    atm_backend_ref64.kernel[ATM_OP_linear].run(args, env);
}

static int open_plan(void **state)
{
    plan_setup(state);
    plan_fixture *f = *state;
    counting = atm_backend_ref64;
    counting.kernel[ATM_OP_linear].run = count_linear;
    f->device->backend = &counting;
    f->params.trainable = false;
    return 0;
}

static atm_tensor dense(atm_plan *p, const char *name, atm_tensor x, int out, atm_act act)
{
    atm_tensor w = atm_param(p, name, ATM_DIMS(out, atm_last_dim(x)));
    return atm_linear(p, x, w, ATM_NONE, (atm_linear_options){ .act = act });
}

static int linears_of_a_run(atm_plan *p)
{
    n_linear = 0;
    must(atm_plan_run(p));
    return n_linear;
}

/* ------------------------------------------------------------------ dead steps */

static void test_dead_steps(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
    atm_tensor x = atm_input(p, "x", 0, ATM_DIMS(2, 3));
    atm_tensor y = dense(p, "used", x, 3, ATM_ACT_NONE);
    dense(p, "dead.2", dense(p, "dead.1", y, 5, ATM_ACT_SILU), 4, ATM_ACT_NONE);
    atm_output(p, "y", y);
    must_finish(p);
    atm_plan_stats s = atm_plan_get_stats(p);
    assert_int_equal(s.steps, 1);
    assert_int_equal(s.removed_steps, 2);
    assert_int_equal(linears_of_a_run(p), 1);
    assert_int_equal(s.tensor_bytes, (6 + 6) * sizeof(double));        /* no memory for the dead either */
}

/* The value before the activation is kept only when a gradient reads it. */
static void test_unread_outputs_take_no_memory(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
    atm_output(p, "y", dense(p, "w", atm_input(p, "x", 0, ATM_DIMS(2, 3)), 5, ATM_ACT_SILU));
    must_finish(p);
    assert_int_equal(atm_plan_get_stats(p).tensor_bytes, (6 + 10) * sizeof(double));
}

static void test_everything_dead(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
    dense(p, "w", atm_input(p, "x", 0, ATM_DIMS(2, 3)), 5, ATM_ACT_SILU);
    must_finish(p);
    assert_int_equal(linears_of_a_run(p), 0);
    assert_int_equal(atm_plan_get_stats(p).steps, 0);
}

/* ------------------------------------------------------------------ pruned gradients */

static atm_tensor chain(atm_plan *p)
{
    atm_tensor x = atm_input(p, "x", 0, ATM_DIMS(2, 3)), dy = atm_input(p, "dy", 0, ATM_DIMS(2, 3));
    atm_tensor y = dense(p, "a", x, 3, ATM_ACT_NONE);
    y = dense(p, "b", y, 3, ATM_ACT_NONE);
    y = dense(p, "c", y, 3, ATM_ACT_NONE);
    atm_plan_backward(p, 1, &y, &dy);
    for (int i = 0; i < 3; i++) atm_output(p, "grad", atm_grad(p, atm_plan_param_at(p, i).t));
    atm_output(p, "y", y);
    must_finish(p);
    return y;
}

static void test_frozen_needs_no_backward(void **state)
{
    plan_fixture *f = *state;
    chain(f->p);
    assert_int_equal(atm_plan_get_stats(f->p).steps, 3);
    assert_int_equal(atm_plan_n_outputs(f->p), 1);
}

/* Only `a` is frozen: dw of b and c, and dx of c; nothing below b. */
static void test_backward_stops_below_the_first_trained(void **state)
{
    plan_fixture *f = *state;
    f->params.trainable = true;
    f->params.frozen = "a";
    chain(f->p);
    assert_int_equal(atm_plan_get_stats(f->p).steps, 3 + 3);
    assert_int_equal(atm_grad(f->p, atm_plan_find_param(f->p, "a")).id, 0);
    assert_int_equal(linears_of_a_run(f->p), 3 + 1);
}

/* ------------------------------------------------------------------ the prologue */

typedef struct { atm_tensor x, context, y; } attention_handles;

static attention_handles build_attention(atm_plan *p)
{
    attention_handles h = { .x = atm_input(p, "x", ATM_INPUT_VARIES, ATM_DIMS(2, 4, 6)),
                            .context = atm_input(p, "context", ATM_INPUT_STATIC, ATM_DIMS(2, 3, 5)) };
    atm_tensor q = dense(p, "q", h.x, 6, ATM_ACT_NONE);
    atm_tensor k = dense(p, "k", h.context, 6, ATM_ACT_NONE), v = dense(p, "v", h.context, 6, ATM_ACT_NONE);
    h.y = atm_attention(p, q, k, v, (atm_attention_options){ .heads = 2 });
    atm_output(p, "y", h.y);
    return h;
}

static void write_random(atm_plan *p, atm_tensor t, const char *name)
{
    float x[64];
    assert_true(atm_count(t) <= 64);
    random_numbers(name, x, atm_count(t));
    must(atm_plan_write_f32(p, t, x));
}

static void test_hoisting(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
    double first[48], again[48], other[48];
    attention_handles h = build_attention(p);
    must_finish(p);
    assert_int_equal(atm_plan_get_stats(p).prologue_steps, 2);
    assert_int_equal(atm_plan_get_stats(p).steps, 2);
    write_random(p, h.x, "x");
    write_random(p, h.context, "context");
    assert_int_equal(linears_of_a_run(p), 3);
    must(atm_plan_read(p, h.y, first));
    assert_int_equal(linears_of_a_run(p), 1);
    write_random(p, h.x, "x");
    assert_int_equal(linears_of_a_run(p), 1);                  /* what varies does not redo the prologue */
    must(atm_plan_read(p, h.y, again));
    assert_memory_equal(first, again, sizeof first);
    write_random(p, h.context, "other context");
    assert_int_equal(linears_of_a_run(p), 3);                  /* what is static does */
    must(atm_plan_read(p, h.y, other));
    assert_memory_not_equal(first, other, sizeof first);
    write_random(p, h.context, "context");
    assert_int_equal(linears_of_a_run(p), 3);
    assert_int_equal(linears_of_a_run(p), 1);
    must(atm_plan_read(p, h.y, again));
    assert_memory_equal(first, again, sizeof first);
}

/* A trained weight may change, so what depends on it cannot be kept. */
static void test_trainable_is_not_hoisted(void **state)
{
    plan_fixture *f = *state;
    f->params.trainable = true;
    f->params.frozen = "v";
    build_attention(f->p);
    must_finish(f->p);
    assert_int_equal(atm_plan_get_stats(f->p).prologue_steps, 1);
    assert_int_equal(linears_of_a_run(f->p), 3);
    assert_int_equal(linears_of_a_run(f->p), 2);
}

static void test_weights_alone_are_hoisted(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
    atm_tensor w = atm_param(p, "w", ATM_DIMS(4, 3)), wt = atm_param(p, "wt", ATM_DIMS(3, 3));
    atm_tensor merged = atm_linear(p, w, wt, ATM_NONE, (atm_linear_options){ 0 });
    atm_tensor x = atm_input(p, "x", 0, ATM_DIMS(2, 3));
    atm_output(p, "y", atm_linear(p, x, merged, ATM_NONE, (atm_linear_options){ 0 }));
    must_finish(p);
    assert_int_equal(atm_plan_get_stats(p).prologue_steps, 1);
    assert_int_equal(linears_of_a_run(p), 2);
    assert_int_equal(linears_of_a_run(p), 1);
}

static void test_all_static(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
    atm_tensor x = atm_input(p, "x", ATM_INPUT_STATIC, ATM_DIMS(2, 3));
    atm_output(p, "y", dense(p, "w", x, 4, ATM_ACT_NONE));
    must_finish(p);
    assert_int_equal(atm_plan_get_stats(p).steps, 0);
    assert_int_equal(linears_of_a_run(p), 1);
    assert_int_equal(linears_of_a_run(p), 0);
}

/* ------------------------------------------------------------------ segments */

static atm_plan_stats deep_chain(plan_fixture *f, bool segments)
{
    atm_plan *p = NULL;
    must(atm_plan_create(f->device, &p));
    atm_plan_params(p, &f->params.source);
    atm_tensor x = atm_input(p, "x", ATM_INPUT_GRAD, ATM_DIMS(64, 8)), y = x;
    atm_tensor dy = atm_input(p, "dy", 0, ATM_DIMS(64, 8));
    for (int i = 0; i < 8; i++) {
        atm_scope(p, "%d", i);
        if (segments) atm_segment_begin(p);
        atm_tensor h = dense(p, "in", y, 64, ATM_ACT_GELU), w = atm_param(p, "out", ATM_DIMS(8, 64));
        y = atm_linear(p, h, w, ATM_NONE, (atm_linear_options){ .residual = y });
        if (segments) atm_segment_end(p);
        atm_scope_end(p);
    }
    atm_plan_backward(p, 1, &y, &dy);
    atm_output(p, "dx", atm_grad(p, x));
    must_finish(p);
    atm_plan_stats s = atm_plan_get_stats(p);
    atm_plan_destroy(p);
    return s;
}

/* Without: z of 8 blocks.  With: y of 8 blocks and one block's z and h. */
static void test_segments_save_memory(void **state)
{
    plan_fixture *f = *state;
    f->params.trainable = true;
    atm_plan_stats all = deep_chain(f, false), again = deep_chain(f, true);
    assert_true(again.steps > all.steps);
    assert_true(again.steps <= all.steps + 2 * 8);
    assert_true(2 * again.block_bytes < all.block_bytes);
}

static void test_segments_do_not_nest(void **state)
{
    atm_plan *p = ((plan_fixture *)*state)->p;
    atm_segment_begin(p);
    atm_segment_begin(p);
    assert_true(atm_plan_failed(p));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_plan, plan_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dead_steps), TEST(test_unread_outputs_take_no_memory), TEST(test_everything_dead),
        TEST(test_frozen_needs_no_backward), TEST(test_backward_stops_below_the_first_trained),
        TEST(test_hoisting), TEST(test_trainable_is_not_hoisted), TEST(test_weights_alone_are_hoisted),
        TEST(test_all_static), TEST(test_segments_save_memory), TEST(test_segments_do_not_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
