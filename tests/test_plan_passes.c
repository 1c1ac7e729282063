/* test_plan_passes.c - what may happen to a plan without changing its results:
 * reuse of memory, recomputation of segments, removal of dead steps, hoisting.
 *
 * The same network is built in all ways; outputs and all gradients must have
 * the same bits.  Besides a UNet-like and a GPT-like network, 150 random ones. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/internal.h"
#include "support/plan_fixture.h"
#include "support/plan_network.h"

/* ------------------------------------------------------------------ running it */

typedef struct { double *x; size_t n; atm_plan_stats stats; } results;

static void fill_inputs(plan_network *n, const char *variant)
{
    for (int i = 0; i < n->n_in; i++) {
        char name[40];
        float *x = malloc(atm_count(n->in[i]) * sizeof *x);
        assert_non_null(x);
        snprintf(name, sizeof name, "%s%d", variant, i);
        random_numbers(name, x, atm_count(n->in[i]));
        must(atm_plan_write_f32(n->p, n->in[i], x));
        free(x);
    }
}

static results read_outputs(atm_plan *p)
{
    results r = { .stats = atm_plan_get_stats(p) };
    for (int i = 0; i < atm_plan_n_outputs(p); i++) {
        atm_tensor t = atm_plan_output_at(p, i).t;
        r.x = realloc(r.x, (r.n + atm_count(t)) * sizeof *r.x);
        assert_non_null(r.x);
        atm_convert(r.x + r.n, ATM_F64, t.data, t.dtype, atm_count(t));
        for (size_t k = 0; k < atm_count(t); k++) assert_true(isfinite(r.x[r.n + k]));
        r.n += atm_count(t);
    }
    assert_true(r.n > 0);
    return r;
}

static void assert_same_bits(results a, results b)
{
    assert_true(a.n == b.n);
    assert_memory_equal(a.x, b.x, a.n * sizeof *a.x);
}

/* Runs twice with other inputs in between: nothing may be left over from a run. */
static results run_twice(plan_network *n)
{
    fill_inputs(n, "a");
    must(atm_plan_run(n->p));
    results first = read_outputs(n->p);
    fill_inputs(n, "b");
    must(atm_plan_run(n->p));
    fill_inputs(n, "a");
    must(atm_plan_run(n->p));
    results again = read_outputs(n->p);
    assert_same_bits(first, again);
    free(again.x);
    return first;
}

static void find_lives(const atm_plan *p, int *first, int *last)
{
    for (int i = 0; i < p->n_values; i++) { first[i] = FOREVER; last[i] = BEFORE_ALL; }
    for (int i = 0; i < p->n_steps; i++)
        for (int k = 0; k < plan_n_tensors(p->step[i].op); k++) {
            int id = p->step[i].args.t[k].id;
            if (first[id] > i) first[id] = i;
            last[id] = i;
        }
    for (int i = 1; i < p->n_values; i++) {
        bool crosses = first[i] < p->n_prologue && last[i] >= p->n_prologue;
        if (p->value[i].kind == VALUE_INPUT) first[i] = BEFORE_ALL;
        if (p->value[i].kind == VALUE_INPUT || p->value[i].keep || crosses) last[i] = FOREVER;
    }
}

/* No two tensors that live at the same time share memory: from the steps alone. */
static void check_layout(const atm_plan *p)
{
    int *first = calloc(2 * (size_t)p->n_values, sizeof *first), *last = first + p->n_values;
    assert_non_null(first);
    find_lives(p, first, last);
    for (int i = 1; i < p->n_values; i++)
        for (int k = 1; k < i; k++) {
            const atm_value *a = &p->value[i], *b = &p->value[k];
            bool in_block = a->kind != VALUE_PARAM && b->kind != VALUE_PARAM
                            && first[i] != FOREVER && first[k] != FOREVER;
            if (!in_block || first[i] > last[k] || first[k] > last[i]) continue;
            assert_true(a->offset >= b->offset + b->bytes || b->offset >= a->offset + a->bytes);
        }
    free(first);
}

static results run_network(atm_device *device, plan_builder build, uint32_t seed, bool segments,
                           atm_plan_options options)
{
    plan_network n = { .segments = segments, .seed = seed };
    random_params params = random_params_new(true);
    must(atm_plan_create(device, &n.p));
    atm_plan_params(n.p, &params.source);
    build(&n);
    must(atm_plan_finish(n.p, options));
    check_layout(n.p);
    results r = run_twice(&n);
    atm_plan_destroy(n.p);
    random_params_free(&params);
    return r;
}

