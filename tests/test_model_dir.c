/* test_model_dir.c - model folders: written, opened, bound; what is missing or does not fit. */
#define _GNU_SOURCE         /* nftw */
#include "support/support.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/safetensors.h"
#include "kernels/device.h"
#include "model/component.h"
#include "model/model_dir.h"
#include "model/random_weights.h"

/* ------------------------------------------------------------------ a small model */

static atm_model_config small_model(void)
{
    atm_model_config c = {
        .image_encoder = { .kind = ATM_IMAGE_ENCODER_IMAGEBIND, .image_size = 16, .patch_size = 8,
                           .hidden_size = 8, .intermediate_size = 16, .num_hidden_layers = 1,
                           .num_attention_heads = 2, .projection_dim = 6, .act = ATM_ACT_GELU,
                           .layer_norm_eps = 1e-6F },
        .adapter = { .in_dim = 6, .hidden_dim = 10, .out_dim = 8, .n_tokens = 3 },
        .language_model = atm_gpt2_small, .unet = atm_unet_config_audioldm2(),
        .vae = atm_vae_config_audioldm2(), .vocoder = atm_hifigan_config_audioldm2(),
        .schedule = atm_schedule_audioldm2,
    };
    c.language_model.n_layer = 1;
    c.language_model.n_embd = 8;
    c.language_model.n_head = 2;
    c.language_model.n_inner = 16;
    c.language_model.n_positions = 24;
    c.language_model.vocab_size = 3;
    c.unet.norm_num_groups = c.vae.norm_num_groups = 2;
    c.unet.layers_per_block = c.vae.layers_per_block = 1;
    for (int i = 0; i < c.unet.levels; i++) {
        c.unet.channels[i] = 4;
        c.unet.heads[i] = 2;
        c.unet.context_dim[i][1] = 8;
        c.unet.context_dim[i][2] = 5;
    }
    for (int i = 0; i < c.vae.levels; i++) c.vae.channels[i] = 4;
    c.vocoder.upsample_initial_channel = 64;
    return c;
}

static void init(const char *dir, const atm_model_config *config, uint64_t seed, atm_pool *pool)
{
    const atm_model_init_options options = { .seed = seed, .dtype = ATM_F32, .text_tokens = 4, .pool = pool };
    if (atm_model_dir_init(config, dir, options) != ATM_OK) fail_msg("%s", atm_error());
}

/* ------------------------------------------------------------------ scratch folders */

typedef struct { char top[256], model[300]; } scratch;

