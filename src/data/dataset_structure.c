/* dataset_structure.c - see dataset_structure.h; section numbers are the specification's. */
#include "data/dataset_structure.h"

#include <string.h>

#include "data/dataset_hdf5.h"

/* ------------------------------------------------------------------ checksum */

static uint32_t rotate(uint32_t x, int k) { return x << k | x >> (32 - k); }

static void mix(uint32_t v[3])
{
    static const int turn[6] = { 4, 6, 8, 16, 19, 4 };
    for (int i = 0; i < 6; i++) {
        uint32_t *a = &v[i % 3], *b = &v[(i + 1) % 3], *c = &v[(i + 2) % 3];
        *a -= *c;
        *a ^= rotate(*c, turn[i]);
        *c += *b;
    }
}

static void finish(uint32_t v[3])
{
    static const int turn[7] = { 14, 11, 25, 16, 4, 14, 24 };
    for (int i = 0; i < 7; i++) {
        uint32_t *to = &v[(i + 2) % 3];
        const uint32_t from = v[(i + 1) % 3];
        *to = (*to ^ from) - rotate(from, turn[i]);
    }
}

static void add_words(uint32_t v[3], const unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes && i < 12; i++) v[i / 4] += (uint32_t)p[i] << 8 * (i % 4);
}

uint32_t atm_lookup3(const void *data, size_t bytes)
{
    const unsigned char *p = data;
    const uint32_t start = 0xdeadbeefu + (uint32_t)bytes;
    uint32_t v[3] = { start, start, start };
    for (; bytes > 12; bytes -= 12, p += 12) {
        add_words(v, p, 12);
        mix(v);
    }
    add_words(v, p, bytes);
    if (bytes) finish(v);
    return v[2];
}

/* ------------------------------------------------------------------ bytes */

/* Once it failed it stays failed: only the end looks at the status. */
typedef struct { atm_bytes *bytes; uint64_t at; atm_status status; } output;

static void put(output *o, const void *data, size_t n)
{
    if (o->status == ATM_OK) o->status = atm_bytes_append(o->bytes, data, n);
}

static void little(unsigned char *to, uint64_t value, int width)
{
    for (int i = 0; i < width; i++) to[i] = (unsigned char)(value >> 8 * i);
}

static void number(output *o, uint64_t value, int width)
{
    unsigned char word[8];
    little(word, value, width);
    put(o, word, (size_t)width);
}

static void patch(output *o, size_t place, uint64_t value, int width)
{
    if (o->status == ATM_OK) little(o->bytes->data + place, value, width);
}

/* ------------------------------------------------------------------ object headers (IV.A.1.b) */

static size_t begin_header(output *o)
{
    while (o->status == ATM_OK && o->bytes->size % 8) number(o, 0, 1);
    const size_t start = o->bytes->size;
    put(o, "OHDR\2\2", 6);              /* version 2; flags: the size has four bytes */
    number(o, 0, 4);
    return start;
}

/* Returns the object's address. */
static uint64_t end_header(output *o, size_t start)
{
    patch(o, start + 6, o->bytes->size - start - 10, 4);
    if (o->status == ATM_OK) number(o, atm_lookup3(o->bytes->data + start, o->bytes->size - start), 4);
    return o->at + start;
}

static size_t begin_message(output *o, atm_hdf5_kind kind)
{
    number(o, kind, 1);
    number(o, 0, 2);
    number(o, 0, 1);
    return o->bytes->size;
}

static void end_message(output *o, size_t start) { patch(o, start - 3, o->bytes->size - start, 2); }

/* ------------------------------------------------------------------ types (IV.A.2.d) */

static void put_type(output *o, int class, const char flags[4], size_t bytes)
{
    number(o, 0x10 | (unsigned)class, 1);       /* version 1 */
    put(o, flags, 3);
    number(o, bytes, 4);
}

static void put_integer(output *o, size_t bytes, bool is_signed)
{
    put_type(o, 0, is_signed ? "\x08\0\0" : "\0\0\0", bytes);
    number(o, 0, 2);
    number(o, 8 * bytes, 2);
}

