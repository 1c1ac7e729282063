/* terminal.h - what a person sees: log lines and progress, on stderr. */
#ifndef ATM_CLI_TERMINAL_H
#define ATM_CLI_TERMINAL_H

#include <jansson.h>

#include "arttomus/arttomus.h"
#include "cli/options.h"

/* Sets up the log callback as -q, -v and --log-format say. */
void cli_terminal_init(const cli_common *common);

/* One of several processes that do one work together: its lines say which it is, and all but the
 * first tell only what is wrong (-v: everything). */
void cli_terminal_rank(int rank, const cli_common *common);

/* An error that ends the program, or one item of a list. */
void cli_print_error(const char *text);

/* A bar with the time left, when stderr is a terminal; else a line every few
 * seconds.  `label` precedes it ("2/12 wave.jpg"); fraction counts from 0 to 1. */
void cli_progress_begin(void);
void cli_progress(const char *label, double fraction, const atm_progress *progress);
void cli_progress_end(void);            /* wipes the bar */

/* The same for work of any kind.  When due(), show(): `text` goes behind the bar or the label, and
 * `json` (taken over) is what --log-format json prints in their place. */
bool cli_progress_due(double bar_every, double line_every);         /* seconds */
void cli_progress_show(const char *label, double fraction, const char *text, json_t *json);

/* "1:05", "12:00:00" */
const char *cli_clock_text(double seconds, char text[16]);

double cli_seconds(void);               /* monotonic clock */

/* "1.4 GB", "312 MB"; a few results live at a time. */
const char *cli_bytes_text(double bytes);

#endif
