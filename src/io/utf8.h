/* utf8.h - is a text valid UTF-8? */
#ifndef ATM_IO_UTF8_H
#define ATM_IO_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool atm_utf8_valid(const char *text, size_t bytes);

/* Writes U+0000..U+10FFFF as 1 to 4 bytes; returns how many. */
size_t atm_utf8_put(char out[4], unsigned code);

#endif
