/* launch.c - see launch.h.  A new launcher is a row of the table. */
#include "comm/launch.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name, *backend;
    const char *rank, *size, *local_rank;
    const char *address[2];         /* needed besides, when this set alone connects the ranks */
    bool rank_alone;                /* the rank may be there without the size: no launch then */
} launcher;

static const launcher launchers[] = {
    { .name = "RANK and WORLD_SIZE", .backend = "nccl",
      .rank = "RANK", .size = "WORLD_SIZE", .local_rank = "LOCAL_RANK",
      .address = { "MASTER_ADDR", "MASTER_PORT" } },
    { .name = "mpirun", .backend = "mpi",
      .rank = "OMPI_COMM_WORLD_RANK", .size = "OMPI_COMM_WORLD_SIZE",
      .local_rank = "OMPI_COMM_WORLD_LOCAL_RANK" },
    { .name = "mpiexec", .backend = "mpi",
      .rank = "PMI_RANK", .size = "PMI_SIZE", .local_rank = "MPI_LOCALRANKID" },
    { .name = "srun", .backend = "mpi",
      .rank = "SLURM_PROCID", .size = "SLURM_STEP_NUM_TASKS", .local_rank = "SLURM_LOCALID",
      .rank_alone = true },
};
enum { N_LAUNCHERS = sizeof launchers / sizeof *launchers };

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

static atm_status read_number(const char *name, int least, int *out)
{
    char *end;
    errno = 0;
    const char *text = getenv(name);
    const long value = strtol(text, &end, 10);
    if (errno || *end || value < least || value > INT_MAX)
        return atm_fail(ATM_E_CONFIG, "%s=%s must be a whole number from %d", name, text, least);
    *out = (int)value;
    return ATM_OK;
}

static atm_status need(const launcher *l, const char *name)
{
    if (is_set(name)) return ATM_OK;
    return atm_fail(ATM_E_CONFIG, "%s is set and %s is not: set both, or neither to run one process alone",
                    is_set(l->size) ? l->size : l->rank, name);
}

/* out->launcher stays NULL when this one has not started us. */
static atm_status look(const launcher *l, atm_launch *out)
{
    *out = (atm_launch){ .size = 1 };
    if (!is_set(l->size) && (l->rank_alone || !is_set(l->rank))) return ATM_OK;
    TRY_RETURN(need(l, l->size));
    TRY_RETURN(need(l, l->rank));
    TRY_RETURN(read_number(l->size, 1, &out->size));
    TRY_RETURN(read_number(l->rank, 0, &out->rank));
    if (is_set(l->local_rank)) TRY_RETURN(read_number(l->local_rank, 0, &out->local_rank));
    if (out->rank >= out->size)
        return atm_fail(ATM_E_CONFIG, "%s=%d must be below %s=%d", l->rank, out->rank, l->size, out->size);
    out->launcher = l->name;
    out->backend = l->backend;
    return ATM_OK;
}

static atm_status complete(const launcher *l, const atm_launch *launch)
{
    if (!launch->launcher || launch->size == 1 || !l->address[0]) return ATM_OK;
    TRY_RETURN(need(l, l->local_rank));
    TRY_RETURN(need(l, l->address[0]));
    return need(l, l->address[1]);
}

atm_status atm_launch_detect(atm_launch *out)
{
    atm_launch by_hand, mpi = { .size = 1 };
    TRY_RETURN(look(&launchers[0], &by_hand));
    for (int i = 1; i < N_LAUNCHERS && !mpi.launcher; i++) TRY_RETURN(look(&launchers[i], &mpi));
    *out = mpi.launcher ? mpi : by_hand;
    if (!mpi.launcher) return complete(&launchers[0], &by_hand);
    if (by_hand.launcher && (by_hand.rank != mpi.rank || by_hand.size != mpi.size))
        return atm_fail(ATM_E_CONFIG, "RANK=%d of WORLD_SIZE=%d, but %s says rank %d of %d: unset the wrong "
                        "ones", by_hand.rank, by_hand.size, mpi.launcher, mpi.rank, mpi.size);
    return ATM_OK;
}
