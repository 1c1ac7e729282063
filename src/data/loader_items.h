/* loader_items.h - which items a loader goes through, and what it copies of a row.
 * Private to loader*.c. */
#ifndef ATM_DATA_LOADER_ITEMS_H
#define ATM_DATA_LOADER_ITEMS_H

#include "data/loader.h"

/* Items of the split in increasing order: pairs, or the distinct clips of its pairs.  *out is the
 * caller's to free().  ATM_E_DATA: there are none. */
atm_status atm_loader_list(const atm_loader_options *options, uint32_t **out, uint32_t *n);

typedef enum { ATM_BY_PAIR, ATM_BY_ARTWORK, ATM_BY_CLIP } atm_loader_index;

/* A column as the loader reads it: `outer` runs of `run` bytes, `stride` bytes apart in the row,
 * the first at start * unit. */
typedef struct {
    const atm_column *column;
    atm_loader_index index;
    size_t outer, stride, run, unit;
    uint32_t starts;                    /* possible starts: 0 .. starts - 1 */
} atm_loader_source;

/* ATM_E_DATA: the column is not there, items lack an artwork, or the crop does not fit. */
atm_status atm_loader_find_source(const atm_loader_options *options, const atm_loader_column *wanted,
                                  atm_loader_source *out);

static inline size_t atm_loader_bytes(const atm_loader_source *s) { return s->outer * s->run; }
static inline bool   atm_loader_is_whole(const atm_loader_source *s) { return s->run == s->stride; }

void atm_loader_crop(const atm_loader_source *source, uint32_t start, const void *row, void *out);

#endif
