/* dataset_hdf5.c - superblock and object headers: see dataset_hdf5.h. */
#include "data/dataset_hdf5.h"

#include <string.h>

#include "base/size.h"
#include "data/dataset_structure.h"

enum { MAX_BYTES = 64 << 20,
       BLOCK = 64,              /* an empty block counts too: chains of them would never end */
       MAX_BLOCKS = 64,         /* of an object */
       SHARED = 2 };            /* a message's flag */

static const char remedy[] = "h5repack OLD NEW writes it anew";

/* ------------------------------------------------------------------ bytes */

const unsigned char *atm_cursor_bytes(atm_cursor *c, uint64_t n)
{
    const unsigned char *p = c->at;
    c->bad |= n > atm_cursor_left(c);
    if (c->bad) return NULL;
    c->at += n;
    return p;
}

uint64_t atm_cursor_number(atm_cursor *c, int bytes)
{
    uint64_t value = 0;
    const unsigned char *p = atm_cursor_bytes(c, (uint64_t)bytes);
    for (int i = 0; p && i < bytes; i++) value |= (uint64_t)p[i] << 8 * i;
    return value;
}

atm_status atm_hdf5_block(atm_hdf5_file *file, uint64_t offset, uint64_t bytes, atm_cursor *out)
{
    size_t end;
    *out = (atm_cursor){ .bad = true };
    if (!atm_add_size(offset, bytes, &end) || end > (size_t)file->dataset->at_open.st_size)
        return atm_fail(ATM_E_DATA, "is cut or damaged: %llu bytes of structure at %llu, and it ends at %lld",
                        (unsigned long long)bytes, (unsigned long long)offset,
                        (long long)file->dataset->at_open.st_size);
    if (bytes + BLOCK > MAX_BYTES - file->bytes)
        return atm_fail(ATM_E_DATA, "has more than %d MiB of structure; it is damaged", MAX_BYTES >> 20);
    unsigned char *p = atm_arena_alloc(&file->arena, bytes, 1);
    if (!p) return atm_fail(ATM_E_MEMORY, "out of memory for its structure");
    file->bytes += bytes + BLOCK;
    *out = (atm_cursor){ p, p + bytes, false };
    return atm_dataset_pread(file->dataset, p, bytes, offset);
}

/* The last four bytes are the checksum of the others: takes them off. */
static atm_status verify(atm_cursor *c, uint64_t offset)
{
    const size_t n = atm_cursor_left(c);
    atm_cursor sum = { c->end - 4, c->end, n < 4 };
    if (n >= 4 && atm_cursor_number(&sum, 4) == atm_lookup3(c->at, n - 4)) {
        c->end -= 4;
        return ATM_OK;
    }
    return atm_fail(ATM_E_DATA, "is damaged: the checksum of its structure at byte %llu is wrong",
                    (unsigned long long)offset);
}

/* ------------------------------------------------------------------ superblock (II.A) */

static atm_status check_sizes(unsigned offsets, unsigned lengths)
{
    if (offsets == 8 && lengths == 8) return ATM_OK;
    return atm_fail(ATM_E_DATA, "has addresses of %u bytes, lengths of %u, not 8; %s", offsets, lengths,
                    remedy);
}

static atm_status check_end(const atm_hdf5_file *file, uint64_t base, uint64_t end)
{
    if (base != 0) return atm_fail(ATM_E_DATA, "begins with a user block; %s", remedy);
    if (end <= (uint64_t)file->dataset->at_open.st_size) return ATM_OK;
    return atm_fail(ATM_E_DATA, "was cut: it should have %llu bytes and has %lld; copy it again",
                    (unsigned long long)end, (long long)file->dataset->at_open.st_size);
}

