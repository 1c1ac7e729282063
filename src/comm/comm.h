/* comm.h - ranks of one training run, and the four things they do together.
 *
 *     atm_comm *comm;
 *     TRY(atm_comm_open("auto", &options, &comm));
 *     TRY(atm_comm_sum(comm, gradients, n));       // every rank gets the sum
 *     atm_comm_close(comm);
 *
 * Launch and collectives are MPI's (mpirun, srun); one process alone needs nothing.
 * A backend is a table of functions (comm_backend.h); mpi/ is a plugin, loaded when
 * ranks are asked for, so that the program starts where there is no MPI.
 *
 * Every collective is called by all ranks in the same order, from the thread that opened.
 * A rank that dies or hangs makes the others fail with ATM_E_PEER: within a second when
 * it has died on the same machine or has told them (atm_comm_abort), else within
 * options.timeout; the message names the collective's number, its kind, and the rank
 * where that can be known.  Ranks that call different things fail with ATM_E_CONFIG.
 * After a failure every further call fails at once, and nothing hangs. */
#ifndef ATM_COMM_COMM_H
#define ATM_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct atm_comm atm_comm;

typedef struct {
    double timeout;                 /* seconds a collective may take; 0: 600 */
    bool no_env_detect;             /* look at no launcher's variables       */
} atm_comm_options;

/* `backend`: "self" (one rank), "mpi", "nccl", or "auto": what the launcher's environment
 * asks for (launch.h) when it says that there is more than one rank, else self.
 * ATM_E_DEVICE: the backend is not here; ATM_E_CONFIG: the environment contradicts itself. */
atm_status atm_comm_open(const char *backend, const atm_comm_options *options, atm_comm **out);

/* Waits for all ranks, then ends MPI: the last thing a rank does, for a launcher ends them all as soon
 * as one has left with an exit code that is not 0.  After a failure, or when somebody does not come, it
 * only lets go of everything and returns.  NULL is allowed. */
void atm_comm_close(atm_comm *comm);

/* This rank cannot go on: tells the others, whose collectives then fail with ATM_E_PEER, and waits for
 * nobody.  Close as usual afterwards.  Nothing happens when a collective has failed before. */
void atm_comm_abort(atm_comm *comm, atm_status why);

int atm_comm_rank(const atm_comm *comm);            /* 0 for NULL */
int atm_comm_size(const atm_comm *comm);            /* 1 for NULL */
int atm_comm_local_rank(const atm_comm *comm);      /* among those of this machine: which GPU; 0 for NULL */

/* data [n] becomes the sum over ranks, ((x0 + x1) + x2) ...: the same bits on every rank and in every run. */
atm_status atm_comm_sum(atm_comm *comm, float *data, size_t n);

/* Rank `root`'s bytes for everybody. */
atm_status atm_comm_broadcast(atm_comm *comm, void *data, size_t bytes, int root);

/* out [size, bytes]: everybody's `data`, in order of ranks. */
atm_status atm_comm_gather(atm_comm *comm, const void *data, size_t bytes, void *out);

/* Returns when all ranks have called it. */
atm_status atm_comm_barrier(atm_comm *comm);

/* All ranks hold the same bytes.  ATM_E_CONFIG, on all of them, when not: `what` ("configuration",
 * "checkpoint") and the first rank that differs from rank 0.  For digests: size * bytes of memory. */
atm_status atm_comm_agree(atm_comm *comm, const void *data, size_t bytes, const char *what);

/* Whether a backend can be used here: *text is its library's name and version.  ATM_E_DEVICE: why not. */
atm_status atm_comm_probe(const char *backend, const char **text);

#endif
