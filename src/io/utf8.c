#include "io/utf8.h"

static const struct { unsigned char mask, lead; unsigned least; } form[] = {   /* by trailing bytes */
    { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 },
};
enum { FORMS = sizeof form / sizeof form[0] };

/* Length of the character at `p`, 0 when it is not one. */
static size_t character(const unsigned char *p, const unsigned char *end)
{
    size_t more = 0;
    while (more < FORMS && (*p & form[more].mask) != form[more].lead) more++;
    if (more == FORMS || (size_t)(end - p) <= more) return 0;
    unsigned code = *p & (unsigned char)~form[more].mask;
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return code < form[more].least || code > 0x10ffff || surrogate ? 0 : more + 1;
}

bool atm_utf8_valid(const char *text, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + bytes;
    while (p < end) {
        size_t length = character(p, end);
        if (!length) return false;
        p += length;
    }
    return true;
}

size_t atm_utf8_put(char out[4], unsigned code)
{
    size_t more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(form[more].lead | code);
    return more + 1;
}
