/* dw.c - gradients of weights: the product whose depth is the pixels.
 *
 *     dw[o][i][tap] = sum over output pixels q of  dy[q][o] * x[q * stride - pad + tap * dil][i]
 *
 * Rows are output channels o, columns the floats of all taps, one tap after another.
 * In both operands the depth is the outer dimension: a step of it takes MR neighbours
 * of dy and NR of x.  Short rows of dy are read in place; x is copied to panels of NR
 * columns, where the zeros of the border come in, and which all rows then find in L1.
 *
 * A task is DW_MC rows x DW_NC columns of one chunk of the depth, in blocks of
 * DW_KC pixels; its sums lie in the workspace.  Then those of all chunks are added,
 * in order.  A small network's weights are few and its pixels many: without chunks
 * there would be too few tasks.  Chunks depend on the shapes alone, for they decide
 * the bits. */

enum { DW_MC = 96, DW_NC = 24 * NR, DW_KC = 256, DW_LEAST_CHUNK = 4 * DW_KC, DW_TASKS = 32,
       DW_LONG_ROW = 256 };
_Static_assert(DW_MC % MR == 0, "whole groups of rows");

typedef struct {
    const float *dy;                /* [depth][rows] */
    pixels x;
    float *dw;                      /* element (row, tap, channel): */
    size_t row_stride, tap_stride, channel_stride;
    int rows, columns, depth;
    int m_tiles, n_tiles, chunks, chunk;        /* chunk: pixels */
    size_t stride;                  /* of sums [chunks][rows][columns, padded] */
    float *sums;
    char *scratch;
} dw_job;

typedef struct {
    _Alignas(64) float right[DW_KC * NR];       /* [pixel][NR] */
    _Alignas(64) float left[DW_KC * DW_MC];     /* [pixel][DW_MC] */
    grid_point at[DW_KC];
} dw_scratch;

/* ------------------------------------------------------------------ the product */

typedef struct {
    const float *left, *right;
    size_t left_stride, sums_stride;
    int depth;
    float *sums;
    bool first;                     /* nothing is in sums yet */
} outer_args;

/* sums [n_rows][columns] += sum over p of left[p][row] right[p][column] */
INLINE void outer_body(const int n_rows, const int n_vectors, const outer_args *a)
{
    vf sum[MR][NV];
    for (int i = 0; i < n_rows; i++)
        for (int v = 0; v < n_vectors; v++)
            sum[i][v] = a->first ? v_splat(0.0f) : v_load(a->sums + (size_t)i * a->sums_stride + v * VL);
    const float *left = a->left, *right = a->right;
    for (int p = 0; p < a->depth; p++, left += a->left_stride, right += NR) {
        vf column[NV];
        for (int v = 0; v < n_vectors; v++) column[v] = v_load(right + v * VL);
        for (int i = 0; i < n_rows; i++)
            for (int v = 0; v < n_vectors; v++) sum[i][v] = v_fma(v_splat(left[i]), column[v], sum[i][v]);
    }
    for (int i = 0; i < n_rows; i++)
        for (int v = 0; v < n_vectors; v++) v_store(a->sums + (size_t)i * a->sums_stride + v * VL, sum[i][v]);
}

#define OUTER(n)                                                             \
    static void outer_##n(const outer_args *a) { outer_body(n, NV, a); }     \
    static void outer_half_##n(const outer_args *a) { outer_body(n, 1, a); }
OUTER(1) OUTER(2) OUTER(3) OUTER(4) OUTER(5) OUTER(6)
#if defined(__AVX512F__)
OUTER(7) OUTER(8)
#endif
#undef OUTER

#define ROW(n) { outer_half_##n, outer_##n }
static void (*const outer_table[MR][2])(const outer_args *) = {
    ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6),
#if defined(__AVX512F__)
    ROW(7), ROW(8),
#endif
};
#undef ROW

/* ------------------------------------------------------------------ tasks */

static void plan_chunks(dw_job *j)
{
    j->columns = j->x.n_taps * j->x.channels;
    j->stride = (size_t)panels(j->columns) * NR;
    j->m_tiles = ceil_div(j->rows, DW_MC);
    j->n_tiles = ceil_div(j->columns, DW_NC);
    const int wanted = ceil_div(DW_TASKS, j->m_tiles * j->n_tiles), most = j->depth / DW_LEAST_CHUNK;
    j->chunk = ceil_div(ceil_div(j->depth, clamp_int(wanted, 1, most > 1 ? most : 1)), DW_KC) * DW_KC;
    j->chunks = ceil_div(j->depth, j->chunk);
}

