/* dataset_scan.c - what an HDF5 file holds, as far as it is a dataset.
 *
 * HDF5 can keep rows in chunks, compressed, in other files of the machine, behind links.  A dataset is
 * only what a pread can get: contiguous columns of our types, wholly inside this file.  Everything
 * else is refused with what to do about it. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "data/dataset_hdf5.h"
#include "data/dataset_structure.h"

typedef struct {
    atm_hdf5_file file;
    atm_dataset_table *table;
} scan;

typedef enum { COMPACT, CONTIGUOUS, CHUNKED, VIRTUAL } layout;

typedef struct {
    char name[sizeof "artworks/" + ATM_DATASET_NAME + sizeof ATM_DATASET_COMPANION];
    atm_hdf5_object object;
    uint64_t rows, offset, bytes;
    int rank, dim[ATM_COLUMN_MAX_RANK];
    atm_cursor type;
} found;

/* ------------------------------------------------------------------ layout (IV.A.2.i) */

static const char remedy[] =
    "datasets are stored in one piece: h5repack -l CONTI -f NONE OLD NEW makes it so";

static atm_status check_layout(const atm_hdf5_object *object, layout kind)
{
    static const char *const is[] = {
        [COMPACT] = "is stored in its header", [CHUNKED] = "is stored in chunks",
        [VIRTUAL] = "is virtual, its rows lie elsewhere",
    };
    if (atm_hdf5_find(object, ATM_HDF5_EXTERNAL))
        return atm_fail(ATM_E_DATA, "lies in external files; copy it into this one");
    if (atm_hdf5_find(object, ATM_HDF5_FILTERS))
        return atm_fail(ATM_E_DATA, "is filtered (compressed); %s", remedy);
    if (kind == CONTIGUOUS) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s; %s", kind <= VIRTUAL ? is[kind] : "has an unknown layout", remedy);
}

static atm_status read_layout(found *f)
{
    const atm_hdf5_message *m = atm_hdf5_find(&f->object, ATM_HDF5_LAYOUT);
    if (!m) return atm_fail(ATM_E_DATA, "is not a column");
    atm_cursor c = m->data;
    const unsigned version = (unsigned)atm_cursor_number(&c, 1), kind = (unsigned)atm_cursor_number(&c, 1);
    if (version != 3 && version != 4)
        return atm_fail(ATM_E_DATA, "has a layout of version %u, not 3 or 4; %s", version, remedy);
    TRY_RETURN(check_layout(&f->object, (layout)kind));
    f->offset = atm_cursor_number(&c, 8);
    f->bytes = atm_cursor_number(&c, 8);
    return c.bad ? atm_fail(ATM_E_DATA, "is damaged: its layout is cut") : ATM_OK;
}

/* Where its `bytes` bytes begin; a dataset without rows has no place. */
static atm_status check_place(const scan *s, const found *f, size_t bytes, uint64_t *offset)
{
    size_t end;
    const uint64_t file_bytes = (uint64_t)s->file.dataset->at_open.st_size;
    *offset = 0;
    if (bytes == 0) return ATM_OK;
    if (f->offset == ATM_HDF5_NOWHERE) return atm_fail(ATM_E_DATA, "has no storage: no row was ever written");
    if (f->bytes != bytes)
        return atm_fail(ATM_E_DATA, "has %llu bytes of storage, its shape needs %zu",
                        (unsigned long long)f->bytes, bytes);
    if (!atm_add_size(f->offset, bytes, &end) || end > file_bytes)
        return atm_fail(ATM_E_DATA, "%zu bytes at %llu reach beyond the file's end, %llu; it was cut", bytes,
                        (unsigned long long)f->offset, (unsigned long long)file_bytes);
    *offset = f->offset;
    return ATM_OK;
}

/* ------------------------------------------------------------------ shape (IV.A.2.b) */

/* Rank of a dataspace with the cursor at its dimensions; -1: none that we know. */
static int read_rank(atm_cursor *c)
{
    const unsigned version = (unsigned)atm_cursor_number(c, 1), rank = (unsigned)atm_cursor_number(c, 1);
    atm_cursor_bytes(c, 1);
    const unsigned kind = (unsigned)atm_cursor_number(c, 1);
    if (version == 1) atm_cursor_bytes(c, 4);
    if (c->bad || version < 1 || version > 2) return -1;
    return version == 2 && kind > 1 ? -1 : (int)rank;           /* kind 2: "null" */
}

