/* loss.c - losses: sums of a function of two tensors over each sample.
 *
 * A sample is summed in blocks, in float; the block sums then in double, in
 * order.  The blocks depend on the size of a sample alone, so the same bits come
 * at any thread count.  What an element adds is a `term`. */

enum { LOSS_BLOCK = 1 << 12 };

/* Both 0 beyond the end of a block: a term must be 0 there. */
typedef vf (*loss_term)(vf a, vf b);

INLINE vf squared_error(vf x, vf target) { return (x - target) * (x - target); }
INLINE vf absolute_error(vf x, vf target) { return v_abs(x - target); }
INLINE vf square_of_second(vf x, vf target) { (void)x; return target * target; }
INLINE vf divergence(vf mean, vf logvar) { return mean * mean + (v_exp(logvar) - 1.0f - logvar); }

INLINE float block_sum(loss_term term, const float *a, const float *b, int n)
{
    vf sum[4] = { { 0 } };
    int i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        for (int k = 0; k < 4; k++) sum[k] += term(v_load(a + i + k * VL), v_load(b + i + k * VL));
    for (; i < n; i += VL) sum[0] += term(v_load_n(a + i, n - i), v_load_n(b + i, n - i));
    return v_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

typedef struct {
    const float *a, *b;
    size_t samples, each, blocks;       /* blocks: of one sample     */
    double *partial;                    /* [samples, blocks]         */
} sample_sums;

/* env: NULL in prepare. */
static sample_sums plan_sample_sums(atm_tensor a, atm_tensor b, const atm_run_env *env)
{
    const size_t samples = (size_t)a.dim[0], each = atm_count(a) / samples;
    const size_t blocks = (each + LOSS_BLOCK - 1) / LOSS_BLOCK;
    return (sample_sums){ a.data, b.data, samples, each, blocks, env ? env->workspace : NULL };
}

/* The loop of a block function, with the term compiled into it. */
INLINE void sum_blocks(loss_term term, size_t from, size_t to, const sample_sums *s)
{
    for (size_t i = from; i < to; i++) {
        const size_t first = i % s->blocks * LOSS_BLOCK, left = s->each - first;
        const size_t at = i / s->blocks * s->each + first;
        const int n = left < LOSS_BLOCK ? (int)left : LOSS_BLOCK;
        s->partial[i] = (double)block_sum(term, s->a + at, s->b + at, n);
    }
}

#define SUMS(name, term) \
    static void name(size_t from, size_t to, const void *s) { sum_blocks(term, from, to, s); }
SUMS(sum_squared_errors, squared_error)
SUMS(sum_absolute_errors, absolute_error)
SUMS(sum_squares_of_second, square_of_second)
SUMS(sum_divergences, divergence)
#undef SUMS

static void sum_samples(const sample_sums *s, range_function blocks, const atm_run_env *env)
{
    parallel(env, s->samples * s->blocks, LOSS_BLOCK, blocks, s);
}

static double sample_sum(const sample_sums *s, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < s->blocks; i++) sum += s->partial[n * s->blocks + i];
    return sum;
}

/* mean over samples of weight[n] times the sample's sum */
static float mean_of_sums(const sample_sums *s, const float *weight)
{
    double loss = 0;
    for (size_t n = 0; n < s->samples; n++) loss += sample_sum(s, n) * (weight ? (double)weight[n] : 1.0);
    return (float)(loss / (double)s->samples);
}

static atm_status prepare_loss(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    (void)device;
    const sample_sums s = plan_sample_sums(args->t[0], args->t[1], NULL);
    out->workspace = s.samples * s.blocks * sizeof *s.partial;
    return ATM_OK;
}

/* ------------------------------------------------------------------ mse, l1 */

static void run_mse(const atm_op_args *args, const atm_run_env *env)
{
    const atm_mse_args *a = &args->mse;
    if (!a->loss.data) return;
    const sample_sums s = plan_sample_sums(a->x, a->target, env);
    sum_samples(&s, sum_squared_errors, env);
    *(float *)a->loss.data = mean_of_sums(&s, a->weight.data) / (float)s.each;
}

static void run_l1(const atm_op_args *args, const atm_run_env *env)
{
    const atm_l1_args *a = &args->l1;
    if (!a->loss.data) return;
    const sample_sums s = plan_sample_sums(a->x, a->target, env);
    sum_samples(&s, sum_absolute_errors, env);
    *(float *)a->loss.data = mean_of_sums(&s, a->weight.data) / (float)s.each;
}

