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

/* Rows [from, to) of one sample. */
static void normalize_rows(const norm_job *j, const float *spread, size_t from, size_t to)
{
    const size_t c = (size_t)j->c;
    for (int i = 0; i < j->c; i += VL) {
        const int count = j->c - i;
        const vf mean = v_load_n(spread + i, count), rstd = v_load_n(spread + c + i, count);
        const vf w = v_load_n(j->w + i, count), b = v_load_n(j->b + i, count);
        for (size_t at = from * c + (size_t)i, end = to * c; at < end; at += c) {
            const vf z = v_fma((v_load_n(j->x + at, count) - mean) * rstd, w, b);
            v_store_n(j->y + at, j->act == ATM_ACT_SILU ? z * v_sigmoid(z) : z, count);
        }
    }
}

/* Few rows at a time: all vectors of channels pass over them while they are in L1. */
static size_t rows_at_once(int c) { return 4096 / (size_t)c + 1; }

static void normalize_pixels(size_t from, size_t to, const void *arg)
{
    const normalize_job *n = arg;
    const norm_job *j = n->j;
    for (size_t row = from, end; row < to; row = end) {
        const size_t most = row + rows_at_once(j->c);
        end = sample_end(row, most < to ? most : to, j->pixels);
        normalize_rows(j, n->spread + row / j->pixels * 2 * (size_t)j->c, row, end);
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

/* What the VL channels from i of a sample have in common. */
typedef struct { vf mean, rstd, w, b; } norm_channels;

INLINE norm_channels channels_at(const norm_gradient *j, size_t sample, int i)
{
    const float *mean = j->spread + sample * 2 * (size_t)j->c + i;
    const int count = j->c - i;
    return (norm_channels){ v_load_n(mean, count), v_load_n(mean + j->c, count), v_load_n(j->w + i, count),
                            v_load_n(j->b + i, count) };
}

INLINE vf hat_at(const norm_gradient *j, const norm_channels *ch, size_t at, int count)
{
    return (v_load_n(j->x + at, count) - ch->mean) * ch->rstd;
}

INLINE vf gradient_at(const norm_gradient *j, const norm_channels *ch, vf hat, size_t at, int count)
{
    const vf dy = v_load_n(j->dy + at, count);
    return j->act == ATM_ACT_SILU ? dy * swish_slope(v_fma(hat, ch->w, ch->b), 1.0f) : dy;
}

/* sums [2, c]: g, g xhat */
static void sum_gradient_rows(size_t first, size_t n, float *sums, const void *arg)
{
    const norm_gradient *j = arg;
    const size_t c = (size_t)j->c, sample = first / j->pixels;
    for (int i = 0; i < j->c; i += VL) {
        const int count = j->c - i;
        const norm_channels ch = channels_at(j, sample, i);
        vf sum = v_splat(0.0f), sum_hat = sum;
        for (size_t at = first * c + (size_t)i, end = at + n * c; at < end; at += c) {
            const vf hat = hat_at(j, &ch, at, count), g = gradient_at(j, &ch, hat, at, count);
            sum += g;
            sum_hat = v_fma(g, hat, sum_hat);
        }
        v_store_n(sums + i, sum, count);
        v_store_n(sums + j->c + i, sum_hat, count);
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

/* Rows [from, to) of one sample. */
static void gradient_rows(const norm_gradient *j, size_t sample, size_t from, size_t to)
{
    const size_t c = (size_t)j->c;
    const float *mean_g = j->means + sample * 2 * c, *mean_gx = mean_g + c;
    for (int i = 0; i < j->c; i += VL) {
        const int count = j->c - i;
        const norm_channels ch = channels_at(j, sample, i);
        const vf g0 = v_load_n(mean_g + i, count), g1 = v_load_n(mean_gx + i, count);
        for (size_t at = from * c + (size_t)i, end = to * c; at < end; at += c) {
            const vf hat = hat_at(j, &ch, at, count), g = gradient_at(j, &ch, hat, at, count);
            v_store_n(j->dx + at, ch.rstd * (g * ch.w - v_fma(hat, g1, g0)), count);
        }
    }
}

static void gradient_pixels(size_t from, size_t to, const void *arg)
{
    const norm_gradient *j = arg;
    for (size_t row = from, end; row < to; row = end) {
        const size_t most = row + rows_at_once(j->c);
        end = sample_end(row, most < to ? most : to, j->pixels);
        gradient_rows(j, row / j->pixels, row, end);
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
    sum_columns(&s, sum_gradient_rows, j, NULL, env);
    return s.total;
}

static atm_status prepare_group_norm_dx(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    (void)device;
    const norm_gradient j = plan_gradient(&args->group_norm_dx);
    const column_sums s = plan_column_sums(j.samples, j.pixels, 2 * j.c);
    out->workspace = column_sums_bytes(&s) + 4 * j.samples * (size_t)j.c * sizeof(float);
    return ATM_OK;
}

/* Totals [samples, 2, c] added over the samples. */
static void write_dw(const norm_gradient *j, const float *totals, float *dw, float *db)
{
    for (size_t i = 0; i < (size_t)j->c; i++) {
        double g = 0, gx = 0;
        for (size_t n = 0; n < j->samples; n++) {
            g += totals[n * 2 * (size_t)j->c + i];
            gx += totals[(n * 2 + 1) * (size_t)j->c + i];
        }
        if (db) db[i] = (float)g;
        if (dw) dw[i] = (float)gx;
    }
}

static void run_group_norm_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_group_norm_dx_args *a = &args->group_norm_dx;
    norm_gradient j = plan_gradient(a);
    const float *totals = gradient_sums(&j, a->mean.data, a->rstd.data, env);
    write_dw(&j, totals, a->dw.data, a->db.data);
    if (!j.dx) return;
    float *means = (float *)j.spread + 2 * j.samples * (size_t)j.c;
    group_means(&j, totals, means);
    j.means = means;
    parallel(env, j.samples * j.pixels, (size_t)j.c, gradient_pixels, &j);
}
