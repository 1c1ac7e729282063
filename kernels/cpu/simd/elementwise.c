/* elementwise.c - one element in, one out: at memory speed. */

static void act_range(size_t from, size_t to, const void *arg)
{
    const atm_act_args *a = arg;
    const float *x = a->x.data;
    float *y = a->y.data;
    for (size_t i = from; i < to; i += VL) {
        const int count = to - i < VL ? (int)(to - i) : VL;
        v_store_n(y + i, v_act(v_load_n(x + i, count), a->act, (float)a->slope), count);
    }
}

static void run_act(const atm_op_args *args, const atm_run_env *env)
{
    const atm_act_args *a = &args->act;
    if (a->y.data) parallel(env, atm_count(a->x), 1, act_range, a);
}

static void act_dx_range(size_t from, size_t to, const void *arg)
{
    const atm_act_dx_args *a = arg;
    const float *x = a->x.data, *dy = a->dy.data;
    float *dx = a->dx.data;
    for (size_t i = from; i < to; i += VL) {
        const int count = to - i < VL ? (int)(to - i) : VL;
        const vf slope = v_act_slope(v_load_n(x + i, count), a->act, (float)a->slope);
        v_store_n(dx + i, v_load_n(dy + i, count) * slope, count);
    }
}

static void run_act_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_act_dx_args *a = &args->act_dx;
    if (a->dx.data) parallel(env, atm_count(a->x), 1, act_dx_range, a);
}

/* ------------------------------------------------------------------ geglu */

static void geglu_rows(size_t from, size_t to, const void *arg)
{
    const atm_geglu_args *a = arg;
    const int c = atm_last_dim(a->y);
    for (size_t r = from; r < to; r++) {
        const float *x = row_of(a->x, r, 2 * c), *gate = x + c;
        float *y = row_of(a->y, r, c);
        for (int i = 0; i < c; i += VL)
            v_store_n(y + i, v_load_n(x + i, c - i) * v_gelu(v_load_n(gate + i, c - i)), c - i);
    }
}

static void run_geglu(const atm_op_args *args, const atm_run_env *env)
{
    const atm_geglu_args *a = &args->geglu;
    if (a->y.data) parallel(env, atm_rows(a->y), (size_t)atm_last_dim(a->y), geglu_rows, a);
}

static void geglu_dx_rows(size_t from, size_t to, const void *arg)
{
    const atm_geglu_dx_args *a = arg;
    const int c = atm_last_dim(a->dy);
    for (size_t r = from; r < to; r++) {
        const float *x = row_of(a->x, r, 2 * c), *dy = row_of(a->dy, r, c);
        float *dx = row_of(a->dx, r, 2 * c);
        for (int i = 0; i < c; i += VL) {
            const int n = c - i;
            const vf gate = v_load_n(x + c + i, n), g = v_load_n(dy + i, n);
            v_store_n(dx + i, g * v_gelu(gate), n);
            v_store_n(dx + c + i, g * v_load_n(x + i, n) * v_gelu_slope(gate), n);
        }
    }
}

static void run_geglu_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_geglu_dx_args *a = &args->geglu_dx;
    if (a->dx.data) parallel(env, atm_rows(a->dy), (size_t)atm_last_dim(a->dy), geglu_dx_rows, a);
}

/* ------------------------------------------------------------------ add, affine */

/* Runs of a that meet a contiguous part of b. */
static void add_range(size_t from, size_t to, const void *arg)
{
    const atm_add_args *args = arg;
    const float alpha = (float)args->alpha, beta = (float)args->beta, *a = args->a.data, *b = args->b.data;
    float *restrict y = args->y.data;
    const size_t period = atm_count(args->b);
    for (size_t i = from; i < to; ) {
        const size_t at = i % period, run = period - at < to - i ? period - at : to - i;
        for (size_t k = 0; k < run; k++) y[i + k] = alpha * a[i + k] + beta * b[at + k];
        i += run;
    }
}

static void run_add(const atm_op_args *args, const atm_run_env *env)
{
    if (args->add.y.data) parallel(env, atm_count(args->add.a), 1, add_range, &args->add);
}

static void affine_range(size_t from, size_t to, const void *arg)
{
    const atm_affine_args *a = arg;
    const float scale = (float)a->scale, shift = (float)a->shift, *x = a->x.data;
    float *restrict y = a->y.data;
    for (size_t i = from; i < to; i++) y[i] = scale * x[i] + shift;
}

static void run_affine(const atm_op_args *args, const atm_run_env *env)
{
    if (args->affine.y.data) parallel(env, atm_count(args->affine.x), 1, affine_range, &args->affine);
}

/* ------------------------------------------------------------------ mix */

static void mix_range(size_t from, size_t to, const void *arg)
{
    const atm_mix_args *m = arg;
    const size_t each = atm_count(m->a) / (size_t)m->a.dim[0], period = atm_count(m->b);
    const float *coef = m->coef.data, *a = m->a.data, *b = m->b.data;
    float *restrict y = m->y.data;
    for (size_t i = from, end; i < to; i = end) {
        const float alpha = coef[i / each * 2], beta = coef[i / each * 2 + 1], *b_at = b + i % period;
        end = sample_end(i, to, each);
        for (size_t k = 0; k < end - i; k++) y[i + k] = alpha * a[i + k] + beta * b_at[k];
    }
}

static void run_mix(const atm_op_args *args, const atm_run_env *env)
{
    if (args->mix.y.data) parallel(env, atm_count(args->mix.a), 1, mix_range, &args->mix);
}

