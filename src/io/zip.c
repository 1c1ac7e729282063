#include "io/zip.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LOCAL = 30, CENTRAL = 46, END = 22, LOCATOR = 20, END64 = 56, MAX_COMMENT = 65535 };
#define SATURATED UINT64_C(0xffffffff)      /* "look into the zip64 extra field" */

typedef struct {
    const unsigned char *start;
    size_t size;
    uint64_t directory, directory_bytes, n;
} archive;

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | p[i];
    return value;
}

static atm_status fail(const char *reason) { return atm_fail(ATM_E_DATA, "zip: %s", reason); }

/* Is [at, at + bytes) inside? */
static bool inside(const archive *a, uint64_t at, uint64_t bytes)
{
    return at <= a->size && bytes <= a->size - at;
}

/* `bytes` at `at` that begin with PK and the signature's two bytes, or NULL. */
static const unsigned char *record(const archive *a, uint64_t at, uint64_t bytes, const char signature[2])
{
    if (!inside(a, at, bytes)) return NULL;
    const unsigned char *p = a->start + at;
    return memcmp(p, "PK", 2) == 0 && memcmp(p + 2, signature, 2) == 0 ? p : NULL;
}

/* The end record is the last thing but for a comment of up to 64 KiB. */
static const unsigned char *find_end(const archive *a)
{
    size_t last = a->size < END ? 0 : a->size - END, first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
    for (size_t at = last + 1; at-- > first; ) {
        const unsigned char *p = record(a, at, END, "\5\6");
        if (p && little(p + 20, 2) == a->size - END - at) return p;
    }
    return NULL;
}

static atm_status read_end64(archive *a, size_t end)
{
    const unsigned char *p = end < LOCATOR ? NULL : record(a, end - LOCATOR, LOCATOR, "\6\7");
    if (p) p = record(a, little(p + 8, 8), END64, "\6\6");
    if (!p) return fail("the zip64 end record is missing");
    a->n = little(p + 32, 8);
    a->directory_bytes = little(p + 40, 8);
    a->directory = little(p + 48, 8);
    return ATM_OK;
}

static atm_status read_end(archive *a)
{
    const unsigned char *p = find_end(a);
    if (!p) return fail("no end record: truncated?");
    a->n = little(p + 10, 2);
    a->directory_bytes = little(p + 12, 4);
    a->directory = little(p + 16, 4);
    if (a->n == 0xffff || a->directory_bytes == SATURATED || a->directory == SATURATED)
        TRY_RETURN(read_end64(a, (size_t)(p - a->start)));
    if (!inside(a, a->directory, a->directory_bytes)) return fail("the directory lies outside the file");
    return a->n > a->directory_bytes / CENTRAL ? fail("more entries than the directory can hold") : ATM_OK;
}

/* Of the extra field's records {u16 id, u16 bytes, ...}, id 1 holds in 64 bits, in
 * this order, those of the values that are saturated in the directory. */
static atm_status read_extra64(const unsigned char *p, size_t bytes, uint64_t *const value[3])
{
    for (size_t length; bytes >= 4; p += 4 + length, bytes -= 4 + length) {
        length = little(p + 2, 2);
        if (length > bytes - 4) break;
        if (little(p, 2) != 1) continue;
        for (size_t i = 0, at = 0; i < 3; i++) {
            if (*value[i] != SATURATED) continue;
            if (at + 8 > length) return fail("a zip64 field is too short");
            *value[i] = little(p + 4 + at, 8);
            at += 8;
        }
        return ATM_OK;
    }
    return ATM_OK;      /* none: then the 32-bit values stand, and are checked as such */
}

/* The data begin after the local header, whose own name and extra field count. */
static atm_status locate(const archive *a, uint64_t at, uint64_t bytes, atm_zip_entry *entry)
{
    size_t name = strlen(entry->name);
    const unsigned char *p = record(a, at, LOCAL, "\3\4");
    if (!p) return atm_fail(ATM_E_DATA, "zip: %s has no local header", entry->name);
    uint64_t begin = at + LOCAL + little(p + 26, 2) + little(p + 28, 2);
    if (!inside(a, begin, bytes)) return atm_fail(ATM_E_DATA, "zip: %s lies outside the file", entry->name);
    if (little(p + 26, 2) != name || memcmp(p + LOCAL, entry->name, name) != 0)
        return atm_fail(ATM_E_DATA, "zip: %s has another name in its local header", entry->name);
    entry->data = a->start + begin;
    entry->bytes = (size_t)bytes;
    return ATM_OK;
}

static atm_status copy_name(const unsigned char *p, size_t bytes, atm_arena *arena, const char **out)
{
    if (memchr(p, 0, bytes)) return fail("a name with a zero byte");
    *out = atm_arena_printf(arena, "%.*s", (int)bytes, (const char *)p);
    return *out ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a zip directory");
}

/* One row of the directory at *at, inside it; *at moves on. */
static atm_status read_entry(const archive *a, uint64_t *at, atm_arena *arena, atm_zip_entry *entry)
{
    const unsigned char *p = record(a, *at, CENTRAL, "\1\2");
    if (!p) return fail("the directory is broken");
    uint64_t stored = little(p + 20, 4), bytes = little(p + 24, 4), local = little(p + 42, 4);
    size_t name = little(p + 28, 2), extra = little(p + 30, 2), comment = little(p + 32, 2);
    if (!inside(a, *at, CENTRAL + name + extra + comment)) return fail("the directory is cut off");
    TRY_RETURN(copy_name(p + CENTRAL, name, arena, &entry->name));
    TRY_RETURN(read_extra64(p + CENTRAL + name, extra, (uint64_t *[]){ &bytes, &stored, &local }));
    bool encrypted = little(p + 8, 2) & 1, compressed = little(p + 10, 2) != 0 || stored != bytes;
    *at += CENTRAL + name + extra + comment;
    return encrypted || compressed ? ATM_OK : locate(a, local, bytes, entry);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const atm_zip_entry *)a)->name, ((const atm_zip_entry *)b)->name);
}

atm_status atm_zip_read(const void *bytes, size_t size, atm_arena *arena, atm_zip *out)
{
    archive a = { .start = bytes, .size = size };
    TRY_RETURN(read_end(&a));
    *out = (atm_zip){ atm_arena_alloc(arena, (size_t)a.n + 1, sizeof(atm_zip_entry)), (size_t)a.n };
    if (!out->entry) return atm_fail(ATM_E_MEMORY, "no memory for %zu zip entries", out->n);
    uint64_t at = a.directory;
    for (size_t i = 0; i < out->n; i++) TRY_RETURN(read_entry(&a, &at, arena, &out->entry[i]));
    qsort(out->entry, out->n, sizeof *out->entry, by_name);
    for (size_t i = 1; i < out->n; i++)
        if (by_name(&out->entry[i - 1], &out->entry[i]) == 0)
            return atm_fail(ATM_E_DATA, "zip: %s is there twice", out->entry[i].name);
    return ATM_OK;
}

const atm_zip_entry *atm_zip_find(const atm_zip *zip, const char *name)
{
    const atm_zip_entry key = { .name = name };
    return bsearch(&key, zip->entry, zip->n, sizeof key, by_name);
}
