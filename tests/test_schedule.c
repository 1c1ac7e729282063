#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tensor_file.h"
#include "model/schedule_config.h"

static atm_schedule make(const atm_schedule_config *config, atm_sampler sampler, int steps, double eta)
{
    atm_schedule s = { 0 };
    atm_status status = atm_schedule_make(config, sampler, steps, eta, &s);
    if (status != ATM_OK) fail_msg("%s", atm_error());
    return s;
}

/* ------------------------------------------------------------------ the noise schedule */

/* To the digits printed in the model's documentation. */
static void abar_has_known_values(void **state)
{
    (void)state;
    static const struct { int t; double abar, digit; } known[] = {
        { 0, 0.9985, 1e-12 },        { 1, 0.99699443, 1e-8 },     { 10, 0.98319547, 1e-8 },
        { 50, 0.91668742, 1e-8 },    { 100, 0.82311704, 1e-8 },   { 250, 0.50842433, 1e-8 },
        { 500, 0.114922, 1e-6 },     { 800, 0.0041799098, 1e-10 },
        { 996, 1.5095127e-4, 1e-11 }, { 999, 1.4230398e-4, 1e-11 },
    };
    double abar[1000];
    atm_alphas_cumprod(&atm_schedule_audioldm2, abar);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_true(fabs(abar[known[i].t] - known[i].abar) < 0.51 * known[i].digit);
}

static void beta_schedules_end_where_they_say(void **state)
{
    (void)state;
    for (int kind = 0; kind < ATM_BETA_COUNT; kind++) {
        atm_schedule_config c = atm_schedule_audioldm2;
        c.beta_schedule = (atm_beta_schedule)kind;
        double abar[1000];
        atm_alphas_cumprod(&c, abar);
        for (int t = 1; t < 1000; t++) assert_true(abar[t] < abar[t - 1] && abar[t] > 0);
        if (kind == ATM_BETA_SQUARED_COSINE) continue;
        assert_true(fabs(1 - abar[0] - c.beta_start) < 1e-15);
        assert_true(fabs(1 - abar[999] / abar[998] - c.beta_end) < 1e-14);
    }
}

/* ------------------------------------------------------------------ timesteps */

static void timesteps_of_200_steps(void **state)
{
    (void)state;
    atm_schedule s = make(&atm_schedule_audioldm2, ATM_SAMPLER_DDIM, 200, 0);
    for (int i = 0; i < 200; i++) assert_int_equal(s.row[i].timestep, 996 - 5 * i);
    assert_false(s.uses_noise || s.uses_history);
    atm_schedule_free(&s);
    s = make(&atm_schedule_audioldm2, ATM_SAMPLER_DPMPP_2M, 200, 0);
    for (int i = 0; i < 200; i++) assert_int_equal(s.row[i].timestep, 801 - 4 * i);     /* 1000 / 201 = 4 */
    assert_true(s.uses_history && !s.uses_noise);
    atm_schedule_free(&s);
}

static void karras_spans_the_schedule(void **state)
{
    (void)state;
    atm_schedule s = make(&atm_schedule_audioldm2, ATM_SAMPLER_DPMPP_2M_KARRAS, 20, 0);
    assert_int_equal(s.row[0].timestep, 999);
    assert_int_equal(s.row[19].timestep, 0);
    for (int i = 1; i < 20; i++) assert_true(s.row[i].timestep < s.row[i - 1].timestep);
    atm_schedule_free(&s);
}

/* ------------------------------------------------------------------ samplers */

/* If the network knew x0, every sampler would keep it and arrive at it: with
 * x = alpha x0 + sigma eps and e = eps, each step's x is again alpha' x0 + sigma' eps. */
static void a_perfect_network_is_followed(void **state)
{
    (void)state;
    for (int sampler = 0; sampler < ATM_SAMPLER_COUNT; sampler++) {
        atm_schedule s = make(&atm_schedule_audioldm2, (atm_sampler)sampler, 25, 0);
        const double x0 = 0.7, eps = -1.3;
        const double *c = s.row[0].coef;
        double x = (x0 - c[1] * eps) / c[0], e[25], path[25];
        for (int i = 0; i < 25; i++) e[i] = eps;
        atm_schedule_run(&s, 1, &x, e, NULL, path);
        double left = sampler == ATM_SAMPLER_DDIM ? sqrt(0.0015) : 0;   /* DDIM stops at abar[0] */
        assert_true(fabs(path[24] - (sqrt(1 - left * left) * x0 + left * eps)) < 1e-12);
        atm_schedule_free(&s);
    }
}

