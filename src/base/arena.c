#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { ALIGN = 64, CHUNK_BYTES = 64 * 1024 };

struct atm_arena_chunk {
    atm_arena_chunk *next;
    size_t used, capacity;
    _Alignas(ALIGN) char data[];
};

static atm_arena_chunk *new_chunk(size_t need)
{
    size_t capacity = need > CHUNK_BYTES ? need : CHUNK_BYTES, bytes;
    if (!atm_add_size(capacity, sizeof(atm_arena_chunk), &bytes) ||
        !atm_round_up_size(bytes, ALIGN, &bytes)) return NULL;
    atm_arena_chunk *chunk = aligned_alloc(ALIGN, bytes);
    if (chunk) *chunk = (atm_arena_chunk){ .capacity = capacity };
    return chunk;
}

void *atm_arena_alloc(atm_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (!atm_mul_size(count, size, &bytes) || !atm_round_up_size(bytes, ALIGN, &bytes)) return NULL;
    atm_arena_chunk *chunk = arena->chunk;
    if (!chunk || chunk->capacity - chunk->used < bytes) {
        chunk = new_chunk(bytes);
        if (!chunk) return NULL;
        chunk->next = arena->chunk;
        arena->chunk = chunk;
        arena->bytes += chunk->capacity;
    }
    void *p = chunk->data + chunk->used;
    chunk->used += bytes;
    return memset(p, 0, bytes);
}

char *atm_arena_strdup(atm_arena *arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = atm_arena_alloc(arena, bytes, 1);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

char *atm_arena_printf(atm_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *text = n < 0 ? NULL : atm_arena_alloc(arena, (size_t)n + 1, 1);
    if (text) vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}

void atm_arena_free(atm_arena *arena)
{
    for (atm_arena_chunk *chunk = arena->chunk, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *arena = (atm_arena){ 0 };
}
