/* pickle_machine.h - the stack machine below pickle.c: input, stack, memo, values.
 * Every function here that can fail returns false or NULL with status set. */
#ifndef ATM_IO_PICKLE_MACHINE_H
#define ATM_IO_PICKLE_MACHINE_H

#include "io/pickle.h"

typedef struct atm_pickle_vector { atm_pickle_value **item; size_t n, capacity; } atm_pickle_vector;

typedef struct atm_pickle_machine {
    const unsigned char *start, *p, *end;
    const atm_pickle_global *allowed;
    size_t n_allowed, values;
    atm_arena *arena;
    atm_pickle_vector stack, memo;
    atm_pickle_value *persistent;
    bool stopped;
    atm_status status;
} atm_pickle_machine;

bool atm_pickle_fail(atm_pickle_machine *m, const char *reason);      /* always false */

/* Input: the next bytes; the next little-endian number of 1, 2, 4 or 8 bytes. */
const unsigned char *atm_pickle_take(atm_pickle_machine *m, uint64_t bytes);
bool atm_pickle_number(atm_pickle_machine *m, int bytes, uint64_t *out);

/* Stack.  A mark is no value: push NULL relays a failure, pop and top refuse marks. */
bool atm_pickle_push(atm_pickle_machine *m, atm_pickle_value *item);
bool atm_pickle_have(atm_pickle_machine *m, size_t n);                   /* are the top n values? */
atm_pickle_value *atm_pickle_top(atm_pickle_machine *m);
atm_pickle_value *atm_pickle_pop(atm_pickle_machine *m);
bool atm_pickle_count_above_mark(atm_pickle_machine *m, size_t *n);

/* Memo: the top value gets this number. */
bool atm_pickle_remember(atm_pickle_machine *m, uint64_t index);

/* Values. */
atm_pickle_value *atm_pickle_new_value(atm_pickle_machine *m, atm_pickle_kind kind);
atm_pickle_value *atm_pickle_push_new(atm_pickle_machine *m, atm_pickle_kind kind);
bool atm_pickle_extend(atm_pickle_machine *m, atm_pickle_value *to, atm_pickle_value *const *item, size_t n);

#endif
