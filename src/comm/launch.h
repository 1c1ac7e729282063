/* launch.h - what the program that started this process says about ranks.
 *
 *     launcher           variables                                                backend
 *     torchrun, by hand  RANK WORLD_SIZE LOCAL_RANK MASTER_ADDR MASTER_PORT        nccl
 *     Open MPI's mpirun  OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE ..._LOCAL_RANK  mpi
 *     other mpiexec      PMI_RANK PMI_SIZE MPI_LOCALRANKID                         mpi
 *     srun               SLURM_PROCID SLURM_STEP_NUM_TASKS SLURM_LOCALID           mpi
 *
 * The innermost launcher counts: mpirun inside a Slurm job sees Slurm's variables too, and
 * they speak of mpirun's own daemons.  For the same reason SLURM_NTASKS is not looked at:
 * sbatch sets it for the batch script, which is one process. */
#ifndef ATM_COMM_LAUNCH_H
#define ATM_COMM_LAUNCH_H

#include "base/status.h"

typedef struct {
    const char *launcher;           /* NULL: none, one process alone */
    const char *backend;            /* that connects such ranks      */
    int rank, size, local_rank;
} atm_launch;

/* ATM_E_CONFIG: a set is incomplete (the message says what is missing), holds no numbers, or
 * disagrees with another. */
atm_status atm_launch_detect(atm_launch *out);

#endif
