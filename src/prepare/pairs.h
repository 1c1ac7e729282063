/* pairs.h - which artwork goes with which track, as somebody wrote it down.
 *
 * A table with a header line, columns in any order; only `track` is needed:
 *
 *     artwork           file; empty: music alone
 *     track             file
 *     start             seconds into the track; 0
 *     split             train, validation, test; empty: drawn (split.h)
 *     caption_artwork, caption_music, licence, source
 *
 * .csv as RFC 4180 has it, .tsv with tabs and no quoting, .jsonl with an object a line
 * whose members are the columns.  All of it UTF-8.
 * To add a column: a member here and a row of the table in pairs.c. */
#ifndef ATM_PREPARE_PAIRS_H
#define ATM_PREPARE_PAIRS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/status.h"
#include "data/dataset.h"

enum { ATM_SPLIT_DRAWN = -1 };

typedef struct {
    const char *artwork;                /* NULL: none */
    const char *track;
    double start;                       /* seconds */
    int split;                          /* atm_split, or ATM_SPLIT_DRAWN */
    const char *caption_artwork, *caption_music, *licence, *source;     /* "" where not given */
    int line;                           /* of the file */
} atm_pair_row;

typedef struct {                        /* {0} is empty */
    atm_pair_row *row;
    size_t n, capacity;
    bool has_start;                     /* the table has that column */
    atm_arena arena;                    /* of the texts */
} atm_pair_list;

/* ATM_E_NOINPUT: cannot be read.  ATM_E_USAGE: another extension.  ATM_E_DATA, with the line:
 * broken, an unknown column (the nearest is named), a value that means nothing, no rows. */
atm_status atm_pairs_read(const char *path, atm_pair_list *out);

/* Every sound file in a folder and the folders in it, by name, as rows without artwork; paths are
 * relative to `folder`.  ATM_E_NOINPUT: no such folder, or none in it. */
atm_status atm_pairs_from_folder(const char *folder, atm_pair_list *out);

void atm_pairs_free(atm_pair_list *list);               /* back to {0} */

/* The arena keeps a copy of nothing: the row's texts must live in list->arena. */
atm_status atm_pairs_add(atm_pair_list *list, const atm_pair_row *row);

#endif
