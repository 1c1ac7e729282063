/* memory_stream.h - text made with fprintf and its like, in memory.
 *
 *     char *text;  size_t bytes;
 *     FILE *out = atm_memory_stream(&text, &bytes);
 *     fprintf(out, ...);
 *     if (fclose(out) != 0) no memory             text is NULL
 *     else ... free(text);                        a zero byte follows its `bytes` bytes
 *
 * As open_memstream(), but for the end: glibc's drops what memory is lacking for, and neither
 * fclose() nor ferror() tells (glibc 2.36; it made a broken header of a weights file). */
#ifndef ATM_BASE_MEMORY_STREAM_H
#define ATM_BASE_MEMORY_STREAM_H

#include <stddef.h>
#include <stdio.h>

/* NULL: no memory; *text is NULL until fclose(). */
FILE *atm_memory_stream(char **text, size_t *bytes);

#endif
