/* attention_dx.c - gradients of attention, the weights computed again from lse.
 *
 *     p = exp(q k^T scale + mask - lse)       delta_i = sum_c dy_ic y_ic
 *     ds = p (dy v^T - delta) scale
 *     dq = ds k        dk = ds^T q        dv = p^T dy
 *
 * A task is a block of keys of one head, and passes once over the queries:
 *
 *     for each strip of queries:
 *         for each group of MR:  q k^T and dy v^T, turned into p and ds in place
 *                                dq of these keys = ds k
 *         dk^T += q^T ds         dv^T += dy^T p
 *
 * p and ds lie as [panel of NR keys][query of the strip][NR]: that is the micro-kernel's right
 * operand for dk^T and dv^T, and for dq each panel is a segment of its left one.
 *
 * Only its task adds to dk and dv of a key; the blocks' shares of dq are kept apart and summed at
 * the end, in order.  The cut into blocks depends on the shapes alone: so do the bits.  (Two passes, the
 * second with the roles of queries and keys exchanged, need no such shares, but seven products and
 * two exponentials instead of five and one: 1.4 times as long.) */

enum { STRIP = 96, MOST_SHARES = 8, MAX_GRADIENT_KEYS = 1024, MAX_KEY_PANELS = MAX_GRADIENT_KEYS / NR };

typedef struct {
    const atm_attention_dx_args *a;
    int lq, lk, d, heads;
    int keys, blocks, strips;       /* keys of a task; tasks and strips of a head */
    int width;                      /* of a row of shares: d in whole vectors     */
    float *delta;                   /* [N, heads, lq]                             */
    float *shares;                  /* of dq: [blocks][N, heads, lq][width]       */
    float *packed;                  /* of each head: k and v as columns, k as depth, q and dy flipped */
    char *scratch;
    size_t columns_floats, depth_floats, flipped_floats, head_floats, scratch_floats;
} gradient_job;

/* Keys [from, from + count) of head nh, and this thread's scratch for them. */
typedef struct {
    const gradient_job *j;
    int nh, from, count;
    const float *packed;
    float *p, *ds;                  /* [panel][STRIP][NR] */
    float *dv, *dk;                 /* [d][keys]          */
} key_task;

static int round_up(int n, int to) { return ceil_div(n, to) * to; }

static int n_heads(const gradient_job *j) { return j->a->q.dim[0] * j->heads; }

/* A few large blocks when the keys are many: each has a share of dq in memory. */
static int gradient_keys(int d, int lk)
{
    const int wanted = round_up(ceil_div(lk, MOST_SHARES), MIN_BK), least = key_block(d);
    return min_int(wanted > least ? wanted : least, MAX_GRADIENT_KEYS);
}

static gradient_job plan_attention_dx(const atm_attention_dx_args *a)
{
    gradient_job j = { .a = a, .lq = a->q.dim[a->q.rank - 2], .lk = a->k.dim[a->k.rank - 2], .heads = a->heads,
                       .d = atm_last_dim(a->q) / a->heads };
    j.keys = min_int(gradient_keys(j.d, j.lk), panels(j.lk) * NR);
    j.blocks = ceil_div(j.lk, j.keys);
    j.strips = ceil_div(j.lq, STRIP);
    j.width = round_up(j.d, VL);
    j.columns_floats = (size_t)panels(j.lk) * NR * (size_t)j.d;
    j.depth_floats = (size_t)panels(j.d) * NR * (size_t)panels(j.lk) * NR;
    j.flipped_floats = (size_t)j.strips * STRIP * (size_t)j.d;
    j.head_floats = (2 * (j.columns_floats + j.flipped_floats) + j.depth_floats + 15) / 16 * 16;
    j.scratch_floats = 2 * (size_t)j.keys * (size_t)(STRIP + j.d);
    return j;
}

static size_t delta_floats(const gradient_job *j)
{
    return ((size_t)n_heads(j) * (size_t)j->lq + 15) / 16 * 16;
}

static size_t share_floats(const gradient_job *j)
{
    return (size_t)n_heads(j) * (size_t)j->lq * (size_t)j->width;
}

