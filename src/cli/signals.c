/* signals.c - see signals.h. */
#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;                    /* most commands */
static volatile sig_atomic_t stop_wanted, save_wanted;  /* training      */

static void on_signal(int number) { caught = number; }

void cli_signals_init(void)
{
    /* no SA_RESTART: who waits for a pipe that nobody writes must hear of it */
    struct sigaction stop = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    /* A closed pipe or a file-size limit must come back as an error of write(). */
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
}

int cli_signal(void) { return caught; }

/* ------------------------------------------------------------------ training */

static void on_stop(int number)
{
    (void)number;
    stop_wanted = 1;
}

static void on_save(int number)
{
    (void)number;
    save_wanted = 1;
}

void cli_signals_training(void)
{
    /* SA_RESTART: a save under way must not fail for a signal.  SIGTERM may come twice, from mpirun and
     * from the scheduler, and must not cut off the save that the first one asked for. */
    struct sigaction leave = { .sa_handler = on_stop, .sa_flags = (int)(SA_RESETHAND | SA_RESTART) };
    struct sigaction stop = { .sa_handler = on_stop, .sa_flags = SA_RESTART };
    struct sigaction save = { .sa_handler = on_save, .sa_flags = SA_RESTART };
    sigaction(SIGINT, &leave, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGUSR1, &stop, NULL);
    sigaction(SIGUSR2, &save, NULL);
    if (caught) stop_wanted = 1;
    caught = 0;
}

atm_train_wish cli_training_wish(void)
{
    if (stop_wanted) return ATM_TRAIN_SAVE_AND_STOP;
    if (!save_wanted) return ATM_TRAIN_GO_ON;
    save_wanted = 0;
    return ATM_TRAIN_SAVE;
}
