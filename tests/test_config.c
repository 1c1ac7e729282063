/* test_config.c - YAML into a struct, and every way in which it may not fit. */
#include "support/support.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "io/config.h"
#include "support/bytes.h"

typedef struct {
    int steps, sampler;
    int64_t seed;
    double guidance, rate;
    bool verbose;
    atm_config_text name;
    atm_int_list channels;
    atm_int_table dilation;
} config;

static const char *const samplers[] = { "ddim", "dpm++", NULL };

static const atm_config_field field[] = {
    ATM_CONFIG_TEXT(config, name, "name", "who"),
    ATM_CONFIG_INT(config, steps, "sampler.steps", 1, 1000, "denoising steps"),
    ATM_CONFIG_ENUM(config, sampler, "sampler.kind", samplers, "which"),
    ATM_CONFIG_DOUBLE(config, guidance, "sampler.guidance", 0, 100, "scale"),
    ATM_CONFIG_INT64(config, seed, "seed", 0, 9007199254740992.0, "first random seed"),
    ATM_CONFIG_INTS(config, channels, "model.unet.channels", 1, 8192, "per level"),
    ATM_CONFIG_TABLE(config, dilation, "model.vocoder.dilation", 1, 64, "per block"),
    ATM_CONFIG_DOUBLE(config, rate, "train.rate", 0, 1, "learning rate"),
    ATM_CONFIG_BOOL(config, verbose, "verbose", "say more"),
};
enum { FIELDS = sizeof field / sizeof field[0] };

static const config defaults = { .steps = 50, .guidance = 3.5, .rate = 1e-4, .seed = 1 };

static atm_status parse(const char *yaml, config *c)
{
    *c = defaults;
    return atm_config_parse(yaml, strlen(yaml), "run.yaml", field, FIELDS, c);
}

static const char full[] =
    "# a comment\n"
    "name: \"a \\\"name\\\": \\x01 \xc3\xa9 \\x81 \\u2028 \\U0001F3B5\"\n"
    "sampler:\n"
    "  steps: 20\n"
    "  kind: dpm++\n"
    "  guidance: 2.5e0\n"
    "seed: 9007199254740992\n"
    "model:\n"
    "  unet: { channels: [32, 64, 96, 128] }\n"
    "  vocoder:\n"
    "    dilation: [[1, 3, 5], [1, 3]]\n"
    "train.rate: 1e-5\n"
    "verbose: true\n";

static void check_full(const config *c)
{
    assert_string_equal(c->name, "a \"name\": \x01 \xc3\xa9 \xc2\x81 \xe2\x80\xa8 \xf0\x9f\x8e\xb5");
    assert_int_equal(c->steps, 20);
    assert_int_equal(c->sampler, 1);
    assert_true(c->guidance == 2.5 && c->rate == 1e-5 && c->verbose);
    assert_int_equal(c->seed, 9007199254740992);
    assert_int_equal(c->channels.n, 4);
    assert_int_equal(c->channels.v[3], 128);
    assert_int_equal(c->dilation.n, 2);
    assert_int_equal(c->dilation.row[0].v[2], 5);
    assert_int_equal(c->dilation.row[1].n, 2);
}

static void reads_everything(void **state)
{
    (void)state;
    config c;
    if (parse(full, &c) != ATM_OK) fail_msg("%s", atm_error());
    check_full(&c);
}

static void keeps_what_is_not_mentioned(void **state)
{
    (void)state;
    static const char *const yaml[] = { "", "# nothing\n", "---\n...\n", "sampler:\n  kind: ddim\n", "\n\n" };
    for (size_t i = 0; i < sizeof yaml / sizeof yaml[0]; i++) {
        config c;
        if (parse(yaml[i], &c) != ATM_OK) fail_msg("%s", atm_error());
        assert_memory_equal(&c, &defaults, sizeof c);
    }
}

