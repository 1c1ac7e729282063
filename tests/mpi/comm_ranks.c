/* comm_ranks.c - one rank of a test, started by mpirun (test_comm.sh):
 *
 *     comm_ranks MODE [FOLDER [SECONDS]]
 *
 *     same        every collective, against what one process computes: bit for bit
 *     large       more than 2^31 bytes in each collective (13 GB with 2 ranks)
 *     speed       GB/s of the sum
 *     rounds      sums until something breaks: for killing and stopping ranks
 *     differ      rank 1 calls another collective, or with another size
 *     disagree    rank 1 has other files than the rest
 *     abort       rank 1 fails on its own
 *     leave       rank 1 closes, the others sum
 *
 * Ends with the status of what it did.  With a FOLDER, rank N leaves its process number in
 * N.pid as soon as it works, and its status and message in N.end. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/philox.h"
#include "base/status.h"
#include "comm/comm.h"

enum { RANK_SLICE = 1 << 16, BIG = 3 * (1 << 18) };

static atm_comm *comm;
static int rank, size;

#define CHECK(condition) \
    do {                                                                                        \
        if (!(condition))                                                                       \
            return atm_fail(ATM_E_BUG, "rank %d, line %d: %s", rank, __LINE__, #condition);     \
    } while (0)

/* ------------------------------------------------------------------ the same bits */

/* Values of many magnitudes: sums of another order differ. */
static void values_of(int r, size_t n, float *out)
{
    atm_normal((atm_rng){ 7, ATM_STREAM_TEST, (uint32_t)n, (uint32_t)r }, out, n);
    for (size_t i = 0; i < n; i++) out[i] *= ldexpf(1, (int)(i * 7 + (size_t)r * 5) % 40 - 20);
}

static void serial_sum(size_t n, float *out, float *scratch)
{
    values_of(0, n, out);
    for (int r = 1; r < size; r++) {
        values_of(r, n, scratch);
        for (size_t i = 0; i < n; i++) out[i] += scratch[i];
    }
}

static atm_status check_sum(size_t n)
{
    static float x[BIG + 1], wanted[BIG], scratch[BIG];
    values_of(rank, n, x);
    x[n] = 42;
    serial_sum(n, wanted, scratch);
    TRY_RETURN(atm_comm_sum(comm, x, n));
    CHECK(memcmp(x, wanted, n * sizeof *x) == 0);
    CHECK(x[n] == 42);
    return ATM_OK;
}

static atm_status check_broadcast(size_t bytes, int root)
{
    unsigned char data[1001];
    memset(data, rank == root ? 7 + root : 0, sizeof data);
    TRY_RETURN(atm_comm_broadcast(comm, data, bytes, root));
    for (size_t i = 0; i < sizeof data; i++) CHECK(data[i] == (i < bytes || rank == root ? 7 + root : 0));
    return ATM_OK;
}

static atm_status check_gather(size_t bytes)
{
    unsigned char data[1000], *out = calloc((size_t)size, bytes + 1);
    memset(data, rank + 1, sizeof data);
    TRY_RETURN(atm_comm_gather(comm, data, bytes, out));
    for (int r = 0; r < size; r++)
        for (size_t i = 0; i < bytes; i++) CHECK(out[(size_t)r * bytes + i] == r + 1);
    free(out);
    return ATM_OK;
}

static atm_status same(void)
{
    const size_t chunk = (size_t)RANK_SLICE * (size_t)size;
    const size_t sum_sizes[] = { 0, 1, 2, 3, 5, 17, 99, 100003, chunk - 1, chunk, chunk + 1, 2 * chunk + 3 };
    const size_t sizes[] = { 0, 1, 3, 8, 1000 };
    for (size_t i = 0; i < sizeof sum_sizes / sizeof *sum_sizes; i++)
        if (sum_sizes[i] <= BIG) TRY_RETURN(check_sum(sum_sizes[i]));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int root = 0; root < size; root++) TRY_RETURN(check_broadcast(sizes[i], root));
        TRY_RETURN(check_gather(sizes[i]));
        TRY_RETURN(atm_comm_barrier(comm));
    }
    for (int i = 0; i < 300; i++) TRY_RETURN(check_sum(7));           /* one after another, no pause */
    CHECK(atm_comm_local_rank(comm) == rank);                         /* one machine */
    return ATM_OK;
}

/* ------------------------------------------------------------------ large, speed */

static float *ramp(size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; x && i < n; i++) x[i] = (float)(i & 0xfff) + (float)rank;
    return x;
}