/* What an element's error is multiplied by. */
static float error_scale(atm_tensor x, atm_tensor weight, atm_tensor dloss, size_t sample)
{
    const float scale = *(const float *)dloss.data / (float)atm_count(x);
    return weight.data ? scale * ((const float *)weight.data)[sample] : scale;
}

static void mse_dx_range(size_t from, size_t to, const void *arg)
{
    const atm_mse_dx_args *a = arg;
    const size_t each = atm_count(a->x) / (size_t)a->x.dim[0];
    const float *x = a->x.data, *target = a->target.data;
    float *restrict dx = a->dx.data;
    for (size_t i = from, end; i < to; i = end) {
        const float scale = 2 * error_scale(a->x, a->weight, a->dloss, i / each);
        end = sample_end(i, to, each);
        for (size_t k = i; k < end; k++) dx[k] = scale * (x[k] - target[k]);
    }
}

static void run_mse_dx(const atm_op_args *args, const atm_run_env *env)
{
    if (args->mse_dx.dx.data) parallel(env, atm_count(args->mse_dx.x), 1, mse_dx_range, &args->mse_dx);
}

static void l1_dx_range(size_t from, size_t to, const void *arg)
{
    const atm_l1_dx_args *a = arg;
    const size_t each = atm_count(a->x) / (size_t)a->x.dim[0];
    const float *x = a->x.data, *target = a->target.data;
    float *restrict dx = a->dx.data;
    for (size_t i = from, end; i < to; i = end) {
        const float scale = error_scale(a->x, a->weight, a->dloss, i / each);
        end = sample_end(i, to, each);
        for (size_t k = i; k < end; k++) dx[k] = scale * (float)((x[k] > target[k]) - (x[k] < target[k]));
    }
}

static void run_l1_dx(const atm_op_args *args, const atm_run_env *env)
{
    if (args->l1_dx.dx.data) parallel(env, atm_count(args->l1_dx.x), 1, l1_dx_range, &args->l1_dx);
}

/* ------------------------------------------------------------------ kl */

static void run_kl(const atm_op_args *args, const atm_run_env *env)
{
    const atm_kl_args *a = &args->kl;
    if (!a->loss.data) return;
    const sample_sums s = plan_sample_sums(a->mean, a->logvar, env);
    sum_samples(&s, sum_divergences, env);
    *(float *)a->loss.data = 0.5f * mean_of_sums(&s, NULL);
}

static void kl_dx_range(size_t from, size_t to, const void *arg)
{
    const atm_kl_dx_args *a = arg;
    const float *mean = a->mean.data, *logvar = a->logvar.data;
    const float scale = *(const float *)a->dloss.data / (float)a->mean.dim[0];
    float *dmean = a->dmean.data, *dlogvar = a->dlogvar.data;
    for (size_t i = from; i < to; i += VL) {
        const int n = to - i < VL ? (int)(to - i) : VL;
        if (dmean) v_store_n(dmean + i, scale * v_load_n(mean + i, n), n);
        if (dlogvar) v_store_n(dlogvar + i, 0.5f * scale * (v_exp(v_load_n(logvar + i, n)) - 1.0f), n);
    }
}

static void run_kl_dx(const atm_op_args *args, const atm_run_env *env)
{
    parallel(env, atm_count(args->kl_dx.mean), 1, kl_dx_range, &args->kl_dx);
}

/* ------------------------------------------------------------------ spectral convergence */

static atm_status prepare_spectral_convergence(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    const atm_status status = prepare_loss(device, args, out);
    out->workspace *= 2;
    return status;
}

static void run_spectral_convergence(const atm_op_args *args, const atm_run_env *env)
{
    const atm_spectral_convergence_args *a = &args->spectral_convergence;
    sample_sums errors = plan_sample_sums(a->x, a->target, env), squares = errors;
    squares.partial += errors.samples * errors.blocks;
    sum_samples(&errors, sum_squared_errors, env);
    sum_samples(&squares, sum_squares_of_second, env);
    double loss = 0;
    for (size_t n = 0; n < errors.samples; n++) {
        const double apart = sqrt(sample_sum(&errors, n)), length = sqrt(sample_sum(&squares, n));
        if (a->norms.data) ((float *)a->norms.data)[2 * n] = (float)apart;
        if (a->norms.data) ((float *)a->norms.data)[2 * n + 1] = (float)length;
        loss += length > 0 ? apart / length : 0;
    }
    if (a->loss.data) *(float *)a->loss.data = (float)(loss / (double)errors.samples);
}

