/* loader.c - see loader.h.
 *
 * A ring of micro-batches between two threads: the reader fills slot q % RING with micro-batch q, the
 * consumer holds one at a time.  Everything about micro-batch q follows from q and the options. */
#include "data/loader.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/machine.h"
#include "base/philox.h"
#include "base/size.h"
#include "data/dataset_private.h"
#include "data/loader_items.h"

enum { RING = 4,                        /* one at the consumer, three ahead of it */
       PATIENCE = 2 };                  /* seconds that closing waits for a read that hangs */

typedef struct { uint32_t *item; void *column[ATM_LOADER_COLUMNS]; } slot;

struct atm_loader {
    atm_loader_options options;
    atm_loader_source source[ATM_LOADER_COLUMNS];
    uint32_t *item, n_items;
    uint32_t starts;                    /* of the columns cropped together; 0: none is cropped */
    int n;                              /* samples of a micro-batch */
    void *row;                          /* a whole row, before it is cropped */
    slot ring[RING];
    atm_arena arena;                    /* slots and row */

    pthread_t thread;
    pthread_mutex_t lock;               /* of what follows */
    pthread_cond_t changed;             /* any of it */
    uint64_t filled, released;          /* micro-batches */
    bool held;                          /* the consumer has number `released` */
    bool stop, ended, abandoned;
    atm_status status;                  /* that the reader ended with */
    char message[1024];
    double waited;
};

/* ------------------------------------------------------------------ micro-batch q */

typedef struct { uint64_t step; int micro, first; } place;

static place place_of(const atm_loader *l, uint64_t q)
{
    const atm_loader_options *o = &l->options;
    const int micro = (int)(q % (uint64_t)o->micro_batches);
    return (place){ o->first_step + q / (uint64_t)o->micro_batches, micro,
                    (o->rank * o->micro_batches + micro) * l->n };
}

static uint32_t item_at(const atm_loader *l, uint64_t position)
{
    return l->item[l->options.in_order ? position % l->n_items
                                       : atm_loader_order(l->options.seed, position, l->n_items)];
}

static uint32_t start_of(const atm_loader *l, place at, int i)
{
    const atm_rng rng = { l->options.seed, ATM_STREAM_CROP, (uint32_t)at.step, (uint32_t)(at.first + i) };
    if (l->starts == 0 || l->options.in_order) return 0;
    return (uint32_t)((uint64_t)atm_uint32(rng, 0) * l->starts >> 32);
}

static size_t row_of(const atm_loader *l, atm_loader_index index, uint32_t item)
{
    if (l->options.clips || index == ATM_BY_PAIR) return item;
    const atm_pair *pair = &atm_dataset_pairs(l->options.dataset)[item];
    return (size_t)(index == ATM_BY_ARTWORK ? pair->artwork : pair->clip);
}

static atm_status read_sample(const atm_loader *l, const atm_loader_source *s, uint32_t item, uint32_t start,
                              void *out)
{
    const bool whole = atm_loader_is_whole(s);
    TRY_RETURN(atm_dataset_read(l->options.dataset, s->column, row_of(l, s->index, item),
                                whole ? out : l->row));
    if (!whole) atm_loader_crop(s, start, l->row, out);
    return ATM_OK;
}

static bool is_stopped(atm_loader *l)
{
    pthread_mutex_lock(&l->lock);
    const bool stop = l->stop;
    pthread_mutex_unlock(&l->lock);
    return stop;
}

