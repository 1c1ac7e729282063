/* bench_loader.c - how fast rows come off the disk, and how long a trainer would wait for them.
 *
 *     bench_loader [--rows N] [--kib K] [--batch B] [--seconds S] [--cold] [FOLDER]
 *
 * Makes a dataset of N rows of K KiB in FOLDER (default: the temporary one) and reads it, shuffled:
 *   pread     the same bytes by pread alone, nothing verified: what the disk gives
 *   read      atm_dataset_read: and the hash of each row
 *   loader    atm_loader_next, nothing done with the batches
 *   T ms      a consumer that computes T milliseconds a batch: its wait in % of the step
 * --cold drops the file's pages before each measurement. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "data/loader.h"

typedef struct { size_t rows, row_bytes; int batch; double seconds; bool cold; char path[4096]; } settings;

/* ------------------------------------------------------------------ the file */

static const char *const pair_columns[] = { "pairs/artwork", "pairs/clip", "pairs/split" };

static atm_status declare(atm_dataset_writer *w, const settings *s)
{
    const int floats = (int)(s->row_bytes / sizeof(float));
    for (int i = 0; i < 3; i++)
        TRY_RETURN(atm_dataset_declare(w, &(atm_column){ .name = pair_columns[i], .dtype = ATM_I32,
                                                         .rows = s->rows }));
    return atm_dataset_declare(w, &(atm_column){ .name = "clips/x", .dtype = ATM_F32, .rank = 1,
                                                 .dim = { floats }, .rows = s->rows });
}

static atm_status put_rows(atm_dataset_writer *w, const settings *s, float *row)
{
    for (size_t i = 0; i < s->rows; i++) {
        const int32_t pair[3] = { -1, (int32_t)i, 0 };
        for (int c = 0; c < 3; c++) TRY_RETURN(atm_dataset_put(w, pair_columns[c], i, &pair[c]));
        for (size_t k = 0; k < s->row_bytes / sizeof *row; k++) row[k] = (float)(i + k);
        TRY_RETURN(atm_dataset_put(w, "clips/x", i, row));
    }
    return ATM_OK;
}

static atm_status make_file(const settings *s)
{
    atm_dataset_writer *w;
    float *row = malloc(s->row_bytes);
    if (!row) return atm_fail(ATM_E_MEMORY, "no memory");
    const double begin = atm_seconds();
    atm_status status = atm_dataset_begin(s->path, &w);
    if (status == ATM_OK && (status = declare(w, s)) == ATM_OK) status = put_rows(w, s, row);
    if (status == ATM_OK) status = atm_dataset_commit(w);
    free(row);
    const double seconds = atm_seconds() - begin, mb = 1e-6 * (double)(s->rows * s->row_bytes);
    if (status == ATM_OK) printf("# written, hashed and synced: %.0f MB at %.0f MB/s\n", mb, mb / seconds);
    return status;
}

/* ------------------------------------------------------------------ measuring */

static void prepare_cache(const settings *s)
{
    const int fd = open(s->path, O_RDONLY);
    if (s->cold && fd >= 0) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (fd >= 0) close(fd);
}

static void report(const char *name, const settings *s, size_t rows, double seconds)
{
    printf("%-12s %10.0f rows/s %10.0f MB/s\n", name, (double)rows / seconds,
           1e-6 * (double)(rows * s->row_bytes) / seconds);
    fflush(stdout);
}

typedef struct { const atm_dataset *dataset; const atm_column *column; int fd; void *row; } reader;

static atm_status read_plain(const reader *r, size_t row)
{
    const size_t bytes = r->column->row_bytes;
    const ssize_t n = pread(r->fd, r->row, bytes, (off_t)(r->column->offset + row * bytes));
    return n == (ssize_t)bytes ? ATM_OK : atm_fail(ATM_E_DATA, "pread gave %zd bytes", n);
}

static atm_status read_verified(const reader *r, size_t row)
{
    return atm_dataset_read(r->dataset, r->column, row, r->row);
}

