/* conv.c - convolutions as products over taps (gemm.c).
 *
 * conv2d:            input pixel of tap (i, j) = output pixel * stride - pad + (i, j) * dil.
 * conv_transpose2d:  y[h] sums the taps i for which h + pad - i dil is a multiple of
 *                    the stride, at input pixel (h + pad - i dil) / stride.  Which taps
 *                    these are depends on h mod stride only: for each of the
 *                    stride_h x stride_w phases it is a stride-1 product over a grid of
 *                    output pixels `stride` apart, with the phase's own taps. */

enum { MAX_TAPS = 4096, MAX_STRIDE = 24 };

typedef struct { int n, h, w, c; } image_dims;

/* Images [N, H, W, C], sequences [N, L, C] (height 1). */
static image_dims dims_of(atm_tensor t)
{
    return (image_dims){ t.dim[0], t.rank > 3 ? t.dim[1] : 1, t.dim[t.rank - 2], atm_last_dim(t) };
}

typedef struct { int o, i, h, w; } kernel_dims;

static kernel_dims kernel_of(atm_tensor t)
{
    return (kernel_dims){ t.dim[0], t.dim[1], t.rank > 3 ? t.dim[2] : 1, atm_last_dim(t) };
}

static atm_status check_taps(kernel_dims k)
{
    if ((long long)k.h * k.w <= MAX_TAPS) return ATM_OK;
    return atm_fail(ATM_E_CONFIG, "a convolution kernel of %d x %d is beyond this backend's %d elements",
                    k.h, k.w, MAX_TAPS);
}

/* ------------------------------------------------------------------ conv2d */

static filter conv_filter(const atm_conv2d_args *a, int *offset)
{
    const kernel_dims k = kernel_of(a->w);
    const int taps = k.h * k.w;
    for (int t = 0; t < taps; t++) offset[t] = t;
    return (filter){ .data = a->w.data, .n = k.o, .channels = k.i, .n_taps = taps, .tap = offset,
                     .n_stride = (size_t)k.i * (size_t)taps, .c_stride = (size_t)taps };
}

static void pack_conv2d(const atm_op_args *args, float *out, atm_pool *pool)
{
    int offset[MAX_TAPS];
    const filter f = conv_filter(&args->conv2d, offset);
    pack_filter(&f, out, pool);
}

static atm_status prepare_conv2d_taps(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    int offset[MAX_TAPS];
    TRY_RETURN(check_taps(kernel_of(args->conv2d.w)));
    const filter f = conv_filter(&args->conv2d, offset);
    TRY_RETURN(prepare_weights(device, args, args->conv2d.w, LAYOUT_CONV, packed_count(&f), pack_conv2d,
                               out));
    out->workspace += gemm_scratch_bytes(device->pool);
    return ATM_OK;
}

static int conv_taps(atm_conv_shape s, kernel_dims k, tap *taps)
{
    int n = 0;
    for (int i = 0; i < k.h; i++)
        for (int j = 0; j < k.w; j++)
            taps[n++] = (tap){ i * s.dil_h - s.pad_top, j * s.dil_w - s.pad_left };
    return n;
}

static void run_conv2d_taps(const atm_op_args *args, const atm_run_env *env)
{
    const atm_conv2d_args *a = &args->conv2d;
    if (!a->y.data && !a->z.data) return;
    int offset[MAX_TAPS];
    tap taps[MAX_TAPS];
    const filter f = conv_filter(a, offset);
    const packed_weights w = get_weights(args, env, packed_count(&f), pack_conv2d);
    const image_dims x = dims_of(a->x), y = dims_of(atm_present(a->y) ? a->y : a->z);
    const int n_taps = conv_taps(a->s, kernel_of(a->w), taps);
    const product p = {
        .a = { .x = a->x.data, .images = x.n, .in_h = x.h, .in_w = x.w, .channels = x.c,
               .grid_h = y.h, .grid_w = y.w, .step_h = a->s.stride_h, .step_w = a->s.stride_w,
               .n_taps = n_taps, .run = run_of(taps, n_taps, x.c), .taps = taps },
        .b = w.weights, .n = f.n, .out = { y.h, y.w, 1, 1, 0, 0 },
        .e = { a->b.data, a->e.data, a->r.data, a->y.data, a->z.data, a->act, (float)a->slope }
    };
    multiply(&p, env, w.scratch);
}

/* ------------------------------------------------------------------ conv_transpose2d */

typedef struct { int n_taps, first_h, first_w; tap taps[MAX_TAPS]; int offset[MAX_TAPS]; } phase;

