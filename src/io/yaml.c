#define _GNU_SOURCE
#include "io/yaml.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MAX_DEPTH = 8, MAX_ENTRIES = 1024, MAX_ITEMS = 256 };

typedef struct {
    yaml_parser_t parser;
    const char *source;
    atm_yaml *out;
    size_t entries;
    yaml_event_t event;             /* the one at hand */
    bool has_event;
} reader;

static int line_of(const yaml_event_t *event) { return (int)event->start_mark.line + 1; }

static atm_status fail(const reader *r, const char *reason)
{
    return atm_fail(ATM_E_CONFIG, "%s:%d: %s", r->source, line_of(&r->event), reason);
}

static atm_status no_memory(const reader *r) { return atm_fail(ATM_E_MEMORY, "%s: no memory", r->source); }

static void drop(reader *r)
{
    if (r->has_event) yaml_event_delete(&r->event);
    r->has_event = false;
}

static bool has_extras(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_ALIAS_EVENT:          return true;
    case YAML_SCALAR_EVENT:         return e->data.scalar.anchor || e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT: return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:  return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    default:                        return false;
    }
}

static atm_status next(reader *r)
{
    drop(r);
    if (!yaml_parser_parse(&r->parser, &r->event))
        return atm_fail(r->parser.error == YAML_MEMORY_ERROR ? ATM_E_MEMORY : ATM_E_CONFIG, "%s:%zu: %s",
                        r->source, r->parser.problem_mark.line + 1,
                        r->parser.problem ? r->parser.problem : "not YAML");
    r->has_event = true;
    return has_extras(&r->event) ? fail(r, "anchors, aliases and tags are not allowed") : ATM_OK;
}

static bool is(const reader *r, yaml_event_type_t type) { return r->event.type == type; }

static const char *scalar_text(reader *r)
{
    return atm_arena_strdup(&r->out->arena, (const char *)r->event.data.scalar.value);
}

/* Appends the scalar at hand. */
static atm_status add_item(reader *r, atm_yaml_entry *entry, int row)
{
    if (strlen((const char *)r->event.data.scalar.value) != r->event.data.scalar.length)
        return fail(r, "a text with a zero byte");
    if (entry->n == MAX_ITEMS) return fail(r, "a list of more than 256 items");
    size_t room = entry->shape == ATM_YAML_SCALAR ? 1 : MAX_ITEMS;
    if (!entry->item) entry->item = atm_arena_alloc(&r->out->arena, room, sizeof *entry->item);
    const char *text = scalar_text(r);
    if (!entry->item || !text) return no_memory(r);
    bool quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    entry->item[entry->n++] = (atm_yaml_item){ text, quoted, row };
    return ATM_OK;
}

/* After '[': items until ']'. */
static atm_status read_row(reader *r, atm_yaml_entry *entry, int row)
{
    for (;;) {
        TRY_RETURN(next(r));
        if (is(r, YAML_SEQUENCE_END_EVENT)) return ATM_OK;
        if (!is(r, YAML_SCALAR_EVENT)) return fail(r, "expected a number or a text in this list");
        TRY_RETURN(add_item(r, entry, row));
    }
}

/* After '[': a list, or a list of lists. */
static atm_status read_list(reader *r, atm_yaml_entry *entry)
{
    for (;;) {
        TRY_RETURN(next(r));
        if (is(r, YAML_SEQUENCE_END_EVENT)) return ATM_OK;
        bool row = is(r, YAML_SEQUENCE_START_EVENT);
        if (!row && !is(r, YAML_SCALAR_EVENT)) return fail(r, "a list may hold numbers, texts or lists");
        if ((entry->n || entry->rows) && row != (entry->rows > 0))
            return fail(r, "a list mixes lists and values");
        if (row) {
            entry->shape = ATM_YAML_TABLE;
            TRY_RETURN(read_row(r, entry, entry->rows++));
        } else {
            TRY_RETURN(add_item(r, entry, 0));
        }
    }
}

static bool has_key(const atm_yaml *yaml, const char *key)
{
    for (const atm_yaml_entry *e = yaml->first; e; e = e->next)
        if (strcmp(e->key, key) == 0) return true;
    return false;
}

