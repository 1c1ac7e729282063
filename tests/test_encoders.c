/* test_encoders.c - image encoders, adapter and language model beyond what the fixtures
 * of test_networks.c say: configuration files, limits, and what is computed only once. */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "kernels/device.h"
#include "model/adapter.h"
#include "model/audio_encoder.h"
#include "model/gpt2.h"
#include "model/image_encoder.h"

static atm_json json_of(const char *text)
{
    static char path[] = "config.json";
    const atm_json json = { path, json_loads(text, 0, NULL) };
    if (!json.root) fail_msg("the test's JSON is broken: %s", text);
    return json;
}

/* Reads `text` by `read` into `out`, and looks for `word` in the message of a failure. */
#define EXPECT(status, text, read, out, word) do { \
        const atm_json json_ = json_of(text); \
        assert_int_equal(read(&json_, out), status); \
        json_decref(json_.root); \
        if ((status) != ATM_OK && !strstr(atm_error(), word)) fail_msg("no '%s' in: %s", word, atm_error()); \
    } while (0)

/* ------------------------------------------------------------------ configurations */

#define IMAGEBIND "{\"model_type\": \"imagebind_vision\", \"hidden_size\": 12, \"num_hidden_layers\": 2, " \
                  "\"patch_size\": 14, \"image_size\": 28, \"projection_dim\": 10, \"num_attention_heads\": "

static void imagebind_configs(void **state)
{
    (void)state;
    atm_image_encoder_config c;
    EXPECT(ATM_OK, IMAGEBIND "2}", atm_image_encoder_config_read, &c, "");
    assert_int_equal(c.intermediate_size, 48);              /* four times the width when it is not said */
    assert_int_equal(c.act, ATM_ACT_GELU);
    assert_true(c.layer_norm_eps == 1e-6F);
    EXPECT(ATM_E_CONFIG, IMAGEBIND "5}", atm_image_encoder_config_read, &c, "does not divide hidden_size 12");
    EXPECT(ATM_E_CONFIG, "{\"model_type\": \"dinov2\"}", atm_image_encoder_config_read, &c,
           "imagebind_vision");
    EXPECT(ATM_E_CONFIG, "{\"model_type\": \"imagebind_vision\"}", atm_image_encoder_config_read, &c,
           "image_size");
}

static void clip_configs(void **state)
{
    (void)state;
    atm_image_encoder_config c;
    EXPECT(ATM_OK, "{\"model_type\": \"clip_vision_model\"}", atm_image_encoder_config_read, &c, "");
    assert_int_equal(c.patch_size, 32);                     /* transformers' defaults: ViT-B/32 */
    assert_int_equal(c.projection_dim, 512);
    EXPECT(ATM_OK, "{\"model_type\": \"clip\", \"projection_dim\": 768, \"vision_config\": {"
           "\"hidden_size\": 1024, \"num_attention_heads\": 16, "
           "\"patch_size\": 14, \"hidden_act\": \"gelu\"}}",
           atm_image_encoder_config_read, &c, "");
    assert_int_equal(c.hidden_size, 1024);
    assert_int_equal(c.projection_dim, 768);                /* the outer one */
    assert_int_equal(c.act, ATM_ACT_GELU);
    EXPECT(ATM_E_CONFIG, "{\"model_type\": \"clip_vision_model\", \"hidden_act\": \"mish\"}",
           atm_image_encoder_config_read, &c, "quick_gelu");
    EXPECT(ATM_E_CONFIG, "{\"model_type\": \"clip_vision_model\", \"num_channels\": 1}",
           atm_image_encoder_config_read, &c, "num_channels");
    EXPECT(ATM_E_CONFIG, "{\"model_type\": \"clip_vision_model\", \"image_size\": 225}",
           atm_image_encoder_config_read, &c, "patch_size 32 does not divide image_size 225");
}

#define AUDIO(sizes) "{\"model_type\": \"imagebind_audio\", \"hidden_size\": 12, \"num_hidden_layers\": 2, " \
                     "\"patch_stride\": 10, \"num_mel_bins\": 37, \"num_frames\": 52, " \
                     "\"projection_dim\": 10, " sizes "}"

static void audio_configs(void **state)
{
    (void)state;
    atm_audio_encoder_config c;
    EXPECT(ATM_OK, AUDIO("\"patch_size\": 37, \"num_attention_heads\": 2"), atm_audio_encoder_config_read, &c,
           "");
    assert_int_equal(c.intermediate_size, 48);
    EXPECT(ATM_E_CONFIG, AUDIO("\"patch_size\": 38, \"num_attention_heads\": 2"),
           atm_audio_encoder_config_read, &c, "patch_size 38 exceeds num_mel_bins 37");
    EXPECT(ATM_E_CONFIG, AUDIO("\"patch_size\": 16, \"num_attention_heads\": 5"),
           atm_audio_encoder_config_read, &c, "does not divide hidden_size 12");
    EXPECT(ATM_E_CONFIG, AUDIO("\"patch_size\": 16"), atm_audio_encoder_config_read, &c,
           "num_attention_heads");
    EXPECT(ATM_E_CONFIG, IMAGEBIND "2}", atm_audio_encoder_config_read, &c, "imagebind_audio");
}

#define GPT2 "{\"n_layer\": 2, \"n_embd\": 12, \"n_head\": 3, \"n_positions\": 20, \"n_inner\": null"

