/* test_loader.c - the order of samples, whoever reads them; crops; and what goes wrong while reading. */
#define _GNU_SOURCE
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/loader.h"
#include "support/bytes.h"
#include "support/dataset_file.h"

static atm_dataset *data;           /* 5 artworks, 11 clips, 24 pairs of which 6 are for validation */

static int setup(void **state)
{
    (void)state;
    scratch_make();
    dataset_write(scratch_path("a.h5"), (dataset_size){ .artworks = 5, .clips = 11, .pairs = 24,
                                                        .validation = 4 });
    data = dataset_open(scratch_path("a.h5"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    atm_dataset_close(data);
    scratch_remove();
    return 0;
}

static const atm_loader_column everything[] = {
    { .name = "artworks/embedding" }, { .name = "clips/mel" }, { .name = "clips/title" },
    { .name = "pairs/clip" },
};
static const atm_loader_column cropped[] = {
    { .name = "clips/mel", .axis = 0, .crop = 8, .unit = 1 }, { .name = "clips/audio", .crop = 8 * HOP,
                                                                .unit = HOP },
    { .name = "clips/title" },
};
static const atm_loader_column bands[] = { { .name = "clips/mel", .axis = 1, .crop = 2, .unit = 1 } };

static atm_loader_options options(void)
{
    return (atm_loader_options){ .dataset = data, .column = everything, .n_columns = 4,
                                 .split = ATM_SPLIT_TRAIN,
                                 .seed = 3, .batch = 4, .micro_batches = 1, .ranks = 1 };
}

static atm_loader *open_loader(const atm_loader_options *o)
{
    atm_loader *l = NULL;
    if (atm_loader_open(o, &l) != ATM_OK) fail_msg("%s", atm_error());
    return l;
}

static atm_loaded next(atm_loader *l)
{
    atm_loaded b;
    if (atm_loader_next(l, &b) != ATM_OK) fail_msg("%s", atm_error());
    return b;
}

static void assert_open_fails(const atm_loader_options *o, atm_status wanted, const char *says)
{
    atm_loader *l = NULL;
    const atm_status status = atm_loader_open(o, &l);
    if (status != wanted || !strstr(atm_error(), says))
        fail_msg("expected %d, \"%s\"; got %d, %s", wanted, says, status, status ? atm_error() : "");
    assert_null(l);
}

/* ------------------------------------------------------------------ the order */

static void an_epoch_is_a_permutation(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 1, 2, 3, 4, 5, 31, 32, 33, 64, 100, 1000, 4097 };
    static char seen[4097];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint64_t epoch = 0; epoch < 5; epoch++) {
            memset(seen, 0, sizeof seen);
            for (uint32_t i = 0; i < sizes[s]; i++) {
                const uint32_t item = atm_loader_order(9, epoch * sizes[s] + i, sizes[s]);
                assert_true(item < sizes[s]);
                assert_false(seen[item]++);
            }
        }
}

/* Chi-square of the 24 orders of four items, over 24000 epochs: 23 degrees of freedom, and
 * 49.7 is exceeded once in a thousand seeds.  The seed is fixed. */
static void all_orders_are_equally_likely(void **state)
{
    (void)state;
    enum { EPOCHS = 24000 };
    int count[256] = { 0 };
    double chi = 0;
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        uint32_t code = 0;
        for (uint32_t i = 0; i < 4; i++) code = code << 2 | atm_loader_order(1, 4 * epoch + i, 4);
        count[code]++;
    }
    for (int i = 0; i < 256; i++)
        if (count[i]) chi += (count[i] - 1000.0) * (count[i] - 1000.0) / 1000.0;
    print_message("chi-square %.1f\n", chi);
    assert_true(chi < 49.7);
}

/* Item i lands anywhere: mean distance of a random permutation is (n^2 - 1) / 3n, its deviation here 1.5. */
static void order_is_mixed(void **state)
{
    (void)state;
    enum { N = 5000 };
    double distance = 0;
    int differ = 0;
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t a = atm_loader_order(1, i, N);
        distance += a > i ? a - i : i - a;
        differ += a != atm_loader_order(1, N + i, N);
        differ += a != atm_loader_order(2, i, N);
    }
    assert_true(distance / N > N / 3.0 - 100 && distance / N < N / 3.0 + 100);
    assert_true(differ > 2 * N - 20);
}

