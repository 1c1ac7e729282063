/* comm.c - the backend, the count of collectives, and waiting with a limit.
 *
 * A collective is: number it, meet (all ranks have come, to the same one), move the data.
 * One rank alone has no backend and nothing to do. */
#define _GNU_SOURCE
#include "comm/comm.h"

#include <dlfcn.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/machine.h"
#include "comm/comm_backend.h"

enum { DEFAULT_TIMEOUT = 600, SPINS = 200, SLEEP_US = 50, LONGEST_SLEEP_US = 1000, MISSING_BYTES = 1024 };

struct atm_comm {
    const atm_comm_backend *backend;        /* NULL: one rank alone */
    void *self;                             /* the backend's        */
    atm_launch launch;
    atm_comm_call call;                     /* the current, or last */
    double timeout, deadline, warn_at;
    bool broken;
};

/* ------------------------------------------------------------------ backends */

static const char *const plugins[] = { "mpi", "nccl" };

static bool is_plugin(const char *name)
{
    for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++)
        if (strcmp(name, plugins[i]) == 0) return true;
    return false;
}

static atm_status find_backend(const char *name, const atm_comm_backend **out)
{
    char file[64], symbol[64];
    if (!is_plugin(name))
        return atm_fail(ATM_E_USAGE, "no communication backend '%s': auto, self, mpi and nccl exist", name);
    snprintf(file, sizeof file, "libarttomus_%s.so", name);
    snprintf(symbol, sizeof symbol, "atm_comm_backend_%s", name);
    void *plugin = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!plugin) return atm_fail(ATM_E_DEVICE, "no %s backend: %s", name, dlerror());
    const atm_comm_backend *backend = dlsym(plugin, symbol);
    if (!backend || backend->version != ATM_COMM_BACKEND_VERSION)
        return atm_fail(ATM_E_DEVICE, "%s is of another version of arttomus", file);
    *out = backend;
    return ATM_OK;
}

atm_status atm_comm_probe(const char *name, const char **text)
{
    const atm_comm_backend *backend;
    TRY_RETURN(find_backend(name, &backend));
    *text = backend->library();
    return ATM_OK;
}

/* ------------------------------------------------------------------ waiting */

/* A rank waits for the slowest one, on the same cores perhaps: spinning would slow that one down. */
static void rest(int idle)
{
    if (idle < SPINS) { sched_yield(); return; }
    const int doublings = (idle - SPINS) / 8, us = doublings > 4 ? LONGEST_SLEEP_US : SLEEP_US << doublings;
    const struct timespec t = { 0, 1000L * (us < LONGEST_SLEEP_US ? us : LONGEST_SLEEP_US) };
    nanosleep(&t, NULL);
}

static unsigned long long number_of(const atm_comm *comm) { return comm->call.number; }
static const char *kind_of(const atm_comm *comm) { return atm_comm_kind_name(comm->call.kind); }

static const char *missing(const atm_comm *comm, char text[MISSING_BYTES])
{
    comm->backend->who_is_missing(comm->self, text, MISSING_BYTES);
    return text;
}

static atm_status check_clock(atm_comm *comm)
{
    char text[MISSING_BYTES];
    const double now = atm_seconds();
    if (now > comm->deadline)
        return atm_fail(ATM_E_PEER, "not done in %g s: %s", comm->timeout, missing(comm, text));
    if (now > comm->warn_at) {
        atm_log(ATM_LOG_WARNING, "rank %d has waited %.3g s in collective %llu (%s): %s", comm->launch.rank,
                0.1 * comm->timeout, number_of(comm), kind_of(comm), missing(comm, text));
        comm->warn_at = INFINITY;
    }
    return ATM_OK;
}

static void start_clock(atm_comm *comm)
{
    const double now = atm_seconds();
    comm->deadline = now + comm->timeout;
    comm->warn_at = now + 0.1 * comm->timeout;
}

static atm_status wait_for(atm_comm *comm, atm_comm_poll poll, void *arg)
{
    if (comm->deadline == 0) start_clock(comm);         /* opening: what MPI needs to begin does not count */
    for (int idle = 0; ; idle++) {
        atm_comm_progress progress = ATM_COMM_IDLE;
        TRY_RETURN(poll(arg, &progress));
        if (progress == ATM_COMM_DONE) return ATM_OK;
        if (progress == ATM_COMM_MOVED) idle = 0;
        TRY_RETURN(check_clock(comm));
        rest(idle);
    }
}

/* ------------------------------------------------------------------ open, close */

static atm_status choose(const char *name, bool detect, atm_comm *comm)
{
    comm->launch = (atm_launch){ .size = 1 };
    if (strcmp(name, "self") == 0) return ATM_OK;
    if (detect) TRY_RETURN(atm_launch_detect(&comm->launch));
    const bool automatic = strcmp(name, "auto") == 0;
    if (automatic && comm->launch.size == 1) return ATM_OK;
    const char *wanted = automatic ? comm->launch.backend : name;
    const atm_status status = find_backend(wanted, &comm->backend);
    if (status == ATM_E_DEVICE && automatic && strcmp(wanted, "nccl") == 0)
        return atm_fail(status, "RANK and WORLD_SIZE start %d ranks, and the torchrun way needs the nccl "
                        "backend; use mpirun, or unset them (%s)", comm->launch.size, atm_error());
    if (status == ATM_E_DEVICE && automatic)
        return atm_fail(status, "%s has started %d ranks, which need MPI: %s", comm->launch.launcher,
                        comm->launch.size, atm_error());
    return status;
}

