/* pairs.c - the columns of a pair table and their values; see pairs.h. */
#include "prepare/pairs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "io/read_file.h"
#include "io/utf8.h"
#include "prepare/pairs_format.h"

enum { MAX_BYTES = 1 << 30 };
static const double MAX_START = 86400;      /* seconds: a day */

atm_status atm_pairs_broken(const atm_pair_reader *r, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return atm_fail(ATM_E_DATA, "%s:%d: %s", r->path, r->line, text);
}

/* ------------------------------------------------------------------ values */

typedef atm_status (*cell_setter)(const atm_pair_reader *r, const char *text, void *member);

static atm_status set_text(const atm_pair_reader *r, const char *text, void *member)
{
    char *copy = atm_arena_strdup(&r->list->arena, text);
    if (!copy) return atm_fail(ATM_E_MEMORY, "%s: no memory for the pairs", r->path);
    *(const char **)member = copy;
    return ATM_OK;
}

static atm_status set_path(const atm_pair_reader *r, const char *text, void *member)
{
    return *text ? set_text(r, text, member) : ATM_OK;
}

static atm_status set_start(const atm_pair_reader *r, const char *text, void *member)
{
    char *end;
    if (!text[strspn(text, " ")]) return ATM_OK;
    const double v = strtod(text, &end);
    if (end[strspn(end, " ")] || !(v >= 0 && v <= MAX_START))
        return atm_pairs_broken(r, "start '%.40s' must be a number of seconds from 0 to %g", text, MAX_START);
    *(double *)member = v;
    return ATM_OK;
}

static atm_status set_split(const atm_pair_reader *r, const char *text, void *member)
{
    for (int i = 0; i < ATM_SPLITS; i++)
        if (!strcmp(text, atm_split_names[i])) *(int *)member = i;
    if (!*text || *(int *)member != ATM_SPLIT_DRAWN) return ATM_OK;
    const char *near = atm_nearest(text, atm_split_names, ATM_SPLITS, sizeof atm_split_names[0]);
    return near ? atm_pairs_broken(r, "split '%.40s': did you mean %s?", text, near)
                : atm_pairs_broken(r, "split '%.40s' must be train, validation or test", text);
}

#define AT(member) offsetof(atm_pair_row, member)
static const struct { const char *name; cell_setter set; size_t offset; } columns[ATM_PAIR_COLUMNS] = {
    { "artwork",         set_path,  AT(artwork)         },
    { "track",           set_path,  AT(track)           },
    { "start",           set_start, AT(start)           },
    { "split",           set_split, AT(split)           },
    { "caption_artwork", set_text,  AT(caption_artwork) },
    { "caption_music",   set_text,  AT(caption_music)   },
    { "licence",         set_text,  AT(licence)         },
    { "source",          set_text,  AT(source)          }
};

const char *atm_pairs_column_name(int column) { return columns[column].name; }

atm_status atm_pairs_column(const atm_pair_reader *r, const char *name, int *out)
{
    for (int i = 0; i < ATM_PAIR_COLUMNS; i++) {
        if (strcmp(name, columns[i].name)) continue;
        if (columns[i].set == set_start) r->list->has_start = true;
        *out = i;
        return ATM_OK;
    }
    const char *near = atm_nearest(name, columns, ATM_PAIR_COLUMNS, sizeof columns[0]);
    if (near) return atm_pairs_broken(r, "unknown column '%.40s': did you mean %s?", name, near);
    return atm_pairs_broken(r, "unknown column '%.40s': known are artwork, track, start, split, "
                            "caption_artwork, caption_music, licence, source", name);
}

atm_status atm_pairs_set(const atm_pair_reader *r, int column, const char *text, atm_pair_row *row)
{
    if (strlen(text) > ATM_PAIR_TEXT_MAX)
        return atm_pairs_broken(r, "%s of %zu bytes: at most %d", columns[column].name, strlen(text),
                                ATM_PAIR_TEXT_MAX);
    return columns[column].set(r, text, (char *)row + columns[column].offset);
}

/* ------------------------------------------------------------------ rows */

atm_pair_row atm_pairs_row(const atm_pair_reader *r)
{
    return (atm_pair_row){ .split = ATM_SPLIT_DRAWN, .line = r->line, .caption_artwork = "",
                           .caption_music = "", .licence = "", .source = "" };
}

atm_status atm_pairs_row_end(const atm_pair_reader *r, const atm_pair_row *row)
{
    return row->track ? atm_pairs_add(r->list, row) : atm_pairs_broken(r, "names no track");
}

atm_status atm_pairs_add(atm_pair_list *list, const atm_pair_row *row)
{
    if (list->n == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 64;
        atm_pair_row *grown = reallocarray(list->row, capacity, sizeof *grown);
        if (!grown) return atm_fail(ATM_E_MEMORY, "no memory for %zu pairs", capacity);
        list->row = grown;
        list->capacity = capacity;
    }
    list->row[list->n++] = *row;
    return ATM_OK;
}

void atm_pairs_free(atm_pair_list *list)
{
    free(list->row);
    atm_arena_free(&list->arena);
    *list = (atm_pair_list){ 0 };
}

/* ------------------------------------------------------------------ files */

static const struct {
    const char *extension;
    atm_status (*parse)(atm_pair_reader *r, char *text);
} formats[] = {
    { ".csv", atm_pairs_parse_csv }, { ".tsv", atm_pairs_parse_tsv }, { ".tab", atm_pairs_parse_tsv },
    { ".jsonl", atm_pairs_parse_jsonl }, { ".ndjson", atm_pairs_parse_jsonl }
};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

/* The first line that is not UTF-8 or holds a zero byte. */
static atm_status check_text(atm_pair_reader *r, const char *text, size_t bytes)
{
    if (atm_utf8_valid(text, bytes) && !memchr(text, 0, bytes)) return ATM_OK;
    for (const char *end = text + bytes; text < end; r->line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t length = (size_t)((newline ? newline + 1 : end) - text);
        if (!atm_utf8_valid(text, length) || memchr(text, 0, length)) break;
        text += length;
    }
    return atm_pairs_broken(r, "is not UTF-8 text: save the table as UTF-8");
}

/* Spreadsheets put U+FEFF in front. */
static char *skip_byte_order_mark(char *text) { return strncmp(text, "\xEF\xBB\xBF", 3) ? text : text + 3; }

static atm_status parse(atm_pair_reader *r, int format)
{
    char *text;
    size_t bytes;
    TRY_RETURN(atm_read_file(r->path, MAX_BYTES, &text, &bytes));
    atm_status status = check_text(r, text, bytes);
    if (status == ATM_OK) status = formats[format].parse(r, skip_byte_order_mark(text));
    free(text);
    return status;
}

atm_status atm_pairs_read(const char *path, atm_pair_list *out)
{
    atm_pair_list list = { 0 };
    atm_pair_reader reader = { &list, path, 1 };
    const char *dot = strrchr(path, '.');
    int format = 0;
    while (format < N_FORMATS && (!dot || strcasecmp(dot, formats[format].extension))) format++;
    if (format == N_FORMATS)
        return atm_fail(ATM_E_USAGE, "%s: pairs are read from .csv, .tsv and .jsonl files", path);
    atm_status status = parse(&reader, format);
    if (status == ATM_OK && list.n == 0) status = atm_fail(ATM_E_DATA, "%s: holds no pairs", path);
    if (status == ATM_OK) *out = list;
    else atm_pairs_free(&list);
    return status;
}