static void epochs_visit_each_item_once(void **state)
{
    (void)state;
    int seen[24] = { 0 };
    atm_loader_options o = options();
    o.batch = 3;
    atm_loader *l = open_loader(&o);
    assert_int_equal(atm_loader_items(l), 18);
    for (int step = 0; step < 5 * 6; step++) {
        const atm_loaded b = next(l);
        assert_int_equal(b.step, step);
        for (int i = 0; i < 3; i++) seen[b.item[i]]++;
    }
    for (int i = 0; i < 24; i++) assert_int_equal(seen[i], i % 4 ? 5 : 0);
    atm_loader_close(l);
}

enum { STEPS = 9, BATCH = 4 };

/* Samples of steps 0.. as `ranks` ranks of `micro` micro-batches see them. */
static void collect(int ranks, int micro, uint64_t first, uint32_t item[STEPS][BATCH],
                    float start[STEPS][BATCH])
{
    for (int rank = 0; rank < ranks; rank++) {
        atm_loader_options o = options();
        o.column = cropped;
        o.n_columns = 3;
        o.ranks = ranks;
        o.rank = rank;
        o.micro_batches = micro;
        o.first_step = first;
        atm_loader *l = open_loader(&o);
        for (int q = 0; q < (STEPS - (int)first) * micro; q++) {
            const atm_loaded b = next(l);
            assert_int_equal(b.n, BATCH / ranks / micro);
            assert_int_equal(b.micro, q % micro);
            assert_int_equal(b.step, first + (uint64_t)(q / micro));
            for (int i = 0; i < b.n; i++) {
                item[b.step][b.first + i] = b.item[i];
                start[b.step][b.first + i] = ((const float *)b.column[0])[i * 8 * BANDS];
            }
        }
        atm_loader_close(l);
    }
}

static void order_does_not_depend_on_ranks(void **state)
{
    (void)state;
    uint32_t whole[STEPS][BATCH], item[STEPS][BATCH];
    float crop[STEPS][BATCH], other[STEPS][BATCH];
    collect(1, 1, 0, whole, crop);
    for (int ranks = 1; ranks <= 4; ranks *= 2)
        for (int micro = 1; micro <= 4 / ranks; micro *= 2) {
            collect(ranks, micro, 0, item, other);
            assert_memory_equal(item, whole, sizeof item);
            assert_memory_equal(other, crop, sizeof other);
        }
}

static void resumes_anywhere(void **state)
{
    (void)state;
    uint32_t whole[STEPS][BATCH], item[STEPS][BATCH];
    float crop[STEPS][BATCH], other[STEPS][BATCH];
    collect(1, 1, 0, whole, crop);
    for (uint64_t first = 1; first < STEPS; first++) {
        collect(2, 2, first, item, other);
        assert_memory_equal(item[first], whole[first], (STEPS - first) * sizeof *item);
        assert_memory_equal(other[first], crop[first], (STEPS - first) * sizeof *other);
    }
}

static void validation_is_in_order(void **state)
{
    (void)state;
    atm_loader_options o = options();
    o.split = ATM_SPLIT_VALIDATION;
    o.in_order = true;
    o.column = cropped;
    o.n_columns = 3;
    atm_loader *l = open_loader(&o);
    for (uint32_t k = 0; k < 6; k++) {
        const atm_loaded b = next(l);
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(b.item[i], (k * 4 + i) % 6 * 4);
            assert_true(((const float *)b.column[0])[i * 8 * BANDS] == mel_at(b.item[i] % 11, 0, 0));
        }
    }
    atm_loader_close(l);
}

/* ------------------------------------------------------------------ what is in a batch */

static void columns_belong_together(void **state)
{
    (void)state;
    atm_loader_options o = options();
    atm_loader *l = open_loader(&o);
    for (int step = 0; step < 12; step++) {
        const atm_loaded b = next(l);
        for (int i = 0; i < b.n; i++) {
            const uint32_t clip = b.item[i] % 11, artwork = b.item[i] % 5;
            char title[TITLE] = { 0 };
            snprintf(title, sizeof title, "clip %d", (int)clip);
            assert_true(((const float *)b.column[0])[i * EMBEDDING + 1] == (float)(100 * artwork + 1));
            assert_true(((const float *)b.column[1])[(i * FRAMES + 39) * BANDS + 2] == mel_at(clip, 39, 2));
            assert_memory_equal((const char *)b.column[2] + i * TITLE, title, TITLE);
            assert_int_equal(((const int32_t *)b.column[3])[i], clip);
        }
    }
    atm_loader_close(l);
}

