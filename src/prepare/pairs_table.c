/* pairs_table.c - pair tables of lines and separators.
 *
 * CSV is RFC 4180: a field that begins with a quote ends at the next single one, may hold
 * commas and line ends, and a quote in it is written twice.  TSV has no quoting: a tab or a
 * line end cannot be in a field.  Lines end in LF or CRLF; empty ones are passed over. */
#include <string.h>

#include "prepare/pairs_format.h"

typedef struct {
    atm_pair_reader *r;
    char *at;                           /* the next byte; fields are cut out where they lie */
    char separator;
    bool quoting;
} scanner;

typedef struct { char *text; bool last; } field;        /* last: of its line */

/* Ends the field at `end` and steps over what separates it from the next. */
static void finish_field(scanner *s, char *end, field *f)
{
    const char stop = *s->at;
    f->last = stop != s->separator;
    if (stop != s->separator && end == s->at && end > f->text && end[-1] == '\r') end--;
    if (stop) s->at++;
    *end = '\0';
}

static atm_status read_quoted(scanner *s, field *f)
{
    const int first_line = s->r->line;
    char *to = ++s->at;
    f->text = to;
    for (; *s->at != '"' || s->at[1] == '"'; *to++ = *s->at++) {
        if (*s->at == '"') s->at++;
        if (*s->at == '\n') s->r->line++;
        if (*s->at) continue;
        s->r->line = first_line;
        return atm_pairs_broken(s->r, "a quote is opened and never closed");
    }
    s->at++;
    if (s->at[0] == '\r' && s->at[1] == '\n') s->at++;
    if (*s->at && *s->at != s->separator && *s->at != '\n')
        return atm_pairs_broken(s->r, "text behind a closing quote; a quote inside quotes is written twice");
    finish_field(s, to, f);
    return ATM_OK;
}

static atm_status read_field(scanner *s, field *f)
{
    if (s->quoting && *s->at == '"') return read_quoted(s, f);
    f->text = s->at;
    while (*s->at && *s->at != s->separator && *s->at != '\n') s->at++;
    finish_field(s, s->at, f);
    return ATM_OK;
}

static bool skip_empty_lines(scanner *s)
{
    for (;; s->r->line++, s->at++) {
        if (s->at[0] == '\r' && s->at[1] == '\n') s->at++;
        if (*s->at != '\n') return *s->at;
    }
}

typedef struct { int column[ATM_PAIR_COLUMNS], n; } header;

static atm_status add_column(scanner *s, const char *name, header *h)
{
    int column;
    TRY_RETURN(atm_pairs_column(s->r, name, &column));
    for (int i = 0; i < h->n; i++)
        if (h->column[i] == column) return atm_pairs_broken(s->r, "two columns are called %s", name);
    h->column[h->n++] = column;
    return ATM_OK;
}

static atm_status read_header(scanner *s, header *h)
{
    field f = { 0 };
    bool has_track = false;
    if (!skip_empty_lines(s)) return atm_fail(ATM_E_DATA, "%s: is empty", s->r->path);
    do {
        TRY_RETURN(read_field(s, &f));
        TRY_RETURN(add_column(s, f.text, h));
        has_track |= !strcmp(f.text, "track");
    } while (!f.last);
    if (!has_track) return atm_pairs_broken(s->r, "no column is called track");
    s->r->line++;
    return ATM_OK;
}

static atm_status read_row(scanner *s, const header *h)
{
    atm_pair_row row = atm_pairs_row(s->r);
    field f = { 0 };
    int n = 0;
    for (; !f.last; n++) {
        TRY_RETURN(read_field(s, &f));
        if (n == h->n) return atm_pairs_broken(s->r, "more fields than the %d columns of the header", h->n);
        TRY_RETURN(atm_pairs_set(s->r, h->column[n], f.text, &row));
    }
    if (n < h->n) return atm_pairs_broken(s->r, "%d fields where the header has %d columns", n, h->n);
    TRY_RETURN(atm_pairs_row_end(s->r, &row));
    s->r->line++;
    return ATM_OK;
}

static atm_status parse_table(scanner s)
{
    header h = { .n = 0 };
    TRY_RETURN(read_header(&s, &h));
    while (skip_empty_lines(&s)) TRY_RETURN(read_row(&s, &h));
    return ATM_OK;
}

atm_status atm_pairs_parse_csv(atm_pair_reader *r, char *text)
{
    return parse_table((scanner){ r, text, ',', true });
}

atm_status atm_pairs_parse_tsv(atm_pair_reader *r, char *text)
{
    return parse_table((scanner){ r, text, '\t', false });
}
