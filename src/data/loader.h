/* loader.h - batches of a dataset, read ahead by one thread.
 *
 * Items are the pairs of a split, or its distinct clips.  They come in a shuffled order that
 * is a function of (seed, epoch) alone; batch b of the whole run is items [b B, (b + 1) B) of the
 * endless sequence epoch 0, epoch 1, ..., where B counts all ranks.  A rank takes its own
 * contiguous share of each batch, in micro-batches.  So the order does not depend on the
 * number of ranks, and resuming at step b needs nothing but b.
 *
 * Three micro-batches are ready ahead of the one in use: memory for four. */
#ifndef ATM_DATA_LOADER_H
#define ATM_DATA_LOADER_H

#include "data/dataset.h"

enum { ATM_LOADER_COLUMNS = 8 };

/* A column to read: artworks/x by the pair's artwork, clips/x by its clip, pairs/x by itself.
 * crop > 0: only `crop` elements along axis `axis` of the row, from an offset that is `unit` times the
 * sample's random start; columns cropped together share the start, so a mel (unit 1) and its audio
 * (unit 160) stay aligned.  Crops keep the row's rank. */
typedef struct { const char *name; int axis, crop, unit; } atm_loader_column;

typedef struct {
    const atm_dataset *dataset;
    const atm_loader_column *column;        /* [n_columns] */
    int n_columns;
    atm_split split;
    bool clips;                             /* items are distinct clips instead of pairs        */
    bool in_order;                          /* validation: item i is pair i, no shuffling, crops begin at 0 */
    uint64_t seed;
    int batch;                              /* of all ranks and micro-batches together          */
    int micro_batches;                      /* that a rank takes one after another              */
    int rank, ranks;
    uint64_t first_step;                    /* where to begin: a resumed run's step             */
} atm_loader_options;

typedef struct {
    uint64_t step;                          /* of the run, from 0                               */
    int micro;                              /* 0 .. micro_batches - 1                           */
    int n;                                  /* samples in it                                    */
    int first;                              /* index of its first sample within the step's whole batch */
    const uint32_t *item;                   /* [n] which pair (or clip) each sample is          */
    const void *column[ATM_LOADER_COLUMNS]; /* [n, cropped row], dtype of the column            */
} atm_loaded;

typedef struct atm_loader atm_loader;

/* Starts reading; holds the dataset, `options` may go.  ATM_E_DATA: no items in the split, a column that
 * is not there, a pair without artwork though a column of artworks is asked for, a crop longer than
 * the row.  ATM_E_CONFIG: batch is not a multiple of ranks * micro_batches.  ATM_E_BUG: clips with other
 * columns. */
atm_status atm_loader_open(const atm_loader_options *options, atm_loader **out);
/* NULL is allowed.  Ends the thread; one that hangs in a read is left behind after two seconds, and frees
 * what it holds when the read returns. */
void       atm_loader_close(atm_loader *loader);

/* The next micro-batch; valid until the next call.  An error of the reading thread comes where its
 * micro-batch would, and again at every later call. */
atm_status atm_loader_next(atm_loader *loader, atm_loaded *out);

size_t atm_loader_items(const atm_loader *loader);      /* in the split */
double atm_loader_waited(const atm_loader *loader);     /* seconds that atm_loader_next has waited */

/* The order alone: which of n_items > 0 is number `position` of the endless sequence; its epoch is
 * position / n_items.  Needs no memory. */
uint32_t atm_loader_order(uint64_t seed, uint64_t position, uint32_t n_items);

#endif