static atm_status large(void)
{
    const size_t n = ((size_t)1 << 29) + 3, bytes = n * sizeof(float);
    const float above = (float)(size * (size - 1) / 2);
    float *x = ramp(n), *all = malloc(bytes * (size_t)size);
    CHECK(x && all);
    TRY_RETURN(atm_comm_sum(comm, x, n));
    for (size_t i = 0; i < n; i++) CHECK(x[i] == (float)size * (float)(i & 0xfff) + above);
    x[n - 1] = (float)rank;
    TRY_RETURN(atm_comm_gather(comm, x, bytes, all));
    for (int r = 0; r < size; r++) {
        CHECK(memcmp(all + (size_t)r * n, x, bytes - sizeof *x) == 0);
        CHECK(all[(size_t)(r + 1) * n - 1] == (float)r);
    }
    TRY_RETURN(atm_comm_broadcast(comm, x, bytes, size - 1));
    CHECK(x[n - 1] == (float)(size - 1));
    free(x);
    free(all);
    return ATM_OK;
}

static atm_status speed(void)
{
    static const size_t counts[] = { 1, 1 << 10, 1 << 16, 1 << 20, 5 << 20, 25 << 20 };
    float *x = ramp(counts[5]);
    CHECK(x);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const int times = counts[i] < 1 << 20 ? 100 : 8;
        double best = 1e9;
        for (int t = 0; t < times; t++) {
            TRY_RETURN(atm_comm_barrier(comm));
            const double start = atm_seconds();
            TRY_RETURN(atm_comm_sum(comm, x, counts[i]));
            const double seconds = atm_seconds() - start;
            if (seconds < best) best = seconds;
        }
        if (rank == 0) printf("%9zu floats  %10.1f us  %6.2f GB/s\n", counts[i], 1e6 * best,
                              4e-9 * (double)counts[i] / best);
    }
    free(x);
    return ATM_OK;
}

/* ------------------------------------------------------------------ trouble */

static atm_status rounds(void)
{
    enum { N = 300000 };
    static float x[N];
    for (;;) {
        for (int i = 0; i < N; i++) x[i] = 1;
        TRY_RETURN(atm_comm_sum(comm, x, N));
        CHECK(x[0] == (float)size && x[N - 1] == (float)size);
    }
}

static atm_status differ(void)
{
    float x[8] = { 0 };
    TRY_RETURN(atm_comm_barrier(comm));
    return rank == 1 ? atm_comm_broadcast(comm, x, 4, 0) : atm_comm_sum(comm, x, 8);
}

static atm_status disagree(void)
{
    TRY_RETURN(atm_comm_agree(comm, "0123", 4, "same"));
    TRY_RETURN(atm_comm_agree(comm, "", 0, "empty"));
    return atm_comm_agree(comm, rank == 1 ? "0124" : "0123", 4, "checkpoint");
}

static atm_status abort_one(void)
{
    float x = 0;
    TRY_RETURN(atm_comm_barrier(comm));
    if (rank != 1) return atm_comm_sum(comm, &x, 1);
    usleep(200000);                                                     /* the others are waiting */
    return atm_fail(ATM_E_IO, "the disk is full");
}

static atm_status leave(void)
{
    float x = 0;
    TRY_RETURN(atm_comm_barrier(comm));
    return rank == 1 ? ATM_OK : atm_comm_sum(comm, &x, 1);
}

static const struct { const char *name; atm_status (*run)(void); } modes[] = {
    { "same", same }, { "large", large }, { "speed", speed }, { "rounds", rounds }, { "differ", differ },
    { "disagree", disagree }, { "abort", abort_one }, { "leave", leave },
};

/* ------------------------------------------------------------------ the rank */

static void leave_note(const char *folder, const char *suffix, int number, const char *text)
{
    char path[4096];
    if (!folder) return;
    snprintf(path, sizeof path, "%s/%d.%s", folder, rank, suffix);
    FILE *file = fopen(path, "w");
    if (!file) return;
    fprintf(file, "%d %s\n", number, text);
    fclose(file);
}

static void print_log(atm_log_level level, const char *text, void *user)
{
    (void)level; (void)user;
    fprintf(stderr, "%s\n", text);
}

static atm_status run(const char *mode)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, mode) == 0) return modes[i].run();
    return atm_fail(ATM_E_USAGE, "no mode %s", mode);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 2 ? argv[2] : NULL;
    const atm_comm_options options = { .timeout = argc > 3 ? atof(argv[3]) : 0 };
    atm_log_to(print_log, NULL);
    atm_status status = argc > 1 ? atm_comm_open("auto", &options, &comm) : ATM_E_USAGE;
    if (status == ATM_OK) {
        rank = atm_comm_rank(comm);
        size = atm_comm_size(comm);
        leave_note(folder, "pid", getpid(), "");
        status = run(argv[1]);
    }
    if (status != ATM_OK) {
        fprintf(stderr, "comm_ranks: %s\n", atm_error());
        leave_note(folder, "end", status, atm_error());
        atm_comm_abort(comm, status);
    }
    atm_comm_close(comm);
    if (status == ATM_OK) leave_note(folder, "end", 0, "ok");
    return status;
}
