/* items.h - which pairs, clips or artworks of a split are measured, and which of them belong together. */
#ifndef ATM_EVAL_ITEMS_H
#define ATM_EVAL_ITEMS_H

#include "data/dataset.h"

/* What is there once: the rest of a repeated one is passed over. */
typedef enum { EVAL_EACH_PAIR, EVAL_EACH_CLIP, EVAL_EACH_ARTWORK } eval_each;

typedef struct { int32_t artwork, clip; int track; } eval_item;     /* artwork -1: none */
typedef struct { eval_item *item; int n, tracks; } eval_items;      /* {0} is empty; tracks: different ones */

/* At most `most` (0: all) of a split, spread over its tracks: one of each track before a second
 * of any; which of a track's is a function of the seed.  Tracks are numbered from 0 through the
 * whole dataset, by clips/fingerprint (else clips/path; without either each clip is one).
 * EACH_ARTWORK and EACH_PAIR take pairs with an artwork alone.  ATM_E_DATA: there is none. */
atm_status eval_choose(const atm_dataset *dataset, atm_split split, eval_each each, int most, uint64_t seed,
                       eval_items *out);
void       eval_items_free(eval_items *items);      /* back to {0} */

/* Tracks of all items, as atm_bootstrap_mean takes clusters; the caller's to free(); NULL: no memory. */
int *eval_clusters(const eval_items *items);

#endif
