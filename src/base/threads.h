/* threads.h - the engine's own thread pool.
 *
 * A job is n independent tasks, handed out by an atomic counter.  Which thread
 * runs a task is not determined, so a task's result must not depend on it:
 * results are then the same bits at any thread count.
 * Workers spin briefly for the next job, then sleep on a futex: on a busy
 * machine a pool that only spins (libgomp's default) slows down a hundredfold. */
#ifndef ATM_BASE_THREADS_H
#define ATM_BASE_THREADS_H

#include "base/status.h"

typedef struct atm_pool atm_pool;
typedef void (*atm_task)(int task, int thread, void *arg);     /* 0 <= thread < atm_pool_size */

/* `threads` counts the caller's; 0 means one per available core. */
atm_status atm_pool_create(int threads, atm_pool **out);
void       atm_pool_destroy(atm_pool *pool);                   /* NULL is allowed */
int        atm_pool_size(const atm_pool *pool);                /* 1 for NULL */

/* Runs task(0..n-1) on all threads, the caller's included, and waits for all.
 * pool == NULL runs them in order on the caller.  Not reentrant: one thread at
 * a time may give a pool work, and a task must not. */
void atm_pool_run(atm_pool *pool, int n, atm_task task, void *arg);

int atm_cpu_count(void);        /* cores this process may use */

#endif
