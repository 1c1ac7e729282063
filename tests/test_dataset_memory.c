/* test_dataset_memory.c - datasets with the n-th allocation failing, for n = 1, 2, ... until it passes: each
 * failure is a status with a message, leaks nothing, and leaves no file behind. */
#include "support/support.h"

#include <stdio.h>

#include "data/dataset.h"
#include "support/bytes.h"
#include "support/fail_malloc.h"

static char path[4300];

static atm_status fill(atm_dataset_writer *w)
{
    static const atm_column column[] = {
        { .name = "artworks/y", .dtype = ATM_U8, .rows = 1 },
        { .name = "clips/x", .dtype = ATM_F32, .rank = 1, .dim = { 4 }, .rows = 2 },
        { .name = "pairs/artwork", .dtype = ATM_I32, .rows = 1 },
        { .name = "pairs/clip", .dtype = ATM_I32, .rows = 1 },
        { .name = "pairs/split", .dtype = ATM_U8, .rows = 1 },
    };
    static const float row[4];
    for (int i = 0; i < 5; i++) {
        TRY_RETURN(atm_dataset_declare(w, &column[i]));
        for (size_t k = 0; k < column[i].rows; k++) TRY_RETURN(atm_dataset_put(w, column[i].name, k, row));
    }
    return atm_dataset_set(w, "framing", "centre");
}

static atm_status write_dataset(void)
{
    atm_dataset_writer *w;
    TRY_RETURN(atm_dataset_begin(path, &w));
    const atm_status status = fill(w);
    if (status == ATM_OK) return atm_dataset_commit(w);
    atm_dataset_abort(w);
    return status;
}

static atm_status read_dataset(void)
{
    float row[4];
    atm_dataset *d;
    TRY_RETURN(atm_dataset_open(path, &d));
    const atm_status status = atm_dataset_read(d, atm_dataset_find(d, "clips/x"), 1, row);
    atm_dataset_close(d);
    return status;
}

/* `files` are in the folder after a failure. */
static void fail_each(atm_status (*work)(void), int files)
{
    int failures = 0;
    if (!CAN_FAIL) skip();
    for (long n = 1, left = 0; left == 0; n++) {
        const long before = live;
        countdown = n;
        const atm_status status = work();
        left = countdown;
        countdown = 0;
        failures += status != ATM_OK;
        if (live != before) fail_msg("allocation %ld failing leaks %ld blocks", n, live - before);
        if (status != ATM_OK && !*atm_error()) fail_msg("allocation %ld failed without a message", n);
        if (status != ATM_OK && scratch_count() != files) fail_msg("allocation %ld failing leaves a file", n);
    }
    print_message("%d allocations failed\n", failures);
    assert_true(failures >= 5);
}

static int setup(void **state)
{
    (void)state;
    scratch_make();
    snprintf(path, sizeof path, "%s", scratch_path("a.h5"));
    return 0;
}

static int teardown(void **state) { (void)state; scratch_remove(); return 0; }

static void writing(void **state)
{
    (void)state;
    fail_each(write_dataset, 0);
}

static void reading(void **state)
{
    (void)state;
    assert_int_equal(write_dataset(), ATM_OK);
    fail_each(read_dataset, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writing, setup, teardown),
        cmocka_unit_test_setup_teardown(reading, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
