/* collection.c - see collection.h. */
#include "prepare/collection.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/stft.h"

static atm_status no_memory(void) { return atm_fail(ATM_E_MEMORY, "no memory for the list of pairs"); }

/* ------------------------------------------------------------------ sources */

static atm_status add_source(atm_collection *c, atm_source *source, const char *folder, const char *name,
                             int line)
{
    *source = (atm_source){ .name = name, .line = line, .row = -1, .follows = -1, .caption = "",
                            .licence = "", .source = "" };
    source->file = *name == '/' ? atm_arena_strdup(&c->arena, name)
                                : atm_arena_printf(&c->arena, "%s/%s", folder, name);
    return source->file ? ATM_OK : no_memory();
}

/* The first row that says something is believed. */
static void add_texts(atm_source *source, const char *caption, const atm_pair_row *row)
{
    if (!*source->caption) source->caption = caption;
    if (!*source->licence) source->licence = row->licence;
    if (!*source->source) source->source = row->source;
}

typedef struct {                        /* artworks, or tracks */
    atm_names *names;
    atm_source *source;
    int *n;
    const char *folder;
} source_list;

static atm_status take_source(atm_collection *c, const source_list *to, const char *name,
                              const char *caption, const atm_pair_row *row, int *index)
{
    TRY_RETURN(atm_names_index(to->names, name, index));
    if (*index == *to->n) TRY_RETURN(add_source(c, &to->source[(*to->n)++], to->folder, name, row->line));
    add_texts(&to->source[*index], caption, row);
    return ATM_OK;
}

/* ------------------------------------------------------------------ matches */

static int by_track_then_start(const void *a, const void *b)
{
    const atm_match *x = *(atm_match *const *)a, *y = *(atm_match *const *)b;
    if (x->track != y->track) return x->track < y->track ? -1 : 1;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    if (x->artwork != y->artwork) return x->artwork < y->artwork ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static bool says_the_same(const atm_match *a, const atm_match *b)
{
    return a->track == b->track && a->start == b->start && a->artwork == b->artwork;
}

static void sort_matches(atm_collection *c)
{
    for (int i = 0; i < c->n_matches; i++) c->by_track[i] = &c->match[i];
    qsort(c->by_track, (size_t)c->n_matches, sizeof *c->by_track, by_track_then_start);
}

/* A pair written down twice would count twice in training. */
static void drop_repeated(atm_collection *c)
{
    int kept = 0;
    for (int i = c->n_matches - 1; i > 0; i--)          /* backwards: what is compared is not marked yet */
        if (says_the_same(c->by_track[i - 1], c->by_track[i])) c->by_track[i]->track = -1;
    for (int i = 0; i < c->n_matches; i++)
        if (c->match[i].track >= 0) c->match[kept++] = c->match[i];
    c->repeated = c->n_matches - kept;
    c->n_matches = kept;
}

static void index_tracks(atm_collection *c)
{
    int at = 0;
    for (int t = 0; t <= c->n_tracks; t++) {
        while (at < c->n_matches && c->by_track[at]->track < t) at++;
        c->first_of_track[t] = at;
    }
}

/* ------------------------------------------------------------------ the whole */

static atm_status allocate(atm_collection *c, size_t n)
{
    c->artwork = atm_arena_alloc(&c->arena, n, sizeof *c->artwork);
    c->track = atm_arena_alloc(&c->arena, n, sizeof *c->track);
    c->match = atm_arena_alloc(&c->arena, n, sizeof *c->match);
    c->by_track = atm_arena_alloc(&c->arena, n, sizeof *c->by_track);
    c->first_of_track = atm_arena_alloc(&c->arena, n + 1, sizeof *c->first_of_track);
    return c->artwork && c->track && c->match && c->by_track && c->first_of_track ? ATM_OK : no_memory();
}

static atm_status add_match(atm_collection *c, const source_list *artworks, const source_list *tracks,
                            const atm_pair_row *row)
{
    atm_match m = { .artwork = -1, .split = row->split, .line = row->line,
                    .start = llround(row->start * ATM_STFT_RATE) };
    if (row->artwork)
        TRY_RETURN(take_source(c, artworks, row->artwork, row->caption_artwork, row, &m.artwork));
    TRY_RETURN(take_source(c, tracks, row->track, row->caption_music, row, &m.track));
    c->match[c->n_matches++] = m;
    return ATM_OK;
}

static atm_status make(const atm_pair_list *list, const char *artwork_folder, const char *track_folder,
                       atm_collection *c)
{
    if (list->n > INT_MAX / 2) return atm_fail(ATM_E_DATA, "%zu pairs: at most %d", list->n, INT_MAX / 2);
    TRY_RETURN(allocate(c, list->n));
    const source_list artworks = { &c->artwork_names, c->artwork, &c->n_artworks, artwork_folder };
    const source_list tracks = { &c->track_names, c->track, &c->n_tracks, track_folder };
    for (size_t i = 0; i < list->n; i++) TRY_RETURN(add_match(c, &artworks, &tracks, &list->row[i]));
    sort_matches(c);
    drop_repeated(c);
    sort_matches(c);
    index_tracks(c);
    return ATM_OK;
}

atm_status atm_collection_make(const atm_pair_list *list, const char *artwork_folder,
                               const char *track_folder, atm_collection *out)
{
    atm_collection c = { 0 };
    const atm_status status = make(list, artwork_folder, track_folder, &c);
    if (status == ATM_OK) *out = c;
    else atm_collection_free(&c);
    return status;
}

void atm_collection_free(atm_collection *c)
{
    atm_names_free(&c->artwork_names);
    atm_names_free(&c->track_names);
    atm_arena_free(&c->arena);
    *c = (atm_collection){ 0 };
}

/* ------------------------------------------------------------------ windows */

static int64_t whole_count(const atm_window_rule *rule, int64_t length, int64_t start)
{
    const int64_t rest = length - start, step = rule->step;
    if (2 * rest < step) return 0;
    return rule->all ? rest / step + (2 * (rest % step) >= step) : 1;
}

int64_t atm_window_count(const atm_window_rule *rule, int64_t length, int64_t start)
{
    const int64_t n = whole_count(rule, length, start);
    return rule->most && n > rule->most ? rule->most : n;
}

int64_t atm_window_start(const atm_window_rule *rule, int64_t length, int64_t start, int64_t k)
{
    const int64_t whole = whole_count(rule, length, start);
    return start + k * whole / atm_window_count(rule, length, start) * rule->step;
}
