/* append_file.h - files that grow record by record: logs.
 *
 * A record is one write(): a killed process leaves at most one partial record, the last.
 * A write that fails (a full disk) is undone, so the file always ends with a whole one. */
#ifndef ATM_IO_APPEND_FILE_H
#define ATM_IO_APPEND_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct { char *path; int fd; int64_t size; } atm_append_file;   /* {0} is empty */

/* Opens or creates, and cuts to the first `keep` bytes.  ATM_E_DATA: the file is shorter. */
atm_status atm_append_open(const char *path, int64_t keep, atm_append_file *out);
atm_status atm_append_write(atm_append_file *file, const void *record, size_t bytes);
atm_status atm_append_sync(atm_append_file *file);              /* fsync */
void       atm_append_close(atm_append_file *file);             /* back to {0} */

#endif
