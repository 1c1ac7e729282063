/* run_folder.h - one run, one folder, one writer. */
#ifndef ATM_TRAIN_RUN_FOLDER_H
#define ATM_TRAIN_RUN_FOLDER_H

#include "base/status.h"

typedef struct { int lock; } atm_run_folder;        /* descriptor of <folder>/lock; -1: none */

/* Makes the folder with its parents and locks it.  The lock is flock()'s: a dead process holds
 * nothing, and there is no stale file to clear away.
 * ATM_E_CONFIG: another process is writing there; the message has its pid and host. */
atm_status atm_run_folder_open(const char *path, atm_run_folder *out);
void       atm_run_folder_close(atm_run_folder *folder);

#endif
