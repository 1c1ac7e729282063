/* group_norm.c - statistics over (pixels, channels of a group) of each sample.
 *
 *     xhat = (x - mean) rstd      y = act(xhat w + b)      g = dy act'(xhat w + b)
 *     dw = sum g xhat             db = sum g
 *     dx = rstd (g w - (sum g w + xhat sum g w xhat) / m),   sums over the group's m elements
 *
 * Channels last: a group is a few columns, so everything runs along rows and
 * keeps one number for each channel.  Mean and variance: in blocks of pixels,
 * each with its own mean (two passes over a block in cache), combined in double
 * as Chan, Golub and LeVeque (1983) do; a mean far from zero costs no accuracy. */

typedef struct {
    const float *x, *w, *b;
    float *y, *mean, *rstd;         /* mean, rstd [samples, groups] */
    size_t samples, pixels, blocks;
    int c, groups, block;
    double eps;
    atm_act act;
    float *partial;                 /* [samples, blocks, 3, c]: block_statistics */
} norm_job;

static norm_job plan_group_norm(const atm_group_norm_args *a)
{
    norm_job j = { .x = a->x.data, .w = a->w.data, .b = a->b.data, .y = a->y.data, .mean = a->mean.data,
                   .rstd = a->rstd.data, .samples = (size_t)a->x.dim[0], .c = atm_last_dim(a->x),
                   .groups = a->groups, .eps = a->eps, .act = a->act };
    j.pixels = atm_rows(a->x) / j.samples;
    j.block = j.c < 512 ? 8192 / j.c : 16;
    j.blocks = (j.pixels + (size_t)j.block - 1) / (size_t)j.block;
    return j;
}

static size_t block_pixels(const norm_job *j, size_t block)
{
    const size_t left = j->pixels - block * (size_t)j->block;
    return left < (size_t)j->block ? left : (size_t)j->block;
}

/* out [3, c]: mean, sum of squares about it, sum of x - mean.  The last is zero but
 * for the rounding of a float sum, and corrects the mean by it. */
static void block_statistics(const float *restrict x, size_t n, size_t c, float *restrict mean,
                             float *restrict square, float *restrict rest)
{
    memset(mean, 0, 3 * c * sizeof *mean);
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < c; i++) mean[i] += x[p * c + i];
    for (size_t i = 0; i < c; i++) mean[i] /= (float)n;
    for (size_t p = 0; p < n; p++) {
        for (size_t i = 0; i < c; i++) {
            const float d = x[p * c + i] - mean[i];
            rest[i] += d;
            square[i] += d * d;
        }
    }
}

static void statistics_blocks(size_t from, size_t to, const void *arg)
{
    const norm_job *j = arg;
    const size_t c = (size_t)j->c;
    for (size_t i = from; i < to; i++) {
        const size_t block = i % j->blocks, pixel = i / j->blocks * j->pixels + block * (size_t)j->block;
        float *out = j->partial + i * 3 * c;
        block_statistics(j->x + pixel * c, block_pixels(j, block), c, out, out + c, out + 2 * c);
    }
}

/* Channels [first, first + count) of a sample, combined over the blocks. */
static double group_mean(const norm_job *j, size_t sample, size_t first, size_t count)
{
    double total = 0;
    for (size_t b = 0; b < j->blocks; b++) {
        const float *mean = j->partial + (sample * j->blocks + b) * 3 * (size_t)j->c, *rest = mean + 2 * j->c;
        double means = 0, rests = 0;
        for (size_t i = first; i < first + count; i++) means += mean[i];
        for (size_t i = first; i < first + count; i++) rests += rest[i];
        total += means * (double)block_pixels(j, b) + rests;
    }
    return total / ((double)count * (double)j->pixels);
}

/* sum (x - center)^2 = sum (x - mean)^2 + d (2 sum (x - mean) + n d),  d = mean - center */
static double group_variance(const norm_job *j, size_t sample, size_t first, size_t count, double center)
{
    double total = 0;
    for (size_t b = 0; b < j->blocks; b++) {
        const float *mean = j->partial + (sample * j->blocks + b) * 3 * (size_t)j->c;
        const float *square = mean + j->c, *rest = square + j->c;
        const double n = (double)block_pixels(j, b);
        for (size_t i = first; i < first + count; i++) {
            const double d = mean[i] - center;
            total += square[i] + d * (2 * rest[i] + n * d);
        }
    }
    return total / ((double)count * (double)j->pixels);
}