/* Floats [from, from + n) of the run that begins with t, for k pixels. */
INLINE void pack_piece(const pixels *x, const grid_point *at, tap t, int from, int n, int k, float *to)
{
    for (int p = 0; p < k; p++, to += NR) {
        const float *floats = x->run == 1 ? tap_floats(x, &at[p], t, from)
                                          : run_floats(x, &at[p], t, from, n, to);
        if (floats != to) copy_floats(to, floats, n);
    }
}

/* Columns [c, c + columns) for k pixels. */
static void pack_right(const pixels *x, const grid_point *at, int c, int columns, int k, float *to)
{
    const int width = run_width(x);
    for (int end = c + columns, n; c < end; c += n, to += n) {
        const tap t = x->taps[c / width * x->run];
        const int from = c % width;
        n = min_int(width - from, end - c);
        if (n == NR) pack_piece(x, at, t, from, NR, k, to);         /* constant: unrolled */
        else if (n == VL) pack_piece(x, at, t, from, VL, k, to);
        else pack_piece(x, at, t, from, n, k, to);
    }
}

/* Rows [m0, m0 + m) of dy's pixels [k0, k0 + k), a pixel `stride` from the next.  Long pixels are
 * copied: lines 1 KB and more apart would meet in a few sets of the cache. */
static const float *pack_left(const dw_job *j, int m0, int m, int k0, int k, float *room, size_t *stride)
{
    const float *from = j->dy + (size_t)k0 * (size_t)j->rows + m0;
    *stride = j->rows < DW_LONG_ROW ? (size_t)j->rows : DW_MC;
    if (j->rows < DW_LONG_ROW) return from;
    for (int p = 0; p < k; p++, from += j->rows) copy_floats(room + p * DW_MC, from, m);
    return room;
}

/* Pixels [k0, k0 + k) of the depth, the first of their chunk or not. */
static void dw_block(const dw_job *j, int m0, int m, int n0, int n, int k0, int k, bool first, float *sums,
                     dw_scratch *s)
{
    size_t left_stride;
    const float *left = pack_left(j, m0, m, k0, k, s->left, &left_stride);
    locate(&j->x, k0, k, s->at);
    for (int c = n0; c < n0 + n; c += NR, sums += NR) {
        const int columns = min_int(NR, j->columns - c);
        pack_right(&j->x, s->at, c, columns, k, s->right);
        for (int i = 0; i < m; i += MR) {
            const outer_args args = { left + i, s->right, left_stride, j->stride, k,
                                      sums + (size_t)i * j->stride, first };
            outer_table[min_int(MR, m - i) - 1][columns > VL](&args);
        }
    }
}

static void dw_task(int task, int thread, void *arg)
{
    const dw_job *j = arg;
    const int tiles = j->m_tiles * j->n_tiles, chunk = task / tiles;
    const int m0 = task % j->m_tiles * DW_MC, m = min_int(DW_MC, j->rows - m0);
    const int n0 = task % tiles / j->m_tiles * DW_NC, n = min_int(DW_NC, j->columns - n0);
    const int k0 = chunk * j->chunk, end = min_int(k0 + j->chunk, j->depth);
    float *sums = j->sums + ((size_t)chunk * (size_t)j->rows + (size_t)m0) * j->stride + n0;
    dw_scratch *s = (dw_scratch *)j->scratch + thread;
    for (int k = k0; k < end; k += DW_KC)
        dw_block(j, m0, m, n0, n, k, min_int(DW_KC, end - k), k == k0, sums, s);
}

static void write_dw_row(const dw_job *j, size_t row, const float *from)
{
    float *to = j->dw + row * j->row_stride;
    const int channels = j->x.channels;
    for (int t = 0; t < j->x.n_taps; t++, from += channels)
        for (int c = 0; c < channels; c++)
            to[(size_t)t * j->tap_stride + (size_t)c * j->channel_stride] = from[c];
}

