/* copy_file.h - a file, byte for byte. */
#ifndef ATM_IO_COPY_FILE_H
#define ATM_IO_COPY_FILE_H

#include "base/status.h"

/* The copy appears under `to` complete and fsync'd, or not at all (atomic_file.h).  Inside the
 * kernel where it can; on btrfs and XFS no data move at all.
 * ATM_E_NOINPUT: `from` cannot be read.  ATM_E_IO: `to` cannot be written. */
atm_status atm_copy_file(const char *from, const char *to);

#endif
