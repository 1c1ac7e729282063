/* meet.c - ranks tell each other which collective they have come to.
 *
 * Before data move, each rank sends a note of 32 bytes to every other and waits for theirs.
 * That costs microseconds, once for each collective, and buys:
 *   - who has not come is known by rank, which no collective of MPI tells;
 *   - ranks that do different things learn it, where MPI would hang or mix up their data;
 *   - a rank that fails on its own tells the others, who would wait for it in vain;
 *   - nearly all waiting is here, before MPI holds pointers to the caller's data.
 * A rank is at most one collective ahead: it cannot pass a meeting without us. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "comm/mpi/private.h"

enum { NOTE_TAG = 1, NOTE_WORDS = sizeof(atm_comm_call) / sizeof(uint64_t), NAMED = 8,
       HEAD_START_NS = 300000000, LATE_NOTES = 20 };
#define GAVE_UP UINT64_MAX              /* as a note's number; its root is then the exit code */
#define LOOK_SECONDS 0.25
#define LAST_WORDS_SECONDS 0.1

typedef unsigned long long u64;         /* for printing */

/* ------------------------------------------------------------------ notes */

static atm_status listen_to(atm_mpi *m, int p)
{
    MPI_TRY(m, MPI_Irecv, &m->incoming[p], NOTE_WORDS, MPI_UINT64_T, p, NOTE_TAG, m->world, &m->listen[p]);
    return ATM_OK;
}

atm_status atm_mpi_listen(atm_mpi *m)
{
    for (int p = 0; p < m->size; p++)
        if (p != m->rank) TRY_RETURN(listen_to(m, p));
    return ATM_OK;
}

void atm_mpi_listen_no_more(atm_mpi *m)
{
    for (int p = 0; p < m->size; p++) {
        if (m->listen[p] == MPI_REQUEST_NULL) continue;
        MPI_Cancel(&m->listen[p]);
        MPI_Wait(&m->listen[p], MPI_STATUS_IGNORE);
    }
}

/* A launcher passes on the exit code of the first rank to end: that of the cause is worth more than ours. */
static atm_status let_go_first(const atm_mpi *m, int p, int code)
{
    nanosleep(&(struct timespec){ 0, HEAD_START_NS }, NULL);
    return m->host.fail(ATM_E_PEER, "rank %d has given up, with exit code %d: see its message", p, code);
}

/* What p said last, against what this rank is at. */
static atm_status compare(const atm_mpi *m, int p)
{
    const atm_comm_call *its = &m->said[p], *ours = &m->told;
    if (its->number == GAVE_UP) return let_go_first(m, p, (int)its->root);
    if (its->number != ours->number || memcmp(its, ours, sizeof *its) == 0) return ATM_OK;
    if (its->kind == ATM_COMM_CLOSE)
        return m->host.fail(ATM_E_PEER, "rank %d has come to its end, this one has not", p);
    return m->host.fail(ATM_E_CONFIG, "rank %d is at a %s of %llu bytes (root %llu), this rank at a %s of "
                        "%llu (root %llu): do all ranks run the same program, configuration and data?",
                        p, atm_comm_kind_name(its->kind), (u64)its->bytes, (u64)its->root,
                        atm_comm_kind_name(ours->kind), (u64)ours->bytes, (u64)ours->root);
}

