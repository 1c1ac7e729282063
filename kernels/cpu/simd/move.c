/* move.c - ops that only move elements (or add those that meet). */

/* A tensor around one axis: [outer, dim, inner]. */
typedef struct { size_t outer, dim, inner; } axis_view;

static axis_view around(atm_tensor t, int axis)
{
    axis_view v = { 1, (size_t)t.dim[axis], 1 };
    for (int i = 0; i < axis; i++) v.outer *= (size_t)t.dim[i];
    for (int i = axis + 1; i < t.rank; i++) v.inner *= (size_t)t.dim[i];
    return v;
}

/* ------------------------------------------------------------------ concat, slice, copy */

/* `n` pieces of `length` floats, each from its own stride. */
typedef struct { const float *from; float *to; size_t from_stride, to_stride, length; } pieces;

static void copy_pieces(size_t first, size_t end, const void *arg)
{
    const pieces *p = arg;
    for (size_t i = first; i < end; i++)
        memcpy(p->to + i * p->to_stride, p->from + i * p->from_stride, p->length * sizeof(float));
}

static void run_concat(const atm_op_args *args, const atm_run_env *env)
{
    const atm_concat_args *t = &args->concat;
    if (!t->y.data) return;
    const axis_view a = around(t->a, t->axis), b = around(t->b, t->axis);
    const size_t length_a = a.dim * a.inner, length_b = b.dim * b.inner, stride = length_a + length_b;
    parallel(env, a.outer, length_a, copy_pieces,
             &(pieces){ t->a.data, t->y.data, length_a, stride, length_a });
    parallel(env, a.outer, length_b, copy_pieces,
             &(pieces){ t->b.data, (float *)t->y.data + length_a, length_b, stride, length_b });
}

static void run_slice(const atm_op_args *args, const atm_run_env *env)
{
    const atm_slice_args *a = &args->slice;
    if (!a->y.data) return;
    const axis_view x = around(a->x, a->axis), y = around(a->y, a->axis);
    const float *from = (const float *)a->x.data + (size_t)a->from * x.inner;
    parallel(env, x.outer, y.dim * y.inner, copy_pieces,
             &(pieces){ from, a->y.data, x.dim * x.inner, y.dim * y.inner, y.dim * y.inner });
}

static void zero_range(size_t from, size_t to, const void *arg)
{
    const atm_tensor *t = arg;
    memset((float *)t->data + from, 0, (to - from) * sizeof(float));
}

static void run_slice_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_slice_dx_args *a = &args->slice_dx;
    if (!a->dx.data) return;
    const axis_view x = around(a->dx, a->axis), y = around(a->dy, a->axis);
    float *to = (float *)a->dx.data + (size_t)a->from * x.inner;
    parallel(env, atm_count(a->dx), 1, zero_range, &a->dx);
    parallel(env, x.outer, y.dim * y.inner, copy_pieces,
             &(pieces){ a->dy.data, to, y.dim * y.inner, x.dim * x.inner, y.dim * y.inner });
}

static void copy_range(size_t from, size_t to, const void *arg)
{
    const atm_copy_args *a = arg;
    const size_t size = atm_dtype_size(a->x.dtype);
    memcpy((char *)a->y.data + from * size, (const char *)a->x.data + from * size, (to - from) * size);
}

static void run_copy(const atm_op_args *args, const atm_run_env *env)
{
    if (args->copy.y.data) parallel(env, atm_count(args->copy.x), 1, copy_range, &args->copy);
}

/* ------------------------------------------------------------------ transpose */

enum { TRANSPOSE_TILE = 32 };       /* 32 x 32 floats of source and result: 8 KB, in L1 */

/* Items are (matrix, band of TRANSPOSE_TILE rows of y). */
static void transpose_bands(size_t from, size_t to, const void *arg)
{
    const atm_transpose_args *a = arg;
    const size_t rows = (size_t)a->y.dim[a->y.rank - 2], columns = (size_t)atm_last_dim(a->y);
    const size_t bands = (rows + TRANSPOSE_TILE - 1) / TRANSPOSE_TILE;
    for (size_t i = from; i < to; i++) {
        const float *x = (const float *)a->x.data + i / bands * rows * columns;
        float *y = (float *)a->y.data + i / bands * rows * columns;
        const size_t r0 = i % bands * TRANSPOSE_TILE;
        const size_t r1 = r0 + TRANSPOSE_TILE < rows ? r0 + TRANSPOSE_TILE : rows;
        for (size_t c0 = 0; c0 < columns; c0 += TRANSPOSE_TILE) {
            const size_t c1 = c0 + TRANSPOSE_TILE < columns ? c0 + TRANSPOSE_TILE : columns;
            for (size_t r = r0; r < r1; r++)
                for (size_t c = c0; c < c1; c++) y[r * columns + c] = x[c * rows + r];
        }
    }
}

