#include "io/read_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Grows as it reads: a size that the system announces (0 for /proc, anything
 * for a pipe) is not to be trusted. */
static atm_status read_all(FILE *in, const char *path, size_t max, char **text, size_t *bytes)
{
    for (size_t capacity = 4096; ; capacity *= 2) {
        char *bigger = realloc(*text, capacity + 1);
        if (!bigger) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
        *text = bigger;
        *bytes += fread(*text + *bytes, 1, capacity - *bytes, in);
        if (ferror(in)) return atm_fail(ATM_E_NOINPUT, "%s: %s", path, strerror(errno));
        if (*bytes > max) return atm_fail(ATM_E_DATA, "%s: is above the limit of %zu bytes", path, max);
        if (*bytes < capacity) break;
    }
    (*text)[*bytes] = '\0';
    return ATM_OK;
}

atm_status atm_read_file(const char *path, size_t max, char **text, size_t *bytes)
{
    FILE *in = fopen(path, "rbe");
    if (!in) return atm_fail(ATM_E_NOINPUT, "%s: %s", path, strerror(errno));
    *text = NULL;
    *bytes = 0;
    atm_status status = read_all(in, path, max, text, bytes);
    fclose(in);
    if (status != ATM_OK) free(*text);
    return status;
}
