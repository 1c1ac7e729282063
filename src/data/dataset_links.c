/* dataset_links.c - the links of a group: see dataset_hdf5.h. */
#include "data/dataset_hdf5.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LEVEL = 8, SYMBOL_SOFT = 2 };

/* The name is not yet ended by a zero. */
static atm_status add_link(atm_hdf5_file *file, atm_hdf5_links *to, const char *name, size_t n,
                           uint64_t address)
{
    if (to->n == ATM_HDF5_LINKS)
        return atm_fail(ATM_E_DATA, "has more than %d objects in a group", ATM_HDF5_LINKS);
    if (n > ATM_DATASET_NAME + strlen(ATM_DATASET_COMPANION))
        return atm_fail(ATM_E_DATA, "has an object's name of %zu bytes, longer than %d", n, ATM_DATASET_NAME);
    if (!atm_dataset_is_printable(name, n)) return atm_fail(ATM_E_DATA, "has an object's name that is not ASCII");
    char *copy = atm_arena_alloc(&file->arena, n + 1, 1);
    if (!copy) return atm_fail(ATM_E_MEMORY, "out of memory for its structure");
    memcpy(copy, name, n);
    to->link[to->n++] = (atm_hdf5_link){ copy, address };
    return ATM_OK;
}

static atm_status refuse_link(const char *name, size_t n)
{
    return atm_fail(ATM_E_DATA, "%.*s: is a soft or external link; datasets follow none",
                    atm_dataset_is_printable(name, n) ? (int)n : 0, name);
}

/* ------------------------------------------------------------------ links in the header (IV.A.2.g) */

static atm_status take_link(atm_hdf5_file *file, atm_cursor c, atm_hdf5_links *to)
{
    const unsigned version = (unsigned)atm_cursor_number(&c, 1), flags = (unsigned)atm_cursor_number(&c, 1);
    const unsigned kind = flags & 8 ? (unsigned)atm_cursor_number(&c, 1) : 0;
    if (flags & 4) atm_cursor_bytes(&c, 8);             /* the order of creation */
    if (flags & 16) atm_cursor_bytes(&c, 1);            /* the character set */
    const uint64_t n = atm_cursor_number(&c, 1 << (flags & 3));
    const char *name = (const char *)atm_cursor_bytes(&c, n);
    if (!name || version != 1) return atm_fail(ATM_E_DATA, "is damaged: a link is none");
    if (kind != 0) return refuse_link(name, n);
    const uint64_t address = atm_cursor_number(&c, 8);
    if (c.bad) return atm_fail(ATM_E_DATA, "is damaged: a link leads nowhere");
    return add_link(file, to, name, n, address);
}

static atm_status check_link_info(atm_cursor c)
{
    atm_cursor_bytes(&c, 1);
    const unsigned flags = (unsigned)atm_cursor_number(&c, 1);
    if (flags & 1) atm_cursor_bytes(&c, 8);
    if (atm_cursor_number(&c, 8) == ATM_HDF5_NOWHERE) return ATM_OK;
    return atm_fail(ATM_E_DATA, "keeps the links of a group in a heap; h5repack OLD NEW makes a table of it");
}

