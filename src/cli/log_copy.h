/* log_copy.h - the lines of the log in a file as well: log.jsonl of a training run.
 *
 * The file's folder belongs to somebody else until the run has locked it, so the
 * lines before that are remembered. */
#ifndef ATM_CLI_LOG_COPY_H
#define ATM_CLI_LOG_COPY_H

#include <jansson.h>

void cli_log_copy_begin(void);                  /* remembers lines from now on */
void cli_log_copy_line(json_t *line);           /* taken over; NULL is allowed */

/* Appends what was remembered, and all that comes.  A copy that cannot be written is done without. */
void cli_log_copy_to(const char *path);
void cli_log_copy_end(void);

#endif
