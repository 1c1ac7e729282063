/* test_parameters.c - the parameters of the full-size networks: every name, every
 * shape, the counts, and the configurations written and read back.
 *
 * The files of tests/fixtures/tensors list the published checkpoints, one "name [shape]" a
 * line; their totals agree with the sizes of the published files. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/adapter.h"
#include "model/audio_encoder.h"
#include "model/component.h"
#include "model/gpt2.h"
#include "model/hifigan.h"
#include "model/image_encoder.h"
#include "model/unet.h"
#include "model/vae.h"

/* ------------------------------------------------------------------ the networks */

static json_t *unet(void)
{
    const atm_unet_config c = atm_unet_config_audioldm2();
    return atm_unet_config_json(&c);
}

static json_t *vae(void)
{
    const atm_vae_config c = atm_vae_config_audioldm2();
    return atm_vae_config_json(&c);
}

static json_t *vocoder(void)
{
    const atm_hifigan_config c = atm_hifigan_config_audioldm2();
    return atm_hifigan_config_json(&c);
}

static json_t *adapter_of(int n_tokens)
{
    return atm_adapter_config_json(&(atm_adapter_config){ 1024, 1536, 768, n_tokens });
}

static json_t *adapter_1(void) { return adapter_of(1); }
static json_t *adapter_4(void) { return adapter_of(4); }
static json_t *gpt2(void) { return atm_gpt2_config_json(&atm_gpt2_small); }
static json_t *imagebind(void) { return atm_image_encoder_config_json(&atm_imagebind_huge); }
static json_t *imagebind_audio(void) { return atm_audio_encoder_config_json(&atm_imagebind_huge_audio); }
static json_t *clip(void) { return atm_image_encoder_config_json(&atm_clip_vit_large_14); }

typedef struct {
    const char *list, *component;
    json_t *(*config)(void);
    size_t tensors, elements;
} network;

static const network networks[] = {
    { "unet",                    "unet",           unet,      1520, 346943496 },
    { "vae-encoder",             "vae-encoder",    vae,         90,  22395296 },
    { "vae-decoder",             "vae-decoder",    vae,        114,  32981577 },
    { "vocoder",                 "vocoder",        vocoder,    196,  55265025 },
    { "language-model",          "language-model", gpt2,       148, 124439808 },
    { "image-encoder-imagebind", "image-encoder",  imagebind,  392, 632829440 },
    { "audio-encoder",           "audio-encoder",  imagebind_audio, 176, 86235648 },
    { "image-encoder-clip",      "image-encoder",  clip,       392, 303966208 },
    { "adapter-1",               "adapter",        adapter_1,    4,   2754816 },
    { "adapter-4",               "adapter",        adapter_4,    4,   6296064 },
};

/* ------------------------------------------------------------------ lists */

typedef struct { char name[256], shape[128]; size_t elements; } entry;

/* "name<tab>[2, 3]"; false at the end of the file. */
static bool read_entry(FILE *file, entry *e)
{
    if (fscanf(file, "%255[^\t]\t%127[^\n]\n", e->name, e->shape) != 2) return false;
    e->elements = 1;
    for (char *at = e->shape; *at && *at != ']'; ) e->elements *= strtoul(at + 1, &at, 10);
    return true;
}

static void describe(char text[128], atm_tensor t)
{
    int n = 0;
    for (int i = 0; i < t.rank; i++)
        n += snprintf(text + n, 128 - (size_t)n, "%s%d", i ? ", " : "[", t.dim[i]);
    snprintf(text + n, 128 - (size_t)n, "]");
}

/* Is it a parameter?  Else it must be known that nothing reads it. */
static bool check_entry(const entry *e, const atm_plan *plan, const atm_weight_rules *rules)
{
    char shape[128];
    const atm_tensor t = atm_plan_find_param(plan, e->name);
    if (!atm_present(t) && !atm_matches_any(e->name, rules->ignore)) fail_msg("nothing reads %s", e->name);
    if (!atm_present(t)) return false;
    describe(shape, t);
    if (strcmp(shape, e->shape) != 0)
        fail_msg("%s: the list says %s, the network %s", e->name, e->shape, shape);
    return true;
}

static void compare(const network *n, const atm_plan *plan, const atm_weight_rules *rules)
{
    char path[128];
    entry e;
    size_t lines = 0, sum = 0, bound = 0;
    snprintf(path, sizeof path, "tensors/%s.txt", n->list);
    FILE *file = fopen(fixture_path(path), "r");
    assert_non_null(file);
    for (; read_entry(file, &e); lines++, sum += e.elements) bound += check_entry(&e, plan, rules);
    fclose(file);
    assert_int_equal(lines, n->tensors);
    assert_int_equal(sum, n->elements);
    assert_int_equal(bound, atm_plan_n_params(plan));           /* every parameter has a line */
}

static void check_network(atm_device *device, const network *n)
{
    char source[] = "built-in configuration";
    const atm_component *component = atm_component_find(n->component);
    atm_plan *plan;
    atm_json config = { source, n->config() };
    assert_non_null(component);
    assert_non_null(config.root);
    if (atm_component_outline(device, component, &config, &plan) != ATM_OK) fail_msg("%s", atm_error());
    compare(n, plan, &component->rules);
    const atm_plan_options shapes = { .shapes_only = true };
    if (atm_plan_finish(plan, shapes) != ATM_OK) fail_msg("%s", atm_error());
    atm_plan_destroy(plan);
    json_decref(config.root);
}

static void full_size_networks_have_the_published_tensors(void **state)
{
    (void)state;
    atm_device *device;
    assert_int_equal(atm_device_open("ref", 1, &device), ATM_OK);
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) check_network(device, &networks[i]);
    atm_device_close(device);
}

/* ------------------------------------------------------------------ configurations */

/* Written, read, written again: the same JSON. */
#define CHECK_ROUND_TRIP(written, type, read, write) do { \
        type c_; \
        atm_json json_ = { source, (written) }; \
        if (read(&json_, &c_) != ATM_OK) fail_msg("%s", atm_error()); \
        json_t *again_ = write(&c_); \
        assert_true(json_equal(json_.root, again_)); \
        json_decref(json_.root); \
        json_decref(again_); \
    } while (0)

static void configurations_survive_a_round_trip(void **state)
{
    (void)state;
    char source[] = "round trip";
    CHECK_ROUND_TRIP(unet(), atm_unet_config, atm_unet_config_read, atm_unet_config_json);
    CHECK_ROUND_TRIP(vae(), atm_vae_config, atm_vae_config_read, atm_vae_config_json);
    CHECK_ROUND_TRIP(imagebind_audio(), atm_audio_encoder_config, atm_audio_encoder_config_read,
                     atm_audio_encoder_config_json);
    CHECK_ROUND_TRIP(vocoder(), atm_hifigan_config, atm_hifigan_config_read, atm_hifigan_config_json);
}

static void the_vocoder_has_exact_lengths(void **state)
{
    (void)state;
    const atm_hifigan_config c = atm_hifigan_config_audioldm2();
    assert_int_equal(atm_hifigan_length(&c, 1), 192);
    assert_int_equal(atm_hifigan_length(&c, 512), 81952);
    assert_int_equal(atm_hifigan_length(&c, 1000), 160032);
    assert_int_equal(atm_hifigan_length(&c, 1 << 30), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_size_networks_have_the_published_tensors),
        cmocka_unit_test(configurations_survive_a_round_trip),
        cmocka_unit_test(the_vocoder_has_exact_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
