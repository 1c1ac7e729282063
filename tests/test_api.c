/* test_api.c - the public functions as another program calls them: wrong calls,
 * cancelling, lifetimes, files. */
#include "support/support.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/audio.h"
#include "data/image.h"
#include "support/tiny_model.h"

static const atm_generate_options quick = { .size = sizeof quick, .steps = 3, .duration = 1 };

static const char *painting(void) { return fixture_path("great_wave.jpg"); }

static char *scratch(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", tiny_model_path(), name);
    return path;
}

static atm_result *make(atm_model *model, const atm_artwork *artwork)
{
    atm_result *result = NULL;
    if (atm_generate(model, 1, artwork, &quick, &result)) fail_msg("%s", atm_error());
    return result;
}

static void expect_same(const atm_result *a, const atm_result *b)
{
    const atm_samples x = atm_result_audio(a, 0), y = atm_result_audio(b, 0);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.data, y.data, x.n * sizeof(float));
}

/* ------------------------------------------------------------------ the main way */

static void test_main_way(void **state)
{
    (void)state;
    atm_model *model = tiny_model_open(NULL, 0);
    const atm_artwork artwork = { .size = sizeof artwork, .path = painting(), .seed = 3 };
    atm_result *result = make(model, &artwork);
    atm_close(model);                           /* results outlive the model */
    const atm_samples sound = atm_result_audio(result, 0);
    assert_int_equal(sound.n, 16000);
    assert_int_equal(sound.rate, 16000);
    assert_int_equal(atm_result_mel(result, 0).columns, 64);
    assert_null(atm_result_audio(result, 1).data);
    assert_null(atm_result_mel(result, -1).data);
    assert_int_equal(atm_result_clips(result), 1);
    atm_result_free(result);
}

static void test_info(void **state)
{
    (void)state;
    atm_model *model = tiny_model_open("cpu", 2);
    atm_info info = { .size = sizeof info };
    assert_int_equal(atm_get_info(model, &info), ATM_OK);
    assert_string_equal(info.folder, tiny_model_path());
    assert_string_equal(info.backend, "cpu");
    assert_int_equal(info.threads, 2);
    assert_int_equal(info.trained, 0);
    assert_int_equal(info.embedding_dim, TINY_EMBEDDING);
    assert_int_equal(info.sample_rate, 16000);
    assert_int_equal(info.latent_channels, 8);
    assert_int_equal(info.latent_bins, 16);
    atm_close(model);
}

/* A program compiled against an older header passes shorter structs. */
static void test_older_structs(void **state)
{
    (void)state;
    atm_model *model = tiny_model_open("cpu", 1);
    atm_info info;
    memset(&info, 0x55, sizeof info);
    info.size = offsetof(atm_info, threads);
    assert_int_equal(atm_get_info(model, &info), ATM_OK);
    assert_string_equal(info.backend, "cpu");
    assert_int_equal(info.threads, 0x55555555);     /* not touched */

    atm_generate_options options;
    memset(&options, 0x55, sizeof options);
    options.size = offsetof(atm_generate_options, sampler);
    options.steps = 1;
    size_t bytes = 0;
    assert_int_equal(atm_memory_needed(model, 1, &options, &bytes), ATM_OK);
    assert_true(bytes > 0);
    atm_close(model);
}

/* ------------------------------------------------------------------ forms of an artwork */

static void test_artwork_forms(void **state)
{
    (void)state;
    static unsigned char bytes[1 << 20];
    FILE *file = fopen(painting(), "rb");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    atm_image image = { 0 };
    assert_int_equal(atm_image_load(painting(), &image), ATM_OK);

    float by_path[TINY_EMBEDDING], by_other[TINY_EMBEDDING];
    atm_model *model = tiny_model_open("cpu", 2);
    const atm_artwork path = { .size = sizeof path, .path = painting() };
    assert_int_equal(atm_encode(model, &path, by_path), ATM_OK);
    const atm_artwork other[] = {
        { .size = sizeof path, .bytes = bytes, .n_bytes = n },
        { .size = sizeof path, .rgb = image.rgb, .width = image.width, .height = image.height },
        { .size = sizeof path, .embedding = by_path }
    };
    atm_result *expected = make(model, &path);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(atm_encode(model, &other[i], by_other), ATM_OK);
        assert_memory_equal(by_path, by_other, sizeof by_path);
        atm_result *result = make(model, &other[i]);
        expect_same(expected, result);
        atm_result_free(result);
    }
    double norm = 0;
    for (int i = 0; i < TINY_EMBEDDING; i++) norm += (double)by_path[i] * (double)by_path[i];
    assert_true(norm > 1 - 1e-6 && norm < 1 + 1e-6);        /* 12 products of floats: error < 12 * 2^-24 */
    atm_result_free(expected);
    atm_close(model);
    atm_image_free(&image);
}