static atm_status list_header(atm_hdf5_file *file, const atm_hdf5_object *group, atm_hdf5_links *to)
{
    for (int i = 0; i < group->n; i++) {
        const atm_hdf5_message *m = &group->message[i];
        if (m->kind == ATM_HDF5_LINK_INFO) TRY_RETURN(check_link_info(m->data));
        if (m->kind == ATM_HDF5_LINK) TRY_RETURN(take_link(file, m->data, to));
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ symbol tables (III.A-D) */

typedef struct { atm_hdf5_file *file; atm_cursor names; atm_hdf5_links *to; } table;

static atm_status broken_table(void)
{
    return atm_fail(ATM_E_DATA, "is damaged: the table of a group is none");
}

static bool begins_with(atm_cursor *c, const char mark[4])
{
    const unsigned char *p = atm_cursor_bytes(c, 4);
    return p && memcmp(p, mark, 4) == 0;
}

/* "HEAP": where the names are. */
static atm_status read_names(table *t, uint64_t address)
{
    atm_cursor c;
    TRY_RETURN(atm_hdf5_block(t->file, address, 32, &c));
    if (!begins_with(&c, "HEAP")) return broken_table();
    atm_cursor_bytes(&c, 4);
    const uint64_t bytes = atm_cursor_number(&c, 8);
    atm_cursor_bytes(&c, 8);
    return atm_hdf5_block(t->file, atm_cursor_number(&c, 8), bytes, &t->names);
}

static atm_status take_symbol(table *t, atm_cursor *c)
{
    const uint64_t name_at = atm_cursor_number(c, 8), address = atm_cursor_number(c, 8);
    const uint64_t cache = atm_cursor_number(c, 4);
    atm_cursor_bytes(c, 4 + 16);
    atm_cursor names = t->names;
    const char *name = (const char *)atm_cursor_bytes(&names, name_at);
    if (!name || c->bad) return broken_table();
    name += name_at;
    const size_t n = strnlen(name, atm_cursor_left(&names));
    if (n == atm_cursor_left(&names)) return broken_table();
    return cache == SYMBOL_SOFT ? refuse_link(name, n) : add_link(t->file, t->to, name, n, address);
}

static atm_status read_symbols(table *t, uint64_t address)
{
    enum { SYMBOL = 40 };
    atm_cursor c;
    TRY_RETURN(atm_hdf5_block(t->file, address, 8, &c));
    if (!begins_with(&c, "SNOD")) return broken_table();
    atm_cursor_bytes(&c, 2);
    const uint64_t n = atm_cursor_number(&c, 2);
    TRY_RETURN(atm_hdf5_block(t->file, address + 8, n * SYMBOL, &c));
    for (uint64_t i = 0; i < n; i++) TRY_RETURN(take_symbol(t, &c));
    return ATM_OK;
}

/* A node's children are one level below it: no loop is endless. */
static atm_status read_tree(table *t, uint64_t address, int level)
{
    atm_cursor c;
    TRY_RETURN(atm_hdf5_block(t->file, address, 24, &c));
    const bool marked = begins_with(&c, "TREE");
    const uint64_t kind = atm_cursor_number(&c, 1);
    const int found = (int)atm_cursor_number(&c, 1);
    const uint64_t n = atm_cursor_number(&c, 2);
    if (!marked || kind != 0 || found > MAX_LEVEL || (level >= 0 && found != level)) return broken_table();
    TRY_RETURN(atm_hdf5_block(t->file, address + 24, n * 16, &c));
    for (uint64_t i = 0; i < n; i++) {
        atm_cursor_bytes(&c, 8);
        const uint64_t child = atm_cursor_number(&c, 8);
        TRY_RETURN(found == 0 ? read_symbols(t, child) : read_tree(t, child, found - 1));
    }
    return ATM_OK;
}

static atm_status list_table(atm_hdf5_file *file, atm_cursor c, atm_hdf5_links *to)
{
    table t = { .file = file, .to = to };
    const uint64_t tree = atm_cursor_number(&c, 8), heap = atm_cursor_number(&c, 8);
    if (c.bad) return broken_table();
    TRY_RETURN(read_names(&t, heap));
    return read_tree(&t, tree, -1);
}

/* ------------------------------------------------------------------ both */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const atm_hdf5_link *)a)->name, ((const atm_hdf5_link *)b)->name);
}

atm_status atm_hdf5_list(atm_hdf5_file *file, const atm_hdf5_object *group, atm_hdf5_links *out)
{
    const atm_hdf5_message *old = atm_hdf5_find(group, ATM_HDF5_SYMBOL_TABLE);
    out->n = 0;
    if (!old && !atm_hdf5_find(group, ATM_HDF5_LINK_INFO)) return atm_fail(ATM_E_DATA, "is not a group");
    if (old) TRY_RETURN(list_table(file, old->data, out));
    else TRY_RETURN(list_header(file, group, out));
    qsort(out->link, (size_t)out->n, sizeof out->link[0], by_name);
    return ATM_OK;
}