static void add_chunks(size_t from, size_t to, const void *arg)
{
    const dw_job *j = arg;
    for (size_t row = from; row < to; row++) {
        float *sums = j->sums + row * j->stride;
        for (int chunk = 1; chunk < j->chunks; chunk++) {
            const float *more = sums + (size_t)chunk * (size_t)j->rows * j->stride;
            for (int c = 0; c < j->columns; c += VL) v_store(sums + c, v_load(sums + c) + v_load(more + c));
        }
        write_dw_row(j, row, sums);
    }
}

static size_t dw_sums_bytes(const dw_job *j)
{
    return ((size_t)j->chunks * (size_t)j->rows * j->stride * sizeof(float) + 63) / 64 * 64;
}

static void multiply_dw(dw_job *j, const atm_run_env *env)
{
    j->sums = env->workspace;
    j->scratch = (char *)env->workspace + dw_sums_bytes(j);
    atm_pool_run(env->pool, j->m_tiles * j->n_tiles * j->chunks, dw_task, j);
    parallel(env, (size_t)j->rows, (size_t)j->columns * (size_t)j->chunks, add_chunks, j);
}

static void prepare_dw(const dw_job *j, atm_device *device, atm_prepared *out)
{
    out->workspace = dw_sums_bytes(j) + (size_t)atm_pool_size(device->pool) * sizeof(dw_scratch);
}

/* ------------------------------------------------------------------ ops */

static dw_job plan_conv2d_dw(const atm_conv2d_dw_args *a, tap *taps)
{
    const kernel_dims k = kernel_of(a->dw);
    const image_dims x = dims_of(a->x), y = dims_of(a->dy);
    const int n_taps = conv_taps(a->s, k, taps);
    dw_job j = {
        .dy = a->dy.data, .rows = k.o, .depth = y.n * y.h * y.w, .dw = a->dw.data,
        .x = { .x = a->x.data, .images = x.n, .in_h = x.h, .in_w = x.w, .channels = x.c,
               .grid_h = y.h, .grid_w = y.w, .step_h = a->s.stride_h, .step_w = a->s.stride_w,
               .n_taps = n_taps, .run = run_of(taps, n_taps, x.c), .taps = taps },
        .row_stride = (size_t)k.i * (size_t)n_taps, .tap_stride = 1, .channel_stride = (size_t)n_taps
    };
    plan_chunks(&j);
    return j;
}

static atm_status prepare_conv2d_dw(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    tap taps[MAX_TAPS];
    if (!atm_present(args->conv2d_dw.dw)) return ATM_OK;
    TRY_RETURN(check_taps(kernel_of(args->conv2d_dw.dw)));
    const dw_job j = plan_conv2d_dw(&args->conv2d_dw, taps);
    prepare_dw(&j, device, out);
    return ATM_OK;
}

static void run_conv2d_dw(const atm_op_args *args, const atm_run_env *env)
{
    tap taps[MAX_TAPS];
    if (!args->conv2d_dw.dw.data) return;
    dw_job j = plan_conv2d_dw(&args->conv2d_dw, taps);
    multiply_dw(&j, env);
}

/* dw in [out, in] even when w is [in, out]: only the strides of the result differ. */
static dw_job plan_linear_dw(const atm_linear_dw_args *a)
{
    static const tap here = { 0, 0 };
    const int rows = (int)atm_rows(a->x), in = atm_last_dim(a->x), out = atm_last_dim(a->dy);
    dw_job j = {
        .dy = a->dy.data, .rows = out, .depth = rows, .dw = a->dw.data,
        .x = { .x = a->x.data, .images = 1, .in_h = 1, .in_w = rows, .channels = in,
               .grid_h = 1, .grid_w = rows, .step_h = 1, .step_w = 1, .n_taps = 1, .run = 1, .taps = &here },
        .row_stride = a->transposed ? 1 : (size_t)in, .channel_stride = a->transposed ? (size_t)out : 1
    };
    plan_chunks(&j);
    return j;
}

static atm_status prepare_linear_dw(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    const dw_job j = plan_linear_dw(&args->linear_dw);
    prepare_dw(&j, device, out);
    return ATM_OK;
}

static void run_linear_dw(const atm_op_args *args, const atm_run_env *env)
{
    if (!args->linear_dw.dw.data) return;
    dw_job j = plan_linear_dw(&args->linear_dw);
    multiply_dw(&j, env);
}