static void check_all_ways(const char *backend, plan_builder build, uint32_t seed)
{
    atm_device *device = NULL;
    must(atm_device_open(backend, 2, &device));
    results plain = run_network(device, build, seed, false, (atm_plan_options){ .no_reuse = true });
    results reuse = run_network(device, build, seed, false, (atm_plan_options){ 0 });
    results again = run_network(device, build, seed, true, (atm_plan_options){ 0 });
    atm_plan_options careful = { .no_reuse = true, .checked = true };
    results checked = run_network(device, build, seed, true, careful);
    assert_same_bits(plain, reuse);
    assert_same_bits(plain, again);
    assert_same_bits(plain, checked);
    assert_true(reuse.stats.block_bytes <= plain.stats.block_bytes);
    assert_true(again.stats.steps >= reuse.stats.steps);
    assert_true(again.stats.flops >= reuse.stats.flops);
    free(plain.x);
    free(reuse.x);
    free(again.x);
    free(checked.x);
    atm_device_close(device);
}

/* ------------------------------------------------------------------ networks */

static void test_unet(void **state)
{
    (void)state;
    check_all_ways("ref64", plan_build_unet, 0);
    check_all_ways("ref", plan_build_unet, 0);
    check_all_ways("cpu", plan_build_unet, 0);
}

static void test_gpt(void **state)
{
    (void)state;
    check_all_ways("ref64", plan_build_gpt, 0);
    check_all_ways("cpu", plan_build_gpt, 0);
}

static void test_random(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 150; seed++) check_all_ways("ref64", plan_build_random, seed);
}

/* ------------------------------------------------------------------ gradients of whole plans */

/* <dy, y> of a finished plan: y is output 0, dy the last input. */
static double objective(plan_network *n)
{
    atm_tensor y = atm_plan_output_at(n->p, 0).t;
    const double *dy = n->p->value[n->in[n->n_in - 1].id].t.data, *values = y.data;
    double sum = 0;
    must(atm_plan_run(n->p));
    for (size_t i = 0; i < atm_count(y); i++) sum += dy[i] * values[i];
    return sum;
}

/* The gradient of one element against fourth-order differences. */
static void check_element(plan_network *n, double *x, double rule)
{
    const double h = 1e-3, at = *x, step[4] = { h, -h, 2 * h, -2 * h };
    double f[4];
    for (int i = 0; i < 4; i++) {
        *x = at + step[i];
        f[i] = objective(n);
    }
    *x = at;
    double difference = (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * h);
    assert_true(fabs(rule - difference) <= 1e-7 * fmax(1, fabs(rule)));
}

static double *copy_of(atm_tensor t, const atm_plan *p)
{
    double *x = malloc(atm_count(t) * sizeof *x);
    assert_non_null(x);
    return memcpy(x, p->value[t.id].t.data, atm_count(t) * sizeof *x);
}

static void check_tensor(plan_network *n, atm_tensor x)
{
    must(atm_plan_run(n->p));
    double *grad = copy_of(atm_grad(n->p, x), n->p);
    for (size_t i = 0; i < atm_count(x); i += 5)
        check_element(n, (double *)n->p->value[x.id].t.data + i, grad[i]);
    free(grad);
}

static void check_gradients(plan_builder build, uint32_t seed)
{
    plan_network n = { .segments = true, .seed = seed };
    atm_device *device = NULL;
    random_params params = random_params_new(true);
    must(atm_device_open("ref64", 1, &device));
    must(atm_plan_create(device, &n.p));
    atm_plan_params(n.p, &params.source);
    build(&n);
    must(atm_plan_finish(n.p, (atm_plan_options){ 0 }));
    fill_inputs(&n, "a");
    if (atm_grad(n.p, n.in[0]).id) check_tensor(&n, n.in[0]);
    for (int i = 0; i < atm_plan_n_params(n.p); i++)
        if (atm_grad(n.p, atm_plan_param_at(n.p, i).t).id) check_tensor(&n, atm_plan_param_at(n.p, i).t);
    atm_plan_destroy(n.p);
    atm_device_close(device);
    random_params_free(&params);
}

static void test_gradients(void **state)
{
    (void)state;
    check_gradients(plan_build_gpt, 0);
    check_gradients(plan_build_unet, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unet), cmocka_unit_test(test_gpt), cmocka_unit_test(test_random),
        cmocka_unit_test(test_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
