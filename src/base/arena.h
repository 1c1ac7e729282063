/* arena.h - host scratch with one lifetime: carve, then rewind or free all. */
#ifndef ATM_BASE_ARENA_H
#define ATM_BASE_ARENA_H

#include <stddef.h>

typedef struct atm_arena_chunk atm_arena_chunk;
typedef struct atm_arena { atm_arena_chunk *chunk; size_t bytes; } atm_arena;   /* {0} is empty */

/* Zeroed, 64-byte aligned; NULL when memory is out or count * size overflows. */
void *atm_arena_alloc(atm_arena *arena, size_t count, size_t size);
char *atm_arena_strdup(atm_arena *arena, const char *text);
char *atm_arena_printf(atm_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void  atm_arena_free(atm_arena *arena);          /* back to {0} */

#endif