/* Versions 0 and 1. */
static atm_status read_old_superblock(atm_hdf5_file *file, unsigned version, uint64_t *root)
{
    atm_cursor c;
    TRY_RETURN(atm_hdf5_block(file, 0, version == 0 ? 80 : 84, &c));
    atm_cursor_bytes(&c, 13);
    const unsigned offsets = (unsigned)atm_cursor_number(&c, 1), lengths = (unsigned)atm_cursor_number(&c, 1);
    TRY_RETURN(check_sizes(offsets, lengths));
    atm_cursor_bytes(&c, version == 0 ? 9 : 13);
    const uint64_t base = atm_cursor_number(&c, 8);
    atm_cursor_bytes(&c, 8);
    const uint64_t end = atm_cursor_number(&c, 8);
    atm_cursor_bytes(&c, 8 + 8);
    *root = atm_cursor_number(&c, 8);
    return check_end(file, base, end);
}

/* Versions 2 and 3. */
static atm_status read_new_superblock(atm_hdf5_file *file, unsigned version, uint64_t *root)
{
    atm_cursor c;
    TRY_RETURN(atm_hdf5_block(file, 0, ATM_SUPERBLOCK, &c));
    TRY_RETURN(verify(&c, 0));
    atm_cursor_bytes(&c, 9);
    const unsigned offsets = (unsigned)atm_cursor_number(&c, 1), lengths = (unsigned)atm_cursor_number(&c, 1);
    TRY_RETURN(check_sizes(offsets, lengths));
    if (atm_cursor_number(&c, 1) != 0 && version == 3)
        return atm_fail(ATM_E_DATA, "is being written, or its writer was killed; write it again");
    const uint64_t base = atm_cursor_number(&c, 8);
    atm_cursor_bytes(&c, 8);
    const uint64_t end = atm_cursor_number(&c, 8);
    *root = atm_cursor_number(&c, 8);
    return check_end(file, base, end);
}

atm_status atm_hdf5_root(atm_hdf5_file *file, uint64_t *address)
{
    atm_cursor c;
    TRY_RETURN(atm_hdf5_block(file, 8, 1, &c));
    const unsigned version = (unsigned)atm_cursor_number(&c, 1);
    if (version < 2) return read_old_superblock(file, version, address);
    if (version < 4) return read_new_superblock(file, version, address);
    return atm_fail(ATM_E_DATA, "is of HDF5's format %u, newer than 3; %s", version, remedy);
}

/* ------------------------------------------------------------------ object headers (IV.A.1) */

/* Blocks of messages still to be read. */
typedef struct {
    atm_hdf5_object *object;
    unsigned version, flags;            /* version 2: what a message's header has */
    int n_blocks;
    struct { uint64_t offset, bytes; } block[MAX_BLOCKS];
} header;

static atm_status add_block(header *h, atm_cursor data)
{
    if (h->n_blocks == MAX_BLOCKS)
        return atm_fail(ATM_E_DATA, "is damaged: an object in more than %d pieces", MAX_BLOCKS);
    h->block[h->n_blocks].offset = atm_cursor_number(&data, 8);
    h->block[h->n_blocks++].bytes = atm_cursor_number(&data, 8);
    return data.bad ? atm_fail(ATM_E_DATA, "is damaged: an object without its continuation") : ATM_OK;
}

/* Kinds that we do not know are none of our business. */
static atm_status add_message(header *h, unsigned kind, unsigned flags, atm_cursor data)
{
    if (kind == 0) return ATM_OK;
    if (kind == ATM_HDF5_CONTINUATION) return add_block(h, data);
    if (flags & SHARED)
        return atm_fail(ATM_E_DATA, "shares types between objects (a named type); store each by itself");
    if (h->object->n == ATM_HDF5_MESSAGES)
        return atm_fail(ATM_E_DATA, "has an object of more than %d parts", ATM_HDF5_MESSAGES);
    h->object->message[h->object->n++] = (atm_hdf5_message){ kind, data };
    return ATM_OK;
}

