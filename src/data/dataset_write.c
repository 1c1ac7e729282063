/* dataset_write.c - making a dataset: see dataset.h.
 *
 * Columns get their places in the file as they are declared, rows go there by pwrite from any
 * thread, the structure follows at the end.  The file gets its name when the reader accepts it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/size.h"
#include "data/dataset_structure.h"
#include "io/atomic_file.h"
#include "io/utf8.h"

/* Large columns begin on a page. */
enum { ALIGN = 64, PAGE = 4096, LARGE = 16 * PAGE };

struct atm_dataset_writer {
    atm_atomic_file *target;
    pthread_mutex_t lock;               /* of the table: columns, attributes, which rows are put */
    atm_dataset_table table;
    size_t end;                         /* of what has a place in the file */
    atomic_bool failed;                 /* a column or row could not be written: no commit */
    char path[];
};

/* ------------------------------------------------------------------ beginning */

static atm_status begin(atm_dataset_writer *w)
{
    w->end = ATM_SUPERBLOCK;
    TRY_RETURN(atm_dataset_table_set(&w->table, "schema", ATM_DATASET_SCHEMA));
    return atm_atomic_open(w->path, &w->target);
}

atm_status atm_dataset_begin(const char *path, atm_dataset_writer **out)
{
    atm_dataset_writer *w = calloc(1, sizeof *w + strlen(path) + 1);
    if (!w) return atm_fail(ATM_E_MEMORY, "%s: out of memory", path);
    memcpy(w->path, path, strlen(path) + 1);
    pthread_mutex_init(&w->lock, NULL);
    const atm_status status = begin(w);
    if (status == ATM_OK) *out = w;
    else atm_dataset_abort(w);
    return status;
}

/* ------------------------------------------------------------------ columns */

static atm_status place(atm_dataset_writer *w, size_t bytes, uint64_t *offset)
{
    size_t start, end;
    if (!atm_round_up_size(w->end, bytes >= LARGE ? PAGE : ALIGN, &start) ||
        !atm_add_size(start, bytes, &end) || end > (size_t)INT64_MAX)
        return atm_fail(ATM_E_DATA, "%zu bytes more are too many for a file", bytes);
    *offset = start;
    w->end = end;
    return ATM_OK;
}

/* A disk too small is better known before hours of work than after. */
static atm_status reserve(const atm_dataset_writer *w, const atm_column *c)
{
    const size_t bytes = atm_column_bytes(c);
    const int fd = atm_atomic_fd(w->target);
    if (bytes == 0 || fallocate(fd, 0, (off_t)c->offset, (off_t)bytes) == 0) return ATM_OK;
    const bool is_told = errno == ENOSPC || errno == EFBIG || errno == EDQUOT;
    if (!is_told) return ATM_OK;                /* not every file system can */
    return atm_fail(ATM_E_IO, "no room for its %zu bytes: %s", bytes, strerror(errno));
}

static atm_status declare(atm_dataset_writer *w, const atm_column *column)
{
    atm_dataset_entry *e;
    TRY_RETURN(atm_dataset_add(&w->table, column, &e));
    e->hash = atm_arena_alloc(&w->table.arena, column->rows, sizeof *e->hash);
    e->put = atm_arena_alloc(&w->table.arena, column->rows, sizeof *e->put);
    if (!e->hash || !e->put) return atm_fail(ATM_E_MEMORY, "out of memory for %zu hashes", column->rows);
    TRY_RETURN(place(w, atm_column_bytes(&e->column), &e->column.offset));
    TRY_RETURN(place(w, column->rows * sizeof *e->hash, &e->hash_offset));
    return reserve(w, &e->column);
}

atm_status atm_dataset_declare(atm_dataset_writer *w, const atm_column *column)
{
    pthread_mutex_lock(&w->lock);
    const atm_status status = declare(w, column);
    pthread_mutex_unlock(&w->lock);
    if (status == ATM_OK) return ATM_OK;
    atomic_store(&w->failed, true);
    return atm_fail_in(status, "%s: %s", w->path, column->name);
}

/* ------------------------------------------------------------------ rows */

