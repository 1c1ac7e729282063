/* dataset.h - collections ready for training: one HDF5 file (docs/DATASET.md).
 *
 *     /artworks/<column> [A, ...]     one row an artwork: embedding, pixels, texts ...
 *     /clips/<column>    [C, ...]     one row a clip: latent_mean, latent_logvar, mel, audio, texts ...
 *     /pairs/<column>    [P]          artwork, clip (row numbers), split
 *
 * Every column is contiguous, of one of our dtypes or of fixed-length UTF-8 text, and has a
 * companion <column>.xxh3 with the XXH3-64 of each row.  Rows are read by pread at the
 * column's place in the file: any thread, no HDF5 lock, every row verified. */
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
 * virtual storage, no filters, no links out.  ATM_E_NOINPUT, or ATM_E_DATA with the reason. */
atm_status atm_dataset_open(const char *path, atm_dataset **out);
void       atm_dataset_close(atm_dataset *dataset);             /* NULL is allowed */

const char       *atm_dataset_path(const atm_dataset *dataset);
size_t            atm_dataset_n_pairs(const atm_dataset *dataset);
const atm_pair   *atm_dataset_pairs(const atm_dataset *dataset);
/* NULL: there is no such column. */
const atm_column *atm_dataset_find(const atm_dataset *dataset, const char *name);
/* A text attribute of the file ("model", "model_fingerprint", "framing" ...); NULL: none. */
const char       *atm_dataset_attribute(const atm_dataset *dataset, const char *name);
/* Of the file's content: XXH3-128 of all row hashes and attributes, as 32 hex digits. */
const char       *atm_dataset_fingerprint(const atm_dataset *dataset);

/* One row into out [row_bytes], from any thread.  ATM_E_DATA: the row's hash differs, or the file was
 * changed or shortened since it was opened. */
atm_status atm_dataset_read(const atm_dataset *dataset, const atm_column *column, size_t row, void *out);

/* ---- writing: the file appears under `path` complete, or not at all ---- */

typedef struct atm_dataset_writer atm_dataset_writer;

atm_status atm_dataset_begin(const char *path, atm_dataset_writer **out);
/* Declares a column before its rows; `column->name`, dtype, text, rank, dim, rows are read. */
atm_status atm_dataset_declare(atm_dataset_writer *writer, const atm_column *column);
/* A row of a declared column, in any order, each once. */
atm_status atm_dataset_put(atm_dataset_writer *writer, const char *column, size_t row, const void *data);
atm_status atm_dataset_set(atm_dataset_writer *writer, const char *attribute, const char *text);
atm_status atm_dataset_commit(atm_dataset_writer *writer);      /* frees the writer in every case */
void       atm_dataset_abort(atm_dataset_writer *writer);       /* NULL is allowed */

#endif
