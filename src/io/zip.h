/* zip.h - the directory of a zip archive in memory.  Entries that are stored can be
 * read in place, and torch.save() stores; compressed ones are only listed.
 * Zip64 included.
 *
 * Layout (PKWARE APPNOTE 4.3): entries, each with a local header; the central
 * directory, which repeats name, sizes and place of each; the end record. */
#ifndef ATM_IO_ZIP_H
#define ATM_IO_ZIP_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct atm_zip_entry {
    const char *name;                   /* zero-terminated copy */
    const unsigned char *data;          /* inside the archive; NULL when compressed or encrypted */
    size_t bytes;
} atm_zip_entry;

typedef struct atm_zip { atm_zip_entry *entry; size_t n; } atm_zip;      /* sorted by name */

/* Every range is checked against the archive.  ATM_E_DATA names the entry that lies
 * outside, or is there twice. */
atm_status atm_zip_read(const void *bytes, size_t size, atm_arena *arena, atm_zip *out);

const atm_zip_entry *atm_zip_find(const atm_zip *zip, const char *name);        /* or NULL */

#endif
