/* exif.c - see exif.h.  Every read goes through get(), which knows the end. */
#include "data/exif.h"

#include <stdbool.h>
#include <string.h>

enum { UPRIGHT = 1, ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY = 12 };

typedef struct {
    const uint8_t *data;
    size_t size;
    bool big_endian;
} tiff;

/* `bytes` bytes (at most 4) at `at` as a number; 0 beyond the end. */
static uint32_t get(const tiff *t, size_t at, size_t bytes)
{
    if (at > t->size || t->size - at < bytes) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | t->data[at + (t->big_endian ? i : bytes - 1 - i)];
    return value;
}

static bool open_tiff(tiff *t, const uint8_t *data, size_t size)
{
    static const char prefix[6] = "Exif\0";
    const size_t skip = size >= sizeof prefix && memcmp(data, prefix, sizeof prefix) == 0 ? sizeof prefix : 0;
    *t = (tiff){ data + skip, size - skip, false };
    if (t->size < 8) return false;
    t->big_endian = t->data[0] == 'M';
    return (memcmp(t->data, "II", 2) == 0 || memcmp(t->data, "MM", 2) == 0) && get(t, 2, 2) == 42;
}

int atm_exif_orientation(const uint8_t *exif, size_t size)
{
    tiff t;
    if (!open_tiff(&t, exif, size)) return UPRIGHT;
    const size_t directory = get(&t, 4, 4);
    const uint32_t entries = get(&t, directory, 2);
    for (uint32_t i = 0; i < entries; i++) {
        const size_t entry = directory + 2 + (size_t)i * ENTRY;
        if (get(&t, entry, 2) != ORIENTATION) continue;
        const uint32_t value = get(&t, entry + 2, 2) == TYPE_SHORT ? get(&t, entry + 8, 2) : 0;
        return value >= 1 && value <= 8 ? (int)value : UPRIGHT;
    }
    return UPRIGHT;
}
