/* prepare.h - from collections of artworks and music to one dataset (data/dataset.h).
 *
 *     lists      pairs.h, collection.h, split.h: what there is and what belongs together
 *     sounds     each track: decoded, cut into windows; waveform and mel of each     all threads
 *     pictures   each artwork: decoded, cropped as the image encoder wants it        all threads
 *     latents, embeddings: the networks on those, in batches                         one plan
 *     dataset    assembled from what is wanted, and its rows' texts
 *
 * Rows are kept in OUTPUT.parts as they are made (parts.h), so a run that was interrupted or
 * killed goes on where it was; the folder goes when the dataset is there.  No more is in memory
 * than a track or picture a thread, and one batch.
 * What cannot be used is passed over and listed in OUTPUT.skipped.tsv. */
#ifndef ATM_PREPARE_PREPARE_H
#define ATM_PREPARE_PREPARE_H

#include "arttomus/arttomus.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/stft.h"
#include "prepare/split.h"

/* Columns that may be asked for. */
typedef enum {
    ATM_PREPARE_EMBEDDING = 1,          /* artworks/embedding [E]: unit length                           */
    ATM_PREPARE_PIXELS    = 2,          /* artworks/pixels [S, S, 3]: bytes                              */
    ATM_PREPARE_LATENTS   = 4,          /* clips/latent_mean, latent_logvar [C, T / s, 64 / s]: unscaled */
    ATM_PREPARE_MEL       = 8,          /* clips/mel [T, 64]                                             */
    ATM_PREPARE_AUDIO     = 16          /* clips/audio [160 T]: 16 kHz                                   */
} atm_prepare_column;

enum { ATM_PREPARE_COLUMNS = 5 };
extern const char *const atm_prepare_column_names[ATM_PREPARE_COLUMNS + 1];     /* bit k's name; NULL ends */

/* "embedding,latents"; ATM_E_USAGE names what is unknown. */
atm_status atm_prepare_columns_parse(const char *text, unsigned *out);

typedef enum { ATM_CLIPS_AS_LISTED, ATM_CLIPS_ONE, ATM_CLIPS_ALL } atm_clips_wanted;

typedef struct {
    const char *output;                 /* the dataset */
    const char *artworks, *music;       /* folders that the pairs' paths are relative to; NULL: the list's */
    const char *pairs;                  /* NULL: every track of `music`, without artworks */
    const char *model;                  /* folder; NULL: none */
    unsigned columns;                   /* 0: with a model embedding and latents, else mel and audio */
    double duration;                    /* of a clip, seconds; rounded up to whole latent frames */
    atm_framing framing;
    atm_clips_wanted clips;             /* AS_LISTED: one where the list has starts, else all */
    int max_clips;                      /* of a match; 0: any number */
    atm_shares shares;
    bool strict;                        /* whatever is skipped is an error */
    bool dry_run;                       /* look at the lists, files and model, and write nothing */
    const char *backend;                /* NULL: "auto" */
    int threads;                        /* 0: one for each core */
    const char *created_by;             /* an attribute of the dataset; NULL: none */
    atm_progress_callback progress;     /* on the calling thread; may be NULL */
    void *user;
} atm_prepare_options;

typedef struct {
    int artworks, clips, skipped;
    int listed_artworks, listed_tracks, listed_pairs;
    int pairs[ATM_SPLITS];
    int repeated, crossing, leaks;      /* split.h, collection.h */
    double seconds;                     /* of music */
} atm_prepare_summary;

/* ATM_E_DATA: nothing to train on is left, or something was skipped and `strict` is set.  ATM_E_CONFIG:
 * another run makes the same dataset.  ATM_E_CANCELLED: `progress` said so; what is done is kept. */
atm_status atm_prepare(const atm_prepare_options *options, atm_prepare_summary *summary);

#endif
