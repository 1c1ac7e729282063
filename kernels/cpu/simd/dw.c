/* dw.c - gradients of weights: the product whose depth is the pixels.
 *
 *     dw[o][i][tap] = sum over output pixels q of  dy[q][o] * x[q * stride - pad + tap * dil][i]
 *
 * A task is DW_MC rows o x a range of columns (tap, i), for all of the depth, in
 * blocks of DW_KC pixels.  Both operands are packed as they come, block by block,
 * into the thread's scratch: dy transposed to rows of contiguous pixels, x as
 * panels of NR columns (NR channels of a shifted pixel are contiguous, so this
 * is a copy).  A task's sums stay in scratch and go to dw's layout at the end.
 * The depth is never split among threads: one fixed order, the same bits. */

enum { DW_MC = 96, DW_NC = 384, DW_KC = 256 };
_Static_assert(DW_NC % NR == 0 && DW_MC % MR == 0, "whole panels");

typedef struct {
    const float *dy;                /* [depth][rows] */
    pixels x;                       /* columns are (tap, channel) */
    float *dw;                      /* element (row, tap, channel): */
    size_t row_stride, tap_stride, channel_stride;
    int rows, depth;
    char *scratch;
    int mc, nc, m_tiles;
} dw_job;

typedef struct {
    _Alignas(64) float left[DW_MC * DW_KC];     /* [row][pixel]    */
    _Alignas(64) float right[DW_KC * NR];       /* [pixel][NR]     */
    _Alignas(64) float sums[DW_MC * DW_NC];     /* [row][column]   */
    grid_point at[DW_KC];
} dw_scratch;

static int dw_columns(const dw_job *j) { return panels(j->x.channels) * NR * j->x.n_taps; }

/* In strips of 16 rows: 16 lines of `left` then stay in L1 until they are full. */
static void transpose_left(const dw_job *j, int m0, int m, int k0, int k, float *left)
{
    for (int strip = 0; strip < m; strip += 16) {
        const int end = min_int(strip + 16, m);
        for (int p = 0; p < k; p++) {
            const float *from = j->dy + (size_t)(k0 + p) * (size_t)j->rows + m0;
            for (int i = strip; i < end; i++) left[(size_t)i * DW_KC + p] = from[i];
        }
    }
}

/* One panel: channels [c, c + columns) under one tap, for k pixels. */
static void pack_right(const pixels *x, const grid_point *at, tap t, int c, int columns, int k, float *to)
{
    for (int p = 0; p < k; p++, to += NR) {
        const float *from = tap_pixel(x, &at[p], t, c);
        if (columns >= NR) for (int v = 0; v < NR; v += VL) v_store(to + v, v_load(from + v));
        else for (int v = 0; v < columns; v += VL) v_store(to + v, v_load_n(from + v, columns - v));
    }
}

static void add_tile(float *sums, const float *tile, int n_rows, int columns)
{
    for (int i = 0; i < n_rows; i++, sums += DW_NC, tile += NR)
        for (int v = 0; v < columns; v += VL) v_store(sums + v, v_load(sums + v) + v_load(tile + v));
}

static void dw_block(const dw_job *j, int m0, int m, int n0, int n, int k0, int k, dw_scratch *s)
{
    _Alignas(64) float tile[MR * NR];
    const float *rows[MR];
    const int per_tap = panels(j->x.channels) * NR;
    transpose_left(j, m0, m, k0, k, s->left);
    locate(&j->x, k0, k, s->at);
    for (int c = 0; c < n; c += NR) {
        const int channel = (n0 + c) % per_tap, columns = min_int(NR, j->x.channels - channel);
        pack_right(&j->x, s->at, j->x.taps[(n0 + c) / per_tap], channel, columns, k, s->right);
        for (int i = 0; i < m; i += MR) {
            const int n_rows = min_int(MR, m - i);
            point_at(s->left + (size_t)i * DW_KC, DW_KC, n_rows, rows);
            const micro_args args = { 1, k, rows, s->right };
            micro(n_rows, columns, &args, tile, NR);
            add_tile(s->sums + (size_t)i * DW_NC + c, tile, n_rows, columns);
        }
    }
}

