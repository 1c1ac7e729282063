/* test_dataset_mutants.c - damaged HDF5 files: an error or a result, never a crash, never a hang.  Each
 * mutant is opened and read by a child, so that a crash is counted and not suffered.
 * ATM_MUTANTS=10000 for the long run. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/dataset_structure.h"
#include "data/dataset_private.h"
#include "support/bytes.h"
#include "support/dataset_file.h"
#include "support/media.h"

enum { SECONDS = 5, EDGE = 4096 };

static int make_scratch(void **state)
{
    (void)state;
    scratch_make();
    dataset_write(scratch_path("ours.h5"), (dataset_size){ .artworks = 2, .clips = 3, .pairs = 4, .validation = 2 });
    return 0;
}

static int remove_scratch(void **state) { (void)state; scratch_remove(); return 0; }

/* ------------------------------------------------------------------ the child */

static atm_status read_all(const atm_dataset *d)
{
    for (int i = 0; i < d->table.n_entries; i++) {
        const atm_column *c = &d->table.entry[i]->column;
        void *row = malloc(c->row_bytes);       /* exact: a row too long would be seen */
        atm_status status = row ? ATM_OK : ATM_E_MEMORY;
        for (size_t k = 0; k < c->rows && status == ATM_OK; k++) status = atm_dataset_read(d, c, k, row);
        free(row);
        TRY_RETURN(status);
    }
    return ATM_OK;
}

static atm_status try_file(const char *path)
{
    atm_dataset *d = NULL;
    TRY_RETURN(atm_dataset_open(path, &d));
    const atm_status status = read_all(d);
    atm_dataset_close(d);
    return status;
}

/* How the child ended: 0 good, 65 refused; others fail the test. */
static int end_of_child(const char *path)
{
    int how;
    const pid_t child = fork();
    if (child == 0) {
        alarm(SECONDS);
        _exit((int)try_file(path));
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

typedef struct { int good, refused; } tally;

static void judge(const char *name, uint32_t seed, const unsigned char *data, size_t n, tally *t)
{
    write_bytes(scratch_path("mutant.h5"), data, n);
    const int end = end_of_child(scratch_path("mutant.h5"));
    t->good += end == ATM_OK;
    t->refused += end == ATM_E_DATA;
    if (end != ATM_OK && end != ATM_E_DATA) fail_msg("%s, mutant %u: ended with %d", name, seed, end);
}

/* ------------------------------------------------------------------ mutants */

static uint32_t below(uint32_t seed, size_t n) { return noise_at(seed) % (uint32_t)n; }

/* Structure lies at the ends: half of the changes go there. */
static size_t some_place(uint32_t seed, size_t n)
{
    const size_t edge = n < 2 * EDGE ? n / 2 : EDGE;
    switch (noise_at(seed) % 4) {
    case 0: return below(seed + 1, edge);
    case 1: return n - 1 - below(seed + 1, edge);
    default: return below(seed + 1, n);
    }
}

static unsigned char some_byte(uint32_t seed, unsigned char old)
{
    static const unsigned char special[] = { 0, 1, 0x7f, 0x80, 0xff };
    const uint32_t kind = noise_at(seed) % 3;
    if (kind == 0) return special[noise_at(seed + 1) % sizeof special];
    return (unsigned char)(kind == 1 ? noise_at(seed + 1) : old ^ 1u << noise_at(seed + 1) % 8);
}

/* Object headers of version 2 and superblocks get right checksums again: else libhdf5 looks no further. */
static void repair(unsigned char *p, size_t n)
{
    for (size_t i = 0; i + 14 < n; i++) {
        size_t body = 0;
        if (memcmp(p + i, "OHDR\2\2", 6) == 0) body = 10u + (p[i + 6] | (size_t)p[i + 7] << 8);
        if (i == 0 && p[8] == 2) body = ATM_SUPERBLOCK - 4;
        if (body == 0 || i + body + 4 > n) continue;
        const uint32_t sum = atm_lookup3(p + i, body);
        for (int k = 0; k < 4; k++) p[i + body + (size_t)k] = (unsigned char)(sum >> 8 * k);
    }
}

static void mutate(const char *name, const char *path, bool repaired)
{
    const char *wanted = getenv("ATM_MUTANTS");
    const uint32_t mutants = wanted ? (uint32_t)atoi(wanted) : 1000;
    tally t = { 0, 0 };
    bytes file = read_bytes(path);
    unsigned char *copy = malloc(file.n);
    assert_non_null(copy);
    for (uint32_t m = 0; m < mutants; m++) {
        const uint32_t seed = m * 64, changes = 1 + noise_at(seed) % 8;
        memcpy(copy, file.p, file.n);
        for (uint32_t k = 0; k < changes; k++) {
            const size_t place = some_place(seed + 1 + 4 * k, file.n);
            copy[place] = some_byte(seed + 3 + 4 * k, copy[place]);
        }
        if (repaired) repair(copy, file.n);
        judge(name, m, copy, file.n, &t);
    }
    print_message("%s: %d refused, %d good\n", name, t.refused, t.good);
    assert_true(t.refused > (int)mutants / 2);
    free(copy);
    bytes_free(&file);
}

static void ours_survives(void **state) { (void)state; mutate("ours", scratch_path("ours.h5"), false); }
static void repaired_survives(void **state) { (void)state; mutate("ours, repaired", scratch_path("ours.h5"), true); }

static void h5py_survives(void **state)
{
    (void)state;
    mutate("default.h5", fixture_path("dataset/default.h5"), false);
    mutate("v110.h5", fixture_path("dataset/v110.h5"), false);
}

/* ------------------------------------------------------------------ cut files */

static void cut(const char *name, const char *path)
{
    tally t = { 0, 0 };
    bytes file = read_bytes(path);
    for (size_t n = 0; n < file.n; n += n < 128 ? 1 : file.n / 100) judge(name, (uint32_t)n, file.p, n, &t);
    judge(name, (uint32_t)file.n - 1, file.p, file.n - 1, &t);
    assert_true(t.refused >= 200);
    assert_int_equal(t.good, 0);
    bytes_free(&file);
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    cut("ours", scratch_path("ours.h5"));
    cut("default.h5", fixture_path("dataset/default.h5"));
    cut("v110.h5", fixture_path("dataset/v110.h5"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_scratch, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ours_survives), TEST(repaired_survives), TEST(h5py_survives), TEST(cut_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
