/* skips.c - see skips.h. */
#include "prepare/skips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory_stream.h"
#include "io/atomic_file.h"

enum { SHOWN_MOST = 20 };               /* in the log; all are in the table */

void atm_skips_init(atm_skips *s)
{
    *s = (atm_skips){ 0 };
    pthread_mutex_init(&s->lock, NULL);
}

void atm_skips_free(atm_skips *s)
{
    free(s->item);
    atm_arena_free(&s->arena);
    pthread_mutex_destroy(&s->lock);
}

static atm_status no_memory(void) { return atm_fail(ATM_E_MEMORY, "no memory for the list of skips"); }

static atm_status append(atm_skips *s, const atm_skip *item)
{
    if (s->n == s->capacity) {
        const int capacity = s->capacity ? 2 * s->capacity : 16;
        atm_skip *grown = reallocarray(s->item, (size_t)capacity, sizeof *grown);
        if (!grown) return no_memory();
        s->item = grown;
        s->capacity = capacity;
    }
    s->item[s->n++] = *item;
    return ATM_OK;
}

static atm_status add(atm_skips *s, const char *kind, const char *name, int line, const char *reason)
{
    const atm_skip item = { kind, atm_arena_strdup(&s->arena, name), atm_arena_strdup(&s->arena, reason),
                            line };
    if (!item.name || !item.reason) return no_memory();
    return append(s, &item);
}

atm_status atm_skips_add(atm_skips *s, const char *kind, const char *name, int line, const char *format, ...)
{
    char reason[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    pthread_mutex_lock(&s->lock);
    const atm_status status = add(s, kind, name, line, reason);
    pthread_mutex_unlock(&s->lock);
    return status;
}

void atm_skips_show(atm_skips *s)
{
    pthread_mutex_lock(&s->lock);
    for (; s->shown < s->n; s->shown++) {
        const atm_skip *item = &s->item[s->shown];
        if (s->shown < SHOWN_MOST)
            atm_log(ATM_LOG_WARNING, "%s %s skipped: %s", item->kind, item->name, item->reason);
        if (s->shown == SHOWN_MOST) atm_log(ATM_LOG_WARNING, "more is skipped; the list will have all of it");
    }
    pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------ the table */

static int by_line_then_name(const void *a, const void *b)
{
    const atm_skip *x = a, *y = b;
    if (x->line != y->line) return x->line < y->line ? -1 : 1;
    const int names = strcmp(x->name, y->name);
    return names ? names : strcmp(x->reason, y->reason);
}

/* One field of one line, whatever the text holds. */
static void put_field(FILE *out, const char *text, char end)
{
    for (; *text; text++) fputc(*text == '\t' || *text == '\n' || *text == '\r' ? ' ' : *text, out);
    fputc(end, out);
}

static char *table(const atm_skips *s, size_t *bytes)
{
    char *text = NULL;
    FILE *out = atm_memory_stream(&text, bytes);
    if (!out) return NULL;
    fputs("what\tname\tline\treason\n", out);
    for (int i = 0; i < s->n; i++) {
        put_field(out, s->item[i].kind, '\t');
        put_field(out, s->item[i].name, '\t');
        fprintf(out, "%d\t", s->item[i].line);
        put_field(out, s->item[i].reason, '\n');
    }
    return fclose(out) == 0 ? text : NULL;
}

atm_status atm_skips_write(atm_skips *s, const char *path)
{
    size_t bytes;
    if (s->n == 0) {
        unlink(path);
        return ATM_OK;
    }
    qsort(s->item, (size_t)s->n, sizeof *s->item, by_line_then_name);
    char *text = table(s, &bytes);
    if (!text) return no_memory();
    const atm_status status = atm_atomic_write_file(path, text, bytes);
    free(text);
    return status;
}
