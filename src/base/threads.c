#define _GNU_SOURCE
#include "base/threads.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPIN = 4000, MAX_THREADS = 1024, MAX_TASKS = 1 << 30 };

/* `job` holds how many tasks there are (high half) and the next one to hand out
 * (low half): one fetch-and-add gives a thread a task and tells it whether that
 * task exists.  A worker that wakes up late finds none and touches nothing else,
 * so nobody ever waits for a thread that has no task: on a machine with more
 * runnable threads than cores that wait would be a time slice, for every job. */
struct atm_pool {
    int n_threads;
    pthread_t *thread;               /* n_threads - 1 workers */
    atm_task task;                   /* may be read by whoever holds a task */
    void *arg;
    _Alignas(64) atomic_ullong job;
    _Alignas(64) atomic_uint round;  /* counts jobs; workers wait for it to change */
    atomic_int sleepers;
    _Alignas(64) atomic_uint done;   /* finished tasks of this job */
    atomic_bool waiting;             /* the caller sleeps on `done` */
    atomic_bool quit;
};

typedef struct { atm_pool *pool; int index; } worker_args;

static void futex_wait(atomic_uint *word, unsigned expected)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, MAX_THREADS, NULL, NULL, 0);
}

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Takes tasks until none is left; true: this thread finished the job's last one. */
static bool work(atm_pool *pool, int thread)
{
    unsigned finished = 0, n;
    for (;;) {
        unsigned long long job = atomic_fetch_add_explicit(&pool->job, 1, memory_order_acquire);
        unsigned index = (unsigned)job;
        n = (unsigned)(job >> 32);
        if (index >= n) break;
        pool->task((int)index, thread, pool->arg);
        finished++;
    }
    return finished && atomic_fetch_add(&pool->done, finished) + finished == n;
}

/* Waits until the round is not `old` any more: spin, then sleep. */
static void wait_for_round(atm_pool *pool, unsigned old)
{
    for (int i = 0; i < SPIN; i++) {
        if (atomic_load_explicit(&pool->round, memory_order_acquire) != old) return;
        cpu_relax();
    }
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->round) == old) futex_wait(&pool->round, old);
    atomic_fetch_sub(&pool->sleepers, 1);
}

static void *worker(void *p)
{
    worker_args args = *(worker_args *)p;
    atm_pool *pool = args.pool;
    free(p);
    for (unsigned seen = 0;;) {
        wait_for_round(pool, seen);
        seen = atomic_load(&pool->round);
        if (atomic_load(&pool->quit)) return NULL;
        if (work(pool, args.index) && atomic_load(&pool->waiting)) futex_wake(&pool->done);
    }
}

static void start_round(atm_pool *pool)
{
    atomic_fetch_add(&pool->round, 1);
    if (atomic_load(&pool->sleepers)) futex_wake(&pool->round);
}

static void wait_for_tasks(atm_pool *pool, unsigned n)
{
    for (int i = 0; i < SPIN; i++) {
        if (atomic_load_explicit(&pool->done, memory_order_acquire) == n) return;
        cpu_relax();
    }
    atomic_store(&pool->waiting, true);
    for (unsigned done; (done = atomic_load(&pool->done)) != n; ) futex_wait(&pool->done, done);
    atomic_store(&pool->waiting, false);
}

static void run_serially(int n, atm_task task, void *arg)
{
    for (int i = 0; i < n; i++) task(i, 0, arg);
}

void atm_pool_run(atm_pool *pool, int n, atm_task task, void *arg)
{
    if (!pool || pool->n_threads == 1 || n <= 1 || n > MAX_TASKS) {
        run_serially(n, task, arg);
        return;
    }
    pool->task = task;
    pool->arg = arg;
    atomic_store(&pool->done, 0);
    atomic_store(&pool->job, (unsigned long long)n << 32);      /* releases task and arg */
    start_round(pool);
    if (!work(pool, 0)) wait_for_tasks(pool, (unsigned)n);
}

int atm_cpu_count(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int atm_pool_size(const atm_pool *pool) { return pool ? pool->n_threads : 1; }

static bool start_worker(atm_pool *pool, int index)
{
    worker_args *args = malloc(sizeof *args);
    if (!args) return false;
    *args = (worker_args){ pool, index };
    if (pthread_create(&pool->thread[index - 1], NULL, worker, args) == 0) return true;
    free(args);
    return false;
}

atm_status atm_pool_create(int threads, atm_pool **out)
{
    if (threads == 0) threads = atm_cpu_count();
    if (threads < 1 || threads > MAX_THREADS)
        return atm_fail(ATM_E_USAGE, "threads: %d is outside 1..%d", threads, MAX_THREADS);
    atm_pool *pool = aligned_alloc(64, sizeof *pool);
    if (!pool) return atm_fail(ATM_E_MEMORY, "no memory for a thread pool");
    *pool = (atm_pool){ .n_threads = 1, .thread = calloc((size_t)threads, sizeof(pthread_t)) };
    while (pool->thread && pool->n_threads < threads && start_worker(pool, pool->n_threads))
        pool->n_threads++;
    if (pool->n_threads < threads) {
        int got = pool->n_threads;
        atm_pool_destroy(pool);
        return atm_fail(ATM_E_MEMORY, "could start only %d of %d threads", got, threads);
    }
    *out = pool;
    return ATM_OK;
}

void atm_pool_destroy(atm_pool *pool)
{
    if (!pool) return;
    atomic_store(&pool->quit, true);
    start_round(pool);
    for (int i = 0; i < pool->n_threads - 1; i++) pthread_join(pool->thread[i], NULL);
    free(pool->thread);
    free(pool);
}
