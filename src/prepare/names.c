/* names.c - open addressing, at most half full; see names.h. */
#include "prepare/names.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Where the text is, or where it belongs; a slot holds 1 + its index, 0 when it is free. */
static int *find(const atm_names *names, const char *text)
{
    const uint64_t mask = (uint64_t)names->n_slots - 1;
    uint64_t at = XXH3_64bits(text, strlen(text)) & mask;
    while (names->slot[at] && strcmp(names->text[names->slot[at] - 1], text)) at = (at + 1) & mask;
    return &names->slot[at];
}

static atm_status grow(atm_names *names)
{
    const int n_slots = names->n_slots ? 2 * names->n_slots : 64;
    if (names->n_slots > INT_MAX / 2) return atm_fail(ATM_E_DATA, "more than %d different names", names->n);
    const char **text = reallocarray(names->text, (size_t)n_slots / 2, sizeof *text);
    if (text) names->text = text;
    int *slot = calloc((size_t)n_slots, sizeof *slot);
    if (!text || !slot) {
        free(slot);
        return atm_fail(ATM_E_MEMORY, "no memory for %d names", n_slots / 2);
    }
    free(names->slot);
    names->slot = slot;
    names->n_slots = n_slots;
    for (int i = 0; i < names->n; i++) *find(names, names->text[i]) = i + 1;
    return ATM_OK;
}

atm_status atm_names_index(atm_names *names, const char *text, int *index)
{
    if (2 * names->n >= names->n_slots) TRY_RETURN(grow(names));
    int *slot = find(names, text);
    if (!*slot) {
        names->text[names->n++] = text;
        *slot = names->n;
    }
    *index = *slot - 1;
    return ATM_OK;
}

void atm_names_free(atm_names *names)
{
    free(names->text);
    free(names->slot);
    *names = (atm_names){ 0 };
}