static head_view gradient_head(const gradient_job *j, atm_tensor t, int nh)
{
    return head_of(t, nh / j->heads, nh % j->heads, j->heads);
}

/* ------------------------------------------------------------------ what all tasks read */

static void delta_task(int task, int thread, void *arg)
{
    (void)thread;
    const gradient_job *j = arg;
    const head_view y = gradient_head(j, j->a->y, task), dy = gradient_head(j, j->a->dy, task);
    for (int i = 0; i < y.rows; i++) {
        vf sum = v_splat(0.0f);
        for (int c = 0; c < y.d; c += VL)
            sum += v_load_n(y.data + (size_t)i * y.stride + c, y.d - c) *
                   v_load_n(dy.data + (size_t)i * dy.stride + c, y.d - c);
        j->delta[(size_t)task * (size_t)y.rows + (size_t)i] = v_sum(sum);
    }
}

/* Channels [NR panel, ..) of x as depth.  Rows up to whole panels of keys are zeros: they meet weights that
 * are zero too, and must not be NaN. */
static void pack_depth(const gradient_job *j, head_view x, int panel, int thread, float *to)
{
    const size_t rows = (size_t)panels(j->lk) * NR, n = (size_t)x.rows;
    x.data += panel * NR;
    x.d -= panel * NR;
    const filter f = as_depth(x);
    to += (size_t)panel * NR * rows;
    pack_panel(0, thread, &(pack_job){ &f, to });
    memset(to + n * NR, 0, (rows - n) * NR * sizeof *to);
}

/* Queries of a strip as [d][STRIP]. */
static void flip_strip(head_view x, int strip, float *to)
{
    const int first = strip * STRIP, n = min_int(STRIP, x.rows - first);
    to += (size_t)first * (size_t)x.d;
    for (int i = 0; i < n; i++)
        for (int c = 0; c < x.d; c++) to[c * STRIP + i] = x.data[(size_t)(first + i) * x.stride + c];
}

static void pack_head_parts(int task, int thread, void *arg)
{
    const gradient_job *j = arg;
    const int columns = panels(j->lk), depth = panels(j->d), each = 2 * columns + depth + 2 * j->strips;
    const int nh = task / each;
    int part = task % each;
    float *to = j->packed + (size_t)nh * j->head_floats;
    for (int i = 0; i < 2; i++, part -= columns, to += j->columns_floats) {
        const filter f = as_columns(gradient_head(j, i ? j->a->v : j->a->k, nh));
        if (part >= 0 && part < columns) pack_panel(part, thread, &(pack_job){ &f, to });
    }
    if (part >= 0 && part < depth) pack_depth(j, gradient_head(j, j->a->k, nh), part, thread, to);
    part -= depth;
    to += j->depth_floats;
    for (int i = 0; i < 2; i++, part -= j->strips, to += j->flipped_floats)
        if (part >= 0 && part < j->strips) flip_strip(gradient_head(j, i ? j->a->dy : j->a->q, nh), part, to);
}

/* ------------------------------------------------------------------ one group of queries */

/* A score and dy v to p and ds; zeros beyond `count` lanes. */
INLINE void weigh_vector(float *p, float *ds, int count, float scale, const float *mask, vf lse, vf delta)
{
    vf weight = v_splat(0.0f), g = weight;
    if (count > 0) {
        vf x = v_load(p) * scale;
        if (mask) x += v_load_n(mask, count);
        weight = v_exp_negative(x - lse);
        g = weight * (v_load(ds) - delta) * scale;
    }
    if (count > 0 && count < VL) {
        const vi there = v_lanes() < count;
        weight = v_select(there, weight, v_splat(0.0f));
        g = v_select(there, g, v_splat(0.0f));
    }
    v_store(p, weight);
    v_store(ds, g);
}

