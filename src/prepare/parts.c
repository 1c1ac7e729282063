/* parts.c - see parts.h. */
#include "prepare/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

typedef struct { atm_part_key key; uint64_t row_hash, entry_hash; } entry;
_Static_assert(sizeof(entry) == 32, "the journal's layout");

typedef struct { entry entry; int64_t row; } place;         /* row 1 + k; 0: free */

struct atm_parts {
    char *path;                         /* FOLDER/NAME, for messages */
    int rows, journal;                  /* descriptors */
    size_t row_bytes, n, n_places;
    int64_t next;                       /* row never used */
    uint64_t settings;
    place *place;                       /* open addressing, at most half full */
    pthread_mutex_t lock;
};

atm_part_key atm_part_key_of(const char *fingerprint, int64_t start)
{
    const XXH128_hash_t h = XXH3_128bits_withSeed(fingerprint, strlen(fingerprint), (uint64_t)start);
    return (atm_part_key){ { h.low64, h.high64 } };
}

static uint64_t entry_hash(const atm_parts *p, const entry *e)
{
    return XXH3_64bits_withSeed(e, offsetof(entry, entry_hash), p->settings);
}

/* ------------------------------------------------------------------ files */

static atm_status write_at(const atm_parts *p, int fd, const void *data, size_t bytes, int64_t offset)
{
    for (const char *from = data; bytes > 0; ) {
        const ssize_t n = pwrite(fd, from, bytes, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return atm_fail(ATM_E_IO, "%s: cannot write: %s", p->path, strerror(n ? errno : ENOSPC));
        from += n;
        offset += n;
        bytes -= (size_t)n;
    }
    return ATM_OK;
}

/* False: it is not all there. */
static bool read_at(int fd, void *data, size_t bytes, int64_t offset)
{
    for (char *to = data; bytes > 0; ) {
        const ssize_t n = pread(fd, to, bytes, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        to += n;
        offset += n;
        bytes -= (size_t)n;
    }
    return true;
}

static bool read_row(const atm_parts *p, const place *where, void *row)
{
    return read_at(p->rows, row, p->row_bytes, (where->row - 1) * (int64_t)p->row_bytes)
        && XXH3_64bits(row, p->row_bytes) == where->entry.row_hash;
}

static int open_file(const char *path, const char *extension)
{
    char name[4096];
    const int n = snprintf(name, sizeof name, "%s.%s", path, extension);
    if (n < (int)sizeof name) return open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    errno = ENAMETOOLONG;
    return -1;
}

/* ------------------------------------------------------------------ table */

static place *find(const atm_parts *p, atm_part_key key)
{
    size_t at = (size_t)key.half[0] & (p->n_places - 1);
    while (p->place[at].row && memcmp(&p->place[at].entry.key, &key, sizeof key))
        at = (at + 1) & (p->n_places - 1);
    return &p->place[at];
}

static atm_status grow(atm_parts *p)
{
    place *old = p->place;
    const size_t n_old = p->n_places, n_new = n_old ? 2 * n_old : 64;
    place *fresh = calloc(n_new, sizeof *fresh);
    if (!fresh) return atm_fail(ATM_E_MEMORY, "%s: no memory for %zu rows", p->path, n_new / 2);
    p->place = fresh;
    p->n_places = n_new;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].row) *find(p, old[i].entry.key) = old[i];
    free(old);
    return ATM_OK;
}

static atm_status remember(atm_parts *p, const entry *e, int64_t row)
{
    if (2 * p->n >= p->n_places) TRY_RETURN(grow(p));
    place *where = find(p, e->key);
    p->n += where->row == 0;
    *where = (place){ *e, row + 1 };
    return ATM_OK;
}

/* ------------------------------------------------------------------ open, close */

static atm_status read_journal(atm_parts *p, void *row)
{
    entry e;
    for (; read_at(p->journal, &e, sizeof e, p->next * (int64_t)sizeof e); p->next++) {
        const place where = { e, p->next + 1 };
        if (e.entry_hash == entry_hash(p, &e) && read_row(p, &where, row))
            TRY_RETURN(remember(p, &e, p->next));
    }
    return ATM_OK;
}

