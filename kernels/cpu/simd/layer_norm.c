/* layer_norm.c - statistics over the last dim: a row fits the cache, so two
 * passes for mean and variance cost one read of memory.
 *
 *     xhat = (x - mean) rstd,  y = xhat w + b,  g = dy w
 *     dx = rstd (g - mean(g) - xhat mean(g xhat)),   dw = sum dy xhat,   db = sum dy */

static float row_mean(const float *x, int c)
{
    vf sum = v_splat(0.0f);
    for (int i = 0; i < c; i += VL) sum += v_load_n(x + i, c - i);
    return v_sum(sum) / (float)c;
}

static float row_variance(const float *x, int c, float mean)
{
    vf sum = v_splat(0.0f);
    int i = 0;
    for (; i + VL <= c; i += VL) {
        const vf d = v_load(x + i) - mean;
        sum = v_fma(d, d, sum);
    }
    float total = v_sum(sum);
    for (; i < c; i++) total += (x[i] - mean) * (x[i] - mean);
    return total / (float)c;
}

static void layer_norm_rows(size_t from, size_t to, const void *arg)
{
    const atm_layer_norm_args *a = arg;
    const int c = atm_last_dim(a->x);
    const float *w = a->w.data, *b = a->b.data;
    float *mean_out = a->mean.data, *rstd_out = a->rstd.data;
    for (size_t r = from; r < to; r++) {
        const float *x = row_of(a->x, r, c);
        float *y = a->y.data ? row_of(a->y, r, c) : NULL;
        const float mean = row_mean(x, c), rstd = 1 / sqrtf(row_variance(x, c, mean) + (float)a->eps);
        if (mean_out) mean_out[r] = mean;
        if (rstd_out) rstd_out[r] = rstd;
        for (int i = 0; y && i < c; i += VL) {
            const vf hat = (v_load_n(x + i, c - i) - mean) * rstd;
            v_store_n(y + i, v_fma(hat, v_load_n(w + i, c - i), v_load_n(b + i, c - i)), c - i);
        }
    }
}

static void run_layer_norm(const atm_op_args *args, const atm_run_env *env)
{
    const atm_layer_norm_args *a = &args->layer_norm;
    parallel(env, atm_rows(a->x), (size_t)atm_last_dim(a->x), layer_norm_rows, a);
}

static void layer_norm_dx_rows(size_t from, size_t to, const void *arg)
{
    const atm_layer_norm_dx_args *a = arg;
    const int c = atm_last_dim(a->x);
    const float *w = a->w.data, *means = a->mean.data, *rstds = a->rstd.data;
    for (size_t r = from; r < to; r++) {
        const float *x = row_of(a->x, r, c), *dy = row_of(a->dy, r, c);
        float *dx = row_of(a->dx, r, c);
        const float mean = means[r], rstd = rstds[r];
        vf sum_g = v_splat(0.0f), sum_gx = v_splat(0.0f);
        for (int i = 0; i < c; i += VL) {       /* lanes past the end: g = 0 */
            const vf g = v_load_n(dy + i, c - i) * v_load_n(w + i, c - i);
            sum_g += g;
            sum_gx = v_fma(g, (v_load_n(x + i, c - i) - mean) * rstd, sum_gx);
        }
        const float mean_g = v_sum(sum_g) / (float)c, mean_gx = v_sum(sum_gx) / (float)c;
        for (int i = 0; i < c; i += VL) {
            const vf g = v_load_n(dy + i, c - i) * v_load_n(w + i, c - i);
            const vf hat = (v_load_n(x + i, c - i) - mean) * rstd;
            v_store_n(dx + i, rstd * (g - mean_g - hat * mean_gx), c - i);
        }
    }
}

static void run_layer_norm_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_layer_norm_dx_args *a = &args->layer_norm_dx;
    if (a->dx.data) parallel(env, atm_rows(a->x), (size_t)atm_last_dim(a->x), layer_norm_dx_rows, a);
}

/* sums [2, c]: dy, dy xhat */
static void sum_layer_norm_rows(size_t first, size_t n, float *sums, const void *arg)
{
    const atm_layer_norm_dw_args *a = arg;
    const int c = atm_last_dim(a->x);
    const float *mean = a->mean.data, *rstd = a->rstd.data;
    for (int i = 0; i < c; i += VL) {
        vf sum = v_splat(0.0f), sum_hat = sum;
        for (size_t r = first; r < first + n; r++) {
            const vf dy = v_load_n(row_of(a->dy, r, c) + i, c - i);
            sum += dy;
            sum_hat = v_fma(dy, (v_load_n(row_of(a->x, r, c) + i, c - i) - mean[r]) * rstd[r], sum_hat);
        }
        v_store_n(sums + i, sum, c - i);
        v_store_n(sums + c + i, sum_hat, c - i);
    }
}

static atm_status prepare_layer_norm_dw(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    (void)device;
    const atm_tensor x = args->layer_norm_dw.x;
    const column_sums s = plan_column_sums(1, atm_rows(x), 2 * atm_last_dim(x));
    out->workspace = column_sums_bytes(&s);
    return ATM_OK;
}

static void run_layer_norm_dw(const atm_op_args *args, const atm_run_env *env)
{
    const atm_layer_norm_dw_args *a = &args->layer_norm_dw;
    const size_t c = (size_t)atm_last_dim(a->x);
    column_sums s = plan_column_sums(1, atm_rows(a->x), 2 * (int)c);
    sum_columns(&s, sum_layer_norm_rows, a, NULL, env);
    if (a->db.data) memcpy(a->db.data, s.total, c * sizeof(float));
    if (a->dw.data) memcpy(a->dw.data, s.total + c, c * sizeof(float));
}
