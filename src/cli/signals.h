/* signals.h - signals set a flag that the work looks at between steps, so that nothing is
 * left half-written.
 *
 *     signal          most commands            training
 *     SIGINT          stop; again: at once     save and stop; again: at once
 *     SIGTERM         stop; again: at once     save and stop
 *     SIGUSR1         ends the program         save and stop: what schedulers send before the time is up
 *     SIGUSR2         ends the program         save and go on */
#ifndef ATM_CLI_SIGNALS_H
#define ATM_CLI_SIGNALS_H

#include "train/trainer.h"

void cli_signals_init(void);
int  cli_signal(void);                      /* the signal that came, or 0; always 0 in training */

/* Changes over to the last column. */
void cli_signals_training(void);

/* What the signals so far ask for.  A wish to save is told once, one to stop for ever. */
atm_train_wish cli_training_wish(void);

#endif
