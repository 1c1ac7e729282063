/* test_loader_close.c - slow and hanging reads: waiting is counted, and closing ends whatever the
 * reader does. */
#define _GNU_SOURCE
#include "support/support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/machine.h"
#include "data/loader.h"
#include "support/bytes.h"
#include "support/dataset_file.h"

/* Takes the C library's place in this program. */
static atomic_int delay_ms;
static atomic_bool hangs, hanging;

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

#pragma GCC visibility push(default)
ssize_t pread(int fd, void *out, size_t n, off_t offset)
{
    sleep_ms(atomic_load(&delay_ms));
    while (atomic_load(&hangs)) {
        atomic_store(&hanging, true);
        sleep_ms(1);
    }
    return syscall(SYS_pread64, fd, out, n, offset);
}
#pragma GCC visibility pop

static atm_dataset *data;

static int setup(void **state)
{
    (void)state;
    scratch_make();
    dataset_write(scratch_path("a.h5"), (dataset_size){ .artworks = 1, .clips = 4, .pairs = 9 });
    data = dataset_open(scratch_path("a.h5"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    atomic_store(&delay_ms, 0);
    atomic_store(&hangs, false);
    atm_dataset_close(data);
    scratch_remove();
    return 0;
}

static atm_loader *start(int batch)
{
    atm_loader *l = NULL;
    const atm_loader_column column = { .name = "clips/mel" };
    const atm_loader_options o = { .dataset = data, .column = &column, .n_columns = 1, .batch = batch,
                                   .ranks = 1,
                                   .micro_batches = 1 };
    assert_int_equal(atm_loader_open(&o, &l), ATM_OK);
    return l;
}

static double close_seconds(atm_loader *l)
{
    const double begin = atm_seconds();
    atm_loader_close(l);
    return atm_seconds() - begin;
}

static void closes_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) assert_true(close_seconds(start(2)) < 1);
}

static void closes_with_a_full_ring(void **state)
{
    (void)state;
    atm_loader *l = start(2);
    sleep_ms(30);
    assert_true(close_seconds(l) < 1);
}

/* Ends after the row being read, not after the batch: that would be 10 s. */
static void closes_within_a_row(void **state)
{
    (void)state;
    atomic_store(&delay_ms, 100);
    assert_true(close_seconds(start(100)) < 1.5);
}

static void waiting_is_counted(void **state)
{
    (void)state;
    atm_loaded b;
    atomic_store(&delay_ms, 50);
    atm_loader *l = start(2);
    assert_int_equal(atm_loader_next(l, &b), ATM_OK);
    assert_true(atm_loader_waited(l) > 0.09);           /* two rows */
    const double before = atm_loader_waited(l);
    sleep_ms(200);
    assert_true(atm_loader_waited(l) == before);        /* the time between is the consumer's */
    atm_loader_close(l);
}

static void gives_up_a_read_that_hangs(void **state)
{
    (void)state;
    atomic_store(&hangs, true);
    atm_loader *l = start(2);
    while (!atomic_load(&hanging)) sleep_ms(1);
    assert_true(close_seconds(l) < 5);
    atm_dataset_close(data);            /* the thread still has it: it ends when the read does */
    atomic_store(&hangs, false);
    sleep_ms(100);
    data = dataset_open(scratch_path("a.h5"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closes_at_once), TEST(closes_with_a_full_ring), TEST(closes_within_a_row),
        TEST(waiting_is_counted), TEST(gives_up_a_read_that_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