static void combine_groups(size_t from, size_t to, const void *arg)
{
    const norm_job *j = arg;
    const size_t count = (size_t)(j->c / j->groups);
    for (size_t i = from; i < to; i++) {
        const size_t sample = i / (size_t)j->groups, first = i % (size_t)j->groups * count;
        const double mean = group_mean(j, sample, first, count);
        j->mean[i] = (float)mean;
        j->rstd[i] = (float)(1 / sqrt(group_variance(j, sample, first, count, mean) + j->eps));
    }
}

/* Each sample's mean and factor for each channel: [samples, 2, c]. */
static void spread_groups(const float *mean, const float *rstd, size_t samples, int groups, int c, float *out)
{
    for (size_t n = 0; n < samples; n++, out += 2 * c) {
        for (int i = 0; i < c; i++) {
            const size_t g = n * (size_t)groups + (size_t)(i / (c / groups));
            out[i] = mean[g];
            out[c + i] = rstd[g];
        }
    }
}

typedef struct { const norm_job *j; const float *spread; } normalize_job;

static void normalize_pixels(size_t from, size_t to, const void *arg)
{
    const normalize_job *n = arg;
    const norm_job *j = n->j;
    const size_t c = (size_t)j->c;
    for (size_t p = from; p < to; p++) {
        const float *mean = n->spread + p / j->pixels * 2 * c, *rstd = mean + c, *x = j->x + p * c;
        for (int i = 0; i < j->c; i += VL) {
            const int count = j->c - i;
            const vf hat = (v_load_n(x + i, count) - v_load_n(mean + i, count)) * v_load_n(rstd + i, count);
            const vf z = v_fma(hat, v_load_n(j->w + i, count), v_load_n(j->b + i, count));
            v_store_n(j->y + p * c + i, j->act == ATM_ACT_SILU ? z * v_sigmoid(z) : z, count);
        }
    }
}

static size_t round16(size_t n) { return (n + 15) / 16 * 16; }

static atm_status prepare_group_norm(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    (void)device;
    const norm_job j = plan_group_norm(&args->group_norm);
    const size_t groups = j.samples * (size_t)j.groups, c = (size_t)j.c;
    out->workspace = (2 * round16(groups) + (3 * j.blocks + 2) * j.samples * c) * sizeof(float);
    return ATM_OK;
}

static void run_group_norm(const atm_op_args *args, const atm_run_env *env)
{
    norm_job j = plan_group_norm(&args->group_norm);
    const size_t groups = j.samples * (size_t)j.groups, c = (size_t)j.c;
    float *w = env->workspace;
    if (!j.mean) j.mean = w;
    if (!j.rstd) j.rstd = w + round16(groups);
    j.partial = w + 2 * round16(groups);
    parallel(env, j.samples * j.blocks, (size_t)j.block * c, statistics_blocks, &j);
    parallel(env, groups, j.blocks * c / (size_t)j.groups, combine_groups, &j);
    if (!j.y) return;
    float *spread = j.partial + 3 * j.samples * j.blocks * c;
    spread_groups(j.mean, j.rstd, j.samples, j.groups, j.c, spread);
    parallel(env, j.samples * j.pixels, c, normalize_pixels, &(normalize_job){ &j, spread });
}

/* ------------------------------------------------------------------ gradients */

typedef struct {
    const float *dy, *x, *w, *b;
    float *dx;
    const float *spread, *means;    /* [samples, 2, c]: mean, rstd; and the two sums / m of dx */
    size_t samples, pixels;
    int c, groups;
    atm_act act;
} norm_gradient;

static norm_gradient plan_gradient(const atm_group_norm_dx_args *a)
{
    const size_t samples = (size_t)a->x.dim[0];
    return (norm_gradient){ .dy = a->dy.data, .x = a->x.data, .w = a->w.data, .b = a->b.data,
                            .dx = a->dx.data, .samples = samples, .pixels = atm_rows(a->x) / samples,
                            .c = atm_last_dim(a->x), .groups = a->groups, .act = a->act };
}

typedef struct { vf hat, g, w, rstd; } norm_element;

INLINE norm_element gradient_at(const norm_gradient *j, size_t row, int i, int count)
{
    const size_t c = (size_t)j->c, at = row * c + (size_t)i;
    const float *mean = j->spread + row / j->pixels * 2 * c + i, *rstd = mean + c;
    norm_element e = { .w = v_load_n(j->w + i, count), .rstd = v_load_n(rstd, count) };
    e.hat = (v_load_n(j->x + at, count) - v_load_n(mean, count)) * e.rstd;
    e.g = v_load_n(j->dy + at, count);
    if (j->act == ATM_ACT_SILU) e.g *= swish_slope(v_fma(e.hat, e.w, v_load_n(j->b + i, count)), 1.0f);
    return e;
}

