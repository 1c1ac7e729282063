/* comm_mpi.c - the MPI backend: see comm_backend.h, and private.h for its parts.
 *
 * All communication is non-blocking and polled, so that a lost rank is noticed and a
 * waiting one leaves its core to others.  One thread alone calls MPI. */
#include <stdlib.h>
#include <string.h>

#include "comm/mpi/private.h"

enum { PIECE = 1 << 30 };       /* bytes: MPI counts in int */

atm_status atm_mpi_failed(const atm_mpi *m, const char *function, int code)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    MPI_Error_string(code, text, &n);
    return m->host.fail(ATM_E_PEER, "%s: %s", function, text);
}

/* ------------------------------------------------------------------ beginning and end */

static const char *library(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int n;
    if (MPI_Get_library_version(text, &n) != MPI_SUCCESS) return "MPI of unknown version";
    text[strcspn(text, ",\n")] = '\0';          /* Open MPI adds who built it, and where */
    return text;
}

static atm_status begin_mpi(atm_mpi *m)
{
    int begun, ended, level;
    MPI_TRY(m, MPI_Finalized, &ended);
    if (ended) return m->host.fail(ATM_E_DEVICE, "MPI was ended in this process, and cannot begin twice");
    MPI_TRY(m, MPI_Initialized, &begun);
    m->owns_mpi = !begun;
    if (begun) return ATM_OK;
    MPI_TRY(m, MPI_Init_thread, NULL, NULL, MPI_THREAD_FUNNELED, &level);
    return level >= MPI_THREAD_FUNNELED ? ATM_OK
         : m->host.fail(ATM_E_DEVICE, "this MPI cannot be used in a program with threads");
}

/* Processes started by one launcher and connected by another's library all believe to be rank 0 of 1:
 * they would write over each other's files. */
static atm_status check_launch(atm_mpi *m, atm_launch *launch)
{
    if (launch->launcher && launch->size != m->size)
        return m->host.fail(ATM_E_CONFIG, "%s has started %d ranks, but %s sees %d: start with the mpirun of "
                            "this MPI, or under Slurm with srun --mpi=pmix",
                            launch->launcher, launch->size, library(), m->size);
    launch->rank = m->rank;
    launch->size = m->size;
    return ATM_OK;
}

static atm_status allocate(atm_mpi *m)
{
    const size_t n = (size_t)m->size;
    m->process = calloc(n, sizeof *m->process);
    m->said = calloc(2 * n, sizeof *m->said);
    m->listen = calloc(2 * n, sizeof *m->listen);
    m->layout = calloc(5 * n, sizeof *m->layout);
    m->slices = malloc(n * ATM_MPI_SLICE * sizeof *m->slices);
    if (!m->process || !m->said || !m->listen || !m->layout || !m->slices)
        return m->host.fail(ATM_E_MEMORY, "no memory for messages among %d ranks", m->size);
    m->incoming = m->said + n;
    m->tell = m->listen + n;
    m->from = m->layout + 4 * n;
    for (size_t i = 0; i < 2 * n; i++) m->listen[i] = MPI_REQUEST_NULL;
    return ATM_OK;
}

/* What MPI may still write to stays: it has no way to be told. */
static void close_mpi(void *self, bool healthy)
{
    atm_mpi *m = self;
    if (!healthy) return;
    atm_mpi_listen_no_more(m);
    MPI_Waitall(m->size, m->tell, MPI_STATUSES_IGNORE);
    MPI_Comm_free(&m->world);
    if (m->owns_mpi) MPI_Finalize();
    free(m->process);
    free(m->said);
    free(m->listen);
    free(m->layout);
    free(m->slices);
    free(m);
}

/* ------------------------------------------------------------------ collectives */

static atm_status broadcast(void *self, void *data, size_t bytes, int root)
{
    atm_mpi *m = self;
    for (size_t at = 0; at < bytes; at += PIECE) {
        const int n = bytes - at < PIECE ? (int)(bytes - at) : PIECE;
        MPI_Request request;
        MPI_TRY(m, MPI_Ibcast, (char *)data + at, n, MPI_BYTE, root, m->world, &request);
        TRY_RETURN(atm_mpi_wait(m, 1, &request));
    }
    return ATM_OK;
}

/* A piece of everybody's data: n bytes each, `stride` apart in `out`. */
static atm_status gather_piece(atm_mpi *m, const char *data, int n, size_t stride, char *out)
{
    MPI_Datatype bytes, row;
    MPI_Request request;
    MPI_TRY(m, MPI_Type_contiguous, n, MPI_BYTE, &bytes);
    MPI_TRY(m, MPI_Type_create_resized, bytes, 0, (MPI_Aint)stride, &row);
    MPI_TRY(m, MPI_Type_commit, &row);
    MPI_TRY(m, MPI_Iallgather, data, n, MPI_BYTE, out, 1, row, m->world, &request);
    TRY_RETURN(atm_mpi_wait(m, 1, &request));
    MPI_TRY(m, MPI_Type_free, &row);
    MPI_TRY(m, MPI_Type_free, &bytes);
    return ATM_OK;
}

static atm_status gather(void *self, const void *data, size_t bytes, void *out)
{
    for (size_t at = 0; at < bytes; at += PIECE) {
        const int n = bytes - at < PIECE ? (int)(bytes - at) : PIECE;
        TRY_RETURN(gather_piece(self, (const char *)data + at, n, bytes, (char *)out + at));
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ opening */

/* Errors come back as codes, not as the end of the program. */
static atm_status connect_ranks(atm_mpi *m, atm_launch *launch)
{
    TRY_RETURN(begin_mpi(m));
    MPI_TRY(m, MPI_Comm_set_errhandler, MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_TRY(m, MPI_Comm_dup, MPI_COMM_WORLD, &m->world);
    MPI_TRY(m, MPI_Comm_set_errhandler, m->world, MPI_ERRORS_RETURN);
    MPI_TRY(m, MPI_Comm_rank, m->world, &m->rank);
    MPI_TRY(m, MPI_Comm_size, m->world, &m->size);
    return check_launch(m, launch);
}

static atm_status introduce(atm_mpi *m)
{
    const atm_process self = atm_process_self();
    TRY_RETURN(gather(m, &self, sizeof self, m->process));
    return atm_mpi_listen(m);
}

/* On failure what was made stays, as in close_mpi(): the program is about to end. */
static atm_status open_mpi(const atm_comm_host *host, atm_launch *launch, void **self)
{
    atm_mpi *m = calloc(1, sizeof *m);
    if (!m) return host->fail(ATM_E_MEMORY, "no memory for MPI's state");
    m->host = *host;
    *self = m;
    TRY_RETURN(connect_ranks(m, launch));
    TRY_RETURN(allocate(m));
    return introduce(m);
}

const __attribute__((visibility("default"))) atm_comm_backend atm_comm_backend_mpi = {
    ATM_COMM_BACKEND_VERSION, "mpi", library, open_mpi, close_mpi,
    atm_mpi_meet, atm_mpi_sum, broadcast, gather, atm_mpi_who_is_missing, atm_mpi_give_up,
};
