/* signals.h - Ctrl+C and SIGTERM set a flag that the work looks at between steps,
 * so that nothing is left half-written; a second one ends the program at once. */
#ifndef ATM_CLI_SIGNALS_H
#define ATM_CLI_SIGNALS_H

void cli_signals_init(void);
int  cli_signal(void);          /* the signal that came, or 0 */

#endif
