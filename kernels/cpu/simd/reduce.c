/* reduce.c - sums over rows, in a fixed order at any thread count.
 *
 * Rows are summed in blocks, in float; the block sums then in double, in order.
 * The blocks depend on the width alone.  What a row adds is the caller's: the
 * gradients of norms sum functions of several tensors. */

/* Sums [width] of n rows from `first` of all rows (group * rows + r), all of one group. */
typedef void (*rows_function)(size_t first, size_t n, float *sums, const void *arg);

typedef struct {
    size_t groups, rows;            /* [groups, rows, width] -> [groups, width] */
    int width, block;               /* block: rows */
    size_t blocks;
    rows_function sum;
    const void *arg;
    float *partial;                 /* [groups, blocks, width] */
    float *total;                   /* [groups, width]         */
} column_sums;

static column_sums plan_column_sums(size_t groups, size_t rows, int width)
{
    column_sums s = { .groups = groups, .rows = rows, .width = width };
    s.block = width < 512 ? 8192 / width : 16;
    s.blocks = (rows + (size_t)s.block - 1) / (size_t)s.block;
    return s;
}

static size_t partial_floats(const column_sums *s)
{
    return (s->groups * s->blocks * (size_t)s->width + 15) / 16 * 16;
}

static size_t column_sums_bytes(const column_sums *s)
{
    return (partial_floats(s) + (s->groups * (size_t)s->width + 15) / 16 * 16) * sizeof(float);
}

static void sum_block(size_t from, size_t to, const void *arg)
{
    const column_sums *s = arg;
    for (size_t i = from; i < to; i++) {
        float *sums = s->partial + i * (size_t)s->width;
        const size_t group = i / s->blocks, first = i % s->blocks * (size_t)s->block;
        const size_t end = first + (size_t)s->block < s->rows ? first + (size_t)s->block : s->rows;
        s->sum(group * s->rows + first, end - first, sums, s->arg);
    }
}

static void sum_partials(size_t from, size_t to, const void *arg)
{
    const column_sums *s = arg;
    const size_t width = (size_t)s->width;
    for (size_t i = from; i < to; i++) {
        const float *p = s->partial + i / width * s->blocks * width + i % width;
        double sum = 0;
        for (size_t b = 0; b < s->blocks; b++) sum += p[b * width];
        s->total[i] = (float)sum;
    }
}

/* `total` NULL: behind the partial sums in the workspace. */
static void sum_columns(column_sums *s, rows_function sum, const void *arg, float *total,
                        const atm_run_env *env)
{
    s->sum = sum;
    s->arg = arg;
    s->partial = env->workspace;
    s->total = total ? total : s->partial + partial_floats(s);
    parallel(env, s->groups * s->blocks, (size_t)s->block * (size_t)s->width, sum_block, s);
    parallel(env, s->groups * (size_t)s->width, s->blocks, sum_partials, s);
}

/* ------------------------------------------------------------------ reduce_rows */

static column_sums plan_reduce_rows(const atm_reduce_rows_args *a)
{
    const int c = atm_last_dim(a->x);
    const size_t groups = atm_count(a->y) / (size_t)c;
    return plan_column_sums(groups, atm_rows(a->x) / groups, c);
}

static atm_status prepare_reduce_rows(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    (void)device;
    if (!atm_present(args->reduce_rows.y)) return ATM_OK;
    const column_sums s = plan_reduce_rows(&args->reduce_rows);
    out->workspace = column_sums_bytes(&s);
    return ATM_OK;
}

static void sum_rows(size_t first, size_t n, float *sums, const void *arg)
{
    const atm_reduce_rows_args *a = arg;
    const int c = atm_last_dim(a->x);
    const float *x = row_of(a->x, first, c);
    for (int i = 0; i < c; i += VL) {
        vf sum = v_splat(0.0f);
        for (size_t r = 0; r < n; r++) sum += v_load_n(x + r * (size_t)c + i, c - i);
        v_store_n(sums + i, sum, c - i);
    }
}

static void run_reduce_rows(const atm_op_args *args, const atm_run_env *env)
{
    const atm_reduce_rows_args *a = &args->reduce_rows;
    if (!a->y.data) return;
    column_sums s = plan_reduce_rows(a);
    sum_columns(&s, sum_rows, a, a->y.data, env);
}
