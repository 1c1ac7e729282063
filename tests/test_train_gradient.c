/* test_train_gradient.c - the gradient of the whole adapter path against differences, in double precision.
 *
 * The loss along a direction, at k h for k = -4 .. 4, gives the slope to O(h^8), and to the rounding
 * of a loss, 1e-16 of it, over h.  Half of the direction is the gradient's, so that the slope is not
 * small, half is random, so that a part that the gradient lacks is seen. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/bytes.h"
#include "support/media.h"
#include "support/plan_fixture.h"
#include "support/plan_numbers.h"
#include "support/tiny_run.h"
#include "train/diffusion_loss.h"

static const double DOUBLE_BOUND = 1e-10;

/* ------------------------------------------------------------------ models */

/* Weights of order one, so that slopes are far above rounding. */
static int make_models(void **state)
{
    static const char *const change[] = { "scheduler.prediction_type=v_prediction" };
    static const char *const folder[] = { "adapter", "language_model", "unet" };
    (void)state;
    scratch_make();
    tiny_model_write("epsilon", NULL, 0);
    tiny_model_write("v", change, 1);
    for (int i = 0; i < 3; i++) {
        tiny_weights_by_name("epsilon", folder[i]);
        tiny_weights_by_name("v", folder[i]);
    }
    return 0;
}

static int remove_models(void **state)
{
    (void)state;
    tiny_remove("epsilon");
    tiny_remove("v");
    scratch_remove();
    return 0;
}

/* ------------------------------------------------------------------ weights that move */

/* Weights in double, of which those of one tensor move along a direction. */
typedef struct {
    atm_param_source source;
    atm_group_source weights;
    const char *moved;
    double *value, *begin, *direction;
    size_t n;
} moving;

static atm_param_data find(atm_param_source *source, const char *name, int rank, const int *dim, atm_dtype dtype)
{
    moving *m = (moving *)(void *)source;
    const atm_param_data found = m->weights.source.find(&m->weights.source, name, rank, dim, dtype);
    if (strcmp(name, m->moved) != 0) return found;
    m->n = 1;
    for (int i = 0; i < rank; i++) m->n *= (size_t)dim[i];
    m->value = malloc(m->n * sizeof(double));
    m->begin = malloc(m->n * sizeof(double));
    m->direction = calloc(m->n, sizeof(double));
    assert_true(m->value && m->begin && m->direction);
    memcpy(m->begin, found.data, m->n * sizeof(double));
    memcpy(m->value, found.data, m->n * sizeof(double));
    return (atm_param_data){ m->value, true };
}

/* ------------------------------------------------------------------ the path */

typedef struct {
    atm_device *device;
    atm_model_dir model;
    moving weights;
    atm_plan *plan;
    atm_diffusion_net net;
    atm_tensor z, one, gradient;
} path;

static void put_coefficients(atm_plan *p, const atm_diffusion_net *net, const atm_model_config *c)
{
    static const int time[] = { 801, 36, 400 };
    double abar[1000], t[3], mix[6], target[6], weight[3];
    assert_int_equal(c->schedule.num_train_timesteps, 1000);
    atm_alphas_cumprod(&c->schedule, abar);
    for (int i = 0; i < 3; i++) {
        const atm_diffused d = atm_diffuse(&c->schedule, abar, 5, time[i]);
        t[i] = time[i];
        weight[i] = d.weight;
        memcpy(mix + 2 * i, d.mix, sizeof d.mix);
        memcpy(target + 2 * i, d.target, sizeof d.target);
    }
    plan_put(p, net->timestep, t);
    plan_put(p, net->mix, mix);
    plan_put(p, net->target, target);
    plan_put(p, net->weight, weight);
}

static void put_noise(atm_plan *p, atm_tensor t, uint32_t seed, double offset)
{
    double *x = malloc(atm_count(t) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < atm_count(t); i++) x[i] = (double)noise_float_at(seed + (uint32_t)i) + offset;
    plan_put(p, t, x);
    free(x);
}

static void put_inputs(path *x)
{
    static const double keep[] = { 1, 0, 0, 1, 1, 0 };      /* the second sample without its artwork */
    const atm_diffusion_net *net = &x->net;
    put_noise(x->plan, x->z, 1000, 0);
    put_noise(x->plan, net->noise, 5000, 0);
    put_noise(x->plan, net->embedding, 9000, 0);
    put_noise(x->plan, net->text, 9500, 0);
    put_noise(x->plan, net->mask, 0, 2);
    put_coefficients(x->plan, net, &x->model.config);
    plan_put(x->plan, net->keep, keep);
    plan_put(x->plan, x->one, &(double){ 1 });
    must(atm_diffusion_write_constants(x->plan, &x->model.conditioning));
}

