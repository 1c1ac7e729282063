/* test_unet.c - what atm_unet promises beyond its values: one pass for both halves of
 * guidance, a table of times, what moves to the prologue, and refusals. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/params.h"
#include "model/unet.h"

enum { FRAMES = 10, BANDS = 4, VECTORS = 8, TOKENS = 5, STEPS = 3, MAX_BATCH = 4, STEP = 1 };
static const float timesteps[STEPS] = { 801, 36, 5 };

typedef struct {
    atm_device *device;
    atm_params params;
    atm_unet_config config;
} fixture;

static void open_fixture(fixture *f)
{
    char folder[4096];
    atm_json json;
    snprintf(folder, sizeof folder, "%s", fixture_path("networks/unet"));
    assert_int_equal(atm_device_open("cpu", 1, &f->device), ATM_OK);
    assert_int_equal(atm_params_open(folder, NULL, NULL, &f->params), ATM_OK);
    assert_int_equal(atm_json_load(fixture_path("networks/unet/config.json"), &json), ATM_OK);
    assert_int_equal(atm_unet_config_read(&json, &f->config), ATM_OK);
    atm_json_free(&json);
}

static void close_fixture(fixture *f)
{
    atm_device_close(f->device);
    atm_params_close(&f->params);
}

/* ------------------------------------------------------------------ a plan */

typedef struct {
    int latents, samples;       /* B and N of unet.h */
    bool table;
} layout;

/* Row r of a tensor is a pattern of `kind` and r modulo `period`. */
static void write_rows(atm_plan *plan, atm_tensor t, int kind, int period)
{
    const size_t row = atm_count(t) / (size_t)t.dim[0];
    float *host = malloc(atm_count(t) * sizeof *host);
    for (size_t i = 0; i < atm_count(t); i++)
        host[i] = sinf((float)(i % row) * 0.7F + (float)((i / row) % (size_t)period) * 1.3F + (float)kind);
    assert_int_equal(atm_plan_write_f32(plan, t, host), ATM_OK);
    free(host);
}

static atm_unet_inputs declare(atm_plan *p, const atm_unet_config *c, layout l)
{
    atm_unet_inputs in = { 0 };
    in.sample = atm_input(p, "sample", ATM_INPUT_VARIES, ATM_DIMS(l.latents, FRAMES, BANDS, c->in_channels));
    in.timestep = atm_input(p, "timestep", ATM_INPUT_STATIC, ATM_DIMS(l.table ? STEPS : l.samples));
    if (l.table) in.index = atm_input(p, "index", ATM_INPUT_INDEX, ATM_DIMS(l.samples));
    in.context[0] = atm_input(p, "loa", ATM_INPUT_STATIC, ATM_DIMS(l.samples, VECTORS, c->context_dim[1][1]));
    in.context[1] = atm_input(p, "t5", ATM_INPUT_STATIC, ATM_DIMS(l.samples, TOKENS, c->context_dim[1][2]));
    in.mask[1] = atm_input(p, "mask", ATM_INPUT_STATIC, ATM_DIMS(l.samples, TOKENS));
    return in;
}

static void fill(atm_plan *p, const atm_unet_inputs *in, layout l)
{
    const float ones[MAX_BATCH * TOKENS] = { 1, 1, 1, 0, 0,  1, 1, 1, 1, 1,  1, 0, 0, 0, 0,  1, 1, 0, 0, 1 };
    const float time[MAX_BATCH] = { timesteps[STEP], timesteps[STEP], timesteps[STEP], timesteps[STEP] };
    const int32_t index[MAX_BATCH] = { STEP, STEP, STEP, STEP };
    write_rows(p, in->sample, 0, 2);            /* rows 2 and 3 repeat 0 and 1 */
    write_rows(p, in->context[0], 1, MAX_BATCH);
    write_rows(p, in->context[1], 2, MAX_BATCH);
    assert_int_equal(atm_plan_write_f32(p, in->mask[1], ones), ATM_OK);
    assert_int_equal(atm_plan_write_f32(p, in->timestep, l.table ? timesteps : time), ATM_OK);
    if (l.table) assert_int_equal(atm_plan_write(p, in->index, index), ATM_OK);
}

/* The prediction; the caller frees it. */
static float *predict(fixture *f, layout l, atm_plan_stats *stats)
{
    atm_plan *p;
    assert_int_equal(atm_plan_create(f->device, &p), ATM_OK);
    atm_plan_params(p, &f->params.source);
    const atm_unet_inputs in = declare(p, &f->config, l);
    const atm_tensor out = atm_unet(p, &f->config, in);
    atm_output(p, "out", out);
    if (atm_plan_finish(p, (atm_plan_options){ 0 }) != ATM_OK) fail_msg("%s", atm_error());
    assert_int_equal(out.dim[0], l.samples);
    fill(p, &in, l);
    assert_int_equal(atm_plan_run(p), ATM_OK);
    float *host = malloc(atm_count(out) * sizeof *host);
    assert_int_equal(atm_plan_read_f32(p, out, host), ATM_OK);
    *stats = atm_plan_get_stats(p);
    atm_plan_destroy(p);
    return host;
}

