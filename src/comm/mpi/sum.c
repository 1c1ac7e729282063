/* sum.c - the sum over ranks, the same bits everywhere and every time.
 *
 * MPI_Allreduce may add in an order that depends on the algorithm it picks, on where ranks
 * run, on who comes first.  Here every element is ((x0 + x1) + x2) ..., in order of ranks.
 *
 * A chunk of the data is cut into one slice for each of R ranks:
 *     1. slice r of everybody goes to rank r       (all-to-all)
 *     2. rank r adds them, in order of ranks
 *     3. rank r's sums go to everybody             (all-gather)
 * Each rank sends and receives 2 (R-1)/R of the data: no all-reduce does with less
 * (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 2009).
 * Chunks keep the memory at R slices, and MPI's counts within an int. */
#include <string.h>

#include "comm/mpi/private.h"

/* Where the slices of a chunk of n floats begin. */
static int slice_begin(size_t n, int r, int size) { return (int)(n * (size_t)r / (size_t)size); }

typedef struct { int *count, *at, *count_here, *at_here; } layout;

static layout lay_out(const atm_mpi *m, size_t n)
{
    int *base = m->layout, size = m->size;
    layout l = { base, base + size, base + 2 * size, base + 3 * size };
    for (int r = 0; r < size; r++) {
        l.at[r] = slice_begin(n, r, size);
        l.count[r] = slice_begin(n, r + 1, size) - l.at[r];
    }
    for (int r = 0; r < size; r++) {
        l.count_here[r] = l.count[m->rank];
        l.at_here[r] = r * l.count[m->rank];
    }
    return l;
}

static void add_slices(const atm_mpi *m, int n, float *restrict out)
{
    memcpy(out, m->slices, (size_t)n * sizeof *out);
    for (int r = 1; r < m->size; r++) {
        const float *restrict in = m->slices + (size_t)r * (size_t)n;
        for (int i = 0; i < n; i++) out[i] += in[i];
    }
}

static atm_status sum_chunk(atm_mpi *m, float *data, size_t n)
{
    const layout l = lay_out(m, n);
    MPI_Request request;
    MPI_TRY(m, MPI_Ialltoallv, data, l.count, l.at, MPI_FLOAT, m->slices, l.count_here, l.at_here, MPI_FLOAT,
            m->world, &request);
    TRY_RETURN(atm_mpi_wait(m, 1, &request));
    add_slices(m, l.count[m->rank], data + l.at[m->rank]);
    MPI_TRY(m, MPI_Iallgatherv, MPI_IN_PLACE, 0, MPI_FLOAT, data, l.count, l.at, MPI_FLOAT,
            m->world, &request);
    return atm_mpi_wait(m, 1, &request);
}

atm_status atm_mpi_sum(void *self, float *data, size_t n)
{
    atm_mpi *m = self;
    const size_t chunk = (size_t)ATM_MPI_SLICE * (size_t)m->size;
    for (size_t at = 0; at < n; at += chunk)
        TRY_RETURN(sum_chunk(m, data + at, n - at < chunk ? n - at : chunk));
    return ATM_OK;
}