static int make_scratch(void **state)
{
    static scratch s;
    snprintf(s.top, sizeof s.top, "%s/model_dir_XXXXXX", ATM_BINARY_DIR);
    if (!mkdtemp(s.top)) return -1;
    snprintf(s.model, sizeof s.model, "%s/model", s.top);
    *state = &s;
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static int drop_scratch(void **state)
{
    return nftw(((scratch *)*state)->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* in(DIR, NAME).text is "DIR/NAME", as long as the expression lasts. */
typedef struct { char text[1024]; } path_text;
static path_text in(const char *dir, const char *name)
{
    path_text path;
    assert_true(snprintf(path.text, sizeof path.text, "%s/%s", dir, name) < (int)sizeof path.text);
    return path;
}

/* ------------------------------------------------------------------ writing and opening */

/* Every plan of every component finds its tensors in the files, and no file holds others. */
static void bind_all(const atm_model_dir *dir)
{
    atm_device *device;
    assert_int_equal(atm_device_open("ref", 1, &device), ATM_OK);
    for (int i = 0; i < atm_n_components; i++) {
        const atm_component *component = &atm_components[i];
        atm_plan *plan;
        atm_params params;
        atm_json config;
        if (strcmp(component->name, "audio-encoder") == 0) continue;    /* judges music; no part of a model */
        if (atm_json_load(in(in(dir->path, component->folder).text, "config.json").text, &config) != ATM_OK)
            fail_msg("%s", atm_error());
        assert_int_equal(atm_component_outline(device, component, &config, &plan), ATM_OK);
        if (atm_model_dir_params(dir, component->name, &params) != ATM_OK) fail_msg("%s", atm_error());
        for (int k = 0; k < atm_plan_n_params(plan); k++) {
            const atm_named_tensor p = atm_plan_param_at(plan, k);
            params.source.find(&params.source, p.name, p.t.rank, p.t.dim, ATM_F32);
        }
        if (atm_params_check(&params) != ATM_OK) fail_msg("%s: %s", component->name, atm_error());
        atm_params_close(&params);
        atm_plan_destroy(plan);
        atm_json_free(&config);
    }
    atm_device_close(device);
}

static void what_is_written_opens_and_binds(void **state)
{
    const scratch *s = *state;
    const atm_model_config written = small_model();
    atm_model_dir dir;
    init(s->model, &written, 5, NULL);
    if (atm_model_dir_open(s->model, &dir) != ATM_OK) fail_msg("%s", atm_error());
    const atm_model_config *c = &dir.config;
    assert_memory_equal(&c->image_encoder, &written.image_encoder, sizeof written.image_encoder);
    assert_memory_equal(&c->adapter, &written.adapter, sizeof written.adapter);
    assert_memory_equal(&c->language_model, &written.language_model, sizeof written.language_model);
    assert_memory_equal(&c->schedule, &written.schedule, sizeof written.schedule);
    assert_int_equal(atm_model_latent_channels(c), 8);
    assert_int_equal(atm_model_latent_mels(c), 16);
    assert_int_equal(atm_model_text_dim(c), 5);
    assert_int_equal(atm_model_loa_dim(c), 8);
    bind_all(&dir);
    atm_model_dir_close(&dir);
}

static void clip_in_half_precision_opens_and_binds(void **state)
{
    const scratch *s = *state;
    atm_model_config written = small_model();
    atm_model_dir dir;
    written.image_encoder.kind = ATM_IMAGE_ENCODER_CLIP;
    written.image_encoder.act = ATM_ACT_QUICK_GELU;
    const atm_model_init_options options = { .seed = 1, .dtype = ATM_BF16, .text_tokens = 4 };
    if (atm_model_dir_init(&written, s->model, options) != ATM_OK) fail_msg("%s", atm_error());
    if (atm_model_dir_open(s->model, &dir) != ATM_OK) fail_msg("%s", atm_error());
    assert_memory_equal(&dir.config.image_encoder, &written.image_encoder, sizeof written.image_encoder);
    bind_all(&dir);
    atm_model_dir_close(&dir);
}

static const char *const weights[] = {
    "image_encoder/model.safetensors", "adapter/model.safetensors", "language_model/model.safetensors",
    "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors",
    "vocoder/model.safetensors", "conditioning/conditioning.safetensors",
};
enum { N_WEIGHTS = sizeof weights / sizeof *weights };

static bool same_bytes(const char *a, const char *b)
{
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    int p, q;
    assert_true(x && y);
    do {
        p = getc(x);
        q = getc(y);
    } while (p == q && p != EOF);
    fclose(x);
    fclose(y);
    return p == q;
}

static void bytes_depend_on_the_seed_alone(void **state)
{
    const scratch *s = *state;
    const atm_model_config config = small_model();
    atm_pool *pool;
    assert_int_equal(atm_pool_create(3, &pool), ATM_OK);
    init(in(s->top, "alone").text, &config, 9, NULL);
    init(in(s->top, "threads").text, &config, 9, pool);
    init(in(s->top, "seed").text, &config, 10, pool);
    for (int i = 0; i < N_WEIGHTS; i++) {
        const path_text first = in(in(s->top, "alone").text, weights[i]);
        assert_true(same_bytes(first.text, in(in(s->top, "threads").text, weights[i]).text));
        assert_false(same_bytes(first.text, in(in(s->top, "seed").text, weights[i]).text));
    }
    atm_pool_destroy(pool);
}

/* ------------------------------------------------------------------ random weights */

typedef struct { double sum, squares; size_t n; } moments;

static atm_status gather(void *user, const void *data, size_t bytes)
{
    moments *m = user;
    const float *x = data;
    for (size_t i = 0; i < bytes / sizeof *x; i++, m->n++) {
        m->sum += (double)x[i];
        m->squares += (double)x[i] * (double)x[i];
    }
    return ATM_OK;
}

/* A tensor of many pieces has the variance that its rule says, to five standard errors. */
static void random_weights_have_their_variance(void **state)
{
    (void)state;
    static const struct {
        const char *part, *name;
        int rank;
        int64_t dim[4];
        double variance;
    } cases[] = {
        { "unet",           "mid_block.resnets.0.conv1.weight", 4, { 640, 640, 3, 3 }, 1.0 / (640 * 9) },
        { "language_model", "h.0.attn.c_attn.weight",           2, { 768, 2304 },      1.0 / 768 },
        { "language_model", "wte.weight",                       2, { 5000, 768 },      0.02 * 0.02 },
        { "vocoder",        "conv_pre.weight",                  3, { 1024, 64, 7 },    1.0 / (64 * 7) },
        { "vae",            "encoder.conv_norm_out.weight",     1, { 512 },            0 },
    };
    void *scratch_bytes = malloc(atm_init_scratch());
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        atm_file_tensor t = { .name = cases[i].name, .dtype = ATM_F32, .rank = cases[i].rank, .bytes = 4 };
        for (int k = 0; k < t.rank; k++) t.bytes *= (size_t)(t.dim[k] = cases[i].dim[k]);
        moments m = { 0 };
        assert_int_equal(atm_init_fill(3, cases[i].part, &t, NULL, scratch_bytes, gather, &m), ATM_OK);
        assert_int_equal(m.n * sizeof(float), t.bytes);
        const double n = (double)m.n, mean = m.sum / n, variance = cases[i].variance;
        if (variance == 0) {                                /* norms begin at one */
            assert_true(m.sum == n && m.squares == n);
            continue;
        }
        assert_true(fabs(mean) < 5 * sqrt(variance / n));
        assert_true(fabs(m.squares / n / variance - 1) < 5 * sqrt(2 / n));
    }
    free(scratch_bytes);
}

/* ------------------------------------------------------------------ what is missing, what does not fit */

static void open_fails(const char *path, atm_status expected, const char *const *words)
{
    atm_model_dir dir;
    assert_int_equal(atm_model_dir_open(path, &dir), expected);
    for (; *words; words++)
        if (!strstr(atm_error(), *words)) fail_msg("no '%s' in: %s", *words, atm_error());
    assert_null(dir.path);
}

static void all_that_is_missing_is_in_one_message(void **state)
{
    const scratch *s = *state;
    const atm_model_config config = small_model();
    open_fails(in(s->top, "nothing").text, ATM_E_NOINPUT, (const char *[]){ "nothing", NULL });
    init(s->model, &config, 1, NULL);
    static const char *const gone[] = {
        "model_index.json", "unet/config.json", "vae/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json", "conditioning/conditioning.safetensors", NULL
    };
    for (int i = 0; gone[i]; i++) assert_int_equal(remove(in(s->model, gone[i]).text), 0);
    open_fails(s->model, ATM_E_NOINPUT, gone);
}

static void a_broken_file_is_named(void **state)
{
    const scratch *s = *state;
    const atm_model_config config = small_model();
    init(s->model, &config, 1, NULL);
    assert_int_equal(truncate(in(s->model, "vocoder/model.safetensors").text, 100), 0);
    open_fails(s->model, ATM_E_DATA, (const char *[]){ "vocoder/model.safetensors", NULL });
}

static void parts_that_do_not_fit_are_listed(void **state)
{
    (void)state;
    atm_model_config c = small_model();
    assert_int_equal(atm_model_config_check(&c), ATM_OK);
    c.adapter.in_dim = 7;
    c.vae.latent_channels = 4;
    c.vocoder.model_in_dim = 62;
    assert_int_equal(atm_model_config_check(&c), ATM_E_CONFIG);
    static const char *const words[] = {
        "adapter in_dim is 7", "projection_dim is 6", "latent_channels is 4", "modulo"
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) assert_non_null(strstr(atm_error(), words[i]));
}

static void an_adapter_without_config_is_understood(void **state)
{
    const scratch *s = *state;
    const atm_model_config config = small_model();
    atm_model_dir dir;
    init(s->model, &config, 1, NULL);
    assert_int_equal(remove(in(s->model, "adapter/config.json").text), 0);
    if (atm_model_dir_open(s->model, &dir) != ATM_OK) fail_msg("%s", atm_error());
    assert_memory_equal(&dir.config.adapter, &config.adapter, sizeof config.adapter);
    atm_model_dir_close(&dir);
}

/* ------------------------------------------------------------------ conditioning */

static void conditioning_survives_a_round_trip(void **state)
{
    const scratch *s = *state;
    const path_text path = in(s->top, "conditioning.safetensors");
    atm_conditioning a = { .text_tokens = 3, .text_dim = 5, .loa_tokens = 8, .loa_dim = 4 }, b;
    assert_int_equal(atm_conditioning_random(12, &a), ATM_OK);
    assert_int_equal(atm_conditioning_write(path.text, &a), ATM_OK);
    if (atm_conditioning_read(path.text, &b) != ATM_OK) fail_msg("%s", atm_error());
    assert_int_equal(b.text_tokens, 3);
    assert_int_equal(b.loa_dim, 4);
    assert_memory_equal(a.text, b.text, 15 * sizeof(float));
    assert_memory_equal(a.negative_loa, b.negative_loa, 32 * sizeof(float));
    assert_memory_equal(b.mask, ((float[]){ 1, 1, 1 }), 3 * sizeof(float));
    assert_string_equal(b.source, "random, seed 12");
    atm_conditioning_free(&a);
    atm_conditioning_free(&b);
}

/* Masks come as integers from transformers; every tensor that does not fit is named. */
static void conditioning_is_checked(void **state)
{
    const scratch *s = *state;
    const path_text path = in(s->top, "conditioning.safetensors");
    static const float text[15], loa[32];
    static const int64_t mask[3] = { 1, 1, 0 };
    atm_file_tensor t[] = {
        { "prompt_embeds", ATM_F32, 3, { 1, 3, 5 }, text, sizeof text },
        { "attention_mask", ATM_I64, 2, { 1, 3 }, mask, sizeof mask },
        { "negative_prompt_embeds", ATM_F32, 3, { 1, 3, 5 }, text, sizeof text },
        { "negative_attention_mask", ATM_I64, 2, { 1, 3 }, mask, sizeof mask },
        { "negative_generated_prompt_embeds", ATM_F32, 3, { 1, 8, 4 }, loa, sizeof loa },
    };
    atm_conditioning c;
    assert_int_equal(atm_safetensors_write(path.text, t, 5, NULL, 0), ATM_OK);
    if (atm_conditioning_read(path.text, &c) != ATM_OK) fail_msg("%s", atm_error());
    assert_memory_equal(c.mask, ((float[]){ 1, 1, 0 }), 3 * sizeof(float));
    assert_string_equal(c.source, "");
    atm_conditioning_free(&c);
    t[2].dim[1] = 5;
    t[2].dim[2] = 3;
    assert_int_equal(atm_safetensors_write(path.text, t, 4, NULL, 0), ATM_OK);
    assert_int_equal(atm_conditioning_read(path.text, &c), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "negative_prompt_embeds: expected floats [1,3,5], found F32[1,5,3]"));
    assert_non_null(strstr(atm_error(), "negative_generated_prompt_embeds"));
}

#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, make_scratch, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(what_is_written_opens_and_binds),
        WITH_SCRATCH(clip_in_half_precision_opens_and_binds),
        WITH_SCRATCH(bytes_depend_on_the_seed_alone),
        cmocka_unit_test(random_weights_have_their_variance),
        WITH_SCRATCH(all_that_is_missing_is_in_one_message),
        WITH_SCRATCH(a_broken_file_is_named),
        cmocka_unit_test(parts_that_do_not_fit_are_listed),
        WITH_SCRATCH(an_adapter_without_config_is_understood),
        WITH_SCRATCH(conditioning_survives_a_round_trip),
        WITH_SCRATCH(conditioning_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
