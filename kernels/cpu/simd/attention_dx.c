/* attention_dx.c - gradients of attention, the weights computed again from lse.
 *
 *     p = exp(q k^T scale + mask - lse)       delta_i = sum_c dy_ic y_ic
 *     ds = p (dy v^T - delta) scale
 *     dq = ds k        dk = ds^T q        dv = p^T dy
 *
 * Two passes, the second with the roles of queries and keys exchanged, so that
 * every output row is summed by one task in a fixed order (one pass would add
 * to dk and dv from several threads):
 *
 *     pass     own rows     others         gives
 *     queries  q, dy        k, v           dq
 *     keys     k, v         q, dy          dk, dv         (p and ds transposed)      */

typedef struct {
    const atm_attention_dx_args *a;
    atm_tensor own[2], other[2];
    float *grad[2];                 /* of own[0] through ds; of own[1] through p */
    bool by_key;
    float *delta;                   /* [N, heads, Lq] */
    float *packed;                  /* for each head: others as columns, as depth */
    char *scratch;
    size_t columns_floats, depth_floats, head_floats, scratch_bytes;
    int own_rows, other_rows, d, groups;
} gradient_pass;

typedef struct {                    /* of one thread; `sums` runs on to [2][MR][d, padded] */
    _Alignas(64) float p[MR * MAX_BK];
    _Alignas(64) float ds[MR * MAX_BK];
    _Alignas(64) float sums[];
} gradient_scratch;

static gradient_pass plan_pass(const atm_attention_dx_args *a, bool by_key)
{
    gradient_pass j = { .a = a, .by_key = by_key, .own = { a->q, a->dy }, .other = { a->k, a->v },
                        .grad = { a->dq.data, NULL } };
    if (by_key)
        j = (gradient_pass){ .a = a, .by_key = by_key, .own = { a->k, a->v }, .other = { a->q, a->dy },
                             .grad = { a->dk.data, a->dv.data } };
    j.own_rows = j.own[0].dim[j.own[0].rank - 2];
    j.other_rows = j.other[0].dim[j.other[0].rank - 2];
    j.d = atm_last_dim(a->q) / a->heads;
    j.groups = ceil_div(j.own_rows, MR);
    j.columns_floats = (size_t)panels(j.other_rows) * NR * (size_t)j.d;
    j.depth_floats = (size_t)panels(j.d) * NR * (size_t)j.other_rows;
    j.head_floats = (2 * (j.columns_floats + j.depth_floats) + 15) / 16 * 16;
    const size_t sums = 2 * MR * (size_t)panels(j.d) * NR;
    j.scratch_bytes = (sizeof(gradient_scratch) + sums * sizeof(float) + 63) / 64 * 64;
    return j;
}

static size_t delta_floats(const atm_attention_dx_args *a)
{
    return ((size_t)a->q.dim[0] * (size_t)a->heads * (size_t)a->q.dim[a->q.rank - 2] + 15) / 16 * 16;
}

static void delta_task(int task, int thread, void *arg)
{
    (void)thread;
    const gradient_pass *j = arg;
    const atm_attention_dx_args *a = j->a;
    const head_view y = head_of(a->y, task / a->heads, task % a->heads, a->heads);
    const head_view dy = head_of(a->dy, task / a->heads, task % a->heads, a->heads);
    for (int i = 0; i < y.rows; i++) {
        vf sum = v_splat(0.0f);
        for (int c = 0; c < y.d; c += VL)
            sum += v_load_n(y.data + (size_t)i * y.stride + c, y.d - c) *
                   v_load_n(dy.data + (size_t)i * dy.stride + c, y.d - c);
        j->delta[(size_t)task * (size_t)y.rows + (size_t)i] = v_sum(sum);
    }
}

static void pack_others_task(int task, int thread, void *arg)
{
    const gradient_pass *j = arg;
    const int of_columns = panels(j->other_rows), of_depth = panels(j->d), each = 2 * (of_columns + of_depth);
    const int nh = task / each, n = nh / j->a->heads, h = nh % j->a->heads;
    int panel = task % each;
    float *to = j->packed + (size_t)nh * j->head_floats;
    for (int part = 0; part < 4; part++) {
        const head_view x = head_of(j->other[part % 2], n, h, j->a->heads);
        const filter f = part < 2 ? as_columns(x) : as_depth(x);
        const int count = part < 2 ? of_columns : of_depth;
        if (panel >= 0 && panel < count) pack_panel(panel, thread, &(pack_job){ &f, to });
        panel -= count;
        to += part < 2 ? j->columns_floats : j->depth_floats;
    }
}

/* lse and delta of the queries: one value for a row, or one for each column. */
typedef struct { const float *lse, *delta; bool in_columns; } query_values;

/* Scores and dy v^T to p and ds, in place; zeros outside [lo, hi).  `mask` is of
 * the columns, or of the row when the queries are in the columns. */
static void gradient_row(float *p, float *ds, int lo, int hi, int padded, float scale, const float *mask,
                         query_values q)
{
    for (int j = 0; j < padded; j += VL) {
        const int count = hi - j;
        if (count <= 0 || j + VL <= lo) {
            v_store(p + j, v_splat(0.0f));
            v_store(ds + j, v_splat(0.0f));
            continue;
        }
        const vf lse = q.in_columns ? v_load_n(q.lse + j, count) : v_splat(*q.lse);
        const vf delta = q.in_columns ? v_load_n(q.delta + j, count) : v_splat(*q.delta);
        vf x = v_load(p + j) * scale;
        if (mask) x += q.in_columns ? v_splat(*mask) : v_load_n(mask + j, count);
        const vf weight = v_exp(x - lse);
        v_store(p + j, weight);
        v_store(ds + j, weight * (v_load(ds + j) - delta) * scale);
    }
    for (int j = 0; j < lo; j++) p[j] = ds[j] = 0;
    for (int j = hi < 0 ? 0 : hi; j < padded; j++) p[j] = ds[j] = 0;
}

