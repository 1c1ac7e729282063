/* linear.c - y = act(x W^T + b) + r: the product of one tap. */

static const int no_offset = 0;

static filter linear_filter(const atm_linear_args *a)
{
    const int in = atm_last_dim(a->x), out = a->w.dim[a->transposed ? 1 : 0];
    return (filter){
        .data = a->w.data, .n = out, .channels = in, .n_taps = 1, .tap = &no_offset,
        .n_stride = a->transposed ? 1 : (size_t)in, .c_stride = a->transposed ? (size_t)out : 1
    };
}

static void pack_linear(const atm_op_args *args, float *out, atm_pool *pool)
{
    const filter f = linear_filter(&args->linear);
    pack_filter(&f, out, pool);
}

static atm_status prepare_linear(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    const atm_linear_args *a = &args->linear;
    const filter f = linear_filter(a);
    const int layout = a->transposed ? LAYOUT_LINEAR_TRANSPOSED : LAYOUT_LINEAR;
    TRY_RETURN(prepare_weights(device, args, a->w, layout, packed_count(&f), pack_linear, out));
    out->workspace += gemm_scratch_bytes(device->pool);
    return ATM_OK;
}

/* rows of x times packed weights. */
static product matrix_product(const float *x, size_t rows, const filter *f, const float *packed, epilogue e)
{
    static const tap here = { 0, 0 };
    const int m = (int)rows;
    return (product){
        .a = { .x = x, .images = 1, .in_h = 1, .in_w = m, .channels = f->channels, .grid_h = 1, .grid_w = m,
               .step_h = 1, .step_w = 1, .n_taps = 1, .run = 1, .taps = &here },
        .b = packed, .n = f->n, .out = { 1, m, 1, 1, 0, 0 }, .e = e
    };
}

static void run_linear(const atm_op_args *args, const atm_run_env *env)
{
    const atm_linear_args *a = &args->linear;
    if (!a->y.data && !a->z.data) return;
    const filter f = linear_filter(a);
    const packed_weights w = get_weights(args, env, packed_count(&f), pack_linear);
    const epilogue e = { a->b.data, NULL, a->r.data, a->y.data, a->z.data, a->act, (float)a->slope };
    const product p = matrix_product(a->x.data, atm_rows(a->x), &f, w.weights, e);
    multiply(&p, env, w.scratch);
}