/* One problem written for the three kinds of network gives one trajectory. */
static void predictions_agree(void **state)
{
    (void)state;
    for (int sampler = 0; sampler < ATM_SAMPLER_COUNT; sampler++) {
        enum { STEPS = 12 };
        double path[ATM_PREDICT_COUNT][STEPS];
        for (int kind = 0; kind < ATM_PREDICT_COUNT; kind++) {
            atm_schedule_config c = atm_schedule_audioldm2;
            c.prediction_type = (atm_prediction)kind;
            atm_schedule s = make(&c, (atm_sampler)sampler, STEPS, 0);
            atm_schedule reference = make(&atm_schedule_audioldm2, (atm_sampler)sampler, STEPS, 0);
            double x = 1.1, h = 0;
            for (int i = 0; i < STEPS; i++) {
                const double *r = reference.row[i].coef, *k = s.row[i].coef;
                double x0 = r[0] * x + r[1] * sin(3 * x + i);           /* the network: eps = sin(...) */
                double e = (x0 - k[0] * x) / k[1];                      /* the same, in its own words  */
                x = k[2] * x + k[3] * x0 + k[4] * e + k[5] * h;
                path[kind][i] = x;
                h = x0;
            }
            atm_schedule_free(&s);
            atm_schedule_free(&reference);
        }
        for (int i = 0; i < STEPS; i++) {
            assert_true(fabs(path[ATM_PREDICT_V][i] - path[ATM_PREDICT_EPSILON][i]) < 1e-11);
            assert_true(fabs(path[ATM_PREDICT_SAMPLE][i] - path[ATM_PREDICT_EPSILON][i]) < 1e-11);
        }
    }
}

/* Whatever eta, the variance that a step leaves is 1 - abar of where it goes. */
static void eta_keeps_the_variance(void **state)
{
    (void)state;
    double abar[1000];
    atm_alphas_cumprod(&atm_schedule_audioldm2, abar);
    for (double eta = 0; eta <= 1; eta += 0.5) {
        atm_schedule s = make(&atm_schedule_audioldm2, ATM_SAMPLER_DDIM, 50, eta);
        assert_int_equal(s.uses_noise, eta > 0);
        for (int i = 0; i < 50; i++) {
            const double *c = s.row[i].coef;
            int next = i + 1 < 50 ? s.row[i + 1].timestep : 0;
            assert_true(fabs(c[4] * c[4] + c[6] * c[6] - (1 - abar[next])) < 1e-13);
        }
        atm_schedule_free(&s);
    }
}

/* ------------------------------------------------------------------ against diffusers */

static const double *doubles(const atm_tensor_file *file, const char *name)
{
    const atm_file_tensor *t = atm_tensor_file_find(file, name);
    if (t) assert_int_equal(t->dtype, ATM_F64);
    return t ? t->data : NULL;
}

static void check_trajectory(const atm_tensor_file *file, const atm_schedule *s)
{
    const atm_file_tensor *expected = atm_tensor_file_find(file, "trajectory");
    const size_t all = expected->bytes / sizeof(double), n = all / (size_t)s->steps;
    const double *y = expected->data;
    double *path = malloc(expected->bytes), largest = 0, error = 0;
    assert_non_null(path);
    atm_schedule_run(s, n, doubles(file, "sample"), doubles(file, "model_output"),
                     doubles(file, "variance_noise"), path);
    for (size_t i = 0; i < all; i++) {
        largest = fmax(largest, fabs(y[i]));
        error = fmax(error, fabs(path[i] - y[i]));
    }
    free(path);
    assert_true(error <= 1e-10 * largest);
}

static void check_timesteps(const atm_tensor_file *file, const atm_schedule *s)
{
    const atm_file_tensor *t = atm_tensor_file_find(file, "timesteps");
    assert_int_equal(t->dtype, ATM_I64);
    assert_int_equal(t->dim[0], s->steps);
    for (int i = 0; i < s->steps; i++) assert_int_equal(s->row[i].timestep, ((const int64_t *)t->data)[i]);
}

