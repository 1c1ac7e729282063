/* test_train_step.c - the gradient of the whole adapter path (adapter, unrolled GPT-2, UNet, guidance, min-SNR)
 * against PyTorch and against differences; and the other losses of training against their references.
 *
 * The references are diffusers' and transformers' own modules (scripts/fixtures/training.py), in double precision.
 * Bounds, relative to the largest element: 1e-10 in double, for the answers of two programs
 * that sum in another order; in single the plain loops say how far rounding moves a result, and ten times
 * that is allowed, as in test_networks.c.
 *
 * Differences: the loss along a direction, at k h for k = -4 .. 4, gives the slope to O(h^8), and to the rounding
 * of a loss, 1e-16 of it, over h.  Half of the direction is the gradient's, so that the slope is not
 * small, half is random, so that a part that the gradient lacks is seen. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/bytes.h"
#include "support/media.h"
#include "support/plan_fixture.h"
#include "support/plan_numbers.h"
#include "support/tiny_run.h"
#include "train/diffusion_loss.h"
#include "train/info_nce.h"
#include "train/train_step.h"
#include "train/vae_loss.h"

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

static const char *const folders[] = { "adapter", "language_model", "unet", "vae" };

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

/* Inner product with the noise of that name, and length: what losses.project keeps of a gradient. */
static void project(const double *x, size_t n, const char *name, double out[2])
{
    char seed[512];
    snprintf(seed, sizeof seed, "direction.%s", name);
    const uint32_t first = (uint32_t)fnv1a(seed, strlen(seed));
    out[0] = out[1] = 0;
    for (size_t i = 0; i < n; i++) {
        out[0] += x[i] * (double)noise_float_at(first + (uint32_t)i);
        out[1] += x[i] * x[i];
    }
    out[1] = sqrt(out[1]);
}

/* |projection - truth| against the length.  Of gradients that are zero but for rounding (an attention's key biases)
 * the size is `floor`. */
