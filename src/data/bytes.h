/* bytes.h - a block of bytes that grows. */
#ifndef ATM_DATA_BYTES_H
#define ATM_DATA_BYTES_H
#include "base/status.h"

#include <stdint.h>

typedef struct atm_bytes {
    uint8_t *data;
    size_t size, capacity;
} atm_bytes;                                /* {0} is empty */

/* Room for `size` bytes in all; sizes only grow.  On failure nothing changes. */
atm_status atm_bytes_reserve(atm_bytes *bytes, size_t size);
atm_status atm_bytes_append(atm_bytes *bytes, const void *data, size_t size);
void       atm_bytes_free(atm_bytes *bytes);          /* back to {0} */

#endif