static atm_status add_entry(reader *r, const char *key, int line, atm_yaml_shape shape, atm_yaml_entry **out)
{
    *out = NULL;
    if (has_key(r->out, key)) return atm_fail(ATM_E_CONFIG, "%s:%d: %s is there twice", r->source, line, key);
    if (r->entries++ == MAX_ENTRIES) return fail(r, "more than 1024 keys");
    atm_yaml_entry *entry = atm_arena_alloc(&r->out->arena, 1, sizeof *entry);
    if (!entry) return no_memory(r);
    *entry = (atm_yaml_entry){ .key = key, .line = line, .shape = shape };
    if (r->out->last) r->out->last->next = entry;
    else r->out->first = entry;
    r->out->last = entry;
    *out = entry;
    return ATM_OK;
}

static atm_status read_mapping(reader *r, const char *prefix, int depth);

/* The value at hand, of the key `key` that stands in `line`. */
static atm_status read_value(reader *r, const char *key, int line, int depth)
{
    atm_yaml_entry *entry;
    bool group = is(r, YAML_MAPPING_START_EVENT), list = is(r, YAML_SEQUENCE_START_EVENT);
    atm_yaml_shape shape = group ? ATM_YAML_GROUP : list ? ATM_YAML_LIST : ATM_YAML_SCALAR;
    TRY_RETURN(add_entry(r, key, line, shape, &entry));
    if (!group) return list ? read_list(r, entry) : add_item(r, entry, 0);
    TRY_RETURN(read_mapping(r, key, depth + 1));
    return entry->next ? ATM_OK : fail(r, "an empty group");
}

/* After '{' or the first key's indentation. */
static atm_status read_mapping(reader *r, const char *prefix, int depth)
{
    if (depth > MAX_DEPTH) return fail(r, "nested too deeply");
    for (;;) {
        TRY_RETURN(next(r));
        if (is(r, YAML_MAPPING_END_EVENT)) return ATM_OK;
        if (!is(r, YAML_SCALAR_EVENT)) return fail(r, "a key must be a plain word");
        int line = line_of(&r->event);
        const char *key = atm_arena_printf(&r->out->arena, "%s%s%s", prefix, *prefix ? "." : "",
                                           (const char *)r->event.data.scalar.value);
        if (!key) return no_memory(r);
        TRY_RETURN(next(r));
        TRY_RETURN(read_value(r, key, line, depth));
    }
}

static bool is_empty_scalar(const reader *r)
{
    return is(r, YAML_SCALAR_EVENT) && r->event.data.scalar.length == 0;
}

static atm_status read_stream(reader *r)
{
    TRY_RETURN(next(r));                                    /* stream start */
    TRY_RETURN(next(r));
    if (is(r, YAML_STREAM_END_EVENT)) return ATM_OK;        /* an empty file says nothing: all defaults */
    TRY_RETURN(next(r));
    if (is(r, YAML_MAPPING_START_EVENT)) TRY_RETURN(read_mapping(r, "", 0));
    else if (!is_empty_scalar(r)) return fail(r, "expected key: value");
    TRY_RETURN(next(r));                                    /* document end */
    TRY_RETURN(next(r));
    return is(r, YAML_STREAM_END_EVENT) ? ATM_OK : fail(r, "more than one document");
}

atm_status atm_yaml_parse(const char *text, size_t bytes, const char *source, atm_yaml *out)
{
    reader r = { .source = source, .out = out };
    if (!yaml_parser_initialize(&r.parser)) return no_memory(&r);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, bytes);
    atm_status status = read_stream(&r);
    drop(&r);
    yaml_parser_delete(&r.parser);
    return status;
}

void atm_yaml_free(atm_yaml *yaml)
{
    atm_arena_free(&yaml->arena);
    *yaml = (atm_yaml){ 0 };
}

static locale_t c_locale;                  /* 0 when there was no memory for it */
static void make_c_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* This thread's locale becomes "C"; returns the one to go back to. */
static locale_t enter_c_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return uselocale(c_locale);
}

bool atm_yaml_double(const char *text, double *out)
{
    char *end;
    locale_t before = enter_c_locale();
    double value = strtod(text, &end);
    uselocale(before);
    if (end == text || *end || !isfinite(value)) return false;
    *out = value;
    return true;
}

void atm_yaml_print_double(char text[ATM_YAML_DOUBLE_TEXT], double value)
{
    locale_t before = enter_c_locale();
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, ATM_YAML_DOUBLE_TEXT, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    uselocale(before);
}
