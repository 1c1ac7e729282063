/* checkpoint_private.h - what the checkpoint_*.c files share. */
#ifndef ATM_TRAIN_CHECKPOINT_PRIVATE_H
#define ATM_TRAIN_CHECKPOINT_PRIVATE_H

#include "model/model_parts.h"
#include "train/checkpoint.h"

#define ATM_CHECKPOINT_STATE "state.json"
#define ATM_CHECKPOINT_CONFIG "config.yaml"

/* "group0.safetensors" */
enum { ATM_CHECKPOINT_NAME = 40 };
const char *atm_checkpoint_group_name(char name[ATM_CHECKPOINT_NAME], int group);

/* The arrays of a group that are kept, and the words before their tensors' names. */
enum { ATM_CHECKPOINT_ARRAYS = 4 };
typedef struct { const char *word; float *data; } atm_checkpoint_array;
int atm_checkpoint_arrays(const atm_group *group, atm_checkpoint_array array[ATM_CHECKPOINT_ARRAYS]);

/* state.json: writing, and reading with every number checked. */
atm_status atm_checkpoint_write_state(const char *folder, const atm_stage *stage, const atm_train_state *state);
atm_status atm_checkpoint_read_state(const char *folder, const atm_stage *stage, atm_train_state *out);

/* "RUN/checkpoints", and "RUN/checkpoints/step_00000500" with an ending ("", ".tmp"). */
atm_status atm_checkpoint_parent(char path[ATM_PATH_BYTES], const char *run_folder);
atm_status atm_checkpoint_path(char path[ATM_PATH_BYTES], const char *run_folder, uint64_t step, const char *ending);

/* Entries of "RUN/checkpoints" whose names we make: the steps of checkpoints, newest first.  No such
 * folder: none.  ATM_E_NOINPUT when it cannot be read. */
typedef struct { uint64_t *step; int n; } atm_checkpoint_list;      /* {0} is empty; free(step) */
atm_status atm_checkpoint_list_steps(const char *run_folder, const char *ending, atm_checkpoint_list *out);

#endif
