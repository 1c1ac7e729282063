/* comm_backend.h - what a backend of comm.h provides, and what it may ask for.
 *
 * A backend lives in a plugin, libarttomus_NAME.so, which exports one table:
 *
 *     const atm_comm_backend atm_comm_backend_NAME = { ATM_COMM_BACKEND_VERSION, ... };
 *
 * A plugin links nothing of the library: a program may hold the static one, whose functions
 * no plugin can see, and a second copy would have an error message of its own.  What it
 * needs of the library comes in atm_comm_host.  To add a backend: its folder beside mpi/,
 * its row in comm.c, its CMake file. */
#ifndef ATM_COMM_COMM_BACKEND_H
#define ATM_COMM_COMM_BACKEND_H

#include <stdint.h>

#include "comm/comm.h"
#include "comm/launch.h"

enum { ATM_COMM_BACKEND_VERSION = 1 };      /* of this file */

typedef enum {
    ATM_COMM_OPEN, ATM_COMM_SUM, ATM_COMM_BROADCAST, ATM_COMM_GATHER, ATM_COMM_BARRIER, ATM_COMM_CLOSE
} atm_comm_kind;

/* One collective, as ranks tell each other: all must say the same. */
typedef struct {
    uint64_t number;                        /* 1, 2, ...; 0 while opening */
    uint64_t kind;                          /* atm_comm_kind */
    uint64_t bytes;
    uint64_t root;                          /* 0 where there is none */
} atm_comm_call;

static inline const char *atm_comm_kind_name(uint64_t kind)
{
    static const char *const name[] = { "open", "sum", "broadcast", "gather", "barrier", "close" };
    return kind < sizeof name / sizeof *name ? name[kind] : "unknown";
}

typedef enum { ATM_COMM_IDLE, ATM_COMM_MOVED, ATM_COMM_DONE } atm_comm_progress;
typedef atm_status (*atm_comm_poll)(void *arg, atm_comm_progress *progress);

typedef struct {
    atm_comm *comm;
    /* atm_fail() */
    atm_status (*fail)(atm_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
    /* Calls poll(arg) until it is DONE or fails, sleeping longer the longer nothing MOVED.
     * ATM_E_PEER when the collective has taken too long. */
    atm_status (*wait)(atm_comm *comm, atm_comm_poll poll, void *arg);
} atm_comm_host;

typedef struct {
    uint32_t version;
    const char *name;

    const char *(*library)(void);           /* "Open MPI 4.1.4"; may be called before open */

    /* `launch` is filled in with what the backend itself knows. */
    atm_status (*open)(const atm_comm_host *host, atm_launch *launch, void **self);
    /* After a failure (`healthy` false) it must not communicate, nor free what the transport may still
     * write to. */
    void (*close)(void *self, bool healthy);

    /* Begins every collective: returns when all ranks have come to the same one. */
    atm_status (*meet)(void *self, const atm_comm_call *call);
    atm_status (*sum)(void *self, float *data, size_t n);
    atm_status (*broadcast)(void *self, void *data, size_t bytes, int root);
    atm_status (*gather)(void *self, const void *data, size_t bytes, void *out);

    /* "rank 2 (process 123 on host4, stopped) has not come": for messages. */
    void (*who_is_missing)(void *self, char *text, size_t room);
    /* Tells the others, for at most a moment; nothing but close() is called afterwards. */
    void (*give_up)(void *self, atm_status why);
} atm_comm_backend;

#endif