static atm_status read_shape(found *f)
{
    const atm_hdf5_message *m = atm_hdf5_find(&f->object, ATM_HDF5_DATASPACE);
    atm_cursor c = m ? m->data : (atm_cursor){ 0 };
    const int rank = m ? read_rank(&c) : -1;
    if (rank < 1 || rank > ATM_COLUMN_MAX_RANK + 1)
        return atm_fail(ATM_E_DATA, "has %d dimensions; 1 (rows) to %d are possible", rank,
                        ATM_COLUMN_MAX_RANK + 1);
    f->rank = rank - 1;
    f->rows = atm_cursor_number(&c, 8);
    for (int i = 0; i < rank; i++) {
        const uint64_t n = i ? atm_cursor_number(&c, 8) : f->rows;
        if (n > INT_MAX) return atm_fail(ATM_E_DATA, "dimension %d is %llu", i, (unsigned long long)n);
        if (i) f->dim[i - 1] = (int)n;
    }
    return c.bad ? atm_fail(ATM_E_DATA, "is damaged: its shape is cut") : ATM_OK;
}

/* ------------------------------------------------------------------ types (IV.A.2.d) */

/* The high half of the first byte is the message's version; plain types are the same in all. */
static bool same_bytes(atm_cursor c, const atm_bytes *ours)
{
    const unsigned char *theirs = atm_cursor_bytes(&c, ours->size);
    return theirs && (theirs[0] & 15) == (ours->data[0] & 15) &&
           memcmp(theirs + 1, ours->data + 1, ours->size - 1) == 0;
}

/* Of an enum of two int8: versions before 3 pad the names to eight bytes, and the base has a version too. */
static bool is_bool(atm_cursor c)
{
    static const char old_names[] = "FALSE\0\0\0TRUE\0\0\0\0\0\1", new_names[] = "FALSE\0TRUE\0\0\1";
    const unsigned char *head = atm_cursor_bytes(&c, 8), *base = atm_cursor_bytes(&c, 12);
    if (!base || (head[0] & 15) != 8 || memcmp(head + 1, "\2\0\0\1\0\0\0", 7) != 0) return false;
    if ((base[0] & 15) != 0 || memcmp(base + 1, "\x08\0\0\1\0\0\0\0\0\x08\0", 11) != 0) return false;
    const bool old = head[0] >> 4 < 3;
    const size_t n = old ? sizeof old_names - 1 : sizeof new_names - 1;
    const unsigned char *names = atm_cursor_bytes(&c, n);
    return names && memcmp(names, old ? old_names : new_names, n) == 0;
}

static atm_status is_dtype(atm_cursor type, atm_dtype dtype, bool *same)
{
    atm_bytes ours = { 0 };
    const atm_status status = atm_dataset_type(&(atm_column){ .dtype = dtype }, &ours);
    *same = status == ATM_OK && (dtype == ATM_BOOL ? is_bool(type) : same_bytes(type, &ours));
    atm_bytes_free(&ours);
    return status;
}

/* Text of fixed length, zero-terminated or zero-padded, ASCII or UTF-8; 0: it is none. */
static size_t text_bytes(atm_cursor c)
{
    const uint64_t kind = atm_cursor_number(&c, 1) & 15, padding = atm_cursor_number(&c, 1) & 15;
    atm_cursor_bytes(&c, 2);
    const size_t bytes = atm_cursor_number(&c, 4);
    return !c.bad && kind == 3 && padding <= 1 ? bytes : 0;
}

static atm_status read_type(const found *f, atm_column *c)
{
    bool same = false;
    for (int dtype = 0; dtype < ATM_DTYPE_COUNT && !same; dtype++) {
        c->dtype = (atm_dtype)dtype;
        TRY_RETURN(is_dtype(f->type, c->dtype, &same));
    }
    if (same) return ATM_OK;
    const size_t bytes = text_bytes(f->type);
    if (bytes == 0 || bytes > INT_MAX || f->rank != 0)
        return atm_fail(ATM_E_DATA, "its type is not one of ours: little-endian float16, float32, float64, "
                        "bfloat16, int32, int64, uint8, bool, or text of fixed length");
    *c = (atm_column){ .name = c->name, .dtype = ATM_U8, .text = true, .rank = 1, .dim = { (int)bytes },
                       .rows = c->rows };
    return ATM_OK;
}

