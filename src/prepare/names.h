/* names.h - numbers for distinct texts, in the order in which they first come. */
#ifndef ATM_PREPARE_NAMES_H
#define ATM_PREPARE_NAMES_H

#include "base/status.h"

typedef struct { const char **text; int n, *slot, n_slots; } atm_names;     /* {0} is empty */

/* *index is n - 1 when the text is new.  `text` is kept, not copied. */
atm_status atm_names_index(atm_names *names, const char *text, int *index);
void       atm_names_free(atm_names *names);            /* back to {0} */

#endif