atm_status atm_comm_open(const char *backend, const atm_comm_options *options, atm_comm **out)
{
    static const atm_comm_options defaults = { 0 };
    atm_status status = ATM_OK;
    if (!options) options = &defaults;
    atm_comm *comm = calloc(1, sizeof *comm);
    if (!comm) return atm_fail(ATM_E_MEMORY, "no memory for a communicator");
    comm->timeout = options->timeout > 0 ? options->timeout : DEFAULT_TIMEOUT;
    TRY(choose(backend, !options->no_env_detect, comm));
    const atm_comm_host host = { comm, atm_fail, wait_for };
    if (comm->backend) TRY(comm->backend->open(&host, &comm->launch, &comm->self));
    *out = comm;
    return ATM_OK;
done:
    free(comm);
    return status;
}

int atm_comm_rank(const atm_comm *comm) { return comm ? comm->launch.rank : 0; }
int atm_comm_size(const atm_comm *comm) { return comm ? comm->launch.size : 1; }
int atm_comm_local_rank(const atm_comm *comm) { return comm ? comm->launch.local_rank : 0; }

void atm_comm_abort(atm_comm *comm, atm_status why)
{
    if (!comm || !comm->backend || comm->broken) return;
    comm->broken = true;
    comm->backend->give_up(comm->self, why);
}

/* ------------------------------------------------------------------ collectives */

/* The others are told at once, while the caller's buffers, where messages may still arrive, are there. */
static atm_status end(atm_comm *comm, atm_status status)
{
    if (status == ATM_OK) return ATM_OK;
    atm_comm_abort(comm, status);
    return atm_fail_in(status, "rank %d of %d, collective %llu (%s)", comm->launch.rank, comm->launch.size,
                       number_of(comm), kind_of(comm));
}

static atm_status begin(atm_comm *comm, atm_comm_kind kind, size_t bytes, int root)
{
    if (comm->broken)
        return atm_fail(ATM_E_PEER, "collective %llu (%s) has failed before", number_of(comm), kind_of(comm));
    if (root < 0 || root >= comm->launch.size)
        return atm_fail(ATM_E_BUG, "no rank %d among %d", root, comm->launch.size);
    comm->call = (atm_comm_call){ comm->call.number + 1, kind, bytes, (uint64_t)root };
    start_clock(comm);
    return end(comm, comm->backend->meet(comm->self, &comm->call));
}

static bool alone(const atm_comm *comm) { return !comm || !comm->backend; }

atm_status atm_comm_sum(atm_comm *comm, float *data, size_t n)
{
    if (alone(comm)) return ATM_OK;
    TRY_RETURN(begin(comm, ATM_COMM_SUM, n * sizeof *data, 0));
    return end(comm, comm->backend->sum(comm->self, data, n));
}

atm_status atm_comm_broadcast(atm_comm *comm, void *data, size_t bytes, int root)
{
    if (alone(comm)) return ATM_OK;
    TRY_RETURN(begin(comm, ATM_COMM_BROADCAST, bytes, root));
    return end(comm, comm->backend->broadcast(comm->self, data, bytes, root));
}

atm_status atm_comm_gather(atm_comm *comm, const void *data, size_t bytes, void *out)
{
    if (alone(comm)) {
        if (bytes) memmove(out, data, bytes);
        return ATM_OK;
    }
    TRY_RETURN(begin(comm, ATM_COMM_GATHER, bytes, 0));
    return end(comm, comm->backend->gather(comm->self, data, bytes, out));
}

atm_status atm_comm_barrier(atm_comm *comm)
{
    return alone(comm) ? ATM_OK : begin(comm, ATM_COMM_BARRIER, 0, 0);
}

static int first_that_differs(const char *all, size_t bytes, int size)
{
    for (int r = 1; r < size; r++)
        if (memcmp(all + (size_t)r * bytes, all, bytes) != 0) return r;
    return 0;
}

atm_status atm_comm_agree(atm_comm *comm, const void *data, size_t bytes, const char *what)
{
    if (alone(comm)) return ATM_OK;
    char *all = malloc((size_t)comm->launch.size * bytes + 1);
    if (!all) return atm_fail(ATM_E_MEMORY, "no memory to compare each rank's %s", what);
    const atm_status status = atm_comm_gather(comm, data, bytes, all);
    const int other = status == ATM_OK ? first_that_differs(all, bytes, comm->launch.size) : 0;
    free(all);
    return other == 0 ? status
         : atm_fail(ATM_E_CONFIG, "rank %d has another %s than rank 0: do all ranks see the same files, "
                    "and the same command line?", other, what);
}

/* The message of what made the caller close stays the last one. */
static bool part(atm_comm *comm)
{
    if (comm->broken) return false;
    char *before = strdup(atm_error());
    const bool healthy = begin(comm, ATM_COMM_CLOSE, 0, 0) == ATM_OK;
    if (!healthy) atm_log(ATM_LOG_WARNING, "%s", atm_error());
    if (before) atm_fail(ATM_OK, "%s", before);
    free(before);
    return healthy;
}

void atm_comm_close(atm_comm *comm)
{
    if (!comm) return;
    if (comm->backend) comm->backend->close(comm->self, part(comm));
    free(comm);
}