static void write_dw(const dw_job *j, int m0, int m, int n0, int n, const dw_scratch *s)
{
    const int per_tap = panels(j->x.channels) * NR;
    for (int i = 0; i < m; i++) {
        for (int c = 0; c < n; c += NR) {
            const int channel = (n0 + c) % per_tap, columns = min_int(NR, j->x.channels - channel);
            const float *from = s->sums + (size_t)i * DW_NC + c;
            const size_t row = (size_t)(m0 + i) * j->row_stride;
            float *to = j->dw + row + (size_t)((n0 + c) / per_tap) * j->tap_stride +
                        (size_t)channel * j->channel_stride;
            if (j->channel_stride == 1) memcpy(to, from, (size_t)columns * sizeof *to);
            else for (int k = 0; k < columns; k++) to[(size_t)k * j->channel_stride] = from[k];
        }
    }
}

static void dw_task(int task, int thread, void *arg)
{
    const dw_job *j = arg;
    dw_scratch *s = (dw_scratch *)j->scratch + thread;
    const int m0 = task % j->m_tiles * j->mc, m = min_int(j->mc, j->rows - m0);
    const int n0 = task / j->m_tiles * j->nc, n = min_int(j->nc, dw_columns(j) - n0);
    memset(s->sums, 0, (size_t)m * DW_NC * sizeof(float));
    for (int k = 0; k < j->depth; k += DW_KC)
        dw_block(j, m0, m, n0, n, k, min_int(DW_KC, j->depth - k), s);
    write_dw(j, m0, m, n0, n, s);
}

static void multiply_dw(dw_job *j, const atm_run_env *env)
{
    j->scratch = env->workspace;
    j->mc = DW_MC;
    j->nc = DW_NC;
    const int wanted = 4 * atm_pool_size(env->pool);
    while (ceil_div(j->rows, j->mc) * ceil_div(dw_columns(j), j->nc) < wanted && j->mc > 24) j->mc /= 2;
    j->m_tiles = ceil_div(j->rows, j->mc);
    atm_pool_run(env->pool, j->m_tiles * ceil_div(dw_columns(j), j->nc), dw_task, j);
}

static atm_status prepare_dw(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    (void)args;
    out->workspace = (size_t)atm_pool_size(device->pool) * sizeof(dw_scratch);
    return ATM_OK;
}

static void run_conv2d_dw(const atm_op_args *args, const atm_run_env *env)
{
    const atm_conv2d_dw_args *a = &args->conv2d_dw;
    if (!a->dw.data) return;
    tap taps[MAX_TAPS];
    const kernel_dims k = kernel_of(a->dw);
    const image_dims x = dims_of(a->x), y = dims_of(a->dy);
    const int n_taps = conv_taps(a->s, k, taps);
    dw_job j = {
        .dy = a->dy.data, .rows = k.o, .depth = y.n * y.h * y.w, .dw = a->dw.data,
        .x = { .x = a->x.data, .images = x.n, .in_h = x.h, .in_w = x.w, .channels = x.c,
               .grid_h = y.h, .grid_w = y.w, .step_h = a->s.stride_h, .step_w = a->s.stride_w,
               .n_taps = n_taps, .taps = taps },
        .row_stride = (size_t)k.i * (size_t)n_taps, .tap_stride = 1, .channel_stride = (size_t)n_taps
    };
    multiply_dw(&j, env);
}

static atm_status prepare_conv2d_dw(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    if (atm_present(args->conv2d_dw.dw)) TRY_RETURN(check_taps(kernel_of(args->conv2d_dw.dw)));
    return prepare_dw(device, args, out);
}

/* dw in [out, in] even when w is [in, out]: only the strides of the result differ. */
static void run_linear_dw(const atm_op_args *args, const atm_run_env *env)
{
    const atm_linear_dw_args *a = &args->linear_dw;
    if (!a->dw.data) return;
    const int rows = (int)atm_rows(a->x), in = atm_last_dim(a->x), out = atm_last_dim(a->dy);
    const tap here = { 0, 0 };
    dw_job j = {
        .dy = a->dy.data, .rows = out, .depth = rows, .dw = a->dw.data,
        .x = { .x = a->x.data, .images = 1, .in_h = 1, .in_w = rows, .channels = in,
               .grid_h = 1, .grid_w = rows, .step_h = 1, .step_w = 1, .n_taps = 1, .taps = &here },
        .row_stride = a->transposed ? 1 : (size_t)in, .channel_stride = a->transposed ? (size_t)out : 1
    };
    multiply_dw(&j, env);
}