static void prints_what_it_reads(void **state)
{
    (void)state;
    config c, again = defaults;
    char *text;
    assert_int_equal(parse(full, &c), ATM_OK);
    assert_int_equal(atm_config_print(field, FIELDS, &c, &text), ATM_OK);
    assert_int_equal(atm_config_parse(text, strlen(text), "printed", field, FIELDS, &again), ATM_OK);
    check_full(&again);
    assert_non_null(strstr(text, "sampler:\n  steps: 20\n  kind: dpm++\n  guidance: 2.5\nseed: "));
    assert_non_null(strstr(text, "model:\n  unet:\n    channels: [32, 64, 96, 128]\n"
                                 "  vocoder:\n    dilation: [[1, 3, 5], [1, 3]]\n"));
    free(text);
    assert_int_equal(atm_config_print(field, FIELDS, &defaults, &text), ATM_OK);
    assert_int_equal(atm_config_parse(text, strlen(text), "printed", field, FIELDS, &again), ATM_OK);
    assert_memory_equal(&again.channels.n, &defaults.channels.n, sizeof(int));
    free(text);
}

/* The comments are comments: what is read back is the same. */
static void explains_what_it_prints(void **state)
{
    (void)state;
    config c, again = defaults;
    char *text;
    assert_int_equal(parse(full, &c), ATM_OK);
    assert_int_equal(atm_config_print_explained(field, FIELDS, &c, &text), ATM_OK);
    assert_int_equal(atm_config_parse(text, strlen(text), "printed", field, FIELDS, &again), ATM_OK);
    check_full(&again);
    for (size_t i = 0; i < FIELDS; i++) assert_non_null(strstr(text, field[i].help));
    assert_non_null(strstr(text, "sampler:\n  steps: 20   "));
    assert_non_null(strstr(text, "# denoising steps (1 to 1000)\n"));
    free(text);
}

/* 0.1, 1/3, the smallest and the largest come back exactly. */
static void prints_doubles_exactly(void **state)
{
    (void)state;
    static const double value[] = { 0.1, 1.0 / 3, 0, 2, 99.999999999999986, 1e-300, 5e-324 };
    for (size_t i = 0; i < sizeof value / sizeof value[0]; i++) {
        config c = defaults, again = defaults;
        char *text;
        c.guidance = value[i];
        assert_int_equal(atm_config_print(field, FIELDS, &c, &text), ATM_OK);
        if (atm_config_parse(text, strlen(text), "printed", field, FIELDS, &again) != ATM_OK)
            fail_msg("%s", atm_error());
        assert_true(again.guidance == value[i]);
        free(text);
    }
}