static void check_same_bits(layout a, layout b)
{
    fixture f;
    atm_plan_stats stats;
    open_fixture(&f);
    float *x = predict(&f, a, &stats), *y = predict(&f, b, &stats);
    const size_t n = (size_t)(a.samples * FRAMES * BANDS * f.config.out_channels);
    assert_memory_equal(x, y, n * sizeof *x);
    free(x);
    free(y);
    close_fixture(&f);
}

/* ------------------------------------------------------------------ tests */

static void the_shared_prefix_changes_no_bit(void **state)
{
    (void)state;
    check_same_bits((layout){ 4, 4, false }, (layout){ 2, 4, false });
    check_same_bits((layout){ 4, 4, true }, (layout){ 2, 4, true });
}

static void a_table_of_times_changes_no_bit(void **state)
{
    (void)state;
    check_same_bits((layout){ 4, 4, false }, (layout){ 4, 4, true });
}

/* 22 projections of the time and the 3 steps before them, keys and values of 32
 * cross-attentions, and the mask's bias. */
static void what_does_not_vary_is_hoisted(void **state)
{
    (void)state;
    fixture f;
    atm_plan_stats stats;
    open_fixture(&f);
    free(predict(&f, (layout){ 2, 4, true }, &stats));
    assert_int_equal(stats.prologue_steps, 22 + 3 + 2 * 32 + 1);
    close_fixture(&f);
}

static double step_flops(atm_device *device, int latents)
{
    const atm_unet_config c = atm_unet_config_audioldm2();
    atm_plan *p;
    assert_int_equal(atm_plan_create(device, &p), ATM_OK);
    atm_unet_inputs in = declare(p, &c, (layout){ latents, 2, true });
    in.sample = atm_input(p, "latent", ATM_INPUT_VARIES, ATM_DIMS(latents, 256, 16, c.in_channels));
    atm_output(p, "out", atm_unet(p, &c, in));
    assert_int_equal(atm_plan_finish(p, (atm_plan_options){ .shapes_only = true }), ATM_OK);
    const double flops = atm_plan_get_stats(p).flops;
    atm_plan_destroy(p);
    return flops;
}

/* conv_in, level 0, and of level 1 the first residual block, the first transformer and the
 * self-attention of the second: 13.93 of 341 GFLOP at full size, by hand from the shapes. */
static void the_shared_prefix_saves_its_share(void **state)
{
    (void)state;
    atm_device *device;
    assert_int_equal(atm_device_open("ref", 1, &device), ATM_OK);
    const double apart = step_flops(device, 2), shared = step_flops(device, 1);
    assert_true(fabs(apart - 341e9) < 2e9);                     /* 1.3 of them are hoisted */
    assert_true(fabs(apart - shared - 13.93e9) < 0.01e9);
    atm_device_close(device);
}

typedef struct { const char *key, *json, *message; } refusal;

static const refusal refusals[] = {
    { "act_fn",                       "\"gelu\"",            "'act_fn' is \"gelu\"" },
    { "use_linear_projection",        "true",                "'use_linear_projection' is true" },
    { "class_embed_type",             "\"simple_projection\"", "'class_embed_type'" },
    { "transformer_layers_per_block", "2",                   "'transformer_layers_per_block' is 2" },
    { "mid_block_type",               "null",                "'mid_block_type' is null" },
    { "attention_head_dim",           "7",                   "7 heads do not divide" },
    { "norm_num_groups",              "7",                   "'norm_num_groups' 7" },
    { "block_out_channels",           "[]",                  "'block_out_channels' has 0 levels" },
    { "block_out_channels",           "[32, 64]",            "'down_block_types' must be a list of 2" },
    { "down_block_types",             "[\"A\",\"B\",\"C\",\"D\"]", "has \"A\"; known: DownBlock2D" },
    { "cross_attention_dim",          "[[null], [null]]",    "has 2 rows for 4 levels" },
    { "in_channels",                  "\"eight\"",           "in_channels" },
    { "in_channels",                  "0",                   "in_channels" },
};

static void configurations_it_cannot_do_are_refused(void **state)
{
    (void)state;
    char source[] = "unet/config.json";
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const atm_unet_config good = atm_unet_config_audioldm2();
        atm_unet_config read;
        atm_json json = { source, atm_unet_config_json(&good) };
        json_object_set_new(json.root, refusals[i].key, json_loads(refusals[i].json, JSON_DECODE_ANY, NULL));
        assert_int_equal(atm_unet_config_read(&json, &read), ATM_E_CONFIG);
        if (!strstr(atm_error(), refusals[i].message))
            fail_msg("\"%s\" lacks \"%s\"", atm_error(), refusals[i].message);
        json_decref(json.root);
    }
}

static void batches_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    fixture f;
    atm_plan *p;
    open_fixture(&f);
    assert_int_equal(atm_plan_create(f.device, &p), ATM_OK);
    atm_unet(p, &f.config, declare(p, &f.config, (layout){ 1, 3, true }));
    assert_int_equal(atm_plan_finish(p, (atm_plan_options){ .shapes_only = true }), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "for 3 samples, the latents for 1"));
    atm_plan_destroy(p);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shared_prefix_changes_no_bit),
        cmocka_unit_test(a_table_of_times_changes_no_bit),
        cmocka_unit_test(what_does_not_vary_is_hoisted),
        cmocka_unit_test(the_shared_prefix_saves_its_share),
        cmocka_unit_test(configurations_it_cannot_do_are_refused),
        cmocka_unit_test(batches_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
