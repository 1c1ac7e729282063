/* job.c - work for all threads, with one voice; see job.h.
 *
 * Only the calling thread logs and tells the progress: it is thread 0 of the pool. */
#include "prepare/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char INTERRUPTED[] = "interrupted: the same command goes on from here";

typedef struct { int source; int64_t bytes; } item;

typedef struct {
    atm_job *job;
    const char *stage;
    const item *item;
    int n;
    int64_t bytes;                      /* of all files */
    job_work work;
    atomic_int done;
    atomic_llong done_bytes;
    atomic_int failed;                  /* an atm_status; the first one's text: */
    char error[1024];
} parallel;

atm_status job_tick(atm_job *job, const char *stage, double fraction, int step, int n_steps)
{
    const atm_progress progress = { .stage = stage, .fraction = fraction, .step = step, .n_steps = n_steps };
    atm_skips_show(&job->skips);
    if (!job->options->progress || job->options->progress(&progress, job->options->user) == 0) return ATM_OK;
    atomic_store(&job->stop, true);
    return atm_fail(ATM_E_CANCELLED, INTERRUPTED);
}

static void tell(parallel *p)
{
    const double fraction = (double)atomic_load(&p->done_bytes) / (double)p->bytes;
    if (job_tick(p->job, p->stage, fraction, atomic_load(&p->done), p->n) != ATM_OK)
        atomic_store(&p->failed, ATM_E_CANCELLED);
}

static void note_failure(parallel *p, atm_status status)
{
    int none = ATM_OK;
    if (atomic_compare_exchange_strong(&p->failed, &none, (int)status))
        snprintf(p->error, sizeof p->error, "%s", atm_error());     /* read when all threads are done */
    atomic_store(&p->job->stop, true);
}

static void run_item(int i, int thread, void *arg)
{
    parallel *p = arg;
    if (atomic_load(&p->job->stop)) return;
    if (thread == 0) tell(p);
    const atm_status status = p->work(p->job, p->item[i].source);
    if (status != ATM_OK) note_failure(p, status);
    atomic_fetch_add(&p->done, 1);
    atomic_fetch_add(&p->done_bytes, p->item[i].bytes);
    if (thread == 0) tell(p);
}

static atm_status run(parallel *p)
{
    atm_pool_run(p->job->device->pool, p->n, run_item, p);
    atm_skips_show(&p->job->skips);
    const atm_status failed = (atm_status)atomic_load(&p->failed);
    if (failed == ATM_OK) return ATM_OK;
    return atm_fail(failed, "%s", failed == ATM_E_CANCELLED ? INTERRUPTED : p->error);
}

/* A long track begun last would keep one thread busy and the others idle. */
static int largest_first(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x->source - y->source;
}

static int64_t file_bytes(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_size + 1 : 1;
}

atm_status job_each_source(atm_job *job, const char *stage, const atm_source *source, int n, job_work work)
{
    parallel p = { .job = job, .stage = stage, .work = work };
    item *items = calloc((size_t)n + 1, sizeof *items);
    if (!items) return atm_fail(ATM_E_MEMORY, "no memory for %d files", n);
    for (int i = 0; i < n; i++) {
        if (!source[i].splits) continue;
        items[p.n] = (item){ i, file_bytes(source[i].file) };
        p.bytes += items[p.n++].bytes;
    }
    qsort(items, (size_t)p.n, sizeof *items, largest_first);
    p.item = items;
    const atm_status status = run(&p);
    free(items);
    return status;
}

/* The name stands before the reason already. */
static const char *without_name(const char *text, const char *name)
{
    const size_t n = strlen(name);
    return strncmp(text, name, n) == 0 && text[n] == ':' ? text + n + 1 + (text[n + 1] == ' ') : text;
}

atm_status job_skip(atm_job *job, const char *kind, const atm_source *source, atm_status failure)
{
    if (failure != ATM_E_DATA && failure != ATM_E_NOINPUT) return failure;
    return atm_skips_add(&job->skips, kind, source->name, source->line, "%s",
                         without_name(atm_error(), source->file));
}