static double projection_error(const double *x, size_t n, const char *name, const double truth[2], double floor)
{
    double got[2];
    project(x, n, name, got);
    return fmax(fabs(got[0] - truth[0]), fabs(got[1] - truth[1])) / fmax(truth[1], floor);
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

/* ------------------------------------------------------------------ against differences */

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

typedef struct {
    atm_device *device;
    atm_model_dir model;
    moving weights;
    atm_plan *plan;
    atm_tensor loss, gradient;
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

static void put_inputs(path *x, atm_tensor z, atm_tensor one, const atm_diffusion_net *net)
{
    static const double keep[] = { 1, 0, 0, 1, 1, 0 };      /* the second sample without its artwork */
    put_noise(x->plan, z, 1000, 0);
    put_noise(x->plan, net->noise, 5000, 0);
    put_noise(x->plan, net->embedding, 9000, 0);
    put_noise(x->plan, net->text, 9500, 0);
    put_noise(x->plan, net->mask, 0, 2);
    put_coefficients(x->plan, net, &x->model.config);
    plan_put(x->plan, net->keep, keep);
    plan_put(x->plan, one, &(double){ 1 });
    must(atm_diffusion_write_constants(x->plan, &x->model.conditioning));
}

static path *path_open(const char *model, double guidance, const char *moved)
{
    static const char *const component[] = { "adapter", "language-model", "unet" };
    atm_diffusion_net net;
    path *x = calloc(1, sizeof *x);
    assert_non_null(x);
    must(atm_device_open("ref64", 1, &x->device));
    must(atm_model_dir_open(scratch_path(model), &x->model));
    x->weights.source.find = find;
    x->weights.moved = moved;
    for (int i = 0; i < 3; i++) must(atm_group_source_open(&x->weights.weights, &x->model, component[i]));
    must(atm_plan_create(x->device, &x->plan));
    atm_plan_params(x->plan, &x->weights.source);
    const atm_tensor z = atm_input(x->plan, "z", 0, ATM_DIMS(3, 8, 4, 16));
    const atm_diffusion_options how = { &x->model.config, &x->model.conditioning, guidance, false };
    atm_diffusion_append(x->plan, &how, z, &net);
    x->loss = net.loss;
    const atm_tensor one = atm_input(x->plan, "one", 0, ATM_DIMS(1));
    atm_plan_backward(x->plan, 1, &x->loss, &one);
    x->gradient = atm_grad(x->plan, atm_plan_find_param(x->plan, moved));
    atm_output(x->plan, "loss", x->loss);
    atm_output(x->plan, "gradient", x->gradient);
    must_finish(x->plan);
    put_inputs(x, z, one, &net);
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

static double loss_at(path *x, double way)
{
    moving *m = &x->weights;
    for (size_t i = 0; i < m->n; i++) m->value[i] = m->begin[i] + way * m->direction[i];
    must(atm_plan_run(x->plan));
    return plan_get_one(x->plan, x->loss);
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
        "adapter.projection1.weight", "adapter.projection1.bias", "adapter.projection2.weight", "adapter.projection2.bias"
    };
    (void)state;
    for (int i = 0; i < 4; i++) {
        check_slope("epsilon", 1, adapter[i]);
        check_slope("v", 3.5, adapter[i]);
    }
    check_slope("epsilon", 3.5, "unet.conv_in.weight");             /* both halves of the guidance */
    check_slope("v", 1, "language_model.h.0.attn.c_attn.weight");
}

/* ------------------------------------------------------------------ coefficients */

static void weights_are_those_of_diffusers(void **state)
{
    (void)state;
    static const double gamma[] = { 1, 5 };
    atm_tensor_file *file = open_fixture("snr");
    const atm_file_tensor *time = atm_tensor_file_find(file, "timestep");
    const double *alphas = fixture_doubles(file, "alphas_cumprod", NULL);
    double abar[1000];
    atm_schedule_config schedule = atm_schedule_audioldm2;
    atm_alphas_cumprod(&schedule, abar);
    for (int kind = 0; kind < 2; kind++)
        for (int g = 0; g < 2; g++) {
            char name[64];
            size_t n;
            schedule.prediction_type = kind ? ATM_PREDICT_V : ATM_PREDICT_EPSILON;
            snprintf(name, sizeof name, "weight.%s.%g", atm_prediction_names[schedule.prediction_type], gamma[g]);
            const double *truth = fixture_doubles(file, name, &n);
            for (size_t i = 0; i < n; i++) {
                const int t = (int)((const int64_t *)time->data)[i];
                const atm_diffused d = atm_diffuse(&schedule, abar, gamma[g], t);
                assert_true(fabs(abar[t] - alphas[i]) < 1e-13 * alphas[i]);
                assert_true(fabs(d.weight - truth[i]) < 1e-12 * truth[i]);
                assert_true(fabs(d.mix[0] * d.mix[0] + d.mix[1] * d.mix[1] - 1) < 1e-15);
            }
        }
    assert_true(atm_diffuse(&schedule, abar, 0, 500).weight == 1);
    atm_tensor_file_close(file);
}

/* ------------------------------------------------------------------ the VAE's loss */

typedef struct { atm_param_source source; atm_params *params; } trainable;

static atm_param_data find_trainable(atm_param_source *source, const char *name, int rank, const int *dim, atm_dtype dtype)
{
    trainable *t = (trainable *)(void *)source;
    atm_param_data found = t->params->source.find(&t->params->source, name, rank, dim, dtype);
    found.trainable = true;
    return found;
}

static void put_fixture(atm_plan *p, atm_tensor t, const atm_tensor_file *file, const char *name)
{
    size_t n;
    double *x = doubles_of(atm_tensor_file_find(file, name), &n);
    assert_int_equal(n, atm_count(t));
    plan_put(p, t, x);
    free(x);
}

static void check_one(atm_plan *p, atm_tensor t, const atm_tensor_file *file, const char *name)
{
    const double truth = *fixture_doubles(file, name, NULL), got = plan_get_one(p, t);
    if (!(fabs(got - truth) < DOUBLE_BOUND * fabs(truth))) fail_msg("%s is %.17g, not %.17g", name, got, truth);
}

static void check_projections(atm_plan *p, const atm_tensor_file *file)
{
    for (int i = 0; i < atm_plan_n_params(p); i++) {
        const atm_named_tensor param = atm_plan_param_at(p, i);
        const atm_tensor gradient = atm_grad(p, param.t);
        char name[512];
        double *x = malloc(atm_count(gradient) * sizeof *x);
        assert_non_null(x);
        plan_get(p, gradient, x);
        snprintf(name, sizeof name, "projection.vae.%s", param.name);
        const double *truth = fixture_doubles(file, name, NULL);
        const double error = projection_error(x, atm_count(gradient), name + strlen("projection."), truth, 1e-6);
        if (!(error < DOUBLE_BOUND)) fail_msg("%s is off by %.1e", name, error);
        free(x);
    }
}

static void the_vae_loss_is_that_of_diffusers(void **state)
{
    (void)state;
    atm_tensor_file *file = open_fixture("vae");
    atm_model_dir model;
    atm_params params;
    atm_device *device;
    atm_plan *p;
    must(atm_model_dir_open(scratch_path("epsilon"), &model));
    must(atm_model_dir_params(&model, "vae-encoder", &params));
    must(atm_device_open("ref64", 1, &device));
    must(atm_plan_create(device, &p));
    trainable source = { { .find = find_trainable }, &params };
    atm_plan_params(p, &source.source);
    const atm_tensor mel = atm_input(p, "mel", 0, ATM_DIMS(2, 1, 12, 8)), noise = atm_input(p, "noise", 0, ATM_DIMS(2, 8, 3, 2));
    const atm_vae_losses l = atm_vae_loss(p, &model.config.vae, atm_to_channels_last(p, mel),
                                          atm_to_channels_last(p, noise), 0.01);
    const atm_tensor one = atm_input(p, "one", 0, ATM_DIMS(1)), losses[] = { l.loss, l.l1, l.kl };
    atm_plan_backward(p, 1, &l.loss, &one);
    for (int i = 0; i < 3; i++) atm_output(p, "loss", losses[i]);
    for (int i = 0; i < atm_plan_n_params(p); i++) atm_output(p, "gradient", atm_grad(p, atm_plan_param_at(p, i).t));
    must_finish(p);
    put_fixture(p, mel, file, "mel");
    put_fixture(p, noise, file, "noise");
    plan_put(p, one, &(double){ 1 });
    must(atm_plan_run(p));
    check_one(p, l.loss, file, "loss");
    check_one(p, l.l1, file, "l1");
    check_one(p, l.kl, file, "kl");
    check_projections(p, file);
    atm_params_forget(device, p);
    atm_plan_destroy(p);
    atm_device_close(device);
    atm_params_close(&params);
    atm_model_dir_close(&model);
    atm_tensor_file_close(file);
}

/* ------------------------------------------------------------------ InfoNCE, whole and in ranks */

enum { ROWS = 6, WIDTH = 5 };

/* Rows [from, to) are differentiable, the others constants concatenated around them; their gradients go to the
 * same rows of ga and gb. */
static double contrast(const double *a, const double *b, int from, int to, double *ga, double *gb)
{
    atm_device *device;
    atm_plan *p;
    atm_tensor part[2][3], all[2], logits;
    const int begin[] = { 0, from, to }, length[] = { from, to - from, ROWS - to };
    const int32_t index[ROWS] = { 0, 1, 2, 3, 4, 5 };
    must(atm_device_open("ref64", 1, &device));
    must(atm_plan_create(device, &p));
    for (int m = 0; m < 2; m++) {
        all[m] = part[m][1] = atm_input(p, "own", ATM_INPUT_GRAD, ATM_DIMS(to - from, WIDTH));
        for (int k = 0; k < 3; k += 2) {
            if (!length[k]) continue;
            part[m][k] = atm_input(p, "others", 0, ATM_DIMS(length[k], WIDTH));
            all[m] = k ? atm_concat(p, all[m], part[m][k], 0) : atm_concat(p, part[m][k], all[m], 0);
        }
    }
    const atm_tensor order = atm_input(p, "index", ATM_INPUT_INDEX, ATM_DIMS(ROWS));
    const atm_tensor loss = atm_info_nce(p, all[0], all[1], order, 0.07, &logits), one = atm_input(p, "one", 0, ATM_DIMS(1));
    atm_plan_backward(p, 1, &loss, &one);
    atm_output(p, "loss", loss);
    for (int m = 0; m < 2; m++) atm_output(p, "gradient", atm_grad(p, part[m][1]));
    must_finish(p);
    for (int m = 0; m < 2; m++)
        for (int k = 0; k < 3; k++)
            if (length[k]) plan_put(p, part[m][k], (m ? b : a) + begin[k] * WIDTH);
    must(atm_plan_write(p, order, index));
    plan_put(p, one, &(double){ 1 });
    must(atm_plan_run(p));
    plan_get(p, atm_grad(p, part[0][1]), ga + from * WIDTH);
    plan_get(p, atm_grad(p, part[1][1]), gb + from * WIDTH);
    const double value = plan_get_one(p, loss);
    atm_plan_destroy(p);
    atm_device_close(device);
    return value;
}

static void contrast_is_that_of_pytorch_at_any_number_of_ranks(void **state)
{
    (void)state;
    atm_tensor_file *file = open_fixture("info_nce");
    const double *a = fixture_doubles(file, "a", NULL), *b = fixture_doubles(file, "b", NULL);
    const double truth = *fixture_doubles(file, "loss", NULL);
    for (int ranks = 1; ranks <= 3; ranks++) {
        double ga[ROWS * WIDTH], gb[ROWS * WIDTH];
        for (int r = 0; r < ranks; r++) {
            const double loss = contrast(a, b, r * ROWS / ranks, (r + 1) * ROWS / ranks, ga, gb);
            assert_true(fabs(loss - truth) < 1e-14 * truth);
        }
        assert_true(distance_of(ga, fixture_doubles(file, "grad.a", NULL), ROWS * WIDTH) < 1e-13);
        assert_true(distance_of(gb, fixture_doubles(file, "grad.b", NULL), ROWS * WIDTH) < 1e-13);
    }
    atm_tensor_file_close(file);
}

/* ------------------------------------------------------------------ wrong inputs of train-step */

static void expect_refusal(const char *model, const char *inputs, const char *const *grad, atm_status status,
                           const char *words)
{
    atm_device *device;
    must(atm_device_open("cpu", 1, &device));
    const atm_status got = atm_train_step_forward(device, &(atm_train_step_request){
        .model = scratch_path(model), .inputs = inputs, .outputs = scratch_path("none.safetensors"), .grad = grad,
        .guidance = 1 });
    if (got != status || !strstr(atm_error(), words)) fail_msg("%d, not %d with '%s': %s", got, status, words, atm_error());
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
        cmocka_unit_test(the_gradient_is_the_slope),
        cmocka_unit_test(weights_are_those_of_diffusers),
        cmocka_unit_test(the_vae_loss_is_that_of_diffusers),
        cmocka_unit_test(contrast_is_that_of_pytorch_at_any_number_of_ranks),
        cmocka_unit_test(wrong_steps_are_refused),
    };
    return cmocka_run_group_tests(tests, make_models, remove_models);
}