/* Normalized, with a hidden first bit: sign, exponent, mantissa. */
static void put_float(output *o, size_t bytes, unsigned exponent_bits)
{
    const unsigned bits = 8 * (unsigned)bytes, mantissa_bits = bits - 1 - exponent_bits;
    put_type(o, 1, (const char[4]){ 0x20, (char)(bits - 1), 0 }, bytes);
    number(o, 0, 2);
    number(o, bits, 2);
    number(o, mantissa_bits, 1);
    number(o, exponent_bits, 1);
    number(o, 0, 1);
    number(o, mantissa_bits, 1);
    number(o, (1u << (exponent_bits - 1)) - 1, 4);
}

/* As h5py does it: an enum of int8. */
static void put_bool(output *o)
{
    put_type(o, 8, "\2\0\0", 1);
    put_integer(o, 1, true);
    put(o, "FALSE\0\0\0TRUE\0\0\0\0\0\1", 18);
}

/* UTF-8, padded by zeros. */
static void put_text_type(output *o, size_t bytes) { put_type(o, 3, "\x11\0\0", bytes); }

static void put_dtype(output *o, atm_dtype dtype)
{
    static const unsigned exponent_bits[ATM_DTYPE_COUNT] = { [ATM_F16] = 5, [ATM_BF16] = 8, [ATM_F32] = 8,
                                                             [ATM_F64] = 11 };
    if (dtype == ATM_BOOL) put_bool(o);
    else if (atm_dtype_is_float(dtype)) put_float(o, atm_dtype_size(dtype), exponent_bits[dtype]);
    else put_integer(o, atm_dtype_size(dtype), dtype != ATM_U8);
}

static void put_element(output *o, const atm_column *c)
{
    if (c->text) put_text_type(o, c->row_bytes);
    else put_dtype(o, c->dtype);
}

atm_status atm_dataset_type(const atm_column *column, atm_bytes *out)
{
    output o = { out, 0, ATM_OK };
    put_element(&o, column);
    return o.status;
}

/* ------------------------------------------------------------------ datasets */

static void put_shape(output *o, size_t rows, int rank, const int *dim)
{
    const size_t m = begin_message(o, ATM_HDF5_DATASPACE);
    put(o, (const char[]){ 2, (char)(rank + 1), 0, 1 }, 4);
    number(o, rows, 8);
    for (int i = 0; i < rank; i++) number(o, (uint64_t)dim[i], 8);
    end_message(o, m);
}

static void put_place(output *o, uint64_t offset, size_t bytes)
{
    size_t m = begin_message(o, ATM_HDF5_FILL_VALUE);
    put(o, "\3\5", 2);                  /* storage allocated early, never filled */
    end_message(o, m);
    m = begin_message(o, ATM_HDF5_LAYOUT);
    put(o, "\3\1", 2);                  /* contiguous */
    number(o, bytes ? offset : ATM_HDF5_NOWHERE, 8);
    number(o, bytes, 8);
    end_message(o, m);
}

static uint64_t put_column(output *o, const atm_column *c)
{
    const size_t header = begin_header(o);
    put_shape(o, c->rows, c->text ? 0 : c->rank, c->dim);
    const size_t m = begin_message(o, ATM_HDF5_DATATYPE);
    put_element(o, c);
    end_message(o, m);
    put_place(o, c->offset, atm_column_bytes(c));
    return end_header(o, header);
}

static uint64_t put_hashes(output *o, const atm_dataset_entry *e)
{
    const size_t header = begin_header(o);
    put_shape(o, e->column.rows, 0, NULL);
    const size_t m = begin_message(o, ATM_HDF5_DATATYPE);
    put_integer(o, sizeof *e->hash, false);
    end_message(o, m);
    put_place(o, e->hash_offset, e->column.rows * sizeof *e->hash);
    return end_header(o, header);
}

/* ------------------------------------------------------------------ groups */

