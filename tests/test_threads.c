/* test_threads.c - the pool: every task once, in any thread, for any count. */
#define _DEFAULT_SOURCE
#include "support/support.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arttomus/status.h"
#include "base/threads.h"

enum { MANY = 10000 };

typedef struct { atomic_int times[MANY]; atomic_int bad_thread, threads; } tally;

static void count(int task, int thread, void *arg)
{
    tally *t = arg;
    atomic_fetch_add(&t->times[task], 1);
    if (thread < 0 || thread >= atomic_load(&t->threads)) atomic_store(&t->bad_thread, 1);
}

static void check_job(atm_pool *pool, tally *t, int n)
{
    memset(t, 0, sizeof *t);
    atomic_store(&t->threads, atm_pool_size(pool));
    atm_pool_run(pool, n, count, t);
    for (int i = 0; i < MANY; i++) assert_int_equal(atomic_load(&t->times[i]), i < n);
    assert_int_equal(atomic_load(&t->bad_thread), 0);
}

static void test_every_task_once(void **state)
{
    static const int sizes[] = { 0, 1, 2, 3, 7, 100, MANY };
    tally *t = malloc(sizeof *t);
    (void)state;
    assert_non_null(t);
    for (int threads = 1; threads <= 5; threads++) {
        atm_pool *pool = NULL;
        assert_int_equal(atm_pool_create(threads, &pool), ATM_OK);
        assert_int_equal(atm_pool_size(pool), threads);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_job(pool, t, sizes[i]);
        atm_pool_destroy(pool);
    }
    check_job(NULL, t, 100);
    free(t);
}

/* Many short jobs: the hand-over between jobs is where a pool breaks. */
static void add_one(int task, int thread, void *arg)
{
    (void)task; (void)thread;
    atomic_fetch_add((atomic_long *)arg, 1);
}

static void test_many_jobs(void **state)
{
    atomic_long sum = 0;
    long expected = 0;
    atm_pool *pool = NULL;
    (void)state;
    assert_int_equal(atm_pool_create(4, &pool), ATM_OK);
    for (int i = 0; i < 5000; i++) {
        expected += 1 + i % 9;
        atm_pool_run(pool, 1 + i % 9, add_one, &sum);
        assert_int_equal(atomic_load(&sum), expected);
    }
    atm_pool_destroy(pool);
}

/* What one job writes, the caller and the next job see. */
static void write_square(int task, int thread, void *arg)
{
    (void)thread;
    ((int *)arg)[task] = task * task;
}

static void negate(int task, int thread, void *arg)
{
    (void)thread;
    ((int *)arg)[task] = -((int *)arg)[task];
}

static void test_results_are_visible(void **state)
{
    static int data[1000];
    atm_pool *pool = NULL;
    (void)state;
    assert_int_equal(atm_pool_create(3, &pool), ATM_OK);
    for (int round = 0; round < 50; round++) {
        atm_pool_run(pool, 1000, write_square, data);
        atm_pool_run(pool, 1000, negate, data);
        for (int i = 0; i < 1000; i++) assert_int_equal(data[i], -i * i);
    }
    atm_pool_destroy(pool);
}

/* Longer than anybody spins: the worker sleeps before the job, the caller during it,
 * and each must be woken. */
enum { ASLEEP_US = 20000 };

static void sleep_in_the_worker(int task, int thread, void *arg)
{
    atomic_bool *begun = arg;
    (void)task;
    if (thread == 0) {
        while (!atomic_load(begun)) sched_yield();
        return;
    }
    atomic_store(begun, true);
    usleep(ASLEEP_US);
}

static void test_sleepers_are_woken(void **state)
{
    atm_pool *pool = NULL;
    (void)state;
    assert_int_equal(atm_pool_create(2, &pool), ATM_OK);
    alarm(30);          /* a lost wake-up is a hang */
    for (int round = 0; round < 3; round++) {
        atomic_bool begun = false;
        usleep(ASLEEP_US);
        atm_pool_run(pool, 2, sleep_in_the_worker, &begun);
        assert_true(atomic_load(&begun));
    }
    alarm(0);
    atm_pool_destroy(pool);
}

static void test_limits(void **state)
{
    atm_pool *pool = NULL;
    (void)state;
    assert_int_equal(atm_pool_create(-1, &pool), ATM_E_USAGE);
    assert_int_equal(atm_pool_create(100000, &pool), ATM_E_USAGE);
    assert_null(pool);
    assert_int_equal(atm_pool_size(NULL), 1);
    assert_true(atm_cpu_count() >= 1);
    assert_int_equal(atm_pool_create(0, &pool), ATM_OK);
    assert_int_equal(atm_pool_size(pool), atm_cpu_count());
    atm_pool_destroy(pool);
    atm_pool_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_once), cmocka_unit_test(test_many_jobs),
        cmocka_unit_test(test_results_are_visible), cmocka_unit_test(test_sleepers_are_woken),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