/* ------------------------------------------------------------------ wrong calls */

static void expect_failure(atm_status wanted, atm_status status, const char *part_of_message)
{
    if (status != wanted || !strstr(atm_error(), part_of_message))
        fail_msg("status %d, wanted %d; message '%s' must hold '%s'", status, wanted, atm_error(),
                 part_of_message);
}

static void test_bad_models(void **state)
{
    (void)state;
    atm_model *model = (atm_model *)1;
    expect_failure(ATM_E_NOINPUT, atm_open("/nowhere/at/all", NULL, &model), "/nowhere/at/all");
    assert_null(model);
    const atm_open_options bad = { .size = sizeof bad, .backend = "abacus" };
    expect_failure(ATM_E_USAGE, atm_open(tiny_model_path(), &bad, &model), "abacus");
    const atm_open_options cuda = { .size = sizeof cuda, .backend = "cuda" };
    if (atm_open(tiny_model_path(), &cuda, &model) == ATM_OK) atm_close(model);
    else expect_failure(ATM_E_DEVICE, ATM_E_DEVICE, "CUDA");
}

static void test_bad_options(void **state)
{
    (void)state;
    static const struct { atm_generate_options options; const char *word; } bad[] = {
        { { .size = sizeof bad[0].options, .steps = -1 },            "steps"    },
        { { .size = sizeof bad[0].options, .steps = 1001 },          "steps"    },
        { { .size = sizeof bad[0].options, .duration = 0.5 },        "duration" },
        { { .size = sizeof bad[0].options, .duration = 1e9 },        "duration" },
        { { .size = sizeof bad[0].options, .duration = -1 },         "duration" },
        { { .size = sizeof bad[0].options, .duration = 0.0 / 0.0 },  "duration" },
        { { .size = sizeof bad[0].options, .guidance = 0.5 },        "guidance" },
        { { .size = sizeof bad[0].options, .guidance = 1.0 / 0.0 },  "guidance" },
        { { .size = sizeof bad[0].options, .eta = 2 },               "eta"      },
        { { .size = sizeof bad[0].options, .n = -3 },                "n -3"     },
        { { .size = sizeof bad[0].options, .batch = 100000 },        "batch"    },
        { { .size = sizeof bad[0].options, .sampler = "euler" },     "euler"    }
    };
    atm_model *model = tiny_model_open("cpu", 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        atm_result *result = (atm_result *)1;
        expect_failure(ATM_E_USAGE, atm_generate(model, 1, tiny_artworks(1), &bad[i].options, &result),
                       bad[i].word);
        assert_null(result);
    }
    const float latent[4] = { 0 };
    const atm_generate_options latents = { .size = sizeof latents, .latents = latent, .n_latents = 4 };
    atm_result *result;
    expect_failure(ATM_E_USAGE, atm_generate(model, 1, tiny_artworks(1), &latents, &result), "n_latents");
    expect_failure(ATM_E_USAGE, atm_generate(model, 0, tiny_artworks(1), NULL, &result), "artwork");
    atm_close(model);
}

static void test_bad_artworks(void **state)
{
    (void)state;
    static const unsigned char junk[] = "this is not a picture";
    const float nan[TINY_EMBEDDING] = { (float)(0.0 / 0.0) };
#define SIZE .size = sizeof(atm_artwork)
    const struct { atm_artwork artwork; atm_status status; const char *word; } bad[] = {
        { { SIZE },                                                  ATM_E_USAGE,   "artwork"      },
        { { SIZE, .path = "/nowhere.jpg" },                          ATM_E_NOINPUT, "/nowhere.jpg" },
        { { SIZE, .path = ATM_SOURCE_DIR },                          ATM_E_NOINPUT, ""             },
        { { SIZE, .path = ATM_SOURCE_DIR "/CMakeLists.txt" },        ATM_E_DATA,    "CMakeLists"   },
        { { SIZE, .bytes = junk, .n_bytes = sizeof junk },           ATM_E_DATA,    ""             },
        { { SIZE, .rgb = junk, .width = -1, .height = 3 },           ATM_E_DATA,    ""             },
        { { SIZE, .embedding = nan },                                ATM_E_DATA,    "finite"       }
    };
#undef SIZE
    atm_model *model = tiny_model_open("cpu", 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        atm_result *result = NULL;
        expect_failure(bad[i].status, atm_generate(model, 1, &bad[i].artwork, &quick, &result), bad[i].word);
        assert_null(result);
    }
    atm_close(model);
}

