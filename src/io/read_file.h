/* read_file.h - a small text file as a whole. */
#ifndef ATM_IO_READ_FILE_H
#define ATM_IO_READ_FILE_H

#include "base/status.h"

/* *text is the caller's to free(); a zero byte follows its *bytes bytes.
 * ATM_E_NOINPUT when it cannot be read, ATM_E_DATA above `max` bytes. */
atm_status atm_read_file(const char *path, size_t max, char **text, size_t *bytes);

#endif
