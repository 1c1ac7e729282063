/* dataset.h - collections ready for training: one HDF5 file (docs/DATASET.md).
 *
 *     /artworks/<column> [A, ...]     one row an artwork: embedding, pixels, texts ...
 *     /clips/<column>    [C, ...]     one row a clip: latent_mean, latent_logvar, mel, audio, texts ...
 *     /pairs/<column>    [P]          artwork, clip (row numbers), split (0, 1, 2), all whole numbers ...
 *
 * Every column is contiguous, of one of our dtypes or of fixed-length UTF-8 text, and has a
 * companion <column>.xxh3 with the XXH3-64 of each row.  Rows are read by pread at the
 * column's place in the file: any thread, no lock, every row verified.  libhdf5 is not used:
 * dataset_hdf5.h and dataset_structure.h say why.
 *
 * A column's name is artworks/x, clips/x or pairs/x, x being 1 to 63 letters, digits, underscores.
 * To add a column nothing is to be done here; to add a type, a row in dataset_structure.c. */
#ifndef ATM_DATA_DATASET_H
#define ATM_DATA_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/status.h"

enum { ATM_DATASET_VERSION = 1, ATM_COLUMN_MAX_RANK = 4 };

typedef enum { ATM_SPLIT_TRAIN, ATM_SPLIT_VALIDATION, ATM_SPLIT_TEST, ATM_SPLITS } atm_split;
extern const char *const atm_split_names[ATM_SPLITS + 1];       /* "train", "validation", "test", NULL */

typedef struct {
    const char *name;                       /* "clips/latent_mean"                          */
    atm_dtype dtype;                        /* of an element; ATM_U8 for text               */
    bool text;                              /* rows are zero-padded UTF-8 of dim[0] bytes   */
    int rank, dim[ATM_COLUMN_MAX_RANK];     /* of one row                                   */
    size_t rows, row_bytes;
    uint64_t offset;                        /* of row 0 in the file                         */
} atm_column;

typedef struct { int32_t artwork, clip; atm_split split; } atm_pair;    /* -1: none (music without artwork) */

typedef struct atm_dataset atm_dataset;

/* Reading: only contiguous columns of known types, wholly inside the file; no external or
 * virtual storage, no filters, no links out.  Reads structure, pairs and the hashes of all rows, and
 * compares the fingerprint with the file's own.  ATM_E_NOINPUT; ATM_E_DATA with the reason
 * and what to do; ATM_E_MEMORY. */
atm_status atm_dataset_open(const char *path, atm_dataset **out);
void       atm_dataset_close(atm_dataset *dataset);             /* NULL is allowed */

const char       *atm_dataset_path(const atm_dataset *dataset);
size_t            atm_dataset_n_pairs(const atm_dataset *dataset);
const atm_pair   *atm_dataset_pairs(const atm_dataset *dataset);
/* NULL: there is no such column. */
const atm_column *atm_dataset_find(const atm_dataset *dataset, const char *name);
/* A text attribute of the file ("model", "model_fingerprint", "framing" ...); NULL: none. */
const char       *atm_dataset_attribute(const atm_dataset *dataset, const char *name);
/* Of the file's content: XXH3-128 of names, types, shapes and row hashes of all columns, and of the
 * attributes but "fingerprint", as 32 hex digits (docs/DATASET.md).  Places in the file do not matter. */
const char       *atm_dataset_fingerprint(const atm_dataset *dataset);

/* One row of a column of this dataset into out [row_bytes], from any thread.  ATM_E_DATA: the row's hash
 * differs from what it was at open; the message tells a damaged file from one changed or shortened since. */
atm_status atm_dataset_read(const atm_dataset *dataset, const atm_column *column, size_t row, void *out);

/* ---- writing: the file appears under `path` complete and readable, or not at all ---- */

typedef struct atm_dataset_writer atm_dataset_writer;

/* ATM_E_IO. */
atm_status atm_dataset_begin(const char *path, atm_dataset_writer **out);
/* Declares a column before its rows; `column->name`, dtype, text, rank, dim, rows are read.  Its place on
 * the disk is taken at once.  ATM_E_DATA: no such column can be; ATM_E_IO: no room.  No commit after that. */
atm_status atm_dataset_declare(atm_dataset_writer *writer, const atm_column *column);
/* A row [row_bytes] of a declared column, in any order, each once, from any thread.  ATM_E_BUG: not declared,
 * out of range, or put before; ATM_E_DATA: text that is not UTF-8; ATM_E_IO.  No commit after that. */
atm_status atm_dataset_put(atm_dataset_writer *writer, const char *column, size_t row, const void *data);
/* An attribute; again: replaces it.  "schema" and "fingerprint" are the writer's own.  ATM_E_DATA: not a
 * name, or text above 32 KiB or not UTF-8. */
atm_status atm_dataset_set(atm_dataset_writer *writer, const char *attribute, const char *text);
/* Frees the writer in every case; a failure leaves what was under the path before.  ATM_E_BUG with how many
 * rows of which column were not put; ATM_E_DATA: pairs that point nowhere, groups that disagree; ATM_E_IO. */
atm_status atm_dataset_commit(atm_dataset_writer *writer);
void       atm_dataset_abort(atm_dataset_writer *writer);       /* NULL is allowed */

#endif
