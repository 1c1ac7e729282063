/* skips.h - what was left out of a dataset, and why. */
#ifndef ATM_PREPARE_SKIPS_H
#define ATM_PREPARE_SKIPS_H

#include <pthread.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct {
    const char *kind;                   /* artwork, track, clip, pair */
    const char *name, *reason;
    int line;                           /* of the pair list; 0: none */
} atm_skip;

typedef struct {
    atm_skip *item;
    int n, capacity, shown;
    atm_arena arena;
    pthread_mutex_t lock;
} atm_skips;

void atm_skips_init(atm_skips *skips);
void atm_skips_free(atm_skips *skips);

/* From any thread. */
atm_status atm_skips_add(atm_skips *skips, const char *kind, const char *name, int line,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Logs those that came since the last call, but not hundreds. */
void atm_skips_show(atm_skips *skips);

/* As a table: what, name, line, reason; in the order of lines.  Removes an older one when nothing
 * was skipped. */
atm_status atm_skips_write(atm_skips *skips, const char *path);

#endif
