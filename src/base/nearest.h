/* nearest.h - what somebody who mistyped a name meant. */
#ifndef ATM_BASE_NEAREST_H
#define ATM_BASE_NEAREST_H

#include <stddef.h>

/* The nearest of n names by edits, or NULL when none is near enough to suggest.
 * `stride`: bytes between the elements, each of which begins with a const char *. */
const char *atm_nearest(const char *name, const void *first, size_t n, size_t stride);

#endif
