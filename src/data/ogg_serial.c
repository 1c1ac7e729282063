/* ogg_serial.c - see ogg_serial.h.
 *
 * A page: "OggS", version, flags, granule (8), serial (4), number (4), checksum
 * (4), count of segments (1), their lengths, their bytes.  The checksum is a CRC-32,
 * polynomial 0x04C11DB7, high bit first, from 0, with its own field taken as 0. */
#include "data/ogg_serial.h"

#include <string.h>

enum { SERIAL = 14, CHECKSUM = 22, SEGMENTS = 26, HEADER = 27 };

static void put(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t crc(const uint8_t *data, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum ^= (uint32_t)data[i] << 24;
        for (int bit = 0; bit < 8; bit++) sum = sum << 1 ^ (sum >> 31 ? 0x04C11DB7u : 0);
    }
    return sum;
}

/* Bytes of the page that starts here; 0 when no whole page does. */
static size_t page_size(const uint8_t *page, size_t left)
{
    if (left < HEADER || memcmp(page, "OggS", 4) != 0) return 0;
    size_t size = HEADER + (size_t)page[SEGMENTS];
    if (left < size) return 0;
    for (int i = 0; i < page[SEGMENTS]; i++) size += page[HEADER + i];
    return size <= left ? size : 0;
}

atm_status atm_ogg_set_serial(uint8_t *data, size_t size, uint32_t serial)
{
    for (size_t at = 0; at < size; ) {
        uint8_t *const page = data + at;
        const size_t bytes = page_size(page, size - at);
        if (bytes == 0) return atm_fail(ATM_E_BUG, "ogg: no whole page at byte %zu of %zu", at, size);
        put(page + SERIAL, serial);
        put(page + CHECKSUM, 0);
        put(page + CHECKSUM, crc(page, bytes));
        at += bytes;
    }
    return ATM_OK;
}
