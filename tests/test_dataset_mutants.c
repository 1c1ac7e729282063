/* test_dataset_mutants.c - damaged HDF5 files: an error or a result, never a crash, never a hang.  A child
 * reads them, so that a crash names its mutant.  ATM_MUTANTS=10000 for the long run. */
#define _GNU_SOURCE
#include "support/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/dataset_private.h"
#include "support/bytes.h"
#include "support/dataset_file.h"
#include "support/hdf5_repair.h"
#include "support/media.h"

enum { SECONDS = 5, EDGE = 4096 };

static int make_scratch(void **state)
{
    (void)state;
    scratch_make();
    dataset_write(scratch_path("ours.h5"), (dataset_size){ .artworks = 2, .clips = 3, .pairs = 4,
                                                           .validation = 2 });
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

/* What parent and child both see. */
static struct { const char *name; uint32_t mutant; int good, refused, others; } *seen;

static void judge(const char *name, uint32_t mutant, const unsigned char *data, size_t n)
{
    seen->name = name;
    seen->mutant = mutant;
    write_bytes(scratch_path("mutant.h5"), data, n);
    alarm(SECONDS);
    const atm_status status = try_file(scratch_path("mutant.h5"));
    seen->good += status == ATM_OK;
    seen->refused += status == ATM_E_DATA;
    if (status == ATM_OK || (status == ATM_E_DATA && *atm_error() && !strchr(atm_error(), '\n'))) return;
    seen->others++;
    print_error("%s, mutant %u: status %d: %s\n", name, mutant, status, atm_error());
}

/* Runs work(name, path, flag) in a child. */
static void in_child(void (*work)(const char *name, const char *path, bool flag), const char *name,
                     const char *path, bool flag)
{
    static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    int how;
    memset(seen, 0, sizeof *seen);
    const pid_t child = fork();
    if (child == 0) {
        /* cmocka's handlers would carry on with the tests, in the child. */
        for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) signal(fatal[i], SIG_DFL);
        work(name, path, flag);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    if (!WIFEXITED(how) || WEXITSTATUS(how) != 0)
        fail_msg("%s, mutant %u: ended with status %#x", seen->name, seen->mutant, (unsigned)how);
    print_message("%s: %d refused, %d good\n", name, seen->refused, seen->good);
    assert_int_equal(seen->others, 0);
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

static uint32_t mutants(void)
{
    const char *wanted = getenv("ATM_MUTANTS");
    return wanted ? (uint32_t)atoi(wanted) : 1000;
}

static void mutate(const char *name, const char *path, bool repaired)
{
    bytes file = read_bytes(path);
    unsigned char *copy = malloc(file.n);
    for (uint32_t m = 0; m < mutants(); m++) {
        const uint32_t seed = m * 64, changes = 1 + noise_at(seed) % 8;
        memcpy(copy, file.p, file.n);
        for (uint32_t k = 0; k < changes; k++) {
            const size_t place = some_place(seed + 1 + 4 * k, file.n);
            copy[place] = some_byte(seed + 3 + 4 * k, copy[place]);
        }
        if (repaired) hdf5_repair(copy, file.n);
        judge(name, m, copy, file.n);
    }
    free(copy);
    bytes_free(&file);
}

static void survives(const char *name, const char *path, bool repaired)
{
    in_child(mutate, name, path, repaired);
    assert_int_equal(seen->good + seen->refused, mutants());
    assert_true(seen->refused > (int)mutants() / 4);
}

static void our_files_survive(void **state)
{
    (void)state;
    survives("ours", scratch_path("ours.h5"), false);
    survives("ours, repaired", scratch_path("ours.h5"), true);
}

static void h5py_files_survive(void **state)
{
    (void)state;
    survives("default.h5", fixture_path("dataset/default.h5"), false);
    survives("v110.h5", fixture_path("dataset/v110.h5"), false);
    survives("v110.h5, repaired", fixture_path("dataset/v110.h5"), true);
}

/* ------------------------------------------------------------------ cut files */

static void cut(const char *name, const char *path, bool unused)
{
    (void)unused;
    bytes file = read_bytes(path);
    for (size_t n = 0; n < file.n; n += n < 128 ? 1 : file.n / 100) judge(name, (uint32_t)n, file.p, n);
    judge(name, (uint32_t)file.n - 1, file.p, file.n - 1);
    bytes_free(&file);
}

static void all_cuts_are_refused(const char *name, const char *path)
{
    in_child(cut, name, path, false);
    assert_true(seen->refused >= 200);
    assert_int_equal(seen->good, 0);
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    all_cuts_are_refused("ours, cut", scratch_path("ours.h5"));
    all_cuts_are_refused("default.h5, cut", fixture_path("dataset/default.h5"));
    all_cuts_are_refused("v110.h5, cut", fixture_path("dataset/v110.h5"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_scratch, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(our_files_survive), TEST(h5py_files_survive), TEST(cut_files_are_refused),
    };
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return seen == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
