/* test_samples.c - what a model in training sounds like: which artworks, the same every
 * time, in files and in the log. */
#define _GNU_SOURCE
#include "support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "io/folder.h"
#include "support/bytes.h"
#include "support/tiny_model.h"
#include "train/samples.h"

enum { ARTWORKS = 4, PAIRS = 6, STEPS = 2 };

static int make_scratch(void **state) { (void)state; scratch_make(); return 0; }

static int remove_scratch(void **state)
{
    (void)state;
    atm_folder_remove(scratch_path("out"));
    atm_folder_remove(scratch_path("again"));
    scratch_remove();
    return 0;
}

static void must(atm_status status)
{
    if (status != ATM_OK) fail_msg("%s", atm_error());
}

static void declare(atm_dataset_writer *w, const char *name, atm_dtype dtype, size_t rows, int rank, int dim)
{
    must(atm_dataset_declare(w, &(atm_column){ .name = name, .dtype = dtype, .rank = rank, .dim = { dim },
                                               .rows = rows }));
}

/* Four artworks, the embeddings of tiny_model.h in `dtype`, `dim` numbers of each; validation
 * has artworks 2, 0, and 2 again. */
static atm_dataset *dataset(int dim, atm_dtype dtype, int validation)
{
    static const int32_t artwork[PAIRS] = { 1, 2, 3, 2, 0, -1 };
    const char *path = scratch_path("d.h5");
    atm_dataset_writer *w;
    atm_dataset *d;
    must(atm_dataset_begin(path, &w));
    declare(w, "artworks/embedding", dtype, ARTWORKS, 1, dim);
    declare(w, "clips/audio", ATM_F32, 1, 1, 1);
    declare(w, "pairs/artwork", ATM_I32, PAIRS, 0, 0);
    declare(w, "pairs/clip", ATM_I32, PAIRS, 0, 0);
    declare(w, "pairs/split", ATM_U8, PAIRS, 0, 0);
    must(atm_dataset_put(w, "clips/audio", 0, &(float){ 0 }));
    for (size_t i = 0; i < ARTWORKS; i++) {
        char row[TINY_EMBEDDING * 8];
        atm_convert(row, dtype, tiny_embedding((int)i), ATM_F32, (size_t)dim);
        must(atm_dataset_put(w, "artworks/embedding", i, row));
    }
    for (size_t i = 0; i < PAIRS; i++) {
        const uint8_t split = validation && (i == 1 || i >= 3) ? ATM_SPLIT_VALIDATION : ATM_SPLIT_TRAIN;
        must(atm_dataset_put(w, "pairs/artwork", i, &artwork[i]));
        must(atm_dataset_put(w, "pairs/clip", i, &(int32_t){ 0 }));
        must(atm_dataset_put(w, "pairs/split", i, &split));
    }
    must(atm_dataset_commit(w));
    must(atm_dataset_open(path, &d));
    return d;
}

static atm_status sample(const atm_dataset *d, int n, const char *out, atm_run_log *log)
{
    return atm_train_samples(tiny_model_path(), d, n, STEPS, 1, scratch_path(out), log, 7);
}

static bool is_there(const char *name)
{
    struct stat info;
    return stat(scratch_path(name), &info) == 0 && info.st_size > 0;
}

static void assert_same_file(const char *one, const char *other)
{
    bytes a = read_bytes(scratch_path(one)), b = read_bytes(scratch_path(other));
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    bytes_free(&a);
    bytes_free(&b);
}

static void different_artworks_of_the_validation_split(void **state)
{
    (void)state;
    atm_dataset *d = dataset(TINY_EMBEDDING, ATM_F32, 1);
    must(sample(d, 4, "out", NULL));
    assert_true(is_there("out/artwork_00002.wav") && is_there("out/artwork_00002.png"));
    assert_true(is_there("out/artwork_00000.wav") && is_there("out/artwork_00000.png"));
    assert_false(is_there("out/artwork_00001.wav") || is_there("out/artwork_00003.wav"));
    must(sample(d, 1, "again", NULL));
    assert_false(is_there("again/artwork_00000.wav"));
    assert_same_file("out/artwork_00002.wav", "again/artwork_00002.wav");
    atm_dataset_close(d);
}

/* What `generate` makes of the same embedding with the same seed. */
static void the_music_of_the_model(void **state)
{
    (void)state;
    atm_dataset *d = dataset(TINY_EMBEDDING, ATM_F32, 1);
    atm_model *model = tiny_model_open("auto", 1);
    const atm_artwork artwork = { .size = sizeof artwork, .embedding = tiny_embedding(0), .seed = 1 };
    const atm_generate_options how = { .size = sizeof how, .steps = STEPS, .duration = 1 };
    atm_result *result;
    must(sample(d, 2, "out", NULL));
    must(atm_generate(model, 1, &artwork, &how, &result));
    must(atm_save_audio(result, 0, scratch_path("wanted.wav"), NULL));
    assert_same_file("out/artwork_00000.wav", "wanted.wav");
    atm_result_free(result);
    atm_close(model);
    atm_dataset_close(d);
}

/* The content of the one file whose name begins so. */
static bytes file_like(const char *start)
{
    DIR *dir = opendir(scratch_path("."));
    bytes content = { 0 };
    for (const struct dirent *d; (d = readdir(dir)); )
        if (!strncmp(d->d_name, start, strlen(start))) content = read_bytes(scratch_path(d->d_name));
    closedir(dir);
    return content;
}

static void into_the_log(void **state)
{
    (void)state;
    atm_dataset *d = dataset(TINY_EMBEDDING, ATM_F64, 1);
    atm_run_log *log;
    must(atm_run_log_open(scratch_path("."), 0, 0, &log));
    must(sample(d, 1, "out", log));
    atm_run_log_close(log);
    bytes events = file_like("events.");
    assert_non_null(memmem(events.p, events.n, "samples/artwork_00002", 21));
    assert_non_null(memmem(events.p, events.n, "audio/wav", 9));
    assert_non_null(memmem(events.p, events.n, "samples/artwork_00002_mel", 25));
    bytes_free(&events);
    atm_dataset_close(d);
}

static void nothing_to_sample(void **state)
{
    (void)state;
    atm_dataset *d = dataset(TINY_EMBEDDING, ATM_F32, 0);
    assert_int_equal(sample(d, 2, "out", NULL), ATM_OK);
    assert_false(is_there("out"));
    atm_dataset_close(d);
}

static void embeddings_of_another_model(void **state)
{
    (void)state;
    atm_dataset *d = dataset(TINY_EMBEDDING - 1, ATM_F32, 1);
    assert_int_equal(sample(d, 2, "out", NULL), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "11 numbers"));
    assert_false(is_there("out"));
    atm_dataset_close(d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(different_artworks_of_the_validation_split), TEST(the_music_of_the_model), TEST(into_the_log),
        TEST(nothing_to_sample), TEST(embeddings_of_another_model)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
