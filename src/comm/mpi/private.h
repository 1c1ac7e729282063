/* private.h - what the files of the MPI backend share.
 *
 *     comm_mpi.c   open, close, broadcast, gather; the table
 *     sum.c        the sum over ranks, in a fixed order
 *     meet.c       notes: who has come to which collective, who has given up, who is dead
 *     process.c    whether a process of this machine is alive */
#ifndef ATM_COMM_MPI_PRIVATE_H
#define ATM_COMM_MPI_PRIVATE_H

#include <mpi.h>
#include <stdbool.h>

#include "comm/comm_backend.h"
#include "comm/mpi/process.h"

typedef struct {
    atm_comm_host host;
    MPI_Comm world;
    int rank, size;
    bool owns_mpi;                  /* else the program had begun MPI before us, and ends it      */
    atm_process *process;           /* [size]                                                     */
    atm_comm_call *said, *incoming; /* [size] each rank's last note, and where its next arrives   */
    atm_comm_call told, last_words; /* being sent: `told` is untouched until all of `tell` is done */
    MPI_Request *listen, *tell;     /* [size] of notes, from and to each rank                     */
    int *from;                      /* [size] ranks that notes have come from                     */
    double next_look;               /* at the processes                                           */
    float *slices;                  /* [size, ATM_MPI_SLICE] what others send for the sum         */
    int *layout;                    /* [4, size] counts and places of slices                      */
} atm_mpi;

enum { ATM_MPI_SLICE = 1 << 16 };   /* floats of a rank's part of a chunk of the sum */

/* MPI's own words, as ATM_E_PEER. */
atm_status atm_mpi_failed(const atm_mpi *m, const char *function, int code);

#define MPI_TRY(m, function, ...)                                                       \
    do {                                                                                \
        const int code_ = function(__VA_ARGS__);                                        \
        if (code_ != MPI_SUCCESS) return atm_mpi_failed(m, #function, code_);           \
    } while (0)

/* Until the n requests are done, while watching over the peers. */
atm_status atm_mpi_wait(atm_mpi *m, int n, MPI_Request *request);

/* Begins to receive notes; every rank's process is known. */
atm_status atm_mpi_listen(atm_mpi *m);
void       atm_mpi_listen_no_more(atm_mpi *m);

/* Functions of the table. */
atm_status atm_mpi_meet(void *self, const atm_comm_call *call);
void       atm_mpi_who_is_missing(void *self, char *text, size_t room);
void       atm_mpi_give_up(void *self, atm_status why);
atm_status atm_mpi_sum(void *self, float *data, size_t n);

#endif
