/* hdf5_repair.h - right checksums for a broken HDF5 file: a reader would look no further. */
#ifndef ATM_TEST_HDF5_REPAIR_H
#define ATM_TEST_HDF5_REPAIR_H

#include <string.h>

#include "data/dataset_structure.h"

/* Superblocks of version 2 and 3, and object headers of version 2 with sizes of one to four bytes. */
static inline void hdf5_repair(unsigned char *p, size_t n)
{
    for (size_t i = 0; i + 64 < n; i++) {
        size_t body = 0;
        if (memcmp(p + i, "OHDR\2", 5) == 0) {
            const size_t size_at = i + 6 + (p[i + 5] & 32 ? 16 : 0) + (p[i + 5] & 16 ? 4 : 0);
            const size_t width = (size_t)1 << (p[i + 5] & 3);
            for (size_t k = 0; k < width && k < 4; k++) body |= (size_t)p[size_at + k] << 8 * k;
            body += size_at + width - i;
        }
        if (i == 0 && p[8] >= 2) body = ATM_SUPERBLOCK - 4;
        if (body == 0 || body + 4 > n - i) continue;
        const uint32_t sum = atm_lookup3(p + i, body);
        for (size_t k = 0; k < 4; k++) p[i + body + k] = (unsigned char)(sum >> 8 * k);
    }
}

#endif