static void clips_come_once(void **state)
{
    (void)state;
    int seen[11] = { 0 };
    atm_loader_options o = options();
    o.clips = true;
    o.column = cropped;
    o.n_columns = 3;
    o.batch = 11;
    atm_loader *l = open_loader(&o);
    assert_int_equal(atm_loader_items(l), 11);
    const atm_loaded b = next(l);
    for (int i = 0; i < 11; i++) {
        seen[b.item[i]]++;
        assert_int_equal(((const char *)b.column[2])[i * TITLE + 5] - '0', b.item[i] < 10 ? b.item[i] : 1);
    }
    for (int i = 0; i < 11; i++) assert_int_equal(seen[i], 1);
    atm_loader_close(l);
    o.split = ATM_SPLIT_VALIDATION;
    o.in_order = true;
    o.batch = 6;
    l = open_loader(&o);                /* pairs 0, 4, 8, 12, 16, 20: clips 0, 4, 8, 1, 5, 9 */
    assert_int_equal(atm_loader_items(l), 6);
    assert_memory_equal(next(l).item, ((uint32_t[]){ 0, 1, 4, 5, 8, 9 }), 6 * sizeof(uint32_t));
    atm_loader_close(l);
}

static void crops_stay_aligned(void **state)
{
    (void)state;
    int first_frame = 0, last_frame = 0;
    atm_loader_options o = options();
    o.column = cropped;
    o.n_columns = 3;
    o.batch = 8;
    atm_loader *l = open_loader(&o);
    for (int step = 0; step < 100; step++) {
        const atm_loaded b = next(l);
        for (int i = 0; i < b.n; i++) {
            const float *mel = (const float *)b.column[0] + i * 8 * BANDS;
            const float *audio = (const float *)b.column[1] + i * 8 * HOP;
            const size_t clip = b.item[i] % 11;
            const int start = (int)(mel[0] - 1000 * (float)clip);
            assert_in_range(start, 0, FRAMES - 8);
            first_frame += start == 0;
            last_frame += start == FRAMES - 8;
            for (int k = 0; k < 8 * BANDS; k++) assert_true(mel[k] == mel_at(clip, start + k / BANDS,
                                                                             k % BANDS));
            for (int s = 0; s < 8 * HOP; s++) assert_true(audio[s] == audio_at(clip, start * HOP + s));
        }
    }
    atm_loader_close(l);
    assert_true(first_frame > 5 && last_frame > 5);         /* 800 / 33 = 24 expected */
}

static void crops_along_any_axis(void **state)
{
    (void)state;
    int starts[2] = { 0 };
    atm_loader_options o = options();
    o.column = bands;
    o.n_columns = 1;
    atm_loader *l = open_loader(&o);
    for (int step = 0; step < 20; step++) {
        const atm_loaded b = next(l);
        for (int i = 0; i < b.n; i++) {
            const float *mel = (const float *)b.column[0] + i * FRAMES * 2;
            const size_t clip = b.item[i] % 11;
            const int start = mel[0] != mel_at(clip, 0, 0);
            starts[start]++;
            for (int k = 0; k < FRAMES * 2; k++) assert_true(mel[k] == mel_at(clip, k / 2, start + k % 2));
        }
    }
    atm_loader_close(l);
    assert_true(starts[0] > 10 && starts[1] > 10);
}

/* ------------------------------------------------------------------ what cannot work */