static size_t begin_group(output *o)
{
    const size_t header = begin_header(o);
    size_t m = begin_message(o, ATM_HDF5_LINK_INFO);
    number(o, 0, 2);
    number(o, ATM_HDF5_NOWHERE, 8);              /* links are in the header, not in a heap */
    number(o, ATM_HDF5_NOWHERE, 8);
    end_message(o, m);
    m = begin_message(o, ATM_HDF5_GROUP_INFO);
    number(o, 0, 2);
    end_message(o, m);
    return header;
}

static void put_link(output *o, const char *name, const char *tail, uint64_t address)
{
    const size_t m = begin_message(o, ATM_HDF5_LINK);
    put(o, "\1\0", 2);                  /* hard; the name's length has one byte */
    number(o, strlen(name) + strlen(tail), 1);
    put(o, name, strlen(name));
    put(o, tail, strlen(tail));
    number(o, address, 8);
    end_message(o, m);
}

/* Which columns are in the group, and where their objects are. */
typedef struct { uint64_t column[ATM_DATASET_COLUMNS], hashes[ATM_DATASET_COLUMNS]; } addresses;

static uint64_t put_group(output *o, const char *name, const atm_dataset_table *table, const addresses *at)
{
    const size_t n = strlen(name), header = begin_group(o);
    for (int i = 0; i < table->n_entries; i++) {
        const char *column = table->entry[i]->column.name;
        if (strncmp(column, name, n) != 0 || column[n] != '/') continue;
        put_link(o, column + n + 1, "", at->column[i]);
        put_link(o, column + n + 1, ATM_DATASET_COMPANION, at->hashes[i]);
    }
    return end_header(o, header);
}

static void put_attribute(output *o, const atm_dataset_attr *a)
{
    static const char scalar[4] = { 2, 0, 0, 0 };
    const size_t bytes = strlen(a->text) + (*a->text == '\0');          /* no type has no bytes */
    const size_t m = begin_message(o, ATM_HDF5_ATTRIBUTE);
    put(o, "\3\0", 2);
    number(o, strlen(a->name) + 1, 2);
    number(o, 8, 2);                    /* bytes of the type */
    number(o, sizeof scalar, 2);
    number(o, 0, 1);                    /* the name is ASCII */
    put(o, a->name, strlen(a->name) + 1);
    put_text_type(o, bytes);
    put(o, scalar, sizeof scalar);
    put(o, a->text, bytes);
    end_message(o, m);
}

static uint64_t put_root(output *o, const atm_dataset_table *table, const addresses *at)
{
    uint64_t group[ATM_DATASET_GROUPS];
    for (int i = 0; i < ATM_DATASET_GROUPS; i++) group[i] = put_group(o, atm_dataset_groups[i], table, at);
    const size_t header = begin_group(o);
    for (int i = 0; i < ATM_DATASET_GROUPS; i++) put_link(o, atm_dataset_groups[i], "", group[i]);
    for (int i = 0; i < table->n_attributes; i++) put_attribute(o, &table->attribute[i]);
    return end_header(o, header);
}

/* ------------------------------------------------------------------ the file */

static void put_superblock(uint64_t end, uint64_t root, unsigned char out[ATM_SUPERBLOCK])
{
    memcpy(out, "\x89HDF\r\n\x1a\n\2\10\10", 12);       /* version 2, offsets and lengths of eight bytes */
    little(out + 12, 0, 8);
    little(out + 20, ATM_HDF5_NOWHERE, 8);
    little(out + 28, end, 8);
    little(out + 36, root, 8);
    little(out + 44, atm_lookup3(out, 44), 4);
}

atm_status atm_dataset_structure(const atm_dataset_table *table, uint64_t at, atm_bytes *headers,
                                 unsigned char superblock[ATM_SUPERBLOCK])
{
    output o = { headers, at, ATM_OK };
    addresses place;
    for (int i = 0; i < table->n_entries; i++) {
        place.column[i] = put_column(&o, &table->entry[i]->column);
        place.hashes[i] = put_hashes(&o, table->entry[i]);
    }
    const uint64_t root = put_root(&o, table, &place);
    put_superblock(at + headers->size, root, superblock);
    return o.status;
}
