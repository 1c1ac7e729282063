/* dataset_read.c - opening a dataset, and its rows: see dataset.h.
 *
 * What there is and where is learnt once, at open (dataset_scan.c).  The hashes of all rows are kept in
 * memory: whatever happens to the file later, a row is read as it was at open or not at all. */
#include "data/dataset_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* ------------------------------------------------------------------ bytes of the file */

/* Fewer than `bytes` at the end of the file; -1 with errno. */
static ssize_t read_fully(int fd, char *out, size_t bytes, uint64_t offset)
{
    size_t got = 0;
    while (got < bytes) {
        const ssize_t n = pread(fd, out + got, bytes - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

atm_status atm_dataset_pread(const atm_dataset *d, void *out, size_t bytes, uint64_t offset)
{
    const ssize_t n = read_fully(d->fd, out, bytes, offset);
    if (n < 0) return atm_fail(ATM_E_DATA, "cannot be read at byte %llu: %s", (unsigned long long)offset,
                               strerror(errno));
    if ((size_t)n < bytes)
        return atm_fail(ATM_E_DATA, "ends at byte %llu; it was shortened after it was opened",
                        (unsigned long long)offset + (unsigned long long)n);
    return ATM_OK;
}

static bool is_changed(const atm_dataset *d)
{
    struct stat now;
    const struct stat *then = &d->at_open;
    return fstat(d->fd, &now) < 0 || now.st_size != then->st_size ||
           now.st_mtim.tv_sec != then->st_mtim.tv_sec || now.st_mtim.tv_nsec != then->st_mtim.tv_nsec;
}

static atm_status read_row(const atm_dataset *d, const atm_dataset_entry *e, size_t row, void *out)
{
    const atm_column *c = &e->column;
    if (row >= c->rows) return atm_fail(ATM_E_BUG, "row %zu was asked for, of %zu", row, c->rows);
    TRY_RETURN(atm_dataset_pread(d, out, c->row_bytes, c->offset + row * c->row_bytes));
    const uint64_t hash = XXH3_64bits(out, c->row_bytes);
    if (hash == e->hash[row]) return ATM_OK;
    return atm_fail(ATM_E_DATA, "row %zu has hash %016llx, not %016llx: the file %s", row,
                    (unsigned long long)hash, (unsigned long long)e->hash[row],
                    is_changed(d) ? "was changed after it was opened"
                                  : "is damaged; copy it again or prepare it again");
}

atm_status atm_dataset_read(const atm_dataset *d, const atm_column *column, size_t row, void *out)
{
    const atm_status status = read_row(d, (const atm_dataset_entry *)column, row, out);
    return status == ATM_OK ? ATM_OK : atm_fail_in(status, "%s: %s", d->path, column->name);
}

/* ------------------------------------------------------------------ what is read at open */

static atm_status read_hashes(atm_dataset *d)
{
    for (int i = 0; i < d->table.n_entries; i++) {
        const atm_dataset_entry *e = d->table.entry[i];
        if (!e->hash)
            return atm_fail(ATM_E_DATA, "there is no %s.xxh3, the hash of each row of %s", e->column.name,
                            e->column.name);
        TRY_RETURN(atm_dataset_pread(d, e->hash, e->column.rows * sizeof *e->hash, e->hash_offset));
    }
    return ATM_OK;
}

static int64_t whole_number(const void *p, atm_dtype dtype)
{
    if (dtype == ATM_I64) return *(const int64_t *)p;
    if (dtype == ATM_I32) return *(const int32_t *)p;
    return *(const uint8_t *)p;
}

static size_t rows_of(const atm_dataset *d, const char *group)
{
    const size_t n = strlen(group);
    for (int i = 0; i < d->table.n_entries; i++)
        if (strncmp(d->table.entry[i]->column.name, group, n) == 0) return d->table.entry[i]->column.rows;
    return 0;
}

/* The column's number in `row`, which must be one of least, ..., end - 1. */
static atm_status read_number(const atm_dataset *d, const char *name, size_t row, int64_t least, int64_t end,
                              int64_t *out)
{
    int64_t word = 0;
    const atm_column *c = atm_dataset_find(d, name);
    TRY_RETURN(atm_dataset_read(d, c, row, &word));
    *out = whole_number(&word, c->dtype);
    if (*out >= least && *out < end) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: is %lld in row %zu, outside %lld..%lld", name, (long long)*out, row,
                    (long long)least, (long long)end - 1);
}

static atm_status read_pair(atm_dataset *d, size_t row, int64_t artworks, int64_t clips)
{
    int64_t artwork, clip, split;
    TRY_RETURN(read_number(d, "pairs/artwork", row, -1, artworks, &artwork));
    TRY_RETURN(read_number(d, "pairs/clip", row, 0, clips, &clip));
    TRY_RETURN(read_number(d, "pairs/split", row, 0, ATM_SPLITS, &split));
    d->pair[row] = (atm_pair){ (int32_t)artwork, (int32_t)clip, (atm_split)split };
    return ATM_OK;
}

static atm_status read_pairs(atm_dataset *d)
{
    const size_t artworks = rows_of(d, "artworks/"), clips = rows_of(d, "clips/");
    d->n_pairs = rows_of(d, "pairs/");
    d->pair = atm_arena_alloc(&d->table.arena, d->n_pairs, sizeof *d->pair);
    if (!d->pair) return atm_fail(ATM_E_MEMORY, "out of memory for %zu pairs", d->n_pairs);
    for (size_t row = 0; row < d->n_pairs; row++)
        TRY_RETURN(read_pair(d, row, (int64_t)artworks, (int64_t)clips));
    return ATM_OK;
}

/* What the file says about itself, for a message. */
static const char *quoted(const char *text)
{
    if (!text) return "missing";
    const size_t n = strlen(text);
    return n <= ATM_DATASET_NAME && atm_dataset_is_printable(text, n) ? text : "unreadable";
}

static atm_status check_schema(const atm_dataset *d)
{
    const char *schema = atm_dataset_attribute(d, "schema");
    if (schema && strcmp(schema, ATM_DATASET_SCHEMA) == 0) return ATM_OK;
    return atm_fail(ATM_E_DATA, "its attribute schema is %s, not %s: it is no dataset, or of another version",
                    quoted(schema), ATM_DATASET_SCHEMA);
}

/* A file may say what its fingerprint is; files made by hand need not. */
static atm_status check_fingerprint(atm_dataset *d)
{
    TRY_RETURN(atm_dataset_table_fingerprint(&d->table, d->fingerprint));
    const char *said = atm_dataset_attribute(d, "fingerprint");
    if (!said || strcmp(said, d->fingerprint) == 0) return ATM_OK;
    return atm_fail(ATM_E_DATA, "has fingerprint %s but says %s: it is damaged or was edited", d->fingerprint,
                    quoted(said));
}

/* ------------------------------------------------------------------ opening */

static atm_status open_file(atm_dataset *d)
{
    static const char magic[] = "\x89HDF\r\n\x1a\n";
    char start[sizeof magic - 1] = { 0 };
    d->fd = open(d->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);       /* a pipe is refused, not waited for */
    if (d->fd < 0 || fstat(d->fd, &d->at_open) < 0)
        return atm_fail(ATM_E_NOINPUT, "cannot be opened: %s", strerror(errno));
    if (!S_ISREG(d->at_open.st_mode)) return atm_fail(ATM_E_NOINPUT, "is not a file");
    if (read_fully(d->fd, start, sizeof start, 0) < 0 || memcmp(start, magic, sizeof start) != 0)
        return atm_fail(ATM_E_DATA, "is not an HDF5 file");
    return ATM_OK;
}

static atm_status load(atm_dataset *d)
{
    TRY_RETURN(open_file(d));
    TRY_RETURN(atm_dataset_scan(d));
    TRY_RETURN(check_schema(d));
    TRY_RETURN(atm_dataset_table_check(&d->table));
    TRY_RETURN(read_hashes(d));
    TRY_RETURN(check_fingerprint(d));
    return read_pairs(d);
}

static atm_dataset *allocate(const char *path)
{
    atm_dataset *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->fd = -1;
    d->users = atm_arena_alloc(&d->table.arena, 1, sizeof *d->users);
    d->path = atm_arena_strdup(&d->table.arena, path);
    if (d->users && d->path) {
        atomic_init(d->users, 1);
        return d;
    }
    atm_arena_free(&d->table.arena);
    free(d);
    return NULL;
}

atm_status atm_dataset_open(const char *path, atm_dataset **out)
{
    atm_dataset *d = allocate(path);
    if (!d) return atm_fail(ATM_E_MEMORY, "%s: out of memory", path);
    const atm_status status = load(d);
    if (status == ATM_OK) {
        *out = d;
        return ATM_OK;
    }
    atm_fail_in(status, "%s", path);
    atm_dataset_close(d);
    return status;
}

void atm_dataset_hold(const atm_dataset *d) { atomic_fetch_add(d->users, 1); }

void atm_dataset_close(atm_dataset *d)
{
    if (!d || atomic_fetch_sub(d->users, 1) > 1) return;
    if (d->fd >= 0) close(d->fd);
    atm_arena_free(&d->table.arena);
    free(d);
}

/* ------------------------------------------------------------------ what is in it */

const char *atm_dataset_path(const atm_dataset *d) { return d->path; }
size_t atm_dataset_n_pairs(const atm_dataset *d) { return d->n_pairs; }
const atm_pair *atm_dataset_pairs(const atm_dataset *d) { return d->pair; }
const char *atm_dataset_fingerprint(const atm_dataset *d) { return d->fingerprint; }

const char *atm_dataset_attribute(const atm_dataset *d, const char *name)
{
    return atm_dataset_table_get(&d->table, name);
}

const atm_column *atm_dataset_find(const atm_dataset *d, const char *name)
{
    const atm_dataset_entry *entry = atm_dataset_entry_of(&d->table, name);
    return entry ? &entry->column : NULL;
}