static void gpt2_configs(void **state)
{
    (void)state;
    atm_gpt2_config c;
    EXPECT(ATM_OK, GPT2 "}", atm_gpt2_config_read, &c, "");
    assert_int_equal(c.n_inner, 48);
    assert_int_equal(c.max_new_tokens, 8);
    EXPECT(ATM_E_CONFIG, GPT2 ", \"activation_function\": \"relu\"}", atm_gpt2_config_read, &c, "gelu_new");
    EXPECT(ATM_E_CONFIG, GPT2 ", \"scale_attn_weights\": false}", atm_gpt2_config_read, &c,
           "scale_attn_weights");
    EXPECT(ATM_E_CONFIG, "{\"n_layer\": 65, \"n_embd\": 12, \"n_head\": 3, \"n_positions\": 20}",
           atm_gpt2_config_read, &c, "n_layer");
    EXPECT(ATM_E_CONFIG, "{\"n_layer\": 1, \"n_embd\": 12, \"n_head\": 5, \"n_positions\": 20}",
           atm_gpt2_config_read, &c, "n_head 5 does not divide n_embd 12");
}

/* Art2Mus' files have no config.json; the two published ones differ in the rows of projection2. */
static atm_status infer(int64_t rows1, int64_t columns2, int64_t rows2, atm_adapter_config *out)
{
    static const float zeros[64];
    const char *path = ATM_BINARY_DIR "/test_encoders.safetensors";
    const size_t bytes1 = (size_t)rows1 * 3 * sizeof(float);
    const size_t bytes2 = (size_t)(rows2 * columns2) * sizeof(float);
    const atm_file_tensor t[] = {
        { "projection1.weight", ATM_F32, 2, { rows1, 3 }, zeros, bytes1 },
        { "projection2.weight", ATM_F32, 2, { rows2, columns2 }, zeros, bytes2 },
    };
    atm_tensor_file *file;
    assert_int_equal(atm_safetensors_write(path, t, 2, NULL, 0), ATM_OK);
    assert_int_equal(atm_tensor_file_open(path, &file), ATM_OK);
    const atm_status status = atm_adapter_config_infer(file, 2, out);
    atm_tensor_file_close(file);
    remove(path);
    return status;
}

static void adapter_sizes_follow_from_shapes(void **state)
{
    (void)state;
    atm_adapter_config c;
    assert_int_equal(infer(5, 5, 8, &c), ATM_OK);
    assert_memory_equal(&c, (&(atm_adapter_config){ 3, 5, 2, 4 }), sizeof c);
    assert_int_equal(infer(5, 4, 8, &c), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "5 rows"));
    assert_int_equal(infer(5, 5, 7, &c), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "width 2"));
}

/* ------------------------------------------------------------------ plans */

static atm_plan *new_plan(atm_device **device)
{
    atm_plan *plan;
    assert_int_equal(atm_device_open("ref", 1, device), ATM_OK);
    assert_int_equal(atm_plan_create(*device, &plan), ATM_OK);
    return plan;
}

/* The folded stem and the repeated class token depend on weights alone. */
static void imagebinds_stem_is_folded_once(void **state)
{
    (void)state;
    atm_device *device;
    atm_plan *p = new_plan(&device);
    atm_image_encoder_config c = atm_imagebind_huge;
    c.num_hidden_layers = 1;
    const atm_tensor x = atm_input(p, "pixels", ATM_INPUT_VARIES, ATM_DIMS(2, 3, 224, 224));
    atm_output(p, "embeds", atm_image_encoder(p, &c, x).embeds);
    assert_int_equal(atm_plan_finish(p, (atm_plan_options){ .shapes_only = true }), ATM_OK);
    assert_int_equal(atm_plan_get_stats(p).prologue_steps, 4);      /* two taps, their sum; class twice */
    atm_plan_destroy(p);
    atm_device_close(device);
}

/* L + 7 positions pass through the layers, so that many must be there, and no more. */
static atm_status gpt2_plan(int prefix)
{
    atm_device *device;
    atm_plan *p = new_plan(&device);
    atm_gpt2_config c = atm_gpt2_small;
    c.n_layer = 1;
    c.n_positions = 12;
    const atm_tensor x = atm_input(p, "prefix", ATM_INPUT_VARIES, ATM_DIMS(1, prefix, c.n_embd));
    atm_output(p, "y", atm_gpt2(p, &c, x, ATM_NONE));
    const atm_status status = atm_plan_finish(p, (atm_plan_options){ .shapes_only = true });
    atm_plan_destroy(p);
    atm_device_close(device);
    return status;
}

static void gpt2_needs_its_positions(void **state)
{
    (void)state;
    assert_int_equal(gpt2_plan(5), ATM_OK);
    assert_int_not_equal(gpt2_plan(6), ATM_OK);
    assert_non_null(strstr(atm_error(), "need 13 positions, n_positions is 12"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imagebind_configs),        cmocka_unit_test(clip_configs),
        cmocka_unit_test(audio_configs),
        cmocka_unit_test(gpt2_configs),             cmocka_unit_test(adapter_sizes_follow_from_shapes),
        cmocka_unit_test(imagebinds_stem_is_folded_once),
        cmocka_unit_test(gpt2_needs_its_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