/* Of other settings, or nothing: the space is wanted back. */
static atm_status begin_anew(atm_parts *p)
{
    p->next = 0;
    if (ftruncate(p->journal, 0) == 0 && ftruncate(p->rows, 0) == 0) return ATM_OK;
    return atm_fail(ATM_E_IO, "%s: cannot empty it: %s", p->path, strerror(errno));
}

static atm_status open_parts(atm_parts *p)
{
    p->rows = open_file(p->path, "rows");
    p->journal = open_file(p->path, "journal");
    if (p->rows < 0 || p->journal < 0)
        return atm_fail(ATM_E_IO, "%s: cannot open: %s", p->path, strerror(errno));
    void *row = malloc(p->row_bytes);
    if (!row) return atm_fail(ATM_E_MEMORY, "%s: no memory for a row of %zu bytes", p->path, p->row_bytes);
    const atm_status status = read_journal(p, row);
    free(row);
    return status == ATM_OK && p->n == 0 ? begin_anew(p) : status;
}

atm_status atm_parts_open(const char *folder, const char *name, size_t row_bytes, const char *settings,
                          atm_parts **out)
{
    atm_parts *p = calloc(1, sizeof *p);
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!p || !(p->path = strdup(path))) {
        free(p);
        return atm_fail(ATM_E_MEMORY, "no memory for %s", path);
    }
    p->rows = p->journal = -1;
    p->row_bytes = row_bytes;
    p->settings = XXH3_64bits_withSeed(settings, strlen(settings), row_bytes);
    pthread_mutex_init(&p->lock, NULL);
    const atm_status status = open_parts(p);
    if (status == ATM_OK) *out = p;
    else atm_parts_close(p);
    return status;
}

void atm_parts_close(atm_parts *p)
{
    if (!p) return;
    if (p->rows >= 0) close(p->rows);
    if (p->journal >= 0) close(p->journal);
    pthread_mutex_destroy(&p->lock);
    free(p->place);
    free(p->path);
    free(p);
}

atm_status atm_parts_lock(const char *folder, int *lock)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/lock", folder);
    if (mkdir(folder, 0777) && errno != EEXIST)
        return atm_fail(ATM_E_IO, "%s: cannot make this folder: %s", folder, strerror(errno));
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*lock < 0) return atm_fail(ATM_E_IO, "%s: cannot create: %s", path, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0) return ATM_OK;
    close(*lock);
    *lock = -1;
    return atm_fail(ATM_E_CONFIG, "%s: another run is making this dataset", folder);
}

/* ------------------------------------------------------------------ rows */

size_t atm_parts_count(const atm_parts *p) { return p->n; }

static bool look_up(atm_parts *p, atm_part_key key, place *out)
{
    pthread_mutex_lock(&p->lock);
    *out = p->n_places ? *find(p, key) : (place){ 0 };
    pthread_mutex_unlock(&p->lock);
    return out->row != 0;
}

bool atm_parts_has(atm_parts *p, atm_part_key key)
{
    place where;
    return look_up(p, key, &where);
}

static int64_t take_row(atm_parts *p)
{
    pthread_mutex_lock(&p->lock);
    const int64_t row = p->next++;
    pthread_mutex_unlock(&p->lock);
    return row;
}

atm_status atm_parts_add(atm_parts *p, atm_part_key key, const void *row)
{
    entry e = { key, XXH3_64bits(row, p->row_bytes), 0 };
    e.entry_hash = entry_hash(p, &e);
    const int64_t k = take_row(p);
    TRY_RETURN(write_at(p, p->rows, row, p->row_bytes, k * (int64_t)p->row_bytes));
    TRY_RETURN(write_at(p, p->journal, &e, sizeof e, k * (int64_t)sizeof e));
    pthread_mutex_lock(&p->lock);
    const atm_status status = remember(p, &e, k);
    pthread_mutex_unlock(&p->lock);
    return status;
}

atm_status atm_parts_read(atm_parts *p, atm_part_key key, void *row)
{
    place where;
    if (!look_up(p, key, &where)) return atm_fail(ATM_E_DATA, "%s: a row is missing", p->path);
    if (read_row(p, &where, row)) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: row %lld is not what was written: the disk, or somebody, changed it",
                    p->path, (long long)where.row - 1);
}
