/* test_train_losses.c - coefficients of the diffusion loss, the VAE's loss and InfoNCE against their references
 * (scripts/fixtures/training.py), in double precision.  The diffusion loss itself is in
 * test_train_step.c, those of the vocoder in test_spectral_loss.c and test_discriminators.c. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/bytes.h"
#include "support/plan_fixture.h"
#include "support/plan_numbers.h"
#include "support/projection.h"
#include "support/tiny_run.h"
#include "train/diffusion_loss.h"
#include "train/info_nce.h"
#include "train/vae_loss.h"

static const double DOUBLE_BOUND = 1e-10;

static int make_model(void **state)
{
    (void)state;
    scratch_make();
    tiny_model_write("model", NULL, 0);
    tiny_weights_by_name("model", "vae");
    return 0;
}

static int remove_model(void **state)
{
    (void)state;
    tiny_remove("model");
    scratch_remove();
    return 0;
}

static atm_tensor_file *open_fixture(const char *name)
{
    char path[256];
    atm_tensor_file *file;
    snprintf(path, sizeof path, "training/%s.safetensors", name);
    must(atm_tensor_file_open(fixture_path(path), &file));
    return file;
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

static atm_param_data find_trainable(atm_param_source *source, const char *name, int rank, const int *dim,
                                     atm_dtype dtype)
{
    trainable *t = (trainable *)(void *)source;
    atm_param_data found = t->params->source.find(&t->params->source, name, rank, dim, dtype);
    found.trainable = true;
    return found;
}

static void put_fixture(atm_plan *p, atm_tensor t, const atm_tensor_file *file, const char *name)
{
    const atm_file_tensor *from = atm_tensor_file_find(file, name);
    double *x = malloc(atm_count(t) * sizeof *x);
    assert_true(from && x);
    assert_int_equal(from->bytes / atm_dtype_size(from->dtype), atm_count(t));
    atm_convert(x, ATM_F64, from->data, from->dtype, atm_count(t));
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
    must(atm_model_dir_open(scratch_path("model"), &model));
    must(atm_model_dir_params(&model, "vae-encoder", &params));
    must(atm_device_open("ref64", 1, &device));
    must(atm_plan_create(device, &p));
    trainable source = { { .find = find_trainable }, &params };
    atm_plan_params(p, &source.source);
    const atm_tensor mel = atm_input(p, "mel", 0, ATM_DIMS(2, 1, 12, 8));
    const atm_tensor noise = atm_input(p, "noise", 0, ATM_DIMS(2, 8, 3, 2));
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
    const atm_tensor loss = atm_info_nce(p, all[0], all[1], order, 0.07, &logits);
    const atm_tensor one = atm_input(p, "one", 0, ATM_DIMS(1));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_those_of_diffusers),
        cmocka_unit_test(the_vae_loss_is_that_of_diffusers),
        cmocka_unit_test(contrast_is_that_of_pytorch_at_any_number_of_ranks),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
