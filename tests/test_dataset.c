/* test_dataset.c - what is written is read; what was not written wholly, or was changed
 * since, is refused. */
#define _GNU_SOURCE
#include "support/support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/philox.h"
#include "support/bytes.h"
#include "support/dataset_file.h"

static const dataset_size small = { .artworks = 3, .clips = 5, .pairs = 7, .validation = 3 };

static int make_scratch(void **state) { (void)state; scratch_make(); return 0; }
static int remove_scratch(void **state) { (void)state; scratch_remove(); return 0; }

static void assert_fails(atm_status got, atm_status wanted, const char *says)
{
    if (got != wanted || !strstr(atm_error(), says))
        fail_msg("expected status %d and \"%s\", got %d: %s", wanted, says, got,
                 got == ATM_OK ? "" : atm_error());
}

static void assert_refused(const char *path, atm_status wanted, const char *says)
{
    atm_dataset *d = NULL;
    assert_fails(atm_dataset_open(path, &d), wanted, says);
    assert_non_null(strstr(atm_error(), path));
    assert_null(d);
}

/* ------------------------------------------------------------------ there and back */

static void reads_what_was_written(void **state)
{
    (void)state;
    float mel[FRAMES][BANDS];
    char title[TITLE];
    const char *path = scratch_path("a.h5");
    dataset_write(path, small);
    atm_dataset *d = dataset_open(path);
    assert_string_equal(atm_dataset_path(d), path);
    assert_int_equal(atm_dataset_n_pairs(d), 7);
    assert_int_equal(atm_dataset_pairs(d)[4].artwork, 1);
    assert_int_equal(atm_dataset_pairs(d)[4].clip, 4);
    assert_int_equal(atm_dataset_pairs(d)[6].split, ATM_SPLIT_VALIDATION);
    assert_string_equal(atm_dataset_attribute(d, "model"), "a model");
    assert_string_equal(atm_dataset_attribute(d, "fingerprint"), atm_dataset_fingerprint(d));
    assert_null(atm_dataset_attribute(d, "mode"));
    assert_null(atm_dataset_find(d, "clips/latent_mean"));
    assert_null(atm_dataset_find(d, "clips/mel.xxh3"));
    const atm_column *column = atm_dataset_find(d, "clips/mel");
    assert_int_equal(column->rank, 2);
    assert_int_equal(column->dim[1], BANDS);
    assert_int_equal(column->row_bytes, sizeof mel);
    assert_int_equal(atm_dataset_read(d, column, 4, mel), ATM_OK);
    assert_true(mel[39][2] == mel_at(4, 39, 2));
    assert_true(atm_dataset_find(d, "clips/title")->text);
    assert_int_equal(atm_dataset_read(d, atm_dataset_find(d, "clips/title"), 3, title), ATM_OK);
    assert_string_equal(title, "clip 3");
    assert_fails(atm_dataset_read(d, column, 5, mel), ATM_E_BUG, "row 5 was asked for, of 5");
    atm_dataset_close(d);
    atm_dataset_close(NULL);
}

enum { KINDS = ATM_DTYPE_COUNT * (ATM_COLUMN_MAX_RANK + 1), KIND_ROWS = 4, KIND_BYTES = 8 * 1 * 2 * 3 * 4 };

/* Column k: dtype k / 5, rank k % 5. */
static void declare_kind(atm_dataset_writer *w, int k, char name[32])
{
    snprintf(name, 32, "artworks/kind_%d", k);
    declare(w, name, (atm_dtype)(k / (ATM_COLUMN_MAX_RANK + 1)), KIND_ROWS, k % (ATM_COLUMN_MAX_RANK + 1),
            (int[]){ 1, 2, 3, 4 });
}

static void random_bytes(int k, size_t row, unsigned char out[KIND_BYTES])
{
    for (uint32_t i = 0; i < KIND_BYTES; i++)
        out[i] = (unsigned char)atm_uint32((atm_rng){ 7, ATM_STREAM_TEST, (uint32_t)k, (uint32_t)row }, i);
}