/* Takes in the notes that have come. */
static atm_status hear(atm_mpi *m, atm_comm_progress *progress)
{
    int n;
    MPI_TRY(m, MPI_Testsome, m->size, m->listen, &n, m->from, MPI_STATUSES_IGNORE);
    for (int i = 0; i < n; i++) {
        const int p = m->from[i];
        m->said[p] = m->incoming[p];
        TRY_RETURN(compare(m, p));
        TRY_RETURN(listen_to(m, p));
        *progress = ATM_COMM_MOVED;
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ the dead */

static atm_process_state look_at(const atm_mpi *m, int p)
{
    return atm_process_look(&m->process[m->rank], &m->process[p]);
}

static bool is_dead(const atm_mpi *m, int p) { return look_at(m, p) == ATM_PROCESS_DEAD; }
static bool is_stopped(const atm_mpi *m, int p) { return look_at(m, p) == ATM_PROCESS_STOPPED; }
static bool is_missing(const atm_mpi *m, int p) { return p != m->rank && m->said[p].number < m->told.number; }

/* "rank 1 (process 123 on host, stopped), rank 2 ..." of those wanted; how many there are. */
static int name_ranks(const atm_mpi *m, bool (*wanted)(const atm_mpi *, int), char *text, size_t room)
{
    int n = 0;
    size_t used = 0;
    for (int p = 0; p < m->size; p++) {
        if (!wanted(m, p) || n++ >= NAMED || used >= room) continue;
        const atm_process *it = &m->process[p];
        used += (size_t)snprintf(text + used, room - used, "%srank %d (process %lld on %s%s)",
                                 n > 1 ? ", " : "", p, (long long)it->pid, it->host,
                                 is_stopped(m, p) ? ", stopped" : "");
    }
    if (n > NAMED && used < room) snprintf(text + used, room - used, " and %d more", n - NAMED);
    return n;
}

/* All that are dead: the first may have ended because of the others.  And a note sent just before the end
 * explains more than the death. */
static atm_status report_dead(atm_mpi *m)
{
    char text[NAMED * 128];
    atm_comm_progress ignored;
    for (int i = 0; i < LATE_NOTES; i++) {
        TRY_RETURN(hear(m, &ignored));
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    }
    name_ranks(m, is_dead, text, sizeof text);
    return m->host.fail(ATM_E_PEER, "dead: %s", text);
}

static atm_status look_for_dead(atm_mpi *m)
{
    const double now = MPI_Wtime();
    if (now < m->next_look) return ATM_OK;
    m->next_look = now + LOOK_SECONDS;
    for (int p = 0; p < m->size; p++)
        if (is_dead(m, p)) return report_dead(m);
    return ATM_OK;
}

/* ------------------------------------------------------------------ waiting */

static atm_status watch(atm_mpi *m, atm_comm_progress *progress)
{
    TRY_RETURN(hear(m, progress));
    return look_for_dead(m);
}

typedef struct { atm_mpi *m; int n; MPI_Request *request; } requests;

static atm_status poll_requests(void *arg, atm_comm_progress *progress)
{
    const requests *r = arg;
    int done;
    MPI_TRY(r->m, MPI_Testall, r->n, r->request, &done, MPI_STATUSES_IGNORE);
    if (!done) return watch(r->m, progress);
    *progress = ATM_COMM_DONE;
    return ATM_OK;
}

atm_status atm_mpi_wait(atm_mpi *m, int n, MPI_Request *request)
{
    requests r = { m, n, request };
    return m->host.wait(m->host.comm, poll_requests, &r);
}

static atm_status poll_meeting(void *arg, atm_comm_progress *progress)
{
    atm_mpi *m = arg;
    TRY_RETURN(watch(m, progress));
    for (int p = 0; p < m->size; p++)
        if (is_missing(m, p)) return ATM_OK;
    *progress = ATM_COMM_DONE;
    return ATM_OK;
}

/* Some may have told already. */
static atm_status compare_all(const atm_mpi *m)
{
    for (int p = 0; p < m->size; p++)
        if (p != m->rank) TRY_RETURN(compare(m, p));
    return ATM_OK;
}

atm_status atm_mpi_meet(void *self, const atm_comm_call *call)
{
    atm_mpi *m = self;
    TRY_RETURN(atm_mpi_wait(m, m->size, m->tell));
    m->told = *call;
    for (int p = 0; p < m->size; p++)
        if (p != m->rank)
            MPI_TRY(m, MPI_Isend, &m->told, NOTE_WORDS, MPI_UINT64_T, p, NOTE_TAG, m->world, &m->tell[p]);
    TRY_RETURN(compare_all(m));
    return m->host.wait(m->host.comm, poll_meeting, m);
}

/* ------------------------------------------------------------------ bad news */

void atm_mpi_who_is_missing(void *self, char *text, size_t room)
{
    const atm_mpi *m = self;
    char names[NAMED * 128];
    if (name_ranks(m, is_missing, names, sizeof names)) {
        snprintf(text, room, "not here: %s", names);
        return;
    }
    const bool stopped = name_ranks(m, is_stopped, names, sizeof names) > 0;
    snprintf(text, room, "all came, but not their data%s%s", stopped ? ": " : "", stopped ? names : "");
}

/* A short message is on its way, or in the other's memory, when its request is done. */
void atm_mpi_give_up(void *self, atm_status why)
{
    atm_mpi *m = self;
    int done = 0;
    m->last_words = (atm_comm_call){ .number = GAVE_UP, .root = (uint64_t)why };
    for (int p = 0; p < m->size; p++) {
        if (p == m->rank) continue;
        if (m->tell[p] != MPI_REQUEST_NULL) MPI_Request_free(&m->tell[p]);      /* goes on by itself */
        MPI_Isend(&m->last_words, NOTE_WORDS, MPI_UINT64_T, p, NOTE_TAG, m->world, &m->tell[p]);
    }
    for (const double end = MPI_Wtime() + LAST_WORDS_SECONDS; !done && MPI_Wtime() < end; )
        if (MPI_Testall(m->size, m->tell, &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS) return;
}
