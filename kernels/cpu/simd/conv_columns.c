/* conv_columns.c - convolutions to one channel or of a long stride: all taps in one product.
 *
 *     columns[pixel of x][output channel, tap] = sum over c of x[pixel][c] w[channel, c, tap]
 *
 * and an output pixel adds the columns that meet it.  Where there is one output
 * channel a product over taps (conv.c) would fill one of NR columns; here the taps
 * fill them.  A transposed convolution of a long stride (a spectrum's gradient, stride
 * 256) has as many phases as the stride, most of them of a single tap.
 *
 * This file also chooses: by the shapes alone, for the choice decides the bits. */

static filter columns_filter(const float *w, int columns, int channels)
{
    return (filter){ .data = w, .n = columns, .channels = channels, .n_taps = 1, .tap = &no_offset,
                     .n_stride = 1, .c_stride = (size_t)columns };
}

/* A convolution between the image `x`, whose pixels have the columns, and `y`. */
typedef struct {
    const float *columns;
    image_dims x, y;
    int k_h, k_w;
    atm_conv_shape s;
    epilogue e;                     /* of conv2d; of its transpose bias and y */
} columns_job;

static size_t columns_floats(const columns_job *j, const filter *f)
{
    return ((size_t)j->x.n * (size_t)j->x.h * (size_t)j->x.w * (size_t)f->n + 15) / 16 * 16;
}

static atm_status prepare_columns(atm_device *device, const atm_op_args *args, atm_tensor w, int layout,
                                  const filter *f, const columns_job *j, pack_function pack,
                                  atm_prepared *out)
{
    TRY_RETURN(prepare_weights(device, args, w, layout, packed_count(f), pack, out));
    out->workspace += columns_floats(j, f) * sizeof(float) + gemm_scratch_bytes(device->pool);
    return ATM_OK;
}

/* Fills the columns, then runs `lines` over the lines of y. */
static void run_columns(columns_job *j, const float *x, const filter *f, packed_weights w,
                        const atm_run_env *env, range_function lines)
{
    float *columns = (float *)(void *)w.scratch;
    const size_t pixels_of_x = (size_t)j->x.n * (size_t)j->x.h * (size_t)j->x.w;
    const product p = matrix_product(x, pixels_of_x, f, w.weights, (epilogue){ .y = columns });
    multiply(&p, env, columns + columns_floats(j, f));
    j->columns = columns;
    parallel(env, (size_t)j->y.n * (size_t)j->y.h, (size_t)j->y.w * (size_t)f->n, lines, j);
}

/* The i >= 0 for which first + i step lies in [0, end), at most `most`: [from, to). */
typedef struct { int from, to; } span;

static span span_inside(int first, int step, int end, int most)
{
    const int from = first < 0 ? ceil_div(-first, step) : 0;
    const int to = first < end ? min_int((end - 1 - first) / step + 1, most) : 0;
    return (span){ from, to };
}

/* ------------------------------------------------------------------ conv2d to one channel */

static bool conv2d_has_columns(const atm_conv2d_args *a)
{
    const kernel_dims k = kernel_of(a->w);
    return k.o == 1 && k.h * k.w > 1;
}

static filter conv2d_columns(const atm_conv2d_args *a)
{
    const kernel_dims k = kernel_of(a->w);
    return columns_filter(a->w.data, k.h * k.w, k.i);
}

static void pack_conv2d_columns(const atm_op_args *args, float *out, atm_pool *pool)
{
    const filter f = conv2d_columns(&args->conv2d);
    pack_filter(&f, out, pool);
}

static columns_job plan_conv2d_columns(const atm_conv2d_args *a)
{
    const kernel_dims k = kernel_of(a->w);
    const epilogue e = { a->b.data, a->e.data, a->r.data, a->y.data, a->z.data, a->act, (float)a->slope };
    return (columns_job){ NULL, dims_of(a->x), dims_of(atm_present(a->y) ? a->y : a->z), k.h, k.w, a->s, e };
}

/* Tap (i, k) of all output pixels of a line. */
static void add_line(const columns_job *j, size_t sample, int line, float *sums)
{
    const int taps = j->k_h * j->k_w;
    const ptrdiff_t stride = (ptrdiff_t)j->s.stride_w * taps;
    for (int i = 0; i < j->k_h; i++) {
        const int h = line * j->s.stride_h - j->s.pad_top + i * j->s.dil_h;
        if (h < 0 || h >= j->x.h) continue;
        const size_t pixel = (sample * (size_t)j->x.h + (size_t)h) * (size_t)j->x.w;
        const float *columns = j->columns + pixel * (size_t)taps;
        for (int k = 0; k < j->k_w; k++) {
            const int first = k * j->s.dil_w - j->s.pad_left;
            const ptrdiff_t tap_at = (ptrdiff_t)first * taps + i * j->k_w + k;
            const span q = span_inside(first, j->s.stride_w, j->x.w, j->y.w);
            for (int at = q.from; at < q.to; at++) sums[at] += columns[at * stride + tap_at];
        }
    }
}

static void conv2d_lines(size_t from, size_t to, const void *arg)
{
    const columns_job *j = arg;
    const epilogue *e = &j->e;
    for (size_t i = from; i < to; i++) {
        const size_t sample = i / (size_t)j->y.h, at = i * (size_t)j->y.w;
        float *sums = (e->y ? e->y : e->z) + at;
        memset(sums, 0, (size_t)j->y.w * sizeof *sums);
        add_line(j, sample, (int)(i % (size_t)j->y.h), sums);
        const float shift = (e->bias ? *e->bias : 0) + (e->per_sample ? e->per_sample[sample] : 0);
        const epilogue rest = { .residual = e->residual, .z = e->z, .act = e->act, .slope = e->slope };
        for (int v = 0; v < j->y.w; v += VL) {
            const int count = j->y.w - v;
            const vf y = finish(&rest, v_load_n(sums + v, count) + shift, at + (size_t)v, 0, 0, count);
            if (e->y) v_store_n(sums + v, y, count);
        }
    }
}