static void bad_options_are_refused(void **state)
{
    (void)state;
    atm_loader_options o = options();
    o.batch = 6;
    o.ranks = 2;
    o.micro_batches = 2;
    assert_open_fails(&o, ATM_E_CONFIG, "a batch of 6 cannot be shared by 2 ranks of 2 micro-batches");
    o.batch = 0;
    assert_open_fails(&o, ATM_E_CONFIG, "a batch of 0");
    o = options();
    o.split = ATM_SPLIT_TEST;
    assert_open_fails(&o, ATM_E_DATA, "none of its 24 pairs is in the split test");
    o = options();
    o.n_columns = 1;
    o.column = &(atm_loader_column){ .name = "clips/latent_mean" };
    assert_open_fails(&o, ATM_E_DATA, "clips/latent_mean: there is no such column");
    o.column = &(atm_loader_column){ .name = "clips/mel", .crop = FRAMES + 1, .unit = 1 };
    assert_open_fails(&o, ATM_E_DATA, "a crop of 41 along axis 0 does not fit into a row (40 there)");
    o.column = &(atm_loader_column){ .name = "clips/mel", .crop = 1, .unit = 1, .axis = 2 };
    assert_open_fails(&o, ATM_E_DATA, "axis 2");
    o.column = &(atm_loader_column){ .name = "artworks/embedding" };
    o.clips = true;
    assert_open_fails(&o, ATM_E_BUG, "artworks/embedding: clips were asked for");
    atm_loader_close(NULL);
}

static void music_alone_has_no_artworks(void **state)
{
    (void)state;
    atm_dataset_close(data);
    atm_dataset_writer *w = dataset_writer(scratch_path("a.h5"), (dataset_size){ .clips = 3, .pairs = 3 });
    declare(w, "artworks/x", ATM_F32, 0, 0, NULL);
    assert_int_equal(atm_dataset_commit(w), ATM_OK);
    data = dataset_open(scratch_path("a.h5"));
    atm_loader_options o = options();
    assert_open_fails(&o, ATM_E_DATA, "artworks/embedding: pair 0 has no artwork");
    o.column = cropped;
    o.n_columns = 3;
    atm_loader_close(open_loader(&o));
}

/* ------------------------------------------------------------------ trouble while reading */

/* The last byte of clip `row`'s title. */
static void damage_title(size_t row)
{
    const atm_column *c = atm_dataset_find(data, "clips/title");
    const int fd = open(scratch_path("a.h5"), O_WRONLY);
    assert_int_equal(pwrite(fd, "!", 1, (off_t)(c->offset + (row + 1) * TITLE - 1)), 1);
    close(fd);
}

static void a_damaged_row_ends_the_run(void **state)
{
    (void)state;
    atm_loader_options o = options();
    atm_loaded b;
    damage_title(7);
    atm_loader *l = open_loader(&o);
    atm_status status = ATM_OK;
    int good = 0;
    while ((status = atm_loader_next(l, &b)) == ATM_OK) {
        for (int i = 0; i < b.n; i++) assert_int_not_equal(b.item[i] % 11, 7);
        good++;
    }
    assert_int_equal(status, ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "clips/title: row 7 has hash"));
    assert_in_range(good, 0, 4);
    assert_int_equal(atm_loader_next(l, &b), ATM_E_DATA);      /* and stays so */
    atm_loader_close(l);
}

static void a_shortened_file_ends_the_run(void **state)
{
    (void)state;
    atm_loader_options o = options();
    atm_loaded b;
    atm_status status;
    int steps = 0;
    atm_loader *l = open_loader(&o);
    next(l);
    assert_int_equal(truncate(scratch_path("a.h5"), 4096), 0);
    while ((status = atm_loader_next(l, &b)) == ATM_OK) steps++;
    assert_int_equal(status, ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "shortened after it was opened"));
    assert_in_range(steps, 0, 18);
    atm_loader_close(l);
}

static void the_dataset_may_be_closed_first(void **state)
{
    (void)state;
    atm_loader_options o = options();
    atm_loader *l = open_loader(&o);
    atm_dataset_close(data);
    for (int i = 0; i < 20; i++) next(l);
    atm_loader_close(l);
    data = dataset_open(scratch_path("a.h5"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_is_a_permutation), cmocka_unit_test(all_orders_are_equally_likely),
        cmocka_unit_test(order_is_mixed), TEST(epochs_visit_each_item_once),
        TEST(order_does_not_depend_on_ranks), TEST(resumes_anywhere), TEST(validation_is_in_order),
        TEST(columns_belong_together), TEST(clips_come_once),
        TEST(crops_stay_aligned), TEST(crops_along_any_axis), TEST(bad_options_are_refused),
        TEST(music_alone_has_no_artworks), TEST(a_damaged_row_ends_the_run),
        TEST(a_shortened_file_ends_the_run),
        TEST(the_dataset_may_be_closed_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
