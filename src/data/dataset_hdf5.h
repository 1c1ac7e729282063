/* dataset_hdf5.h - reading the structure of an HDF5 file, as far as datasets use it.
 *
 * Private to dataset_*.c.  Not by libhdf5: 1.10.8 ended with a segmentation fault in 50 of 3000 broken
 * files with right checksums, and in 3 of 3000 as h5py writes them; no rule about what we ask of it
 * helps, it died looking for the objects.  Here every byte comes out of a block that was read whole and
 * inside the file, through a cursor that cannot leave it.
 *
 * Source: "HDF5 File Format Specification Version 3.0".  Superblocks 0 to 3, object headers 1 and 2,
 * groups as symbol tables or as links in the header.  Not: links in a fractal heap (h5py with
 * libver="latest" and more than eight in a group), shared messages, files with a user block. */
#ifndef ATM_DATA_DATASET_HDF5_H
#define ATM_DATA_DATASET_HDF5_H

#include "data/dataset_private.h"

/* ------------------------------------------------------------------ bytes */

typedef struct { const unsigned char *at, *end; bool bad; } atm_cursor;    /* bad: it was asked for more */

/* The next n bytes; NULL when there are fewer. */
const unsigned char *atm_cursor_bytes(atm_cursor *c, uint64_t n);
uint64_t             atm_cursor_number(atm_cursor *c, int bytes);           /* little-endian; 0 when bad */
static inline size_t atm_cursor_left(const atm_cursor *c) { return (size_t)(c->end - c->at); }

typedef struct {
    const atm_dataset *dataset;
    atm_arena arena;                    /* of all blocks: they live as long as the scan */
    size_t bytes;                       /* of them, about: a broken file must not fill the memory */
} atm_hdf5_file;

/* ATM_E_DATA: not inside the file, or too much altogether. */
atm_status atm_hdf5_block(atm_hdf5_file *file, uint64_t offset, uint64_t bytes, atm_cursor *out);

/* ------------------------------------------------------------------ objects */

enum { ATM_HDF5_MESSAGES = 512 };

typedef enum {
    ATM_HDF5_DATASPACE = 1, ATM_HDF5_LINK_INFO = 2, ATM_HDF5_DATATYPE = 3, ATM_HDF5_FILL_VALUE = 5,
    ATM_HDF5_LINK = 6, ATM_HDF5_EXTERNAL = 7, ATM_HDF5_LAYOUT = 8, ATM_HDF5_GROUP_INFO = 10,
    ATM_HDF5_FILTERS = 11, ATM_HDF5_ATTRIBUTE = 12, ATM_HDF5_CONTINUATION = 16, ATM_HDF5_SYMBOL_TABLE = 17,
    ATM_HDF5_ATTRIBUTE_INFO = 21
} atm_hdf5_kind;

typedef struct { unsigned kind; atm_cursor data; } atm_hdf5_message;
typedef struct { int n; atm_hdf5_message message[ATM_HDF5_MESSAGES]; } atm_hdf5_object;

static const uint64_t ATM_HDF5_NOWHERE = UINT64_MAX;        /* the "undefined address" */

atm_status atm_hdf5_root(atm_hdf5_file *file, uint64_t *address);
atm_status atm_hdf5_object_at(atm_hdf5_file *file, uint64_t address, atm_hdf5_object *out);
/* The first message of that kind; NULL: none. */
const atm_hdf5_message *atm_hdf5_find(const atm_hdf5_object *object, atm_hdf5_kind kind);

/* ------------------------------------------------------------------ groups */

enum { ATM_HDF5_LINKS = 2 * ATM_DATASET_COLUMNS };

typedef struct { const char *name; uint64_t address; } atm_hdf5_link;      /* the name is printable ASCII */
typedef struct { int n; atm_hdf5_link link[ATM_HDF5_LINKS]; } atm_hdf5_links;

/* Of a group, sorted by name.  ATM_E_DATA: not a group, or one with soft or external links. */
atm_status atm_hdf5_list(atm_hdf5_file *file, const atm_hdf5_object *group, atm_hdf5_links *out);

#endif