/* Row `local` of the strip is query i. */
static void weigh_query(const key_task *t, int i, int local)
{
    const gradient_job *j = t->j;
    const size_t query = (size_t)t->nh * (size_t)j->lq + (size_t)i;
    const vf lse = v_splat(((const float *)j->a->lse.data)[query]), delta = v_splat(j->delta[query]);
    const float *mask = j->a->mask.data;
    if (mask) mask += (size_t)(t->nh / j->heads) * (size_t)j->lk + (size_t)t->from;
    const int seen = j->a->causal ? min_int(t->count, i + j->lk - j->lq + 1 - t->from) : t->count;
    for (int k = 0; k < panels(t->count) * NR; k += VL) {
        const size_t at = (size_t)(k / NR * STRIP + local) * NR + (size_t)(k % NR);
        weigh_vector(t->p + at, t->ds + at, seen - k, (float)j->a->scale, mask ? mask + k : NULL, lse, delta);
    }
}

/* [panel][local ..][NR] = rows times k or v. */
static void multiply_keys(const key_task *t, const float *const *rows, int n_rows, int local,
                          const float *columns, float *to)
{
    for (int k = 0; k < t->count; k += NR) {
        const micro_args args = { 1, t->j->d, rows, columns + (size_t)(t->from + k) * (size_t)t->j->d };
        micro(n_rows, t->count - k, &args, to + (size_t)(k / NR * STRIP + local) * NR, NR);
    }
}

/* These keys' share of dq. */
static void share_of_dq(const key_task *t, int i, int n_rows, int local)
{
    const gradient_job *j = t->j;
    const int n = panels(t->count);
    const float *rows[MAX_KEY_PANELS * MR], *depth = t->packed + 2 * j->columns_floats;
    const size_t block = (size_t)(t->from / j->keys), row = (size_t)t->nh * (size_t)j->lq + (size_t)i;
    float *to = j->shares + block * share_floats(j) + row * (size_t)j->width;
    for (int k = 0; k < n; k++) point_at(t->ds + (size_t)(k * STRIP + local) * NR, NR, n_rows, rows + k * MR);
    for (int c = 0; c < j->d; c += NR) {
        const size_t from = (size_t)c * (size_t)panels(j->lk) * NR + (size_t)t->from * NR;
        micro(n_rows, j->d - c, &(micro_args){ n, NR, rows, depth + from }, to + c, (size_t)j->width);
    }
}

static void differentiate_group(const key_task *t, int i, int n_rows, int local)
{
    const gradient_job *j = t->j;
    const head_view q = gradient_head(j, j->a->q, t->nh), dy = gradient_head(j, j->a->dy, t->nh);
    const float *rows[MR];
    point_at(q.data + (size_t)i * q.stride, q.stride, n_rows, rows);
    multiply_keys(t, rows, n_rows, local, t->packed, t->p);
    point_at(dy.data + (size_t)i * dy.stride, dy.stride, n_rows, rows);
    multiply_keys(t, rows, n_rows, local, t->packed + j->columns_floats, t->ds);
    for (int r = 0; r < n_rows; r++) weigh_query(t, i + r, local + r);
    if (j->a->dq.data) share_of_dq(t, i, n_rows, local);
}

/* ------------------------------------------------------------------ a block of keys */

/* sum [d][keys] += flipped [d][n] times weights [panel][n][NR]. */
static void add_products(const key_task *t, const float *flipped, int n, const float *weights, float *sum)
{
    const int d = t->j->d;
    _Alignas(64) float tile[MR * NR];
    const float *rows[MR];
    for (int k = 0; k < t->count; k += NR)
        for (int c = 0; c < d; c += MR) {
            const int n_rows = min_int(MR, d - c);
            point_at(flipped + c * STRIP, STRIP, n_rows, rows);
            micro(n_rows, t->count - k, &(micro_args){ 1, n, rows, weights + (size_t)k * STRIP }, tile, NR);
            for (int i = 0; i < n_rows; i++) {
                float *to = sum + (size_t)(c + i) * (size_t)t->j->keys + k;
                for (int v = 0; v < min_int(NR, t->count - k); v += VL)
                    v_store(to + v, v_load(to + v) + v_load(tile + i * NR + v));
            }
        }
}