static atm_status read_message(header *h, atm_cursor *c)
{
    const unsigned kind = (unsigned)atm_cursor_number(c, h->version == 1 ? 2 : 1);
    const size_t bytes = atm_cursor_number(c, 2);
    const unsigned flags = (unsigned)atm_cursor_number(c, 1);
    if (h->version == 1) atm_cursor_bytes(c, 3);
    else if (h->flags & 4) atm_cursor_bytes(c, 2);          /* the order of creation */
    const unsigned char *data = atm_cursor_bytes(c, bytes);
    if (!data) return atm_fail(ATM_E_DATA, "is damaged: part of an object reaches beyond it");
    return add_message(h, kind, flags, (atm_cursor){ data, data + bytes, false });
}

/* What is too short for a message's header is a gap. */
static atm_status read_messages(header *h, atm_cursor *c)
{
    const size_t least = h->version == 1 ? 8 : h->flags & 4 ? 6 : 4;
    while (atm_cursor_left(c) >= least) TRY_RETURN(read_message(h, c));
    return ATM_OK;
}

static atm_status read_continuation(atm_hdf5_file *file, header *h, uint64_t offset, uint64_t bytes)
{
    atm_cursor c;
    TRY_RETURN(atm_hdf5_block(file, offset, bytes, &c));
    if (h->version == 2) {
        TRY_RETURN(verify(&c, offset));
        const unsigned char *mark = atm_cursor_bytes(&c, 4);
        if (!mark || memcmp(mark, "OCHK", 4) != 0)
            return atm_fail(ATM_E_DATA, "is damaged: an object's continuation is none");
    }
    return read_messages(h, &c);
}

static atm_status read_header_1(atm_hdf5_file *file, header *h, uint64_t address)
{
    atm_cursor c;
    TRY_RETURN(atm_hdf5_block(file, address, 16, &c));
    h->version = (unsigned)atm_cursor_number(&c, 1);
    atm_cursor_bytes(&c, 7);
    const uint64_t bytes = atm_cursor_number(&c, 4);
    if (h->version != 1)
        return atm_fail(ATM_E_DATA, "is damaged: no object at byte %llu", (unsigned long long)address);
    TRY_RETURN(atm_hdf5_block(file, address + 16, bytes, &c));
    return read_messages(h, &c);
}

static atm_status read_header_2(atm_hdf5_file *file, header *h, uint64_t address)
{
    enum { TIMES = 32, PHASE = 16 };            /* flags: sixteen bytes of times, four of limits */
    atm_cursor c;
    size_t all;
    h->version = 2;
    TRY_RETURN(atm_hdf5_block(file, address, 6, &c));
    atm_cursor_bytes(&c, 5);
    h->flags = (unsigned)atm_cursor_number(&c, 1);
    const unsigned extra = (h->flags & TIMES ? 16 : 0) + (h->flags & PHASE ? 4 : 0);
    const unsigned width = 1u << (h->flags & 3);
    const uint64_t before = 6 + extra + width;
    TRY_RETURN(atm_hdf5_block(file, address + 6 + extra, width, &c));
    const uint64_t bytes = atm_cursor_number(&c, (int)width);
    if (!atm_add_size(bytes, before + 4, &all)) all = SIZE_MAX;         /* which no file has */
    TRY_RETURN(atm_hdf5_block(file, address, all, &c));
    TRY_RETURN(verify(&c, address));
    atm_cursor_bytes(&c, before);
    return read_messages(h, &c);
}

atm_status atm_hdf5_object_at(atm_hdf5_file *file, uint64_t address, atm_hdf5_object *out)
{
    header h = { .object = out };
    atm_cursor c;
    out->n = 0;
    TRY_RETURN(atm_hdf5_block(file, address, 5, &c));
    if (memcmp(c.at, "OHDR\2", 5) == 0) TRY_RETURN(read_header_2(file, &h, address));
    else TRY_RETURN(read_header_1(file, &h, address));
    for (int i = 0; i < h.n_blocks; i++)
        TRY_RETURN(read_continuation(file, &h, h.block[i].offset, h.block[i].bytes));
    return ATM_OK;
}

const atm_hdf5_message *atm_hdf5_find(const atm_hdf5_object *object, atm_hdf5_kind kind)
{
    for (int i = 0; i < object->n; i++)
        if (object->message[i].kind == kind) return &object->message[i];
    return NULL;
}
