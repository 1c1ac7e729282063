/* dataset_hdf5.h - libhdf5 as datasets use it: one caller at a time, silent, with our types.
 *
 * Private to dataset_*.c, and for reading alone: see dataset_structure.h.  Elements on disk are little-endian.  Types are those that h5py makes for
 * numpy: float16 is the IEEE half, bool an enum of int8; bfloat16, which numpy lacks, is a
 * custom float of HDF5, which h5py reads as float32; text is zero-padded UTF-8. */
#ifndef ATM_DATA_DATASET_HDF5_H
#define ATM_DATA_DATASET_HDF5_H

#include <hdf5.h>

#include "data/dataset_table.h"

/* libhdf5 need not be built thread-safe, and prints its errors unless it is told not to;
 * what the program that we are in has told it comes back with leave(). */
typedef struct { H5E_auto2_t print; void *to; } atm_hdf5_visit;
atm_hdf5_visit atm_hdf5_enter(void);
void           atm_hdf5_leave(atm_hdf5_visit visit);

/* How files are opened: no locks (network file systems often have none), closed with all that is in them. */
hid_t atm_hdf5_access(void);

/* Which of ours `type` is. */
bool atm_hdf5_is_dtype(hid_t type, atm_dtype *out);
bool atm_hdf5_is_text(hid_t type, size_t *bytes);       /* of fixed length, padded by zeros */
bool atm_hdf5_is_hash(hid_t type);

/* What libhdf5 says about its last error, for people; "" when it says nothing. */
const char *atm_hdf5_reason(void);

#endif
