/* safetensors.c - reading.  The header's grammar is fixed and has no recursion,
 * so it is scanned directly, without a JSON tree: a million tensors cost no
 * stack, and little more memory than the header itself. */
#include "io/safetensors.h"

#include <stdlib.h>

#include "base/size.h"
#include "io/utf8.h"

typedef struct {
    const char *start, *p, *end;        /* the JSON text */
    char *text;                         /* where the next decoded string goes */
    const char *data;                   /* what data_offsets count from */
    size_t data_size;
} header;

static atm_status fail(const header *h, const char *reason)
{
    return atm_fail(ATM_E_DATA, "safetensors header, byte %zu: %s", (size_t)(h->p - h->start), reason);
}

static void skip_space(header *h)
{
    while (h->p < h->end && (*h->p == ' ' || *h->p == '\n' || *h->p == '\r' || *h->p == '\t')) h->p++;
}

static bool accept(header *h, char c)
{
    skip_space(h);
    if (h->p == h->end || *h->p != c) return false;
    h->p++;
    return true;
}

static atm_status expect(header *h, char c)
{
    const char reason[] = { 'e', 'x', 'p', 'e', 'c', 't', 'e', 'd', ' ', c, '\0' };
    return accept(h, c) ? ATM_OK : fail(h, reason);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool hex4(header *h, unsigned *out)
{
    if (h->end - h->p < 4) return false;
    *out = 0;
    for (int i = 0; i < 4; i++, h->p++) {
        int digit = hex_value(*h->p);
        if (digit < 0) return false;
        *out = *out << 4 | (unsigned)digit;
    }
    return true;
}

/* \uXXXX, and pairs of them above U+FFFF.  U+0000 is refused: names are C strings. */
static atm_status unicode_escape(header *h)
{
    unsigned code, low;
    if (!hex4(h, &code)) return fail(h, "bad \\u escape");
    if (code >= 0xd800 && code < 0xdc00) {
        if (h->end - h->p < 2 || h->p[0] != '\\' || h->p[1] != 'u') return fail(h, "half a surrogate pair");
        h->p += 2;
        if (!hex4(h, &low) || low < 0xdc00 || low > 0xdfff) return fail(h, "half a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code == 0 || (code >= 0xdc00 && code < 0xe000)) return fail(h, "a character that no name may have");
    h->text += atm_utf8_put(h->text, code);
    return ATM_OK;
}

static atm_status escape(header *h)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (h->p == h->end) return fail(h, "text without end");
    char c = *h->p++;
    if (c == 'u') return unicode_escape(h);
    const char *which = c ? strchr(from, c) : NULL;
    if (!which) return fail(h, "unknown escape");
    *h->text++ = to[which - from];
    return ATM_OK;
}

/* Decoded text is never longer than its JSON form, so a buffer of the header's
 * size holds all texts, their ends included. */
static atm_status string(header *h, const char **out)
{
    TRY_RETURN(expect(h, '"'));
    *out = h->text;
    while (h->p < h->end && *h->p != '"') {
        if ((unsigned char)*h->p < 0x20) return fail(h, "control character in a text");
        if (*h->p == '\\') {
            h->p++;
            TRY_RETURN(escape(h));
        } else {
            *h->text++ = *h->p++;
        }
    }
    if (h->p == h->end) return fail(h, "text without end");
    h->p++;
    *h->text++ = '\0';
    return ATM_OK;
}

/* Non-negative integers only: no sign, fraction, exponent or leading zero. */
static atm_status integer(header *h, int64_t *out)
{
    skip_space(h);
    const char *first = h->p;
    int64_t value = 0;
    for (; h->p < h->end && *h->p >= '0' && *h->p <= '9'; h->p++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *h->p - '0', &value))
            return fail(h, "number does not fit 63 bits");
    if (h->p == first) return fail(h, "expected a non-negative integer");
    if (*first == '0' && h->p - first > 1) return fail(h, "number with a leading zero");
    if (h->p < h->end && strchr(".eE", *h->p) && *h->p) return fail(h, "number is not an integer");
    *out = value;
    return ATM_OK;
}

/* [a, b, ...] of at most `max` numbers. */
static atm_status integers(header *h, int max, int64_t *out, int *n)
{
    *n = 0;
    TRY_RETURN(expect(h, '['));
    if (accept(h, ']')) return ATM_OK;
    do {
        if (*n == max) return fail(h, "list too long (rank above 8?)");
        TRY_RETURN(integer(h, &out[(*n)++]));
    } while (accept(h, ','));
    return expect(h, ']');
}

/* Steps through {"key": value, ...}; *key is NULL at the end. */
static atm_status next_key(header *h, bool first, const char **key)
{
    *key = NULL;
    if (accept(h, '}')) return ATM_OK;
    if (!first) TRY_RETURN(expect(h, ','));
    TRY_RETURN(string(h, key));
    return expect(h, ':');
}

static atm_status metadata(header *h, atm_tensor_set *set)
{
    atm_text_pair pair;
    TRY_RETURN(expect(h, '{'));
    for (bool first = true;; first = false) {
        TRY_RETURN(next_key(h, first, &pair.key));
        if (!pair.key) return ATM_OK;
        TRY_RETURN(string(h, &pair.value));
        TRY_RETURN(atm_tensor_set_add_metadata(set, pair));
    }
}

static atm_status read_dtype(header *h, const char *name, atm_dtype *out)
{
    const char *text;
    char *keep = h->text;
    TRY_RETURN(string(h, &text));
    h->text = keep;
    for (int i = 0; i < ATM_DTYPE_COUNT; i++)
        if (strcmp(text, atm_dtype_name((atm_dtype)i)) == 0) {
            *out = (atm_dtype)i;
            return ATM_OK;
        }
    return atm_fail(ATM_E_DATA, "tensor %s has dtype %s, which is not supported", name, text);
}

/* begin <= end <= data size, and exactly the shape's bytes between them: readers
 * that skipped one of these were led outside the file. */
static atm_status place(const header *h, atm_file_tensor *tensor, const int64_t offset[2])
{
    char shape[ATM_SHAPE_TEXT];
    size_t bytes;
    if (offset[0] > offset[1] || (uint64_t)offset[1] > h->data_size)
        return atm_fail(ATM_E_DATA, "tensor %s: data_offsets [%lld,%lld] are outside the %zu bytes of data",
                        tensor->name, (long long)offset[0], (long long)offset[1], h->data_size);
    if (!atm_shape_size(tensor->dim, tensor->rank, &bytes) ||
        !atm_mul_size(bytes, atm_dtype_size(tensor->dtype), &bytes) ||
        bytes != (size_t)(offset[1] - offset[0]))
        return atm_fail(ATM_E_DATA, "tensor %s: %s %s does not fill data_offsets [%lld,%lld]", tensor->name,
                        atm_dtype_name(tensor->dtype), atm_shape_text(shape, tensor->dim, tensor->rank),
                        (long long)offset[0], (long long)offset[1]);
    tensor->data = h->data + offset[0];
    tensor->bytes = bytes;
    return ATM_OK;
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4, HAS_ALL = 7 };

/* One "key": value of a tensor; the bit of the key, or an error. */
static atm_status property(header *h, const char *key, atm_file_tensor *tensor, int64_t offset[2], int *bit)
{
    int two;
    if (strcmp(key, "dtype") == 0) {
        *bit = HAS_DTYPE;
        return read_dtype(h, tensor->name, &tensor->dtype);
    }
    if (strcmp(key, "shape") == 0) {
        *bit = HAS_SHAPE;
        return integers(h, ATM_FILE_RANK_MAX, tensor->dim, &tensor->rank);
    }
    if (strcmp(key, "data_offsets") == 0) {
        *bit = HAS_OFFSETS;
        TRY_RETURN(integers(h, 2, offset, &two));
        return two == 2 ? ATM_OK : fail(h, "data_offsets needs two numbers");
    }
    return atm_fail(ATM_E_DATA, "tensor %s has an unknown property %s", tensor->name, key);
}

static atm_status tensor(header *h, const char *name, atm_tensor_set *set)
{
    atm_file_tensor t = { .name = name };
    int64_t offset[2];
    const char *key;
    TRY_RETURN(expect(h, '{'));
    for (int has = 0, bit = 0;; has |= bit) {
        char *keep = h->text;
        TRY_RETURN(next_key(h, has == 0, &key));
        h->text = keep;                                 /* property names need not stay */
        if (!key && has != HAS_ALL)
            return atm_fail(ATM_E_DATA, "tensor %s lacks dtype, shape or data_offsets", name);
        if (!key) break;
        TRY_RETURN(property(h, key, &t, offset, &bit));
        if (has & bit) return fail(h, "a property is there twice");
    }
    TRY_RETURN(place(h, &t, offset));
    return atm_tensor_set_add(set, &t);
}

static atm_status parse_header(header *h, atm_tensor_set *set)
{
    const char *key;
    bool has_metadata = false;
    if (h->p == h->end || *h->p != '{') return fail(h, "expected {");
    TRY_RETURN(expect(h, '{'));
    for (bool first = true;; first = false) {
        TRY_RETURN(next_key(h, first, &key));
        if (!key) break;
        bool is_metadata = strcmp(key, "__metadata__") == 0;
        if (is_metadata && has_metadata) return fail(h, "__metadata__ is there twice");
        has_metadata |= is_metadata;
        TRY_RETURN(is_metadata ? metadata(h, set) : tensor(h, key, set));
    }
    skip_space(h);
    return h->p == h->end ? ATM_OK : fail(h, "text after the header's end");
}

/* By place; at the same place the empty tensor comes first. */
static int by_place(const void *a, const void *b)
{
    const atm_file_tensor *x = a, *y = b;
    if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static atm_status check_cover(const header *h, atm_file_tensor *t, size_t n)
{
    size_t covered = 0;
    if (n) qsort(t, n, sizeof *t, by_place);
    for (size_t i = 0; i < n; covered += t[i++].bytes) {
        size_t begin = (size_t)((const char *)t[i].data - h->data);
        if (begin != covered)
            return atm_fail(ATM_E_DATA, "tensor %s begins at %zu, %s the one that ends at %zu", t[i].name,
                            begin, begin < covered ? "overlapping" : "leaving a hole after", covered);
    }
    if (covered != h->data_size)
        return atm_fail(ATM_E_DATA, "the tensors cover %zu of the %zu bytes of data", covered, h->data_size);
    return ATM_OK;
}

static uint64_t little_u64(const unsigned char *p)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | p[i];
    return value;
}

atm_status atm_safetensors_parse(const void *bytes, size_t size, atm_tensor_set *set)
{
    if (size < 8) return atm_fail(ATM_E_DATA, "%zu bytes are too few for a safetensors file", size);
    uint64_t length = little_u64(bytes);
    if (length > ATM_SAFETENSORS_MAX_HEADER || length > size - 8)
        return atm_fail(ATM_E_DATA, "safetensors header of %llu bytes: the file has %zu after its first 8, "
                        "and the format's limit is %d", (unsigned long long)length, size - 8,
                        ATM_SAFETENSORS_MAX_HEADER);
    const char *json = (const char *)bytes + 8;
    if (!atm_utf8_valid(json, (size_t)length))
        return atm_fail(ATM_E_DATA, "safetensors header is not valid UTF-8");
    header h = { .start = json, .p = json, .end = json + length, .data = json + length,
                 .data_size = size - 8 - (size_t)length,
                 .text = atm_arena_alloc(&set->arena, (size_t)length + 1, 1) };
    if (!h.text) return atm_fail(ATM_E_MEMORY, "no memory for a header of %zu bytes", (size_t)length);
    TRY_RETURN(parse_header(&h, set));
    return check_cover(&h, set->tensor, set->n);
}
