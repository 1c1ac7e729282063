/* bytes.c - see bytes.h. */
#include "data/bytes.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

atm_status atm_bytes_reserve(atm_bytes *bytes, size_t size)
{
    if (size <= bytes->capacity) return ATM_OK;
    const size_t grown = bytes->capacity + bytes->capacity / 2;     /* keeps appending linear */
    const size_t capacity = grown > size ? grown : size;
    uint8_t *data = realloc(bytes->data, capacity);
    if (!data) return atm_fail(ATM_E_MEMORY, "out of memory: %zu bytes", capacity);
    bytes->data = data;
    bytes->capacity = capacity;
    return ATM_OK;
}

atm_status atm_bytes_append(atm_bytes *bytes, const void *data, size_t size)
{
    size_t total;
    if (size == 0) return ATM_OK;
    if (!atm_add_size(bytes->size, size, &total)) return atm_fail(ATM_E_MEMORY, "out of memory");
    TRY_RETURN(atm_bytes_reserve(bytes, total));
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size = total;
    return ATM_OK;
}

void atm_bytes_free(atm_bytes *bytes)
{
    free(bytes->data);
    *bytes = (atm_bytes){ 0 };
}
