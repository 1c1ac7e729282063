/* pickle.h - Python pickles as values, executing nothing.
 *
 * A pickle is a program for a stack machine; in Python its GLOBAL and REDUCE
 * steps import and call anything, os.system included.  Here GLOBAL only looks
 * into the caller's list of allowed names, and REDUCE only notes "a call of row
 * g with these arguments" for the caller to interpret.  A name that is not on
 * the list ends the reading with that name in the message.
 *
 * Protocols 2 to 5, the steps that torch.save() uses (pickletools.py documents
 * all).  Nothing here recurses, and memory is bounded by the pickle's size. */
#ifndef ATM_IO_PICKLE_H
#define ATM_IO_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef enum {
    ATM_PICKLE_NONE, ATM_PICKLE_BOOL, ATM_PICKLE_INT, ATM_PICKLE_REAL,
    ATM_PICKLE_TEXT,            /* str and bytes: not zero-terminated, inside the pickle */
    ATM_PICKLE_LONG,            /* int above 64 bits: little-endian two's complement in `text` */
    ATM_PICKLE_TUPLE, ATM_PICKLE_LIST,
    ATM_PICKLE_DICT,            /* item[2 i] is the key of item[2 i + 1] */
    ATM_PICKLE_GLOBAL,          /* row `global` of the allowed names */
    ATM_PICKLE_CALL,            /* row `global`, called with the items */
    ATM_PICKLE_PERSISTENT,      /* "an object kept elsewhere": item[0] identifies it */
    ATM_PICKLE_MARK
} atm_pickle_kind;

typedef struct atm_pickle_value {
    atm_pickle_kind kind;
    bool visited;                               /* for the caller */
    uint16_t global;
    union {
        int64_t integer;                        /* INT, BOOL */
        double real;
        const char *text;
        struct atm_pickle_value **item;
    };
    size_t n, capacity;                         /* of text or items */
    struct atm_pickle_value *next;              /* the PERSISTENT value read before this one */
} atm_pickle_value;

typedef enum {
    ATM_PICKLE_MAKES_DICT,      /* calling it, without arguments, gives an empty dict */
    ATM_PICKLE_CALLABLE,        /* calling it gives an ATM_PICKLE_CALL */
    ATM_PICKLE_MERE_NAME        /* may be named, not called */
} atm_pickle_use;

typedef struct atm_pickle_global {
    const char *name;                           /* "module.name" */
    atm_pickle_use use;
} atm_pickle_global;

typedef struct atm_pickle {
    atm_pickle_value *root;
    atm_pickle_value *persistent;               /* the last one read; see `next` */
    size_t bytes;                               /* how long the pickle was */
} atm_pickle;

/* Reads one pickle from the front of `bytes`.  Values live in `arena`. */
atm_status atm_pickle_read(const void *bytes, size_t size, const atm_pickle_global *allowed, size_t n_allowed,
                           atm_arena *arena, atm_pickle *out);

/* Is `value` a text equal to `text`? */
bool atm_pickle_is_text(const atm_pickle_value *value, const char *text);

#endif