/* One thread, in the loader's order. */
static atm_status measure_rows(const char *name, const settings *s, const atm_dataset *d,
                               atm_status (*read)(const reader *r, size_t row))
{
    size_t n = 0;
    atm_status status = ATM_OK;
    reader r = { d, atm_dataset_find(d, "clips/x"), open(s->path, O_RDONLY), malloc(s->row_bytes) };
    prepare_cache(s);
    const double begin = atm_seconds();
    while (status == ATM_OK && (n < s->rows || atm_seconds() - begin < s->seconds))
        status = read(&r, atm_loader_order(1, n++, (uint32_t)s->rows));
    report(name, s, n, atm_seconds() - begin);
    free(r.row);
    close(r.fd);
    return status;
}

/* Work that keeps a core busy, as a trainer does. */
static void compute(double seconds)
{
    for (const double end = atm_seconds() + seconds; atm_seconds() < end; ) { }
}

static atm_status measure_loader(const settings *s, const atm_dataset *d, double work)
{
    char name[32] = "loader";
    size_t n = 0;
    atm_loader *l = NULL;
    atm_loaded batch;
    const atm_loader_column column = { .name = "clips/x" };
    prepare_cache(s);
    atm_status status = atm_loader_open(&(atm_loader_options){
        .dataset = d, .column = &column, .n_columns = 1, .split = ATM_SPLIT_TRAIN, .seed = 1,
        .batch = s->batch, .micro_batches = 1, .ranks = 1 }, &l);
    if (status == ATM_OK) status = atm_loader_next(l, &batch);          /* the first wait is not typical */
    const double begin = atm_seconds(), before = l ? atm_loader_waited(l) : 0;
    while (status == ATM_OK && atm_seconds() - begin < s->seconds) {
        if (work > 0) compute(work);
        status = atm_loader_next(l, &batch);
        n += (size_t)s->batch;
    }
    const double seconds = atm_seconds() - begin, waited = l ? atm_loader_waited(l) - before : 0;
    if (work > 0) snprintf(name, sizeof name, "%g ms", 1e3 * work);
    report(name, s, n, seconds);
    if (work > 0) printf("%-12s waits %.2f %% of the step\n", "", 100 * waited / seconds);
    atm_loader_close(l);
    return status;
}

static atm_status measure_all(const settings *s)
{
    static const double work[] = { 0, 0.001, 0.003, 0.01, 0.1 };
    atm_status status = ATM_OK;
    atm_dataset *d = NULL;
    TRY(make_file(s));
    TRY(atm_dataset_open(s->path, &d));
    TRY(measure_rows("pread", s, d, read_plain));
    TRY(measure_rows("read", s, d, read_verified));
    for (size_t i = 0; i < sizeof work / sizeof *work; i++) TRY(measure_loader(s, d, work[i]));
done:
    atm_dataset_close(d);
    unlink(s->path);
    return status;
}

int main(int argc, char **argv)
{
    int at = 1;
    settings s = { .rows = 2048, .row_bytes = 128 << 10, .batch = 16, .seconds = 2 };
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--cold") == 0) s.cold = true;
        else if (at + 1 == argc) break;
        else if (strcmp(argv[at], "--rows") == 0) s.rows = (size_t)atol(argv[++at]);
        else if (strcmp(argv[at], "--kib") == 0) s.row_bytes = (size_t)atol(argv[++at]) << 10;
        else if (strcmp(argv[at], "--batch") == 0) s.batch = atoi(argv[++at]);
        else if (strcmp(argv[at], "--seconds") == 0) s.seconds = atof(argv[++at]);
        else break;
    }
    if (at < argc && argv[at][0] == '-') {
        fprintf(stderr, "usage: bench_loader [--rows N] [--kib K] [--batch B] [--seconds S] [--cold] "
                "[FOLDER]\n");
        return ATM_E_USAGE;
    }
    const char *folder = at < argc ? argv[at] : getenv("TMPDIR");
    snprintf(s.path, sizeof s.path, "%s/bench_loader-%d.h5", folder ? folder : "/tmp", (int)getpid());
    printf("# %zu rows of %zu KiB, batch %d, pages %s\n", s.rows, s.row_bytes >> 10, s.batch,
           s.cold ? "cold" : "warm");
    const atm_status status = measure_all(&s);
    if (status != ATM_OK) fprintf(stderr, "%s\n", atm_error());
    return (int)status;
}