/* Taps of output pixels (h, w) = (first_h, first_w) modulo the stride; from the last
 * column back, so that they read x from left to right and form runs. */
static void find_phase(atm_conv_shape s, kernel_dims k, int first_h, int first_w, phase *out)
{
    out->n_taps = 0;
    out->first_h = first_h;
    out->first_w = first_w;
    for (int i = 0; i < k.h; i++) {
        for (int j = k.w - 1; j >= 0; j--) {
            const int y = first_h + s.pad_top - i * s.dil_h, x = first_w + s.pad_left - j * s.dil_w;
            if (y % s.stride_h || x % s.stride_w) continue;
            out->taps[out->n_taps] = (tap){ y / s.stride_h, x / s.stride_w };
            out->offset[out->n_taps++] = i * k.w + j;
        }
    }
}

/* w [Cin, Cout, kh, kw] */
static filter phase_filter(const atm_conv_transpose2d_args *a, const phase *f)
{
    const kernel_dims k = kernel_of(a->w);
    const size_t taps = (size_t)k.h * (size_t)k.w;
    return (filter){ .data = a->w.data, .n = k.i, .channels = k.o, .n_taps = f->n_taps, .tap = f->offset,
                     .n_stride = taps, .c_stride = (size_t)k.i * taps };
}

static size_t transpose_count(const atm_conv_transpose2d_args *a)
{
    const kernel_dims k = kernel_of(a->w);
    return (size_t)panels(k.i) * NR * (size_t)k.o * (size_t)k.h * (size_t)k.w;
}

static void pack_conv_transpose2d(const atm_op_args *args, float *out, atm_pool *pool)
{
    const atm_conv_transpose2d_args *a = &args->conv_transpose2d;
    for (int h = 0; h < a->s.stride_h; h++) {
        for (int w = 0; w < a->s.stride_w; w++) {
            phase f;
            find_phase(a->s, kernel_of(a->w), h, w, &f);
            const filter part = phase_filter(a, &f);
            pack_filter(&part, out, pool);
            out += packed_count(&part);
        }
    }
}

/* Which taps a phase has depends on six small numbers: they are part of the key. */
static int transpose_layout(atm_conv_shape s)
{
    const int part[] = { s.stride_h, s.stride_w, s.pad_top % s.stride_h, s.pad_left % s.stride_w,
                         s.dil_h % s.stride_h, s.dil_w % s.stride_w };
    int layout = 0;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) layout = layout * MAX_STRIDE + part[i];
    return layout + LAYOUT_CONV_TRANSPOSE;
}

static atm_status prepare_conv_transpose2d_taps(atm_device *device, const atm_op_args *args,
                                                atm_prepared *out)
{
    const atm_conv_transpose2d_args *a = &args->conv_transpose2d;
    TRY_RETURN(check_taps(kernel_of(a->w)));
    TRY_RETURN(prepare_weights(device, args, a->w, transpose_layout(a->s), transpose_count(a),
                               pack_conv_transpose2d, out));
    out->workspace += gemm_scratch_bytes(device->pool);
    return ATM_OK;
}

static void run_conv_transpose2d_taps(const atm_op_args *args, const atm_run_env *env)
{
    const atm_conv_transpose2d_args *a = &args->conv_transpose2d;
    if (!a->y.data) return;
    const packed_weights w = get_weights(args, env, transpose_count(a), pack_conv_transpose2d);
    const image_dims x = dims_of(a->x), y = dims_of(a->y);
    const float *weights = w.weights;
    for (int i = 0; i < a->s.stride_h * a->s.stride_w; i++) {
        phase f;
        find_phase(a->s, kernel_of(a->w), i / a->s.stride_w, i % a->s.stride_w, &f);
        const product p = {
            .a = { .x = a->x.data, .images = x.n, .in_h = x.h, .in_w = x.w, .channels = x.c,
                   .grid_h = ceil_div(y.h - f.first_h, a->s.stride_h),
                   .grid_w = ceil_div(y.w - f.first_w, a->s.stride_w),
                   .step_h = 1, .step_w = 1, .n_taps = f.n_taps, .run = run_of(f.taps, f.n_taps, x.c),
                   .taps = f.taps },
            .b = weights, .n = y.c,
            .out = { y.h, y.w, a->s.stride_h, a->s.stride_w, f.first_h, f.first_w },
            .e = { .bias = a->b.data, .y = a->y.data }
        };
        if (p.a.grid_h > 0 && p.a.grid_w > 0) multiply(&p, env, w.scratch);
        const filter part = phase_filter(a, &f);
        weights += packed_count(&part);
    }
}
