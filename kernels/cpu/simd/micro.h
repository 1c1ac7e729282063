/* micro.h - the micro-kernel: everything that multiplies matrices ends here.
 *
 *     tile[i][j] = sum over segments s, over k < len:  rows[s][i][k] * b[s * len + k][j]
 *
 * for MR rows i and NR columns j, all sums in registers.  AVX2: 6 x 16 is 12
 * accumulators, 2 registers of b and 1 for the broadcast element, 15 of 16.
 * A step k is 12 FMAs (6 cycles on two FMA ports), 2 loads of b and 6
 * broadcasts, so loads never limit; 12 independent chains cover the latency.
 *
 * The rows need not lie in one matrix: each is a pointer, and a new set of MR
 * pointers comes with each segment.  A linear layer has one segment; a
 * convolution over channels-last images has one for each tap, whose rows are
 * pixels in place (zeros where a tap leaves the image), so there is no im2col
 * and no packing of the left operand.
 *
 * b is a packed panel: its NR columns are contiguous for each k.
 *
 * Every element is one chain of FMAs in the order of k, whatever the number of
 * rows: partial tiles give the same bits as full ones. */
#ifndef ATM_CPU_MICRO_H
#define ATM_CPU_MICRO_H

#include "kernels/cpu/simd/vec.h"

enum {
    NV = 2,                         /* vectors in a row of the tile */
    NR = NV * VL,
    MR = VL == 16 ? 8 : 6           /* 16 accumulators of 32 registers on AVX-512 */
};

typedef struct {
    int segments, len;
    const float *const *rows;       /* [segments][MR] */
    const float *b;                 /* [segments * len][NR] */
} micro_args;

INLINE void micro_body(const int n_rows, const int n_vectors, const micro_args *m, float *tile, size_t stride)
{
    vf sum[MR][NV];
    for (int i = 0; i < n_rows; i++)
        for (int v = 0; v < n_vectors; v++) sum[i][v] = (vf){ 0 };
    const float *b = m->b;
    const float *const *rows = m->rows;
    for (int s = 0; s < m->segments; s++, rows += MR) {
        const float *row[MR];
        for (int i = 0; i < n_rows; i++) row[i] = rows[i];
#pragma GCC unroll 2
        for (ptrdiff_t k = 0, len = m->len; k < len; k++, b += NR) {
            vf column[NV];
            for (int v = 0; v < n_vectors; v++) column[v] = v_load(b + v * VL);
            for (int i = 0; i < n_rows; i++) {
                const vf a = v_splat(row[i][k]);
                for (int v = 0; v < n_vectors; v++) sum[i][v] = v_fma(a, column[v], sum[i][v]);
            }
        }
    }
    for (int i = 0; i < n_rows; i++)
        for (int v = 0; v < n_vectors; v++) v_store(tile + i * stride + v * VL, sum[i][v]);
}

/* One function for each number of rows: a vector times a matrix (GPT-2 token by
 * token) then costs one row, not MR.  And one for half panels, at the right edge:
 * 8 output channels, 8 keys, heads of 80 would waste half of AVX-512's work. */
#define MICRO(n)                                                          \
    static void micro_##n(const micro_args *m, float *tile, size_t stride)      \
    {                                                                     \
        micro_body(n, NV, m, tile, stride);                               \
    }                                                                     \
    static void micro_half_##n(const micro_args *m, float *tile, size_t stride) \
    {                                                                     \
        micro_body(n, 1, m, tile, stride);                                \
    }
MICRO(1) MICRO(2) MICRO(3) MICRO(4) MICRO(5) MICRO(6)
#if defined(__AVX512F__)
MICRO(7) MICRO(8)
#endif
#undef MICRO

#define ROW(n) { micro_half_##n, micro_##n }
static void (*const micro_table[MR][2])(const micro_args *, float *, size_t) = {
    ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6),
#if defined(__AVX512F__)
    ROW(7), ROW(8),
#endif
};
#undef ROW

/* tile: n_rows rows of NR floats, `stride` floats apart.  Of the columns, those up
 * to the whole vector that `columns` reaches into; the others are not written. */
INLINE void micro(int n_rows, int columns, const micro_args *m, float *tile, size_t stride)
{
    micro_table[n_rows - 1][columns > VL](m, tile, stride);
}

#endif