static void keeps_every_type_and_rank(void **state)
{
    (void)state;
    char name[32];
    unsigned char wrote[KIND_BYTES], got[KIND_BYTES];
    atm_dataset_writer *w = dataset_writer(scratch_path("a.h5"), (dataset_size){ .clips = 1, .pairs = 1 });
    atm_dataset_abort(w);
    assert_int_equal(atm_dataset_begin(scratch_path("a.h5"), &w), ATM_OK);
    for (int k = 0; k < KINDS; k++) declare_kind(w, k, name);
    for (int k = KINDS - 1; k >= 0; k--)
        for (size_t row = KIND_ROWS; row-- > 0; ) {
            random_bytes(k, row, wrote);
            snprintf(name, sizeof name, "artworks/kind_%d", k);
            put(w, name, row, wrote);
        }
    declare(w, "pairs/artwork", ATM_I64, 1, 0, NULL);
    declare(w, "pairs/clip", ATM_I64, 0, 0, NULL);
    assert_fails(atm_dataset_commit(w), ATM_E_BUG, "pairs/artwork: 1 of its 1 rows were not put");

    assert_int_equal(atm_dataset_begin(scratch_path("a.h5"), &w), ATM_OK);
    for (int k = 0; k < KINDS; k++) {
        declare_kind(w, k, name);
        for (size_t row = KIND_ROWS; row-- > 0; ) {
            random_bytes(k, row, wrote);
            put(w, name, row, wrote);
        }
    }
    for (int i = 0; i < 3; i++)
        declare(w, ((const char *[]){ "pairs/artwork", "pairs/clip", "pairs/split" })[i], ATM_I64, 0, 0,
                NULL);
    assert_int_equal(atm_dataset_commit(w), ATM_OK);
    atm_dataset *d = dataset_open(scratch_path("a.h5"));
    for (int k = 0; k < KINDS; k++) {
        snprintf(name, sizeof name, "artworks/kind_%d", k);
        const atm_column *c = atm_dataset_find(d, name);
        assert_int_equal(c->dtype, k / 5);
        assert_int_equal(c->rank, k % 5);
        for (size_t row = 0; row < KIND_ROWS; row++) {
            random_bytes(k, row, wrote);
            assert_int_equal(atm_dataset_read(d, c, row, got), ATM_OK);
            assert_memory_equal(got, wrote, c->row_bytes);
        }
    }
    atm_dataset_close(d);
}

static void same_content_is_the_same_file(void **state)
{
    (void)state;
    dataset_write(scratch_path("a.h5"), small);
    dataset_write(scratch_path("b.h5"), small);
    bytes a = read_bytes(scratch_path("a.h5")), b = read_bytes(scratch_path("b.h5"));
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    bytes_free(&a);
    bytes_free(&b);
}

static void an_empty_split_is_fine(void **state)
{
    (void)state;
    dataset_write(scratch_path("a.h5"), (dataset_size){ 0 });
    atm_dataset *d = dataset_open(scratch_path("a.h5"));
    assert_int_equal(atm_dataset_n_pairs(d), 0);
    assert_int_equal(atm_dataset_find(d, "clips/mel")->rows, 0);
    atm_dataset_close(d);
}

/* ------------------------------------------------------------------ many threads */

enum { WRITERS = 4, SHARED_ROWS = 400 };
typedef struct { atm_dataset_writer *writer; int index; } share;

static void *write_share(void *arg)
{
    const share *s = arg;
    float row[16];
    for (size_t i = (size_t)s->index; i < SHARED_ROWS; i += WRITERS) {
        for (int k = 0; k < 16; k++) row[k] = (float)i;
        if (atm_dataset_put(s->writer, "clips/shared", i, row) != ATM_OK) return (void *)s;
    }
    return NULL;
}