static atm_status write_at(const atm_dataset_writer *w, const void *data, size_t bytes, uint64_t offset)
{
    const char *p = data;
    while (bytes) {
        const ssize_t n = pwrite(atm_atomic_fd(w->target), p, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return atm_fail(ATM_E_IO, "cannot be written: %s", strerror(n < 0 ? errno : ENOSPC));
        p += n;
        bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return ATM_OK;
}

static atm_status claim(const atm_dataset_writer *w, const char *column, size_t row, atm_dataset_entry **out)
{
    atm_dataset_entry *e = *out = atm_dataset_entry_of(&w->table, column);
    if (!e) return atm_fail(ATM_E_BUG, "was not declared");
    if (row >= e->column.rows) return atm_fail(ATM_E_BUG, "row %zu was put, of %zu", row, e->column.rows);
    if (e->put[row]) return atm_fail(ATM_E_BUG, "row %zu was put twice", row);
    e->put[row] = true;
    return ATM_OK;
}

static atm_status write_row(const atm_dataset_writer *w, const atm_dataset_entry *e, size_t row,
                            const void *data)
{
    const atm_column *c = &e->column;
    if (c->text && !atm_utf8_valid(data, strnlen(data, c->row_bytes)))
        return atm_fail(ATM_E_DATA, "row %zu is not UTF-8", row);
    e->hash[row] = XXH3_64bits(data, c->row_bytes);
    return write_at(w, data, c->row_bytes, c->offset + row * c->row_bytes);
}

atm_status atm_dataset_put(atm_dataset_writer *w, const char *column, size_t row, const void *data)
{
    atm_dataset_entry *e;
    pthread_mutex_lock(&w->lock);
    atm_status status = claim(w, column, row, &e);
    pthread_mutex_unlock(&w->lock);
    if (status == ATM_OK) status = write_row(w, e, row, data);
    if (status == ATM_OK) return ATM_OK;
    atomic_store(&w->failed, true);
    return atm_fail_in(status, "%s: %s", w->path, column);
}

atm_status atm_dataset_set(atm_dataset_writer *w, const char *attribute, const char *text)
{
    pthread_mutex_lock(&w->lock);
    const atm_status status = atm_dataset_table_set(&w->table, attribute, text);
    pthread_mutex_unlock(&w->lock);
    return status == ATM_OK ? ATM_OK : atm_fail_in(status, "%s", w->path);
}

/* ------------------------------------------------------------------ the end */

static atm_status check_complete(const atm_dataset_writer *w)
{
    if (w->failed) return atm_fail(ATM_E_IO, "an earlier column or row failed");
    for (int i = 0; i < w->table.n_entries; i++) {
        const atm_dataset_entry *e = w->table.entry[i];
        size_t put = 0;
        for (size_t row = 0; row < e->column.rows; row++) put += e->put[row];
        if (put < e->column.rows)
            return atm_fail(ATM_E_BUG, "%s: %zu of its %zu rows were not put", e->column.name,
                            e->column.rows - put, e->column.rows);
    }
    return atm_dataset_table_check(&w->table);
}

static atm_status write_hashes(const atm_dataset_writer *w)
{
    for (int i = 0; i < w->table.n_entries; i++) {
        const atm_dataset_entry *e = w->table.entry[i];
        TRY_RETURN(write_at(w, e->hash, e->column.rows * sizeof *e->hash, e->hash_offset));
    }
    return ATM_OK;
}

/* The superblock last: until then the file is none. */
static atm_status write_structure(const atm_dataset_writer *w)
{
    atm_status status = ATM_OK;
    atm_bytes headers = { 0 };
    unsigned char superblock[ATM_SUPERBLOCK];
    size_t at;
    if (!atm_round_up_size(w->end, ALIGN, &at)) return atm_fail(ATM_E_DATA, "too large for a file");
    TRY(atm_dataset_structure(&w->table, at, &headers, superblock));
    TRY(write_at(w, headers.data, headers.size, at));
    TRY(write_at(w, superblock, sizeof superblock, 0));
done:
    atm_bytes_free(&headers);
    return status;
}

/* What is not readable must not appear. */
static atm_status read_back(const atm_dataset_writer *w)
{
    atm_dataset *dataset;
    TRY_RETURN(atm_dataset_open(atm_atomic_temp_path(w->target), &dataset));
    atm_dataset_close(dataset);
    return ATM_OK;
}

static atm_status finish(atm_dataset_writer *w)
{
    char fingerprint[33];
    TRY_RETURN(check_complete(w));
    TRY_RETURN(atm_dataset_table_fingerprint(&w->table, fingerprint));
    TRY_RETURN(atm_dataset_table_set(&w->table, "fingerprint", fingerprint));
    TRY_RETURN(write_hashes(w));
    TRY_RETURN(write_structure(w));
    return read_back(w);
}

/* All but the file. */
static void release(atm_dataset_writer *w)
{
    pthread_mutex_destroy(&w->lock);
    atm_arena_free(&w->table.arena);
    free(w);
}

atm_status atm_dataset_commit(atm_dataset_writer *w)
{
    atm_status status = finish(w);
    if (status != ATM_OK) {
        atm_fail_in(status, "%s", w->path);
        atm_dataset_abort(w);
        return status;
    }
    status = atm_atomic_commit(w->target);
    release(w);
    return status;
}

void atm_dataset_abort(atm_dataset_writer *w)
{
    if (!w) return;
    atm_atomic_abort(w->target);
    release(w);
}
