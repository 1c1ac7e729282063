/* split.h - which pairs are trained on and which are held out.
 *
 * A row that names its split keeps it.  For the others, no artwork and no track may be on both
 * sides, or the held-out numbers would flatter:
 *     a track's split is drawn by the hash of its name: adding others never moves it;
 *     an artwork goes where one of its tracks went (the one for which the hash of both names is least);
 *     a pair whose artwork and track went to different splits is dropped.
 * When nothing was drawn into a split that should have a share, the nearest track goes there. */
#ifndef ATM_PREPARE_SPLIT_H
#define ATM_PREPARE_SPLIT_H

#include "prepare/collection.h"

typedef struct { double validation, test; } atm_shares;        /* of the tracks, 0 .. 1 */

/* Sets split of all sources and matches; a dropped match gets ATM_SPLITS.  Returns how many. */
int atm_split_draw(atm_collection *collection, atm_shares shares);

/* How many different artworks and tracks are on several sides: because rows said so, or because one file
 * has several names.  Files are told apart by their fingerprints once those are known. */
atm_status atm_split_leaks(const atm_collection *collection, int *out);

#endif