/* uint64, little-endian: an int64 without a sign. */
static bool is_hash(atm_cursor c)
{
    const unsigned char *p = atm_cursor_bytes(&c, 12);
    return p && (p[0] & 15) == 0 && memcmp(p + 1, "\0\0\0\x08\0\0\0\0\0\x40\0", 11) == 0;
}

/* ------------------------------------------------------------------ columns */

static atm_status take_column(const scan *s, const found *f)
{
    atm_column column = { .name = f->name, .rank = f->rank, .rows = f->rows };
    atm_dataset_entry *entry;
    memcpy(column.dim, f->dim, sizeof column.dim);
    TRY_RETURN(read_type(f, &column));
    TRY_RETURN(atm_dataset_add(s->table, &column, &entry));
    return check_place(s, f, atm_column_bytes(&entry->column), &entry->column.offset);
}

/* Links come sorted by name, so the column of a companion is known already. */
static atm_status take_hashes(const scan *s, const found *f)
{
    char name[sizeof f->name];
    snprintf(name, sizeof name, "%.*s", (int)(strlen(f->name) - strlen(ATM_DATASET_COMPANION)), f->name);
    atm_dataset_entry *entry = atm_dataset_entry_of(s->table, name);
    if (!entry) return atm_fail(ATM_E_DATA, "there is no column %s", name);
    if (!is_hash(f->type) || f->rank != 0 || f->rows != entry->column.rows)
        return atm_fail(ATM_E_DATA, "must be one little-endian uint64 for each of the %zu rows of %s",
                        entry->column.rows, name);
    TRY_RETURN(check_place(s, f, f->rows * sizeof(uint64_t), &entry->hash_offset));
    entry->hash = atm_arena_alloc(&s->table->arena, f->rows, sizeof(uint64_t));
    return entry->hash ? ATM_OK : atm_fail(ATM_E_MEMORY, "out of memory for %zu hashes", entry->column.rows);
}

static bool is_companion(const char *name)
{
    const size_t n = strlen(name), tail = strlen(ATM_DATASET_COMPANION);
    return n > tail && strcmp(name + n - tail, ATM_DATASET_COMPANION) == 0;
}

static atm_status read_object(scan *s, found *f, uint64_t address)
{
    TRY_RETURN(atm_hdf5_object_at(&s->file, address, &f->object));
    TRY_RETURN(read_layout(f));
    TRY_RETURN(read_shape(f));
    const atm_hdf5_message *type = atm_hdf5_find(&f->object, ATM_HDF5_DATATYPE);
    if (!type) return atm_fail(ATM_E_DATA, "is damaged: it has no type");
    f->type = type->data;
    return is_companion(f->name) ? take_hashes(s, f) : take_column(s, f);
}

static atm_status scan_dataset(scan *s, const char *group, const atm_hdf5_link *link)
{
    found *f = atm_arena_alloc(&s->file.arena, 1, sizeof *f);
    if (!f) return atm_fail(ATM_E_MEMORY, "out of memory for its structure");
    snprintf(f->name, sizeof f->name, "%s/%s", group, link->name);
    const atm_status status = read_object(s, f, link->address);
    return status == ATM_OK ? ATM_OK : atm_fail_in(status, "%s", f->name);
}

/* ------------------------------------------------------------------ groups */

static bool is_our_group(const char *name)
{
    for (const char *const *group = atm_dataset_groups; *group; group++)
        if (strcmp(name, *group) == 0) return true;
    return false;
}

static atm_status list(scan *s, uint64_t address, atm_hdf5_object *object, atm_hdf5_links **out)
{
    *out = atm_arena_alloc(&s->file.arena, 1, sizeof **out);
    if (!*out) return atm_fail(ATM_E_MEMORY, "out of memory for its structure");
    TRY_RETURN(atm_hdf5_object_at(&s->file, address, object));
    return atm_hdf5_list(&s->file, object, *out);
}

