/* process.h - a process of this machine, seen from another one.
 *
 * MPI over shared memory says nothing when a rank dies, and a launcher may be told to let
 * the others live (srun --no-kill, mpirun --enable-recovery): so ranks look at each other. */
#ifndef ATM_COMM_MPI_PROCESS_H
#define ATM_COMM_MPI_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    char host[64];
    char machine[128];              /* boot and process namespace: numbers mean the same there; "" unknown */
    int64_t pid;
    uint64_t start;                 /* in clock ticks after boot: numbers are used again */
} atm_process;

typedef enum {
    ATM_PROCESS_UNKNOWN, ATM_PROCESS_ALIVE, ATM_PROCESS_STOPPED, ATM_PROCESS_DEAD
} atm_process_state;

atm_process atm_process_self(void);

/* Unknown for a process of another machine. */
atm_process_state atm_process_look(const atm_process *self, const atm_process *other);

#endif
