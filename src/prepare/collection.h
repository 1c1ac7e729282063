/* collection.h - the artworks, tracks and matches of a pair list, each once.
 *
 * Places in a track are counted in samples at 16 kHz.  A match means one window of its track
 * or many, as the rule below says; equal windows of several matches are one clip. */
#ifndef ATM_PREPARE_COLLECTION_H
#define ATM_PREPARE_COLLECTION_H

#include "model/fingerprint.h"
#include "prepare/names.h"
#include "prepare/pairs.h"

typedef struct {                        /* an artwork or a track */
    const char *name;                   /* as the list has it */
    char *file;                         /* where it is */
    const char *caption, *licence, *source;
    int line;                           /* of the list; 0: none */
    int split;                          /* atm_split */
    int follows;                        /* of an artwork: the track that decides its split; -1: none */
    unsigned splits;                    /* bits of those that its pairs are in */
    int row;                            /* in the dataset; -1: not in it */
    int64_t length;                     /* of a track; set when it has been read */
    char fingerprint[ATM_FINGERPRINT_TEXT];         /* "": not readable */
} atm_source;

typedef struct { int artwork, track, split, line; int64_t start; } atm_match;   /* artwork -1: none */

typedef struct {                        /* {0} is empty */
    atm_source *artwork, *track;
    atm_match *match;                   /* in the list's order */
    int n_artworks, n_tracks, n_matches;
    int repeated;                       /* rows that say what an earlier one said */
    atm_match **by_track;               /* sorted by (track, start) */
    int *first_of_track;                /* [n_tracks + 1]: into by_track */
    atm_names artwork_names, track_names;
    atm_arena arena;
} atm_collection;

/* `list` must outlive *out.  Paths are relative to the folders, unless they begin with '/'. */
atm_status atm_collection_make(const atm_pair_list *list, const char *artwork_folder,
                               const char *track_folder, atm_collection *out);
void       atm_collection_free(atm_collection *collection);         /* back to {0} */

/* ------------------------------------------------------------------ windows */

typedef struct {
    int64_t step;                       /* from a window to the next */
    bool all;                           /* every window from the start on; else the first */
    int most;                           /* of a match, spread over the track; 0: any number */
} atm_window_rule;

/* Windows of a track of `length` from `start` on: whole ones, and a last short one when half or more
 * of it is there. */
int64_t atm_window_count(const atm_window_rule *rule, int64_t length, int64_t start);
int64_t atm_window_start(const atm_window_rule *rule, int64_t length, int64_t start, int64_t k);

#endif