static void abar_of_diffusers(void **state)
{
    (void)state;
    atm_tensor_file *file;
    if (atm_tensor_file_open(fixture_path("schedulers/tables.safetensors"), &file) != ATM_OK)
        fail_msg("%s", atm_error());
    const double *expected = doubles(file, "alphas_cumprod");
    double abar[1000];
    atm_alphas_cumprod(&atm_schedule_audioldm2, abar);
    for (int t = 0; t < 1000; t++) assert_true(fabs(abar[t] - expected[t]) <= 1e-12 * expected[t]);
    atm_tensor_file_close(file);
}

static void trajectories_of_diffusers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        atm_sampler sampler;
        int steps;
        double eta;
        bool linspace;
    } cases[] = {
        { "ddim_10",         ATM_SAMPLER_DDIM,             10, 0,   false },
        { "ddim_50",         ATM_SAMPLER_DDIM,             50, 0,   false },
        { "ddim_200",        ATM_SAMPLER_DDIM,            200, 0,   false },
        { "ddim_10_eta",     ATM_SAMPLER_DDIM,             10, 0.5, false },
        { "ddim_30_eta",     ATM_SAMPLER_DDIM,             30, 0.5, false },
        { "dpm_10",          ATM_SAMPLER_DPMPP_2M,         10, 0,   false },
        { "dpm_20",          ATM_SAMPLER_DPMPP_2M,         20, 0,   false },
        { "dpm_20_linspace", ATM_SAMPLER_DPMPP_2M,         20, 0,   true  },
        { "dpm_10_karras",   ATM_SAMPLER_DPMPP_2M_KARRAS,  10, 0,   false },
        { "dpm_20_karras",   ATM_SAMPLER_DPMPP_2M_KARRAS,  20, 0,   false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[64];
        atm_tensor_file *file;
        atm_schedule_config c = atm_schedule_audioldm2;
        if (cases[i].linspace) {
            c.timestep_spacing = ATM_SPACING_LINSPACE;
            c.steps_offset = 0;
        }
        snprintf(name, sizeof name, "schedulers/%s.safetensors", cases[i].name);
        if (atm_tensor_file_open(fixture_path(name), &file) != ATM_OK) fail_msg("%s", atm_error());
        atm_schedule s = make(&c, cases[i].sampler, cases[i].steps, cases[i].eta);
        check_timesteps(file, &s);
        check_trajectory(file, &s);
        atm_schedule_free(&s);
        atm_tensor_file_close(file);
    }
}

/* The component reads files and writes files, with the same numbers. */
static void component_writes_the_trajectory(void **state)
{
    (void)state;
    char inputs[1024];
    const char *outputs = ATM_BINARY_DIR "/test_schedule.safetensors";
    snprintf(inputs, sizeof inputs, "%s", fixture_path("schedulers/ddim_10_eta.safetensors"));
    const atm_schedule_request request = { .folder = fixture_path("schedulers"), .inputs = inputs,
                                           .outputs = outputs, .sampler = ATM_SAMPLER_DDIM, .eta = 0.5 };
    if (atm_schedule_forward(&request) != ATM_OK) fail_msg("%s", atm_error());
    atm_tensor_file *expected, *found;
    assert_int_equal(atm_tensor_file_open(inputs, &expected), ATM_OK);
    assert_int_equal(atm_tensor_file_open(outputs, &found), ATM_OK);
    const atm_file_tensor *a = atm_tensor_file_find(expected, "trajectory");
    const atm_file_tensor *b = atm_tensor_file_find(found, "trajectory");
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(b->rank, 4);
    for (size_t i = 0; i < a->bytes / sizeof(double); i++)
        assert_true(fabs(((const double *)a->data)[i] - ((const double *)b->data)[i]) < 1e-9);
    const atm_file_tensor *t = atm_tensor_file_find(found, "timesteps");
    assert_memory_equal(t->data, atm_tensor_file_find(expected, "timesteps")->data, t->bytes);
    atm_tensor_file_close(expected);
    atm_tensor_file_close(found);
    remove(outputs);
}

/* ------------------------------------------------------------------ the configuration file */

static atm_status parse(const char *text, atm_schedule_config *out)
{
    atm_json json = { .path = (char[]){ "scheduler_config.json" }, .root = json_loads(text, 0, NULL) };
    assert_non_null(json.root);
    atm_status status = atm_schedule_config_read(&json, out);
    json_decref(json.root);
    return status;
}