static void spectral_convergence_dx_range(size_t from, size_t to, const void *arg)
{
    const atm_spectral_convergence_dx_args *a = arg;
    const size_t samples = (size_t)a->x.dim[0], each = atm_count(a->x) / samples;
    const float *x = a->x.data, *target = a->target.data, *norms = a->norms.data;
    const double dloss = (double)*(const float *)a->dloss.data / (double)samples;
    float *restrict dx = a->dx.data;
    for (size_t i = from, end; i < to; i = end) {
        const double apart = norms[i / each * 2], length = norms[i / each * 2 + 1];
        const float scale = apart > 0 && length > 0 ? (float)(dloss / apart / length) : 0;
        end = sample_end(i, to, each);
        for (size_t k = i; k < end; k++) dx[k] = scale * (x[k] - target[k]);
    }
}

static void run_spectral_convergence_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_spectral_convergence_dx_args *a = &args->spectral_convergence_dx;
    if (a->dx.data) parallel(env, atm_count(a->x), 1, spectral_convergence_dx_range, a);
}

/* ------------------------------------------------------------------ cross entropy */

/* log sum exp(x), safe for any size of x. */
static double log_sum_exp(const float *x, int n)
{
    vf max = v_splat(-INFINITY), sum = v_splat(0.0f);
    for (int i = 0; i < n; i += VL)
        max = v_max(max, v_select(v_lanes() < n - i, v_load_n(x + i, n - i), v_splat(-INFINITY)));
    const float largest = v_max_lane(max);
    for (int i = 0; i < n; i += VL) {
        const vf e = v_exp(v_load_n(x + i, n - i) - largest);
        sum += v_select(v_lanes() < n - i, e, v_splat(0.0f));
    }
    return (double)largest + log((double)v_sum(sum));
}

static bool is_class(int32_t index, int classes) { return index >= 0 && index < classes; }

typedef struct { const atm_cross_entropy_args *a; double *row_loss; } cross_entropy_job;

static void cross_entropy_rows(size_t from, size_t to, const void *arg)
{
    const cross_entropy_job *j = arg;
    const int c = atm_last_dim(j->a->x);
    for (size_t r = from; r < to; r++) {
        const float *x = row_of(j->a->x, r, c);
        const int32_t index = ((const int32_t *)j->a->index.data)[r];
        j->row_loss[r] = is_class(index, c) ? log_sum_exp(x, c) - (double)x[index] : NAN;
    }
}

static atm_status prepare_cross_entropy(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    (void)device;
    out->workspace = atm_rows(args->cross_entropy.x) * sizeof(double);
    return ATM_OK;
}

static void run_cross_entropy(const atm_op_args *args, const atm_run_env *env)
{
    const cross_entropy_job j = { &args->cross_entropy, env->workspace };
    const size_t rows = atm_rows(j.a->x);
    double loss = 0;
    if (!j.a->loss.data) return;
    parallel(env, rows, (size_t)atm_last_dim(j.a->x), cross_entropy_rows, &j);
    for (size_t r = 0; r < rows; r++) loss += j.row_loss[r];
    *(float *)j.a->loss.data = (float)(loss / (double)rows);
}

static void cross_entropy_dx_rows(size_t from, size_t to, const void *arg)
{
    const atm_cross_entropy_dx_args *a = arg;
    const int c = atm_last_dim(a->x);
    const float scale = *(const float *)a->dloss.data / (float)atm_rows(a->x);
    for (size_t r = from; r < to; r++) {
        const float *x = row_of(a->x, r, c), total = (float)log_sum_exp(x, c);
        float *dx = row_of(a->dx, r, c);
        const int32_t index = ((const int32_t *)a->index.data)[r];
        const float row_scale = is_class(index, c) ? scale : NAN;
        for (int i = 0; i < c; i += VL)
            v_store_n(dx + i, row_scale * v_exp(v_load_n(x + i, c - i) - total), c - i);
        if (is_class(index, c)) dx[index] -= scale;
    }
}

static void run_cross_entropy_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_cross_entropy_dx_args *a = &args->cross_entropy_dx;
    if (a->dx.data) parallel(env, atm_rows(a->x), (size_t)atm_last_dim(a->x), cross_entropy_dx_rows, a);
}