static atm_status prepare_conv2d(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    const atm_conv2d_args *a = &args->conv2d;
    if (!conv2d_has_columns(a)) return prepare_conv2d_taps(device, args, out);
    if (!atm_present(a->y) && !atm_present(a->z)) return ATM_OK;
    const filter f = conv2d_columns(a);
    const columns_job j = plan_conv2d_columns(a);
    return prepare_columns(device, args, a->w, LAYOUT_COLUMNS, &f, &j, pack_conv2d_columns, out);
}

static void run_conv2d(const atm_op_args *args, const atm_run_env *env)
{
    const atm_conv2d_args *a = &args->conv2d;
    if (!conv2d_has_columns(a)) { run_conv2d_taps(args, env); return; }
    if (!a->y.data && !a->z.data) return;
    const filter f = conv2d_columns(a);
    columns_job j = plan_conv2d_columns(a);
    const packed_weights w = get_weights(args, env, packed_count(&f), pack_conv2d_columns);
    run_columns(&j, a->x.data, &f, w, env, conv2d_lines);
}

/* ------------------------------------------------------------------ conv_transpose2d */

static bool transpose_has_columns(const atm_conv_transpose2d_args *a)
{
    const kernel_dims k = kernel_of(a->w);
    return (k.i == 1 && k.h * k.w > 1) || a->s.stride_h >= MAX_STRIDE || a->s.stride_w >= MAX_STRIDE;
}

static filter transpose_columns(const atm_conv_transpose2d_args *a)
{
    const kernel_dims k = kernel_of(a->w);
    return columns_filter(a->w.data, k.i * k.h * k.w, k.o);
}

static void pack_transpose_columns(const atm_op_args *args, float *out, atm_pool *pool)
{
    const filter f = transpose_columns(&args->conv_transpose2d);
    pack_filter(&f, out, pool);
}

static columns_job plan_transpose_columns(const atm_conv_transpose2d_args *a)
{
    const kernel_dims k = kernel_of(a->w);
    return (columns_job){ NULL, dims_of(a->x), dims_of(a->y), k.h, k.w, a->s,
                          { .bias = a->b.data, .y = a->y.data } };
}

/* Line i of the kernel of one pixel of x, whose tap 0 falls on pixel `first` of the line `sums`. */
static void spread_pixel(const columns_job *j, const float *columns, int first, float *sums)
{
    const int c = j->y.c, taps = j->k_h * j->k_w;
    const span k = span_inside(first, j->s.dil_w, j->y.w, j->k_w);
    if (c == 1 && j->s.dil_w == 1) {            /* neighbours on both sides: vectors */
        for (int at = k.from; at < k.to; at++) sums[first + at] += columns[at];
        return;
    }
    for (int channel = 0; channel < c; channel++)
        for (int at = k.from; at < k.to; at++)
            sums[(first + at * j->s.dil_w) * c + channel] += columns[channel * taps + at];
}

static void transpose_lines(size_t from, size_t to, const void *arg)
{
    const columns_job *j = arg;
    const size_t width = (size_t)j->y.c * (size_t)j->k_h * (size_t)j->k_w;
    for (size_t line = from; line < to; line++) {
        const size_t sample = line / (size_t)j->y.h;
        float *sums = j->e.y + line * (size_t)j->y.w * (size_t)j->y.c;
        for (int i = 0; i < j->y.w * j->y.c; i++) sums[i] = j->e.bias ? j->e.bias[i % j->y.c] : 0;
        for (int i = 0; i < j->k_h; i++) {
            const int y = (int)(line % (size_t)j->y.h) + j->s.pad_top - i * j->s.dil_h;
            if (y < 0 || y % j->s.stride_h || y / j->s.stride_h >= j->x.h) continue;
            const size_t first = (sample * (size_t)j->x.h + (size_t)(y / j->s.stride_h)) * (size_t)j->x.w;
            for (int q = 0; q < j->x.w; q++)
                spread_pixel(j, j->columns + (first + (size_t)q) * width + i * j->k_w,
                             q * j->s.stride_w - j->s.pad_left, sums);
        }
    }
}

static atm_status prepare_conv_transpose2d(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    const atm_conv_transpose2d_args *a = &args->conv_transpose2d;
    if (!transpose_has_columns(a)) return prepare_conv_transpose2d_taps(device, args, out);
    if (!atm_present(a->y)) return ATM_OK;
    const filter f = transpose_columns(a);
    const columns_job j = plan_transpose_columns(a);
    return prepare_columns(device, args, a->w, LAYOUT_COLUMNS_TRANSPOSE, &f, &j, pack_transpose_columns, out);
}

static void run_conv_transpose2d(const atm_op_args *args, const atm_run_env *env)
{
    const atm_conv_transpose2d_args *a = &args->conv_transpose2d;
    if (!transpose_has_columns(a)) { run_conv_transpose2d_taps(args, env); return; }
    if (!a->y.data) return;
    const filter f = transpose_columns(a);
    columns_job j = plan_transpose_columns(a);
    const packed_weights w = get_weights(args, env, packed_count(&f), pack_transpose_columns);
    run_columns(&j, a->x.data, &f, w, env, transpose_lines);
}