static void any_thread_may_put(void **state)
{
    (void)state;
    pthread_t thread[WRITERS];
    share shares[WRITERS];
    atm_dataset_writer *w = dataset_writer(scratch_path("a.h5"), (dataset_size){ .clips = 0 });
    atm_dataset_abort(w);
    assert_int_equal(atm_dataset_begin(scratch_path("a.h5"), &w), ATM_OK);
    declare(w, "clips/shared", ATM_F32, SHARED_ROWS, 1, (int[]){ 16 });
    for (int i = 0; i < 3; i++)
        declare(w, ((const char *[]){ "pairs/artwork", "pairs/clip", "pairs/split" })[i], ATM_I32, 0, 0,
                NULL);
    for (int i = 0; i < WRITERS; i++) {
        shares[i] = (share){ w, i };
        assert_int_equal(pthread_create(&thread[i], NULL, write_share, &shares[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(atm_dataset_commit(w), ATM_OK);
    atm_dataset *d = dataset_open(scratch_path("a.h5"));
    for (size_t i = 0; i < SHARED_ROWS; i++) {
        float row[16];
        assert_int_equal(atm_dataset_read(d, atm_dataset_find(d, "clips/shared"), i, row), ATM_OK);
        assert_true(row[15] == (float)i);
    }
    atm_dataset_close(d);
}

/* ------------------------------------------------------------------ the fingerprint */

static void write_variant(const char *path, int variant)
{
    const float row[2] = { 1, variant == 1 ? 3 : 2 };
    atm_dataset_writer *w;
    assert_int_equal(atm_dataset_begin(path, &w), ATM_OK);
    declare(w, variant == 2 ? "clips/y" : "clips/x", variant == 3 ? ATM_I32 : ATM_F32, 2, 1, (int[]){ 2 });
    put(w, variant == 2 ? "clips/y" : "clips/x", 0, row);
    put(w, variant == 2 ? "clips/y" : "clips/x", 1, row);
    declare(w, "pairs/artwork", ATM_I32, 1, 0, NULL);
    declare(w, "pairs/clip", ATM_I32, 1, 0, NULL);
    declare(w, "pairs/split", ATM_U8, 1, 0, NULL);
    put_i32(w, "pairs/artwork", 0, -1);
    put_i32(w, "pairs/clip", 0, 1);
    put(w, "pairs/split", 0, &(uint8_t){ 2 });
    assert_int_equal(atm_dataset_set(w, "framing", "first"), ATM_OK);
    assert_int_equal(atm_dataset_set(w, "framing", variant == 4 ? "other" : "centre"), ATM_OK);
    assert_int_equal(atm_dataset_commit(w), ATM_OK);
}

static void fingerprint_covers_everything(void **state)
{
    (void)state;
    char seen[5][33];
    for (int variant = 0; variant < 5; variant++) {
        write_variant(scratch_path("a.h5"), variant);
        atm_dataset *d = dataset_open(scratch_path("a.h5"));
        memcpy(seen[variant], atm_dataset_fingerprint(d), sizeof seen[0]);
        atm_dataset_close(d);
        for (int k = 0; k < variant; k++) assert_string_not_equal(seen[k], seen[variant]);
    }
    assert_string_equal(seen[0], "34d601bcf58d781788dd3a9689aa9aec");
}

/* ------------------------------------------------------------------ misuse of the writer */

static void writer_refuses(void **state)
{
    (void)state;
    static const struct { atm_column column; const char *says; } bad[] = {
        { { .name = "clips/mel", .rows = 5 }, "twice" },
        { { .name = "mel", .rows = 5 }, "not a column's name" },
        { { .name = "clips/", .rows = 5 }, "not a column's name" },
        { { .name = "clips/a/b", .rows = 5 }, "not a column's name" },
        { { .name = "clips/a.xxh3", .rows = 5 }, "not a column's name" },
        { { .name = "clips/x", .rows = 5, .rank = 5 }, "rank 5" },
        { { .name = "clips/x", .rows = 5, .rank = 1, .dtype = ATM_F32, .text = true }, "rank 1" },
        { { .name = "clips/x", .rows = 5, .rank = 1 }, "zero or too large" },
        { { .name = "clips/x", .rows = 5, .rank = 4, .dim = { INT32_MAX, INT32_MAX, INT32_MAX, 9 } },
          "too large" },
        { { .name = "clips/x", .rows = (size_t)1 << 31 }, "too large" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        atm_dataset_writer *w = dataset_writer(scratch_path("a.h5"), small);
        assert_fails(atm_dataset_declare(w, &bad[i].column), ATM_E_DATA, bad[i].says);
        assert_fails(atm_dataset_commit(w), ATM_E_IO, "earlier");
    }
    assert_int_equal(scratch_count(), 0);
}

static void every_row_is_put_once(void **state)
{
    (void)state;
    float row[SAMPLES] = { 0 };
    atm_dataset_writer *w = dataset_writer(scratch_path("a.h5"), small);
    declare(w, "clips/extra", ATM_F32, 5, 1, (int[]){ 2 });
    put(w, "clips/extra", 3, row);
    assert_fails(atm_dataset_commit(w), ATM_E_BUG, "clips/extra: 4 of its 5 rows were not put");
    w = dataset_writer(scratch_path("a.h5"), small);
    assert_fails(atm_dataset_put(w, "clips/mel", 2, row), ATM_E_BUG, "twice");
    assert_fails(atm_dataset_put(w, "clips/mel", 5, row), ATM_E_BUG, "row 5 was put, of 5");
    assert_fails(atm_dataset_put(w, "clips/none", 0, row), ATM_E_BUG, "not declared");
    atm_dataset_abort(w);
    atm_dataset_abort(NULL);
    assert_int_equal(scratch_count(), 0);
}

static void text_is_utf8(void **state)
{
    (void)state;
    atm_dataset_writer *w = dataset_writer(scratch_path("a.h5"), small);
    const atm_column c = { .name = "clips/text", .dtype = ATM_U8, .text = true, .rank = 1, .dim = { 4 },
                           .rows = 5 };
    assert_int_equal(atm_dataset_declare(w, &c), ATM_OK);
    assert_int_equal(atm_dataset_put(w, "clips/text", 0, "\xc3\xa9\xc3\xa9"), ATM_OK);
    assert_fails(atm_dataset_put(w, "clips/text", 1, "\xc3\0\0"), ATM_E_DATA, "not UTF-8");
    assert_fails(atm_dataset_set(w, "bad", "\xff"), ATM_E_DATA, "UTF-8");
    assert_fails(atm_dataset_set(w, "a.b", "text"), ATM_E_DATA, "letters");
    atm_dataset_abort(w);
}

static void commit_checks_the_pairs(void **state)
{
    (void)state;
    atm_dataset_writer *w;
    assert_int_equal(atm_dataset_begin(scratch_path("a.h5"), &w), ATM_OK);
    assert_fails(atm_dataset_commit(w), ATM_E_DATA, "no column pairs/artwork");
    w = dataset_writer(scratch_path("a.h5"), small);
    declare(w, "clips/other", ATM_U8, 6, 0, NULL);
    for (size_t i = 0; i < 6; i++) put(w, "clips/other", i, "x");
    assert_fails(atm_dataset_commit(w), ATM_E_DATA, "all columns of a group must have the same number");
    w = dataset_writer(scratch_path("a.h5"), (dataset_size){ .artworks = 1, .clips = 1 });
    atm_dataset_abort(w);
    assert_int_equal(scratch_count(), 0);
}

static void a_failed_commit_leaves_the_old_file(void **state)
{
    (void)state;
    dataset_write(scratch_path("a.h5"), small);
    atm_dataset_writer *w = dataset_writer(scratch_path("a.h5"), small);
    declare(w, "clips/extra", ATM_F32, 5, 0, NULL);
    assert_fails(atm_dataset_commit(w), ATM_E_BUG, "not put");
    atm_dataset_close(dataset_open(scratch_path("a.h5")));
    assert_int_equal(scratch_count(), 1);
}

/* ------------------------------------------------------------------ no room */

/* In a child: the limit would stay. */
static int write_within(rlim_t limit)
{
    const pid_t child = fork();
    if (child == 0) {
        atm_dataset_writer *w = NULL;
        static char row[4096];
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){ limit, limit });
        atm_status status = atm_dataset_begin(scratch_path("a.h5"), &w);
        const atm_column c[] = {
            { .name = "clips/x", .dtype = ATM_U8, .rank = 1, .dim = { sizeof row }, .rows = 4 },
            { .name = "pairs/artwork", .dtype = ATM_I32 }, { .name = "pairs/clip", .dtype = ATM_I32 },
            { .name = "pairs/split", .dtype = ATM_U8 },
        };
        for (int i = 0; i < 4 && status == ATM_OK; i++) status = atm_dataset_declare(w, &c[i]);
        for (size_t i = 0; i < 4 && status == ATM_OK; i++) status = atm_dataset_put(w, "clips/x", i, row);
        if (status == ATM_OK) status = atm_dataset_commit(w);
        else atm_dataset_abort(w);
        _exit((int)status);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    if (!WIFEXITED(how)) fail_msg("limit %d: killed by signal %d", (int)limit, WTERMSIG(how));
    return WEXITSTATUS(how);
}

static void a_full_disk_is_reported(void **state)
{
    (void)state;
    int failures = 0;
    for (rlim_t limit = 0; limit < 32768; limit += 331) {
        const int status = write_within(limit);
        if (status != ATM_OK && status != ATM_E_IO) fail_msg("limit %d: exit %d", (int)limit, status);
        if (scratch_count() != (status == ATM_OK)) fail_msg("limit %d: %d files", (int)limit,
                                                            scratch_count());
        failures += status != ATM_OK;
        unlink(scratch_path("a.h5"));
    }
    assert_true(failures > 50);
    assert_int_equal(write_within(RLIM_INFINITY), ATM_OK);
}

/* ------------------------------------------------------------------ changed and damaged files */

static void flip(const char *path, uint64_t offset)
{
    unsigned char byte;
    const int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 16;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

static void a_damaged_row_is_not_read(void **state)
{
    (void)state;
    float mel[FRAMES][BANDS];
    const char *path = scratch_path("a.h5");
    dataset_write(path, small);
    atm_dataset *d = dataset_open(path);
    const atm_column *c = atm_dataset_find(d, "clips/mel");
    flip(path, c->offset + 2 * c->row_bytes + 77);
    assert_int_equal(atm_dataset_read(d, c, 1, mel), ATM_OK);
    assert_fails(atm_dataset_read(d, c, 2, mel), ATM_E_DATA, "was changed after it was opened");
    atm_dataset_close(d);
    d = dataset_open(path);
    assert_fails(atm_dataset_read(d, atm_dataset_find(d, "clips/mel"), 2, mel), ATM_E_DATA, "is damaged");
    assert_non_null(strstr(atm_error(), "clips/mel: row 2"));
    atm_dataset_close(d);
}

static void a_shortened_file_is_noticed(void **state)
{
    (void)state;
    float mel[FRAMES][BANDS];
    const char *path = scratch_path("a.h5");
    dataset_write(path, small);
    atm_dataset *d = dataset_open(path);
    const atm_column *c = atm_dataset_find(d, "clips/mel");
    assert_int_equal(truncate(path, (off_t)(c->offset + c->row_bytes + 5)), 0);
    assert_int_equal(atm_dataset_read(d, c, 0, mel), ATM_OK);
    assert_fails(atm_dataset_read(d, c, 1, mel), ATM_E_DATA, "was shortened after it was opened");
    atm_dataset_close(d);
}

/* A new file under the old name is another file: the open one stays as it was. */
static void a_replaced_file_stays_readable(void **state)
{
    (void)state;
    float mel[FRAMES][BANDS];
    dataset_write(scratch_path("a.h5"), small);
    atm_dataset *d = dataset_open(scratch_path("a.h5"));
    dataset_write(scratch_path("a.h5"), (dataset_size){ .artworks = 1, .clips = 1, .pairs = 1 });
    assert_int_equal(atm_dataset_read(d, atm_dataset_find(d, "clips/mel"), 4, mel), ATM_OK);
    atm_dataset_close(d);
}

static void damaged_hashes_are_noticed_at_open(void **state)
{
    (void)state;
    const char *path = scratch_path("a.h5");
    dataset_write(path, small);
    bytes file = read_bytes(path);
    atm_dataset *d = dataset_open(path);
    const atm_column *c = atm_dataset_find(d, "clips/mel");
    uint64_t end = c->offset + c->rows * c->row_bytes;
    atm_dataset_close(d);
    while (file.p[end] == 0) end++;                 /* the companion is what comes next */
    flip(path, end);
    assert_refused(path, ATM_E_DATA, "fingerprint");
    bytes_free(&file);
}

static void what_is_no_dataset_is_refused(void **state)
{
    (void)state;
    assert_refused(scratch_path("none.h5"), ATM_E_NOINPUT, "No such file");
    write_bytes(scratch_path("empty.h5"), "", 0);
    assert_refused(scratch_path("empty.h5"), ATM_E_DATA, "not an HDF5 file");
    write_bytes(scratch_path("text.h5"), "artwork,track\n", 14);
    assert_refused(scratch_path("text.h5"), ATM_E_DATA, "not an HDF5 file");
    assert_int_equal(mkfifo(scratch_path("fifo.h5"), 0600), 0);
    assert_refused(scratch_path("fifo.h5"), ATM_E_NOINPUT, "is not a file");
    assert_refused("/dev", ATM_E_NOINPUT, "is not a file");
    write_bytes(scratch_path("magic.h5"), "\x89HDF\r\n\x1a\n", 8);
    assert_refused(scratch_path("magic.h5"), ATM_E_DATA, "cut or damaged");
}

static void check_h5py(const char *name)
{
    float e[3];
    char title[8];
    atm_dataset *d = dataset_open(fixture_path(name));
    assert_int_equal(atm_dataset_n_pairs(d), 3);
    assert_int_equal(atm_dataset_pairs(d)[2].artwork, -1);
    assert_int_equal(atm_dataset_pairs(d)[2].split, ATM_SPLIT_TEST);
    assert_string_equal(atm_dataset_fingerprint(d), "5d115d689bce0ec3beb1bf7f4a7eca45");
    assert_int_equal(atm_dataset_read(d, atm_dataset_find(d, "artworks/embedding"), 1, e), ATM_OK);
    assert_true(e[0] == 3 && e[2] == 5);
    assert_int_equal(atm_dataset_find(d, "clips/half")->dtype, ATM_F16);
    assert_int_equal(atm_dataset_find(d, "clips/vocal")->dtype, ATM_BOOL);
    assert_int_equal(atm_dataset_read(d, atm_dataset_find(d, "clips/title"), 0, title), ATM_OK);
    assert_memory_equal(title, "\xc3\xa9tude\0\0", 8);
    atm_dataset_close(d);
}

static void h5py_files_are_read(void **state)
{
    (void)state;
    check_h5py("dataset/default.h5");
    check_h5py("dataset/v110.h5");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_scratch, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_what_was_written), TEST(keeps_every_type_and_rank), TEST(same_content_is_the_same_file),
        TEST(an_empty_split_is_fine), TEST(any_thread_may_put), TEST(fingerprint_covers_everything),
        TEST(writer_refuses), TEST(every_row_is_put_once), TEST(text_is_utf8), TEST(commit_checks_the_pairs),
        TEST(a_failed_commit_leaves_the_old_file), TEST(a_full_disk_is_reported),
        TEST(a_damaged_row_is_not_read),
        TEST(a_shortened_file_is_noticed), TEST(a_replaced_file_stays_readable),
        TEST(damaged_hashes_are_noticed_at_open), TEST(what_is_no_dataset_is_refused),
        TEST(h5py_files_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