static void overrides(void **state)
{
    (void)state;
    config c = defaults;
    static const char *const good[] = { "sampler.steps=7", "model.unet.channels=[1, 2]", "name=a b",
                                        "verbose=true", "train.rate=0.5", "model.vocoder.dilation=[]",
                                        "sampler.kind=dpm++" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (atm_config_override(good[i], field, FIELDS, &c) != ATM_OK) fail_msg("%s", atm_error());
    assert_true(c.steps == 7 && c.channels.n == 2 && c.channels.v[1] == 2 && c.verbose && c.rate == 0.5);
    assert_string_equal(c.name, "a b");
    assert_int_equal(c.sampler, 1);
    static const char *const bad[] = { "sampler.steps", "=1", "", "sampler.steps=x", "sampler.step=1",
                                       "sampler.steps=" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(atm_config_override(bad[i], field, FIELDS, &c), ATM_E_CONFIG);
}

static const struct { const char *yaml, *says; } wrong[] = {
    /* keys */
    { "name: x\nsampler:\n  stepz: 3\n", 
      "run.yaml:3: unknown key sampler.stepz: did you mean sampler.steps?" },
    { "verbos: true\n", "did you mean verbose?" },
    { "sampler: 3\n", "unknown key sampler" },
    { "name: x\nname: y\n", "run.yaml:2: name is there twice" },
    { "sampler:\n  steps: 1\nsampler:\n  kind: ddim\n", "run.yaml:3: sampler is there twice" },
    { "sampler.steps: 1\nsampler:\n  steps: 2\n", "run.yaml:3: sampler.steps is there twice" },
    { "sampler: {}\n", "empty group" },
    { "[a]: 1\n", "a key must be" },
    { "? {a: 1}\n: 2\n", "a key must be" },
    /* types */
    { "sampler:\n  steps: many\n", "run.yaml:2: sampler.steps: \"many\" is not an integer from 1 to 1000" },
    { "sampler.steps: 1.5", "1.5" },
    { "sampler.steps: \"5\"", "is not an integer" },
    { "sampler.steps: 0x10", "is not an integer" },
    { "sampler.steps:", "is not an integer" },
    { "sampler.steps: [1]", "is not one integer" },
    { "sampler.steps: [[1]]", "is not one integer" },
    { "sampler.guidance: fast", "is not a number from 0 to 100" },
    { "sampler.guidance: nan", "is not a number" },
    { "sampler.guidance: .inf", "is not a number" },
    { "sampler.guidance: 1e999", "is not a number" },
    { "sampler.guidance: 1,5", "is not a number" },
    { "verbose: yes", "\"yes\" is not true or false" },
    { "verbose: \"true\"", "is not true or false" },
    { "sampler.kind: euler", "\"euler\" is not one of ddim, dpm++" },
    { "model.unet.channels: 5", "a list [1, 2]" },
    { "model.unet.channels: [[5]]", "a list [1, 2]" },
    { "model.unet.channels: [a]", "\"a\" is not an integer from 1 to 8192" },
    { "model.vocoder.dilation: [1]", "a list of lists" },
    { "model.vocoder.dilation: [[1], 2]", "mixes" },
    { "model.vocoder.dilation: [[[1]]]", "expected a number" },
    { "model.unet.channels: [{a: 1}]", "a list may hold" },
    { "name: [x]", "is not one text" },
    /* ranges */
    { "sampler.steps: 0", "\"0\" is not an integer from 1 to 1000" },
    { "sampler.steps: 99999999999999999999", "is not an integer" },
    { "seed: -1", "from 0 to 9007199254740992" },
    { "seed: 9007199254740993", "is not an integer" },
    { "model.unet.channels: [1, 0]", "\"0\" is not" },
    { "model.unet.channels: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "at most 16" },
    { "train:\n  rate: 1.5\n", "run.yaml:2: train.rate: \"1.5\" is not a number from 0 to 1" },
    /* YAML that has no place here */
    { "name: &a x\nverbose: *a\n", "anchors, aliases and tags" },
    { "a: &a [x]\nb: [*a, *a]\n", "anchors, aliases and tags" },
    { "name: !!str x\n", "anchors, aliases and tags" },
    { "name: !!python/object:os.system x\n", "anchors, aliases and tags" },
    { "--- \nname: x\n---\nname: y\n", "more than one document" },
    { "- name\n", "expected key: value" },
    { "just text\n", "expected key: value" },
    { "a: {b: {c: {d: {e: {f: {g: {h: {i: {j: 1}}}}}}}}}}", "nested too deeply" },
    { "name: [x\n", "run.yaml:" },
    { "name: \"x\n", "run.yaml:" },
    { "\tname: x\n", "run.yaml:" },
    { "name: \"\\0\"", "zero byte" },
    { "name: \xff\n", "run.yaml:" },
};

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        config c;
        if (parse(wrong[i].yaml, &c) != ATM_E_CONFIG) fail_msg("accepts or misnames: %s", wrong[i].yaml);
        assert_ptr_equal(strstr(atm_error(), "run.yaml:"), atm_error());
        if (!strstr(atm_error(), wrong[i].says))
            fail_msg("\"%s\" does not say \"%s\"", atm_error(), wrong[i].says);
    }
}

static void refuses_a_long_text(void **state)
{
    (void)state;
    char yaml[ATM_CONFIG_TEXT_MAX + 10] = "name: ";
    config c;
    memset(yaml + 6, 'x', ATM_CONFIG_TEXT_MAX);
    assert_int_equal(parse(yaml, &c), ATM_E_CONFIG);
    assert_non_null(strstr(atm_error(), "a text below 512 bytes"));
    yaml[6 + ATM_CONFIG_TEXT_MAX - 1] = '\0';
    assert_int_equal(parse(yaml, &c), ATM_OK);
    assert_int_equal(strlen(c.name), ATM_CONFIG_TEXT_MAX - 1);
}

static void survives_deep_nesting_and_size(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    static const char fill[] = "[{-a:";
    char *yaml = malloc(N + 1);
    assert_non_null(yaml);
    for (size_t k = 0; fill[k]; k++) {
        config c;
        memset(yaml, fill[k], N);
        yaml[N] = '\0';
        assert_int_equal(parse(yaml, &c), ATM_E_CONFIG);
    }
    free(yaml);
}

static void survives_mutants(void **state)
{
    (void)state;
    enum { MUTANTS = 10000 };
    static const char alphabet[] = "[]{}:,-&*!|>'\"%@`#?\n \t\\0x9~.=<";
    atm_rng rng = { .seed = 17, .stream = ATM_STREAM_TEST };
    for (uint32_t i = 0; i < MUTANTS; i++) {
        char yaml[sizeof full];
        config c;
        memcpy(yaml, full, sizeof full);
        for (uint32_t k = 0; k <= i % 5; k++) {
            uint32_t where = atm_uint32(rng, 16 * i + 2 * k), what = atm_uint32(rng, 16 * i + 2 * k + 1);
            yaml[where % (sizeof full - 1)] = i % 2 ? (char)what : alphabet[what % (sizeof alphabet - 1)];
        }
        c = defaults;
        atm_status status = atm_config_parse(yaml, sizeof yaml - 1, "run.yaml", field, FIELDS, &c);
        assert_true(status == ATM_OK || status == ATM_E_CONFIG);
        if (status != ATM_OK) assert_true(strlen(atm_error()) > 0);
    }
}

static void loads_files(void **state)
{
    (void)state;
    config c = defaults;
    scratch_make();
    write_bytes(scratch_path("run.yaml"), full, sizeof full - 1);
    assert_int_equal(atm_config_load(scratch_path("run.yaml"), field, FIELDS, &c), ATM_OK);
    check_full(&c);
    assert_int_equal(atm_config_load(scratch_path("absent.yaml"), field, FIELDS, &c), ATM_E_NOINPUT);
    char *big = calloc(1, (1 << 20) + 1);
    assert_non_null(big);
    memset(big, '\n', (1 << 20) + 1);
    write_bytes(scratch_path("big.yaml"), big, (1 << 20) + 1);
    assert_int_equal(atm_config_load(scratch_path("big.yaml"), field, FIELDS, &c), ATM_E_DATA);
    free(big);
    scratch_remove();
}

/* A host program may have chosen a locale that writes 2,5. */
static void ignores_the_locale(void **state)
{
    (void)state;
    static const char *const comma[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "it_IT.UTF-8" };
    const char *set = NULL;
    for (size_t i = 0; i < sizeof comma / sizeof comma[0] && !set; i++) set = setlocale(LC_ALL, comma[i]);
    if (!set) skip();
    reads_everything(state);
    prints_doubles_exactly(state);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_everything),
        cmocka_unit_test(keeps_what_is_not_mentioned),
        cmocka_unit_test(prints_what_it_reads), cmocka_unit_test(explains_what_it_prints),
        cmocka_unit_test(prints_doubles_exactly),
        cmocka_unit_test(overrides),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(refuses_a_long_text),
        cmocka_unit_test(survives_deep_nesting_and_size),
        cmocka_unit_test(survives_mutants),
        cmocka_unit_test(loads_files),
        cmocka_unit_test(ignores_the_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