/* sums [2, c]: g, g xhat */
static void add_gradient_row(size_t row, float *restrict sums, const void *arg)
{
    const norm_gradient *j = arg;
    for (int i = 0; i < j->c; i += VL) {
        const int count = j->c - i;
        const norm_element e = gradient_at(j, row, i, count);
        v_store_n(sums + i, v_load_n(sums + i, count) + e.g, count);
        v_store_n(sums + j->c + i, v_fma(e.g, e.hat, v_load_n(sums + j->c + i, count)), count);
    }
}

/* Totals of each channel [samples, 2, c] to means over the group of g w and g w xhat. */
static void group_means(const norm_gradient *j, const float *totals, float *means)
{
    const int each = j->c / j->groups;
    const double m = (double)each * (double)j->pixels;
    for (size_t k = 0; k < 2 * j->samples; k++, totals += j->c, means += j->c) {
        for (int first = 0; first < j->c; first += each) {
            double sum = 0;
            for (int i = first; i < first + each; i++) sum += (double)totals[i] * j->w[i];
            for (int i = first; i < first + each; i++) means[i] = (float)(sum / m);
        }
    }
}

static void gradient_pixels(size_t from, size_t to, const void *arg)
{
    const norm_gradient *j = arg;
    const size_t c = (size_t)j->c;
    for (size_t row = from; row < to; row++) {
        const float *mean_g = j->means + row / j->pixels * 2 * c, *mean_gx = mean_g + c;
        for (int i = 0; i < j->c; i += VL) {
            const int count = j->c - i;
            const norm_element e = gradient_at(j, row, i, count);
            const vf common = v_fma(e.hat, v_load_n(mean_gx + i, count), v_load_n(mean_g + i, count));
            v_store_n(j->dx + row * c + i, e.rstd * (e.g * e.w - common), count);
        }
    }
}

/* Sums of g and g xhat for each sample and channel, behind them spread [samples, 2, c]
 * and room for as much again. */
static const float *gradient_sums(norm_gradient *j, const float *mean, const float *rstd,
                                  const atm_run_env *env)
{
    column_sums s = plan_column_sums(j->samples, j->pixels, 2 * j->c);
    float *spread = (float *)env->workspace + column_sums_bytes(&s) / sizeof(float);
    spread_groups(mean, rstd, j->samples, j->groups, j->c, spread);
    j->spread = spread;
    sum_columns(&s, add_gradient_row, j, NULL, env);
    return s.total;
}

static atm_status prepare_group_norm_gradient(const norm_gradient *j, atm_prepared *out)
{
    const column_sums s = plan_column_sums(j->samples, j->pixels, 2 * j->c);
    out->workspace = column_sums_bytes(&s) + 4 * j->samples * (size_t)j->c * sizeof(float);
    return ATM_OK;
}

/* The two gradients' arguments begin alike: dy, x, w, b, mean, rstd. */
static norm_gradient plan_gradient_dw(const atm_group_norm_dw_args *a)
{
    const atm_group_norm_dx_args same = { a->dy, a->x, a->w, a->b, a->mean, a->rstd, { 0 }, a->groups,
                                          a->act };
    return plan_gradient(&same);
}

static atm_status prepare_group_norm_dx(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    (void)device;
    const norm_gradient j = plan_gradient(&args->group_norm_dx);
    return prepare_group_norm_gradient(&j, out);
}

static atm_status prepare_group_norm_dw(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    (void)device;
    const norm_gradient j = plan_gradient_dw(&args->group_norm_dw);
    return prepare_group_norm_gradient(&j, out);
}

static void run_group_norm_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_group_norm_dx_args *a = &args->group_norm_dx;
    norm_gradient j = plan_gradient(a);
    if (!j.dx) return;
    const float *totals = gradient_sums(&j, a->mean.data, a->rstd.data, env);
    float *means = (float *)j.spread + 2 * j.samples * (size_t)j.c;
    group_means(&j, totals, means);
    j.means = means;
    parallel(env, j.samples * j.pixels, (size_t)j.c, gradient_pixels, &j);
}

static void run_group_norm_dw(const atm_op_args *args, const atm_run_env *env)
{
    const atm_group_norm_dw_args *a = &args->group_norm_dw;
    norm_gradient j = plan_gradient_dw(a);
    const float *totals = gradient_sums(&j, a->mean.data, a->rstd.data, env);
    float *dw = a->dw.data, *db = a->db.data;
    for (int i = 0; i < j.c; i++) {
        double g = 0, gx = 0;
        for (size_t n = 0; n < j.samples; n++) {
            g += totals[n * 2 * (size_t)j.c + (size_t)i];
            gx += totals[(n * 2 + 1) * (size_t)j.c + (size_t)i];
        }
        if (db) db[i] = (float)g;
        if (dw) dw[i] = (float)gx;
    }
}
