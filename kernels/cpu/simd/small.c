/* small.c - the remaining ops: time embedding, normalisation to unit length, loss. */

static void run_timestep_embedding(const atm_op_args *args, const atm_run_env *env)
{
    (void)env;
    const atm_timestep_embedding_args *a = &args->timestep_embedding;
    const int dim = a->y.data ? atm_last_dim(a->y) : 0, half = dim / 2;
    for (size_t n = 0; dim && n < atm_rows(a->y); n++) {
        float *y = (float *)a->y.data + n * (size_t)dim, *cosine = a->flip ? y : y + half;
        float *sine = a->flip ? y + half : y;
        const double t = ((const float *)a->t.data)[n];
        for (int i = 0; i < half; i++) {
            const double angle = t * exp(-log(10000.0) * i / (half - a->shift));
            cosine[i] = (float)cos(angle);
            sine[i] = (float)sin(angle);
        }
        if (dim % 2) y[dim - 1] = 0;
    }
}

/* ------------------------------------------------------------------ l2_normalize */

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

static void l2_normalize_rows(size_t from, size_t to, const void *arg)
{
    const atm_l2_normalize_args *a = arg;
    const int c = atm_last_dim(a->x);
    for (size_t r = from; r < to; r++) {
        const float *x = row_of(a->x, r, c);
        float *restrict y = row_of(a->y, r, c);
        const float scale = (float)(1 / fmax(sqrt(dot(x, x, c)), a->eps));
        for (int i = 0; i < c; i++) y[i] = x[i] * scale;
    }
}

static void run_l2_normalize(const atm_op_args *args, const atm_run_env *env)
{
    const atm_l2_normalize_args *a = &args->l2_normalize;
    if (a->y.data) parallel(env, atm_rows(a->x), (size_t)atm_last_dim(a->x), l2_normalize_rows, a);
}

/* y = x / |x|:  dx = (dy - y <y, dy>) / |x|;  below eps y = x / eps is linear. */
static void l2_normalize_dx_rows(size_t from, size_t to, const void *arg)
{
    const atm_l2_normalize_dx_args *a = arg;
    const int c = atm_last_dim(a->x);
    for (size_t r = from; r < to; r++) {
        const float *x = row_of(a->x, r, c), *dy = row_of(a->dy, r, c);
        float *restrict dx = row_of(a->dx, r, c);
        const double length = sqrt(dot(x, x, c)), eps = a->eps, scale = 1 / fmax(length, eps);
        const double along = length > eps ? dot(x, dy, c) * scale * scale : 0;
        for (int i = 0; i < c; i++) dx[i] = (float)((dy[i] - x[i] * along) * scale);
    }
}

static void run_l2_normalize_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_l2_normalize_dx_args *a = &args->l2_normalize_dx;
    if (a->dx.data) parallel(env, atm_rows(a->x), (size_t)atm_last_dim(a->x), l2_normalize_dx_rows, a);
}

/* ------------------------------------------------------------------ mse */

enum { MSE_BLOCK = 1 << 14 };

typedef struct { const atm_mse_args *a; double *sums; size_t samples, each, blocks; } mse_job;

static mse_job plan_mse(const atm_mse_args *a)
{
    mse_job j = { .a = a, .samples = (size_t)a->x.dim[0], .each = atm_count(a->x) / (size_t)a->x.dim[0] };
    j.blocks = (j.each + MSE_BLOCK - 1) / MSE_BLOCK;
    return j;
}

static void mse_blocks(size_t from, size_t to, const void *arg)
{
    const mse_job *j = arg;
    for (size_t i = from; i < to; i++) {
        const size_t first = i % j->blocks * MSE_BLOCK, left = j->each - first;
        const size_t at = i / j->blocks * j->each + first, n = left < MSE_BLOCK ? left : MSE_BLOCK;
        const float *x = (const float *)j->a->x.data + at, *target = (const float *)j->a->target.data + at;
        double sum = 0;
        for (size_t k = 0; k < n; k++) {
            const double d = (double)x[k] - target[k];
            sum += d * d;
        }
        j->sums[i] = sum;
    }
}

static atm_status prepare_mse(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    (void)device;
    const mse_job j = plan_mse(&args->mse);
    out->workspace = j.samples * j.blocks * sizeof(double);
    return ATM_OK;
}

static void run_mse(const atm_op_args *args, const atm_run_env *env)
{
    const atm_mse_args *a = &args->mse;
    if (!a->loss.data) return;
    mse_job j = plan_mse(a);
    j.sums = env->workspace;
    parallel(env, j.samples * j.blocks, MSE_BLOCK, mse_blocks, &j);
    const float *weight = a->weight.data;
    double loss = 0;
    for (size_t i = 0; i < j.samples * j.blocks; i++)
        loss += j.sums[i] * (weight ? (double)weight[i / j.blocks] : 1.0);
    *(float *)a->loss.data = (float)(loss / (double)j.each / (double)j.samples);
}

static void mse_dx_range(size_t from, size_t to, const void *arg)
{
    const atm_mse_dx_args *a = arg;
    const size_t samples = (size_t)a->x.dim[0], each = atm_count(a->x) / samples;
    const float *x = a->x.data, *target = a->target.data, *weight = a->weight.data;
    const float scale = 2 * *(const float *)a->dloss.data / (float)atm_count(a->x);
    for (size_t i = from; i < to; i++)
        ((float *)a->dx.data)[i] = scale * (weight ? weight[i / each] : 1) * (x[i] - target[i]);
}

static void run_mse_dx(const atm_op_args *args, const atm_run_env *env)
{
    if (args->mse_dx.dx.data) parallel(env, atm_count(args->mse_dx.x), 1, mse_dx_range, &args->mse_dx);
}
