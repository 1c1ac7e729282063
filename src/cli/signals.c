/* signals.c - see signals.h. */
#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

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
