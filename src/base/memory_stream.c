#define _GNU_SOURCE     /* fopencookie */
#include "base/memory_stream.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { FIRST = 1024 };

typedef struct {
    char *data, **text;
    size_t n, capacity, *bytes;
    bool failed;
} buffer;

static bool make_room(buffer *b, size_t more)
{
    size_t needed, capacity;
    if (!atm_add_size(b->n, more, &needed) || !atm_mul_size(needed, 2, &capacity) ||
        !atm_add_size(capacity, FIRST, &capacity)) return false;
    if (needed < b->capacity) return true;
    char *grown = realloc(b->data, capacity);
    if (!grown) return false;
    b->data = grown;
    b->capacity = capacity;
    return true;
}

/* 0 is how a failure is told; it stays one, even if the next write would find memory. */
static ssize_t put(void *cookie, const char *data, size_t n)
{
    buffer *b = cookie;
    b->failed = b->failed || !make_room(b, n);
    if (b->failed) return 0;
    memcpy(b->data + b->n, data, n);
    b->n += n;
    return (ssize_t)n;
}

/* ftell() works; going elsewhere does not. */
static int tell(void *cookie, off64_t *offset, int whence)
{
    if (*offset || whence == SEEK_SET) return -1;
    *offset = (off64_t)((buffer *)cookie)->n;
    return 0;
}

static int finish(void *cookie)
{
    buffer *b = cookie;
    const bool failed = b->failed || !make_room(b, 0);
    if (failed) {
        free(b->data);
    } else {
        b->data[b->n] = '\0';
        *b->text = b->data;
        *b->bytes = b->n;
    }
    free(b);
    return failed ? -1 : 0;
}

FILE *atm_memory_stream(char **text, size_t *bytes)
{
    *text = NULL;
    *bytes = 0;
    buffer *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->text = text;
    b->bytes = bytes;
    FILE *out = fopencookie(b, "w", (cookie_io_functions_t){ .write = put, .seek = tell, .close = finish });
    if (!out) free(b);
    return out;
}