static atm_status fill(atm_loader *l, uint64_t q)
{
    const place at = place_of(l, q);
    const slot *to = &l->ring[q % RING];
    for (int i = 0; i < l->n && !is_stopped(l); i++) {
        const uint64_t position = at.step * (uint64_t)l->options.batch + (uint64_t)(at.first + i);
        const uint32_t start = start_of(l, at, i);
        to->item[i] = item_at(l, position);
        for (int c = 0; c < l->options.n_columns; c++) {
            const atm_loader_source *s = &l->source[c];
            char *out = (char *)to->column[c] + (size_t)i * atm_loader_bytes(s);
            TRY_RETURN(read_sample(l, s, to->item[i], start, out));
        }
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ the reader's thread */

static bool wait_for_room(atm_loader *l)
{
    pthread_mutex_lock(&l->lock);
    while (!l->stop && l->filled - l->released == RING) pthread_cond_wait(&l->changed, &l->lock);
    const bool go_on = !l->stop;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

/* Errors belong to a thread: the message must be carried over. */
static void publish(atm_loader *l, atm_status status)
{
    pthread_mutex_lock(&l->lock);
    if (status == ATM_OK) l->filled++;
    else snprintf(l->message, sizeof l->message, "%s", atm_error());
    l->status = status;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

static void release(atm_loader *l)
{
    if (!l) return;
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    atm_arena_free(&l->arena);
    free(l->item);
    if (l->options.dataset) atm_dataset_close((atm_dataset *)l->options.dataset);
    free(l);
}

/* When nobody waits any more, the thread cleans up behind itself. */
static void end_thread(atm_loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->ended = true;
    const bool orphan = l->abandoned;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (orphan) release(l);
}

static void *read_ahead(void *arg)
{
    atm_loader *l = arg;
    atm_status status = ATM_OK;
    for (uint64_t q = 0; status == ATM_OK && wait_for_room(l); q++) {
        status = fill(l, q);
        publish(l, status);
    }
    end_thread(l);
    return NULL;
}

/* Signals are for the threads of the program: a handler must not run here. */
static atm_status start(atm_loader *l)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&l->thread, NULL, read_ahead, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error) return ATM_OK;
    return atm_fail(ATM_E_MEMORY, "the loader's thread could not be started: %s", strerror(error));
}

/* ------------------------------------------------------------------ opening */

static atm_status check_options(const atm_loader_options *o)
{
    const long long shares = (long long)o->ranks * o->micro_batches;
    if (o->ranks < 1 || o->micro_batches < 1 || o->batch < 1 || o->batch % shares)
        return atm_fail(ATM_E_CONFIG, "a batch of %d cannot be shared by %d ranks of %d micro-batches each; "
                        "it must be a multiple of %lld", o->batch, o->ranks, o->micro_batches, shares);
    if (o->rank < 0 || o->rank >= o->ranks || o->n_columns < 0 || o->n_columns > ATM_LOADER_COLUMNS)
        return atm_fail(ATM_E_BUG, "rank %d of %d, %d columns", o->rank, o->ranks, o->n_columns);
    return ATM_OK;
}

static atm_status find_sources(atm_loader *l)
{
    for (int i = 0; i < l->options.n_columns; i++) {
        atm_loader_source *s = &l->source[i];
        TRY_RETURN(atm_loader_find_source(&l->options, &l->options.column[i], s));
        if (s->starts && (!l->starts || s->starts < l->starts)) l->starts = s->starts;
    }
    return ATM_OK;
}

static bool allocate_slot(atm_loader *l, slot *to)
{
    const size_t n = (size_t)l->n;
    bool good = (to->item = atm_arena_alloc(&l->arena, n, sizeof *to->item)) != NULL;
    for (int c = 0; c < l->options.n_columns && good; c++)
        good = (to->column[c] = atm_arena_alloc(&l->arena, n, atm_loader_bytes(&l->source[c]))) != NULL;
    return good;
}

static atm_status allocate(atm_loader *l)
{
    size_t widest = 1;
    bool good = true;
    for (int c = 0; c < l->options.n_columns; c++)
        if (!atm_loader_is_whole(&l->source[c]) && l->source[c].column->row_bytes > widest)
            widest = l->source[c].column->row_bytes;
    for (int i = 0; i < RING && good; i++) good = allocate_slot(l, &l->ring[i]);
    l->row = atm_arena_alloc(&l->arena, widest, 1);
    if (good && l->row) return ATM_OK;
    return atm_fail(ATM_E_MEMORY, "out of memory for %d micro-batches of %d samples, read ahead; take "
                    "smaller ones", RING, l->n);
}

static atm_status prepare(atm_loader *l)
{
    const atm_loader_options *o = &l->options;
    TRY_RETURN(check_options(o));
    l->n = o->batch / (o->ranks * o->micro_batches);
    TRY_RETURN(find_sources(l));
    TRY_RETURN(atm_loader_list(o, &l->item, &l->n_items));
    TRY_RETURN(allocate(l));
    return start(l);
}

atm_status atm_loader_open(const atm_loader_options *options, atm_loader **out)
{
    atm_loader *l = calloc(1, sizeof *l);
    if (!l) return atm_fail(ATM_E_MEMORY, "out of memory for a loader");
    l->options = *options;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&l->changed, &clock);
    pthread_condattr_destroy(&clock);
    atm_dataset_hold(options->dataset);
    const atm_status status = prepare(l);
    if (status == ATM_OK) *out = l;
    else release(l);
    return status;
}

/* ------------------------------------------------------------------ the consumer's side */

/* A read from a dead network file system may never return.  Then the thread keeps what it needs, and
 * frees it when it wakes up. */
void atm_loader_close(atm_loader *l)
{
    struct timespec until;
    if (!l) return;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    while (!l->ended && pthread_cond_timedwait(&l->changed, &l->lock, &until) != ETIMEDOUT) { }
    const bool ended = l->ended;
    const pthread_t thread = l->thread;
    l->abandoned = !ended;
    pthread_mutex_unlock(&l->lock);
    if (ended) pthread_join(thread, NULL);
    else pthread_detach(thread);
    if (ended) release(l);
}

/* With the lock held. */
static void wait_for_batch(atm_loader *l)
{
    const double begin = atm_seconds();
    if (l->held) {
        l->held = false;
        l->released++;
        pthread_cond_broadcast(&l->changed);
    }
    while (l->filled == l->released && l->status == ATM_OK) pthread_cond_wait(&l->changed, &l->lock);
    l->held = l->filled > l->released;
    l->waited += atm_seconds() - begin;
}

atm_status atm_loader_next(atm_loader *l, atm_loaded *out)
{
    pthread_mutex_lock(&l->lock);
    wait_for_batch(l);
    const bool held = l->held;
    const uint64_t q = l->released;
    pthread_mutex_unlock(&l->lock);
    if (!held) return atm_fail(l->status, "%s", l->message);
    const place at = place_of(l, q);
    const slot *from = &l->ring[q % RING];
    *out = (atm_loaded){ at.step, at.micro, l->n, at.first, from->item, { 0 } };
    for (int c = 0; c < l->options.n_columns; c++) out->column[c] = from->column[c];
    return ATM_OK;
}

size_t atm_loader_items(const atm_loader *l) { return l->n_items; }
double atm_loader_waited(const atm_loader *l) { return l->waited; }
