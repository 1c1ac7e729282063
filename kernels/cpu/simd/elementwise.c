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
