/* folder.h - folders that appear complete, or not at all. */
#ifndef ATM_IO_FOLDER_H
#define ATM_IO_FOLDER_H

#include "base/status.h"

/* A fresh folder "PATH.partial-XXXXXX" beside `path`; *out is the caller's to free(). */
atm_status atm_folder_begin(const char *path, char **out);

/* Renames it to `path`, which must not exist or be an empty folder.  On failure it is
 * removed with all that is in it. */
atm_status atm_folder_commit(const char *partial, const char *path);

/* The same for a folder that the caller has made and filled, and whose files are fsync'd: it is
 * fsync'd and becomes `path` in one step; what was there before is removed afterwards.  When
 * the step itself fails (ATM_E_IO), both stay where they were. */
atm_status atm_folder_replace(const char *made, const char *path);

/* Makes a folder and its missing parents.  ATM_E_IO. */
atm_status atm_folder_make(const char *path);

/* Removes a folder and everything in it; follows no links. */
void atm_folder_remove(const char *path);

#endif