/* Row `own` of this pass against others [from, from + count). */
static void gradient_block_row(const gradient_pass *j, int nh, int own, int from, int count, float *p,
                               float *ds)
{
    const atm_attention_dx_args *a = j->a;
    const int lq = j->by_key ? j->other_rows : j->own_rows, lk = j->by_key ? j->own_rows : j->other_rows;
    const int query = j->by_key ? from : own, key = j->by_key ? own : from, ahead = lk - lq;
    const size_t at = (size_t)nh * (size_t)lq + (size_t)query;
    const query_values q = { (const float *)a->lse.data + at, j->delta + at, j->by_key };
    const float *mask = a->mask.data;
    if (mask) mask += (size_t)(nh / a->heads) * (size_t)lk + (size_t)key;
    int lo = 0, hi = count;
    if (a->causal && j->by_key) lo = key - ahead - from;
    if (a->causal && !j->by_key) hi = min_int(count, query + ahead + 1 - from);
    lo = lo < 0 ? 0 : min_int(lo, count);
    gradient_row(p, ds, lo, hi, (count + VL - 1) / VL * VL, (float)a->scale, mask, q);
}

static void gradient_block(const gradient_pass *j, int nh, int own, int n_rows, int from, int count,
                           gradient_scratch *s)
{
    const float *packed = j->packed + (size_t)nh * j->head_floats, *depth = packed + 2 * j->columns_floats;
    const size_t width = (size_t)panels(j->d) * NR;
    const float *rows[MR];
    float ones[MR];
    for (int i = 0; i < MR; i++) ones[i] = 1;
    for (int part = 0; part < 2; part++) {
        const head_view x = head_of(j->own[part], nh / j->a->heads, nh % j->a->heads, j->a->heads);
        point_at(x.data + (size_t)own * x.stride, x.stride, n_rows, rows);
        score_tile(rows, n_rows, packed + (size_t)part * j->columns_floats, j->d, from, count,
                   part ? s->ds : s->p, MAX_BK);
    }
    for (int i = 0; i < n_rows; i++)
        gradient_block_row(j, nh, own + i, from, count, s->p + i * MAX_BK, s->ds + i * MAX_BK);
    for (int part = 0; part < 2; part++) {
        if (!j->grad[part]) continue;
        point_at(part ? s->p : s->ds, MAX_BK, n_rows, rows);
        weighted_sum(rows, n_rows, depth + (size_t)part * j->depth_floats, j->other_rows, from, count, ones,
                     s->sums + (size_t)part * MR * width, j->d);
    }
}

static void gradient_task(int task, int thread, void *arg)
{
    const gradient_pass *j = arg;
    const int nh = task / j->groups, own = task % j->groups * MR, n_rows = min_int(MR, j->own_rows - own);
    const int step = key_block(j->d), heads = j->a->heads;
    const size_t width = (size_t)panels(j->d) * NR, c = (size_t)j->d * (size_t)heads;
    gradient_scratch *s = (gradient_scratch *)(j->scratch + (size_t)thread * j->scratch_bytes);
    memset(s->sums, 0, 2 * MR * width * sizeof(float));
    for (int from = 0; from < j->other_rows; from += step)
        gradient_block(j, nh, own, n_rows, from, min_int(step, j->other_rows - from), s);
    for (int part = 0; part < 2; part++) {
        if (!j->grad[part]) continue;
        const size_t first = (size_t)(nh / heads) * (size_t)j->own_rows + (size_t)own;
        float *to = j->grad[part] + first * c + (size_t)(nh % heads) * (size_t)j->d;
        const float *sums = s->sums + (size_t)part * MR * width;
        for (int i = 0; i < n_rows; i++)
            memcpy(to + (size_t)i * c, sums + (size_t)i * width, (size_t)j->d * sizeof *to);
    }
}

static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

static atm_status prepare_attention_dx(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    const atm_attention_dx_args *a = &args->attention_dx;
    const gradient_pass q = plan_pass(a, false), k = plan_pass(a, true);
    const size_t heads = (size_t)a->q.dim[0] * (size_t)a->heads;
    out->workspace = (delta_floats(a) + heads * max_size(q.head_floats, k.head_floats)) * sizeof(float) +
                     (size_t)atm_pool_size(device->pool) * q.scratch_bytes;
    return ATM_OK;
}

static void run_pass(const atm_attention_dx_args *a, const atm_run_env *env, bool by_key)
{
    gradient_pass j = plan_pass(a, by_key);
    if (!j.grad[0] && !j.grad[1]) return;
    const int heads = a->q.dim[0] * a->heads;
    j.delta = env->workspace;
    j.packed = j.delta + delta_floats(a);
    j.scratch = (char *)(j.packed + (size_t)heads * j.head_floats);
    atm_pool_run(env->pool, heads, delta_task, &j);
    atm_pool_run(env->pool, heads * 2 * (panels(j.other_rows) + panels(j.d)), pack_others_task, &j);
    atm_pool_run(env->pool, heads * j.groups, gradient_task, &j);
}

static void run_attention_dx(const atm_op_args *args, const atm_run_env *env)
{
    run_pass(&args->attention_dx, env, false);
    run_pass(&args->attention_dx, env, true);
}