static void config_reads_back(void **state)
{
    (void)state;
    atm_schedule_config read, written = atm_schedule_audioldm2;
    written.prediction_type = ATM_PREDICT_V;
    json_t *root = atm_schedule_config_json(&written);
    char *text = json_dumps(root, 0);
    assert_int_equal(parse(text, &read), ATM_OK);
    assert_memory_equal(&read, &written, sizeof read);
    free(text);
    json_decref(root);
}

static void what_is_not_implemented_is_refused(void **state)
{
    (void)state;
    static const struct { const char *keys, *word; } bad[] = {
        { "\"clip_sample\": true", "clip_sample" },
        { "\"prediction_type\": \"flow\"", "v_prediction" },
        { "\"rescale_betas_zero_snr\": true", "rescale_betas_zero_snr" },
        { "\"steps_offset\": 1000", "steps_offset" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[512];
        atm_schedule_config c;
        snprintf(text, sizeof text, "{\"num_train_timesteps\": 1000, \"beta_start\": 0.0015, "
                 "\"beta_end\": 0.0195, \"beta_schedule\": \"linear\", %s}", bad[i].keys);
        assert_int_equal(parse(text, &c), ATM_E_CONFIG);
        assert_non_null(strstr(atm_error(), bad[i].word));
    }
}

/* ------------------------------------------------------------------ refusals */

static void refuses(atm_status expected, const char *word, const atm_schedule_config *c, atm_sampler sampler,
                    int steps, double eta)
{
    atm_schedule s = { 0 };
    assert_int_equal(atm_schedule_make(c, sampler, steps, eta, &s), expected);
    assert_non_null(strstr(atm_error(), word));
    assert_null(s.row);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    const atm_schedule_config *c = &atm_schedule_audioldm2;
    refuses(ATM_E_USAGE, "steps", c, ATM_SAMPLER_DDIM, 0, 0);
    refuses(ATM_E_USAGE, "steps", c, ATM_SAMPLER_DDIM, 1001, 0);
    refuses(ATM_E_USAGE, "timestep 1000", c, ATM_SAMPLER_DDIM, 1000, 0);
    refuses(ATM_E_USAGE, "timestep 1000", c, ATM_SAMPLER_DPMPP_2M, 999, 0);
    refuses(ATM_E_USAGE, "eta", c, ATM_SAMPLER_DDIM, 10, -0.1);
    refuses(ATM_E_USAGE, "eta", c, ATM_SAMPLER_DDIM, 10, NAN);
    refuses(ATM_E_USAGE, "eta", c, ATM_SAMPLER_DPMPP_2M, 10, 0.5);
    atm_schedule_config bad = *c;
    bad.beta_end = 1.5;
    refuses(ATM_E_CONFIG, "beta_end", &bad, ATM_SAMPLER_DDIM, 10, 0);
    bad = *c;
    bad.num_train_timesteps = 0;
    refuses(ATM_E_CONFIG, "num_train_timesteps", &bad, ATM_SAMPLER_DDIM, 10, 0);
    bad = *c;
    bad.steps_offset = -1;
    refuses(ATM_E_CONFIG, "steps_offset", &bad, ATM_SAMPLER_DDIM, 10, 0);
}

static void samplers_have_names(void **state)
{
    (void)state;
    atm_sampler found;
    for (int i = 0; i < ATM_SAMPLER_COUNT; i++) {
        assert_int_equal(atm_sampler_find(atm_sampler_names[i], &found), ATM_OK);
        assert_int_equal(found, i);
    }
    assert_int_equal(atm_sampler_find("euler", &found), ATM_E_USAGE);
    assert_non_null(strstr(atm_error(), "dpm++-karras"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(abar_has_known_values),         cmocka_unit_test(beta_schedules_end_where_they_say),
        cmocka_unit_test(timesteps_of_200_steps),        cmocka_unit_test(karras_spans_the_schedule),
        cmocka_unit_test(a_perfect_network_is_followed), cmocka_unit_test(predictions_agree),
        cmocka_unit_test(eta_keeps_the_variance),        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(samplers_have_names),           cmocka_unit_test(abar_of_diffusers),
        cmocka_unit_test(trajectories_of_diffusers),
        cmocka_unit_test(component_writes_the_trajectory),
        cmocka_unit_test(config_reads_back),             cmocka_unit_test(what_is_not_implemented_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