static void test_memory_limit(void **state)
{
    (void)state;
    const atm_open_options how = { .size = sizeof how, .memory_limit = 1 << 20 };
    atm_model *model = NULL;
    atm_result *result = NULL;
    size_t bytes = 0;
    assert_int_equal(atm_open(tiny_model_path(), &how, &model), ATM_OK);
    assert_int_equal(atm_memory_needed(model, 1, &quick, &bytes), ATM_OK);
    assert_true(bytes > 1 << 20);
    expect_failure(ATM_E_MEMORY, atm_generate(model, 1, tiny_artworks(1), &quick, &result),
                   "shorter duration");
    assert_null(result);
    atm_close(model);
}

/* ------------------------------------------------------------------ progress */

typedef struct {
    int calls, stop_after;
    double last;
    bool monotonic;
    char stages[256];
} watch;

static int on_progress(const atm_progress *p, void *user)
{
    watch *w = user;
    if (p->fraction < w->last || p->fraction > 1 || p->step > p->n_steps) w->monotonic = false;
    w->last = p->fraction;
    if (!strstr(w->stages, p->stage)) strcat(w->stages, p->stage);
    return ++w->calls == w->stop_after;
}

static void test_progress_and_cancel(void **state)
{
    (void)state;
    atm_model *model = tiny_model_open("cpu", 2);
    watch w = { .monotonic = true };
    atm_generate_options options = quick;
    options.progress = on_progress;
    options.user = &w;
    atm_result *whole = NULL, *stopped = NULL;
    assert_int_equal(atm_generate(model, 1, tiny_artworks(1), &options, &whole), ATM_OK);
    const int calls = w.calls;
    assert_true(w.monotonic && w.last > 0.999);
    assert_string_equal(w.stages, "encodeconditiondenoisedecode");
    for (int stop = 1; stop <= calls; stop++) {
        w = (watch){ .stop_after = stop };
        expect_failure(ATM_E_CANCELLED, atm_generate(model, 1, tiny_artworks(1), &options, &stopped),
                       "stopped");
        assert_null(stopped);
        assert_int_equal(w.calls, stop);
    }
    w = (watch){ 0 };
    atm_result *again = NULL;
    assert_int_equal(atm_generate(model, 1, tiny_artworks(1), &options, &again), ATM_OK);
    expect_same(whole, again);
    atm_result_free(whole);
    atm_result_free(again);
    atm_close(model);
}

/* ------------------------------------------------------------------ files */

static void test_saving(void **state)
{
    (void)state;
    static const char *const name[] = { "a.wav", "a.FLAC", "a.ogg", "no-extension" };
    atm_model *model = tiny_model_open("cpu", 1);
    atm_result *result = make(model, tiny_artworks(1));
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        atm_audio audio = { 0 };
        assert_int_equal(atm_save_audio(result, 0, scratch(name[i]), NULL), ATM_OK);
        assert_int_equal(atm_audio_load(scratch(name[i]), 0, &audio), ATM_OK);
        assert_int_equal(audio.rate, 16000);
        assert_int_equal(audio.frames, 16000);
        const float *samples = atm_result_audio(result, 0).data;
        if (i == 0) assert_memory_equal(audio.samples, samples, 16000 * sizeof(float));
        atm_audio_free(&audio);
    }
    atm_image picture = { 0 };
    assert_int_equal(atm_save_spectrogram(result, 0, scratch("a.png")), ATM_OK);
    assert_int_equal(atm_image_load(scratch("a.png"), &picture), ATM_OK);
    atm_image_free(&picture);
    expect_failure(ATM_E_USAGE, atm_save_audio(result, 1, scratch("b.wav"), NULL), "clip 1");
    expect_failure(ATM_E_USAGE, atm_save_audio(result, 0, scratch("b.wav"), "midi"), "midi");
    expect_failure(ATM_E_USAGE, atm_save_audio(result, 0, scratch("b.mp3"), NULL), "b.mp3");
    assert_int_equal(atm_save_audio(result, 0, scratch("c.mp3"), "wav16"), ATM_OK);
    expect_failure(ATM_E_IO, atm_save_audio(result, 0, "/nowhere/b.wav", NULL), "/nowhere");
    expect_failure(ATM_E_IO, atm_save_spectrogram(result, 0, "/nowhere/b.png"), "/nowhere");
    assert_int_not_equal(access(scratch("b.wav"), F_OK), 0);
    atm_result_free(result);
    atm_close(model);
}

static void test_nothing(void **state)
{
    (void)state;
    atm_close(NULL);
    atm_result_free(NULL);
    assert_int_equal(atm_result_clips(NULL), 0);
    assert_null(atm_result_audio(NULL, 0).data);
    assert_true(strlen(atm_version()) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_main_way),        cmocka_unit_test(test_info),
        cmocka_unit_test(test_older_structs),   cmocka_unit_test(test_artwork_forms),
        cmocka_unit_test(test_bad_models),      cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_artworks),    cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_progress_and_cancel), cmocka_unit_test(test_saving),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