static void mix_da_range(size_t from, size_t to, const void *arg)
{
    const atm_mix_dx_args *a = arg;
    const size_t each = atm_count(a->dy) / (size_t)a->dy.dim[0];
    const float *coef = a->coef.data, *dy = a->dy.data;
    float *restrict da = a->da.data;
    for (size_t i = from, end; i < to; i = end) {
        const float alpha = coef[i / each * 2];
        end = sample_end(i, to, each);
        for (size_t k = i; k < end; k++) da[k] = alpha * dy[k];
    }
}

/* Elements of db, each the sum over the samples that share it. */
static void mix_db_range(size_t from, size_t to, const void *arg)
{
    const atm_mix_dx_args *a = arg;
    const size_t each = atm_count(a->dy) / (size_t)a->dy.dim[0], shared = atm_count(a->dy) / atm_count(a->db);
    const float *coef = a->coef.data;
    float *restrict db = a->db.data;
    for (size_t i = from, end; i < to; i = end) {
        end = sample_end(i, to, each);
        for (size_t n = 0; n < shared; n++) {
            const float beta = coef[(i / each + n) * 2 + 1], *dy = (const float *)a->dy.data + n * each;
            for (size_t k = i; k < end; k++) db[k] = (n ? db[k] : 0) + beta * dy[k];
        }
    }
}

static void run_mix_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_mix_dx_args *a = &args->mix_dx;
    if (a->da.data) parallel(env, atm_count(a->da), 1, mix_da_range, a);
    if (a->db.data) parallel(env, atm_count(a->db), 1, mix_db_range, a);
}

/* ------------------------------------------------------------------ magnitude */

static void magnitude_rows(size_t from, size_t to, const void *arg)
{
    const atm_magnitude_args *a = arg;
    const int c = atm_last_dim(a->y);
    const float eps = (float)a->eps;
    for (size_t r = from; r < to; r++) {
        const float *re = row_of(a->x, r, 2 * c), *im = re + c;
        float *restrict y = row_of(a->y, r, c);
        for (int i = 0; i < c; i++) y[i] = sqrtf(re[i] * re[i] + im[i] * im[i] + eps);
    }
}

static void run_magnitude(const atm_op_args *args, const atm_run_env *env)
{
    const atm_magnitude_args *a = &args->magnitude;
    if (a->y.data) parallel(env, atm_rows(a->y), (size_t)atm_last_dim(a->y), magnitude_rows, a);
}

static void magnitude_dx_rows(size_t from, size_t to, const void *arg)
{
    const atm_magnitude_dx_args *a = arg;
    const int c = atm_last_dim(a->dy);
    const float eps = (float)a->eps;
    for (size_t r = from; r < to; r++) {
        const float *re = row_of(a->x, r, 2 * c), *im = re + c, *dy = row_of(a->dy, r, c);
        float *restrict dre = row_of(a->dx, r, 2 * c), *restrict dim = dre + c;
        for (int i = 0; i < c; i++) {
            const float scale = dy[i] / sqrtf(re[i] * re[i] + im[i] * im[i] + eps);
            dre[i] = re[i] * scale;
            dim[i] = im[i] * scale;
        }
    }
}

static void run_magnitude_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_magnitude_dx_args *a = &args->magnitude_dx;
    if (a->dx.data) parallel(env, atm_rows(a->dy), (size_t)atm_last_dim(a->dy), magnitude_dx_rows, a);
}

/* ------------------------------------------------------------------ a sample of the posterior */

static void posterior_range(size_t from, size_t to, const void *arg)
{
    const atm_posterior_args *a = arg;
    const float *mean = a->mean.data, *logvar = a->logvar.data, *noise = a->noise.data;
    float *z = a->z.data;
    for (size_t i = from; i < to; i += VL) {
        const int n = to - i < VL ? (int)(to - i) : VL;
        const vf deviation = v_exp(0.5f * v_load_n(logvar + i, n));
        v_store_n(z + i, v_load_n(mean + i, n) + deviation * v_load_n(noise + i, n), n);
    }
}

static void run_posterior(const atm_op_args *args, const atm_run_env *env)
{
    const atm_posterior_args *a = &args->posterior;
    if (a->z.data) parallel(env, atm_count(a->z), 1, posterior_range, a);
}

static void posterior_dx_range(size_t from, size_t to, const void *arg)
{
    const atm_posterior_dx_args *a = arg;
    const float *dz = a->dz.data, *logvar = a->logvar.data, *noise = a->noise.data;
    float *dlogvar = a->dlogvar.data;
    for (size_t i = from; i < to; i += VL) {
        const int n = to - i < VL ? (int)(to - i) : VL;
        const vf half = 0.5f * v_exp(0.5f * v_load_n(logvar + i, n));
        v_store_n(dlogvar + i, v_load_n(dz + i, n) * v_load_n(noise + i, n) * half, n);
    }
}

static void run_posterior_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_posterior_dx_args *a = &args->posterior_dx;
    if (a->dlogvar.data) parallel(env, atm_count(a->dlogvar), 1, posterior_dx_range, a);
}

/* ------------------------------------------------------------------ one step of a sampler */

static void sampler_range(size_t from, size_t to, const void *arg)
{
    const atm_sampler_step_args *a = arg;
    const float *c = a->coef.data, *x = a->x.data, *e = a->e.data, *h = a->h.data, *n = a->n.data;
    float *y = a->y.data, *x0 = a->x0.data;
    for (size_t i = from; i < to; i++) {
        const float start = c[0] * x[i] + c[1] * e[i];
        float next = c[2] * x[i] + c[3] * start + c[4] * e[i];
        if (h) next += c[5] * h[i];
        if (n) next += c[6] * n[i];
        if (x0) x0[i] = start;
        if (y) y[i] = next;
    }
}

static void run_sampler_step(const atm_op_args *args, const atm_run_env *env)
{
    parallel(env, atm_count(args->sampler_step.x), 1, sampler_range, &args->sampler_step);
}