static atm_status scan_group(scan *s, const atm_hdf5_link *link)
{
    atm_hdf5_object object;
    atm_hdf5_links *columns;
    if (!is_our_group(link->name))
        return atm_fail(ATM_E_DATA, "%s: a dataset has the groups artworks, clips, pairs and nothing else",
                        link->name);
    const atm_status status = list(s, link->address, &object, &columns);
    if (status != ATM_OK) return atm_fail_in(status, "%s", link->name);
    for (int i = 0; i < columns->n; i++) TRY_RETURN(scan_dataset(s, link->name, &columns->link[i]));
    return ATM_OK;
}

/* ------------------------------------------------------------------ attributes (IV.A.2.m) */

/* Version 1 pads its three parts to eight bytes. */
static const unsigned char *part(atm_cursor *c, unsigned version, uint64_t bytes)
{
    return atm_cursor_bytes(c, version == 1 ? (bytes + 7) / 8 * 8 : bytes);
}

static atm_status take_attribute(const scan *s, const char *name, atm_cursor type, atm_cursor space,
                                 atm_cursor data)
{
    char text[ATM_DATASET_TEXT + 1] = { 0 };
    const size_t bytes = text_bytes(type);
    const unsigned char *p = bytes <= ATM_DATASET_TEXT ? atm_cursor_bytes(&data, bytes) : NULL;
    if (bytes == 0 || !p || read_rank(&space) != 0)
        return atm_fail(ATM_E_DATA, "attribute %s: must be one text of fixed length, of at most %d bytes "
                        "(h5py: attrs[\"%s\"] = numpy.bytes_(\"...\"))", name, ATM_DATASET_TEXT, name);
    memcpy(text, p, bytes);
    return atm_dataset_table_set(s->table, name, text);
}

static atm_status read_attribute(const scan *s, atm_cursor c)
{
    char name[ATM_DATASET_NAME + 2] = "";
    const unsigned version = (unsigned)atm_cursor_number(&c, 1), flags = (unsigned)atm_cursor_number(&c, 1);
    const uint64_t name_bytes = atm_cursor_number(&c, 2), type_bytes = atm_cursor_number(&c, 2);
    const uint64_t space_bytes = atm_cursor_number(&c, 2);
    if (version == 3) atm_cursor_bytes(&c, 1);
    const unsigned char *text = part(&c, version, name_bytes), *type = part(&c, version, type_bytes);
    const unsigned char *space = part(&c, version, space_bytes);
    if (c.bad || version < 1 || version > 3 || (version > 1 && flags != 0))
        return atm_fail(ATM_E_DATA, "has an attribute that is damaged or shares its type");
    memcpy(name, text, name_bytes < sizeof name - 1 ? name_bytes : sizeof name - 1);
    return take_attribute(s, atm_dataset_is_name(name) ? name : "?",
                          (atm_cursor){ type, type + type_bytes, false },
                          (atm_cursor){ space, space + space_bytes, false }, c);
}

static atm_status check_attribute_info(atm_cursor c)
{
    atm_cursor_bytes(&c, 1);
    if (atm_cursor_number(&c, 1) & 1) atm_cursor_bytes(&c, 2);
    if (atm_cursor_number(&c, 8) == ATM_HDF5_NOWHERE) return ATM_OK;
    return atm_fail(ATM_E_DATA, "keeps its attributes in a heap; h5repack OLD NEW puts them into the header");
}

static atm_status scan_attributes(const scan *s, const atm_hdf5_object *root)
{
    for (int i = 0; i < root->n; i++) {
        const atm_hdf5_message *m = &root->message[i];
        if (m->kind == ATM_HDF5_ATTRIBUTE_INFO) TRY_RETURN(check_attribute_info(m->data));
        if (m->kind == ATM_HDF5_ATTRIBUTE) TRY_RETURN(read_attribute(s, m->data));
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ the file */

static atm_status scan_file(scan *s)
{
    uint64_t address;
    atm_hdf5_object root;
    atm_hdf5_links *groups;
    TRY_RETURN(atm_hdf5_root(&s->file, &address));
    TRY_RETURN(list(s, address, &root, &groups));
    TRY_RETURN(scan_attributes(s, &root));
    for (int i = 0; i < groups->n; i++) TRY_RETURN(scan_group(s, &groups->link[i]));
    return ATM_OK;
}

atm_status atm_dataset_scan(atm_dataset *d)
{
    scan s = { .file.dataset = d, .table = &d->table };
    const atm_status status = scan_file(&s);
    atm_arena_free(&s.file.arena);
    return status;
}
