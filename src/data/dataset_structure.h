/* dataset_structure.h - the HDF5 structure around a dataset's rows, as bytes.
 *
 * Private to dataset_*.c.  Written by us because libhdf5 cannot fail: when the disk is full in
 * H5Fclose, the file stays open, the library ends the program with "infinite loop closing
 * library" and a segmentation fault.  The tests read these files with libhdf5.
 *
 *     superblock | rows of columns and hashes, placed by the writer | object headers
 *
 * Source: "HDF5 File Format Specification Version 3.0": superblock 2, object headers 2 (both with
 * checksums, readable since HDF5 1.8), links and attributes in the headers, contiguous layout 3. */
#ifndef ATM_DATA_DATASET_STRUCTURE_H
#define ATM_DATA_DATASET_STRUCTURE_H

#include "data/bytes.h"
#include "data/dataset_table.h"

enum { ATM_SUPERBLOCK = 48 };           /* bytes, at the file's start */

/* The object headers, to be written at `at` (a multiple of 8), where the file will end with
 * them; and the superblock. */
atm_status atm_dataset_structure(const atm_dataset_table *table, uint64_t at, atm_bytes *headers,
                                 unsigned char superblock[ATM_SUPERBLOCK]);

/* The type of a column's elements, as a datatype message of version 1. */
atm_status atm_dataset_type(const atm_column *column, atm_bytes *out);

/* Bob Jenkins' lookup3 ("hashlittle", 2006), HDF5's checksum. */
uint32_t atm_lookup3(const void *data, size_t bytes);

#endif
