/* split.c - see split.h. */
#include "prepare/split.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ------------------------------------------------------------------ tracks */

/* 0 <= u < 1 */
static double drawn(const char *name)
{
    return (double)(XXH3_64bits(name, strlen(name)) >> 11) * 0x1p-53;
}

static int split_at(double u, atm_shares shares)
{
    return u < shares.validation ? ATM_SPLIT_VALIDATION
         : u < shares.validation + shares.test ? ATM_SPLIT_TEST : ATM_SPLIT_TRAIN;
}

static void draw_tracks(atm_collection *c, atm_shares shares)
{
    for (int t = 0; t < c->n_tracks; t++) c->track[t].split = split_at(drawn(c->track[t].name), shares);
}

static int count(const atm_collection *c, int split)
{
    int n = 0;
    for (int t = 0; t < c->n_tracks; t++) n += c->track[t].split == split;
    return n;
}

/* A collection of ten tracks may draw no validation track at all.  The train track with the
 * least number goes there, unless it is the last one. */
static void fill_empty(atm_collection *c, int split, double share)
{
    atm_source *least = NULL;
    if (share <= 0 || count(c, split) || count(c, ATM_SPLIT_TRAIN) < 2) return;
    for (int t = 0; t < c->n_tracks; t++) {
        atm_source *track = &c->track[t];
        if (track->split == ATM_SPLIT_TRAIN && (!least || drawn(track->name) < drawn(least->name)))
            least = track;
    }
    least->split = split;
}

/* ------------------------------------------------------------------ artworks */

static uint64_t affinity(const atm_source *artwork, const atm_source *track)
{
    return XXH3_64bits_withSeed(artwork->name, strlen(artwork->name),
                                XXH3_64bits(track->name, strlen(track->name)));
}

static void draw_artworks(atm_collection *c)
{
    for (int i = 0; i < c->n_matches; i++) {
        const atm_match *m = &c->match[i];
        if (m->artwork < 0 || m->split != ATM_SPLIT_DRAWN) continue;
        atm_source *artwork = &c->artwork[m->artwork];
        if (artwork->follows < 0
            || affinity(artwork, &c->track[m->track]) < affinity(artwork, &c->track[artwork->follows]))
            artwork->follows = m->track;
    }
    for (int a = 0; a < c->n_artworks; a++)
        if (c->artwork[a].follows >= 0) c->artwork[a].split = c->track[c->artwork[a].follows].split;
}

/* ------------------------------------------------------------------ matches */

/* What rows say of their sources counts for the rows that say nothing. */
static void follow_named(atm_collection *c)
{
    for (int i = c->n_matches - 1; i >= 0; i--) {
        const atm_match *m = &c->match[i];
        if (m->split == ATM_SPLIT_DRAWN) continue;
        c->track[m->track].split = m->split;
        if (m->artwork >= 0) c->artwork[m->artwork].split = m->split;
    }
}

static void settle(atm_collection *c, atm_match *m)
{
    atm_source *track = &c->track[m->track], *artwork = m->artwork < 0 ? NULL : &c->artwork[m->artwork];
    if (m->split == ATM_SPLIT_DRAWN)
        m->split = artwork && artwork->split != track->split ? ATM_SPLITS : track->split;
    if (m->split == ATM_SPLITS) return;
    track->splits |= 1u << m->split;
    if (artwork) artwork->splits |= 1u << m->split;
}

int atm_split_draw(atm_collection *c, atm_shares shares)
{
    int dropped = 0;
    draw_tracks(c, shares);
    fill_empty(c, ATM_SPLIT_VALIDATION, shares.validation);
    fill_empty(c, ATM_SPLIT_TEST, shares.test);
    follow_named(c);                    /* tracks, before artworks go where they are */
    draw_artworks(c);
    follow_named(c);
    for (int i = 0; i < c->n_matches; i++) {
        settle(c, &c->match[i]);
        dropped += c->match[i].split == ATM_SPLITS;
    }
    return dropped;
}

/* ------------------------------------------------------------------ leaks */

static const char *identity(const atm_source *s) { return *s->fingerprint ? s->fingerprint : s->name; }

static atm_status count_leaks(const atm_source *source, int n, atm_names *names, unsigned *splits, int *leaks)
{
    for (int i = 0, k; i < n; i++) {
        TRY_RETURN(atm_names_index(names, identity(&source[i]), &k));
        splits[k] |= source[i].splits;
    }
    for (int k = 0; k < names->n; k++) *leaks += (splits[k] & (splits[k] - 1)) != 0;
    return ATM_OK;
}

static atm_status leaks_among(const atm_source *source, int n, int *leaks)
{
    atm_names names = { 0 };
    unsigned *splits = calloc((size_t)n + 1, sizeof *splits);
    const atm_status status = splits ? count_leaks(source, n, &names, splits, leaks)
                                     : atm_fail(ATM_E_MEMORY, "no memory for %d names", n);
    atm_names_free(&names);
    free(splits);
    return status;
}

atm_status atm_split_leaks(const atm_collection *c, int *out)
{
    *out = 0;
    TRY_RETURN(leaks_among(c->artwork, c->n_artworks, out));
    return leaks_among(c->track, c->n_tracks, out);
}