/* The loss, not yet differentiated. */
static path *path_begin(const char *model, double guidance, const char *moved)
{
    static const char *const component[] = { "adapter", "language-model", "unet" };
    path *x = calloc(1, sizeof *x);
    assert_non_null(x);
    must(atm_device_open("ref64", 1, &x->device));
    must(atm_model_dir_open(scratch_path(model), &x->model));
    x->weights.source.find = find;
    x->weights.moved = moved;
    for (int i = 0; i < 3; i++) must(atm_group_source_open(&x->weights.weights, &x->model, component[i]));
    must(atm_plan_create(x->device, &x->plan));
    atm_plan_params(x->plan, &x->weights.source);
    x->z = atm_input(x->plan, "z", 0, ATM_DIMS(3, 8, 4, 16));
    const atm_diffusion_options how = { &x->model.config, &x->model.conditioning, guidance, false };
    atm_diffusion_append(x->plan, &how, x->z, &x->net);
    atm_output(x->plan, "loss", x->net.loss);
    return x;
}

static void path_differentiate(path *x)
{
    x->one = atm_input(x->plan, "one", 0, ATM_DIMS(1));
    atm_plan_backward(x->plan, 1, &x->net.loss, &x->one);
    x->gradient = atm_grad(x->plan, atm_plan_find_param(x->plan, x->weights.moved));
    atm_output(x->plan, "gradient", x->gradient);
}

static path *path_open(const char *model, double guidance, const char *moved)
{
    path *x = path_begin(model, guidance, moved);
    path_differentiate(x);
    must_finish(x->plan);
    put_inputs(x);
    return x;
}

static void path_close(path *x)
{
    atm_params_forget(x->device, x->plan);
    atm_plan_destroy(x->plan);
    atm_group_source_close(&x->weights.weights);
    atm_model_dir_close(&x->model);
    atm_device_close(x->device);
    free(x->weights.value);
    free(x->weights.begin);
    free(x->weights.direction);
    free(x);
}

/* ------------------------------------------------------------------ slopes */

static double loss_at(path *x, double way)
{
    moving *m = &x->weights;
    for (size_t i = 0; i < m->n; i++) m->value[i] = m->begin[i] + way * m->direction[i];
    must(atm_plan_run(x->plan));
    return plan_get_one(x->plan, x->net.loss);
}

/* The central difference of order 8. */
static double difference(path *x, double h)
{
    static const double factor[] = { 4.0 / 5, -1.0 / 5, 4.0 / 105, -1.0 / 280 };
    double slope = 0;
    for (int k = 0; k < 4; k++) slope += factor[k] * (loss_at(x, (k + 1) * h) - loss_at(x, -(k + 1) * h));
    return slope / h;
}

/* Sets the direction; returns the slope along it that the gradient says. */
static double slope_by_gradient(path *x)
{
    moving *m = &x->weights;
    double slope = 0, length = 0, *g = malloc(m->n * sizeof *g);
    assert_non_null(g);
    loss_at(x, 0);
    plan_get(x->plan, x->gradient, g);
    for (size_t i = 0; i < m->n; i++) length += g[i] * g[i];
    for (size_t i = 0; i < m->n; i++) {
        m->direction[i] = 0.7 * g[i] / sqrt(length) + (double)noise_float_at((uint32_t)i) / sqrt((double)m->n);
        slope += g[i] * m->direction[i];
    }
    free(g);
    return slope;
}

static void check_slope(const char *model, double guidance, const char *moved)
{
    const double h = 0.0015;
    path *x = path_open(model, guidance, moved);
    const double g = slope_by_gradient(x), d = difference(x, h), rounding = 1e-16 * loss_at(x, 0) / h;
    print_message("%-7s %.1f  %-37s slope %12.9f  by differences off by %.1e\n", model, guidance, moved, g,
                  fabs(d - g) / fabs(g));
    assert_true(rounding < 0.3 * DOUBLE_BOUND * fabs(g));           /* or the bound below would prove nothing */
    assert_true(fabs(d - g) < DOUBLE_BOUND * fabs(g));
    path_close(x);
}

static void the_gradient_is_the_slope(void **state)
{
    static const char *const adapter[] = {
        "adapter.projection1.weight", "adapter.projection1.bias",
        "adapter.projection2.weight", "adapter.projection2.bias"
    };
    (void)state;
    for (int i = 0; i < 4; i++) {
        check_slope("epsilon", 1, adapter[i]);
        check_slope("v", 3.5, adapter[i]);
    }
    check_slope("epsilon", 3.5, "unet.conv_in.weight");             /* both halves of the guidance */
    check_slope("v", 1, "language_model.h.0.attn.c_attn.weight");
}

/* ------------------------------------------------------------------ cost */

static double flops(double guidance, bool backward)
{
    path *x = path_begin("epsilon", guidance, "adapter.projection1.weight");
    if (backward) path_differentiate(x);
    must_finish(x->plan);
    const double n = atm_plan_get_stats(x->plan).flops;
    path_close(x);
    return n;
}

/* The unconditional half knows nothing of the adapter: it costs its forward pass and no more.  It once cost a
 * backward pass too, whose result was multiplied by zero. */
static void guidance_costs_one_forward_pass(void **state)
{
    (void)state;
    const double forward = flops(1, false), alone = flops(1, true), guided = flops(3.5, true);
    assert_true(alone > 1.5 * forward && guided > 1.5 * forward);
    assert_true(guided - alone < forward);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_is_the_slope),
        cmocka_unit_test(guidance_costs_one_forward_pass),
    };
    return cmocka_run_group_tests(tests, make_models, remove_models);
}
