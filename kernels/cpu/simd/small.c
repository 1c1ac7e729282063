/* small.c - the remaining ops: time embedding, normalisation to unit length. */

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