static void run_transpose(const atm_op_args *args, const atm_run_env *env)
{
    const atm_transpose_args *a = &args->transpose;
    if (!a->y.data) return;
    const size_t rows = (size_t)a->y.dim[a->y.rank - 2], columns = (size_t)atm_last_dim(a->y);
    const size_t bands = (rows + TRANSPOSE_TILE - 1) / TRANSPOSE_TILE;
    parallel(env, atm_count(a->x) / (rows * columns) * bands, TRANSPOSE_TILE * columns, transpose_bands, a);
}

/* ------------------------------------------------------------------ gather */

static void gather_range(size_t from, size_t to, const void *arg)
{
    const atm_gather_args *a = arg;
    const int c = atm_last_dim(a->x);
    const int32_t *index = a->index.data;
    for (size_t i = from; i < to; i++)
        memcpy(row_of(a->y, i, c), row_of(a->x, (size_t)index[i], c), (size_t)c * sizeof(float));
}

static void run_gather(const atm_op_args *args, const atm_run_env *env)
{
    const atm_gather_args *a = &args->gather;
    if (a->y.data) parallel(env, atm_count(a->index), (size_t)atm_last_dim(a->x), gather_range, a);
}

/* One row of dx: a row of x taken twice gets both gradients, in order. */
static void gather_dx_rows(size_t from, size_t to, const void *arg)
{
    const atm_gather_dx_args *a = arg;
    const size_t c = (size_t)atm_last_dim(a->dx), n = atm_count(a->index);
    const int32_t *index = a->index.data;
    memset((float *)a->dx.data + from * c, 0, (to - from) * c * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        if ((size_t)index[i] < from || (size_t)index[i] >= to) continue;
        float *restrict dx = (float *)a->dx.data + (size_t)index[i] * c;
        const float *dy = (const float *)a->dy.data + i * c;
        for (size_t k = 0; k < c; k++) dx[k] += dy[k];
    }
}

static void run_gather_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_gather_dx_args *a = &args->gather_dx;
    if (a->dx.data) parallel(env, atm_rows(a->dx), (size_t)atm_last_dim(a->dx), gather_dx_rows, a);
}

/* ------------------------------------------------------------------ upsample */

static size_t source_pixel(size_t p, int from, int to) { return p * (size_t)from / (size_t)to; }

/* Lines of y. */
static void upsample_lines(size_t from, size_t to, const void *arg)
{
    const atm_upsample_args *a = arg;
    const image_dims x = dims_of(a->x), y = dims_of(a->y);
    const size_t c = (size_t)x.c;
    for (size_t line = from; line < to; line++) {
        const size_t n = line / (size_t)y.h, source = source_pixel(line % (size_t)y.h, x.h, y.h);
        const float *in = (const float *)a->x.data + (n * (size_t)x.h + source) * (size_t)x.w * c;
        float *out = (float *)a->y.data + line * (size_t)y.w * c;
        for (size_t q = 0; q < (size_t)y.w; q++)
            memcpy(out + q * c, in + source_pixel(q, x.w, y.w) * c, c * sizeof(float));
    }
}

static void run_upsample(const atm_op_args *args, const atm_run_env *env)
{
    const atm_upsample_args *a = &args->upsample;
    if (!a->y.data) return;
    const image_dims y = dims_of(a->y);
    parallel(env, (size_t)y.n * (size_t)y.h, (size_t)y.w * (size_t)y.c, upsample_lines, a);
}

/* First p whose source is i: ceil(i * to / from). */
static size_t first_target(size_t i, int from, int to)
{
    return (i * (size_t)to + (size_t)from - 1) / (size_t)from;
}

/* Lines of dx: each sums the lines of dy that read it. */
static void upsample_dx_lines(size_t from, size_t to, const void *arg)
{
    const atm_upsample_dx_args *a = arg;
    const image_dims x = dims_of(a->dx), y = dims_of(a->dy);
    const size_t c = (size_t)x.c;
    for (size_t line = from; line < to; line++) {
        const size_t n = line / (size_t)x.h, i = line % (size_t)x.h;
        float *out = (float *)a->dx.data + line * (size_t)x.w * c;
        memset(out, 0, (size_t)x.w * c * sizeof(float));
        for (size_t p = first_target(i, x.h, y.h); p < first_target(i + 1, x.h, y.h); p++) {
            const float *dy = (const float *)a->dy.data + (n * (size_t)y.h + p) * (size_t)y.w * c;
            for (size_t q = 0; q < (size_t)y.w; q++) {
                float *restrict dx = out + source_pixel(q, x.w, y.w) * c;
                for (size_t k = 0; k < c; k++) dx[k] += dy[q * c + k];
            }
        }
    }
}

static void run_upsample_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_upsample_dx_args *a = &args->upsample_dx;
    if (!a->dx.data) return;
    const image_dims x = dims_of(a->dx), y = dims_of(a->dy);
    const size_t lines = (size_t)x.n * (size_t)x.h;
    parallel(env, lines, atm_count(a->dy) / ((size_t)y.n * (size_t)x.h), upsample_dx_lines, a);
}