static void write_flipped(const key_task *t, atm_tensor gradient, const float *sum)
{
    const gradient_job *j = t->j;
    if (!gradient.data) return;
    const size_t c = (size_t)atm_last_dim(gradient);
    const size_t first = (size_t)(t->nh / j->heads) * (size_t)j->lk + (size_t)t->from;
    float *to = (float *)gradient.data + first * c + (size_t)(t->nh % j->heads) * (size_t)j->d;
    for (int k = 0; k < t->count; k++, to += c)
        for (int i = 0; i < j->d; i++) to[i] = sum[(size_t)i * (size_t)j->keys + (size_t)k];
}

static void differentiate_keys(int task, int thread, void *arg)
{
    const gradient_job *j = arg;
    const int from = task % j->blocks * j->keys, nh = task / j->blocks;
    float *scratch = (float *)j->scratch + (size_t)thread * j->scratch_floats;
    const size_t weights = (size_t)j->keys * STRIP, sums = (size_t)j->keys * (size_t)j->d;
    const key_task t = { j, nh, from, min_int(j->keys, j->lk - from), j->packed + (size_t)nh * j->head_floats,
                         scratch, scratch + weights, scratch + 2 * weights, scratch + 2 * weights + sums };
    memset(t.dv, 0, 2 * sums * sizeof *t.dv);
    for (int strip = 0; strip < j->strips; strip++) {
        const int first = strip * STRIP, n = min_int(STRIP, j->lq - first);
        const float *q = t.packed + 2 * j->columns_floats + j->depth_floats + (size_t)first * (size_t)j->d;
        for (int i = 0; i < n; i += MR) differentiate_group(&t, first + i, min_int(MR, n - i), i);
        if (j->a->dk.data) add_products(&t, q, n, t.ds, t.dk);
        if (j->a->dv.data) add_products(&t, q + j->flipped_floats, n, t.p, t.dv);
    }
    write_flipped(&t, j->a->dk, t.dk);
    write_flipped(&t, j->a->dv, t.dv);
}

/* Rows of dq, a head of each after the other. */
static void sum_shares(size_t from, size_t to, const void *arg)
{
    const gradient_job *j = arg;
    const size_t d = (size_t)j->d, lq = (size_t)j->lq, heads = (size_t)j->heads;
    for (size_t row = from; row < to; row++) {
        const size_t nh = row / lq, at = (nh / heads * lq + row % lq) * heads + nh % heads;
        const float *share = j->shares + row * (size_t)j->width;
        for (size_t c = 0; c < d; c += VL) {
            vf sum = v_load(share + c);
            for (int b = 1; b < j->blocks; b++) sum += v_load(share + (size_t)b * share_floats(j) + c);
            v_store_n((float *)j->a->dq.data + at * d + c, sum, (int)(d - c));
        }
    }
}

/* ------------------------------------------------------------------ the op */

static atm_status prepare_attention_dx(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    const gradient_job j = plan_attention_dx(&args->attention_dx);
    const size_t shares = atm_present(j.a->dq) ? (size_t)j.blocks * share_floats(&j) : 0;
    out->workspace = (delta_floats(&j) + (size_t)n_heads(&j) * j.head_floats + shares +
                      (size_t)atm_pool_size(device->pool) * j.scratch_floats) * sizeof(float);
    return ATM_OK;
}

static void run_attention_dx(const atm_op_args *args, const atm_run_env *env)
{
    gradient_job j = plan_attention_dx(&args->attention_dx);
    const int heads = n_heads(&j);
    j.delta = env->workspace;
    j.packed = j.delta + delta_floats(&j);
    j.scratch = (char *)(j.packed + (size_t)heads * j.head_floats);
    j.shares = (float *)j.scratch + (size_t)atm_pool_size(env->pool) * j.scratch_floats;
    atm_pool_run(env->pool, heads, delta_task, &j);
    atm_pool_run(env->pool, heads * (2 * (panels(j.lk) + j.strips) + panels(j.d)), pack_head_parts, &j);
    atm_pool_run(env->pool, heads * j.blocks, differentiate_keys, &j);
    if (j.a->dq.data) parallel(env, (size_t)heads * (size_t)j.lq, (size_t)(j.blocks * j.d), sum_shares, &j);
}
