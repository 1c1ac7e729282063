/* attention.c - softmax(q k^T scale + mask) v, one head at a time, without the
 * matrix of scores (online softmax: Milakov & Gimelshein 2018; Dao et al. 2022).
 *
 * Keys are packed as the right operand of q k^T, values as that of p v, once for
 * each head.  A task is up to BQ queries of one head:
 *
 *     for each block of keys, for each group of MR queries:
 *         s = q k^T                       micro-kernel, [MR][block] in L1
 *         s = s scale + mask; m' = max(m, max s); p = exp(s - m'); a = exp(m - m')
 *         l = l a + sum p;  o = o a + p v                    micro-kernel again
 *     y = o / l, lse = m + log l
 *
 * A block is 256 keys, fewer for wide heads, so that its K and V (64 KB at
 * d = 32, 256 KB at d = 512) stay in L2 while the task's queries pass.  The size
 * depends on d alone; with it the order of all sums, so the bits too. */

enum { BQ = 96, MAX_BK = 256, MIN_BK = 64, MR_VECTORS = (MR + VL - 1) / VL };
_Static_assert(BQ % MR == 0 && MIN_BK % NR == 0, "whole tiles");

static int key_block(int d)
{
    const int keys = 32768 / d / MIN_BK * MIN_BK;
    return keys < MIN_BK ? MIN_BK : keys > MAX_BK ? MAX_BK : keys;
}

/* Where one head of a [N, L, C] tensor lies. */
typedef struct { const float *data; int rows, d; size_t stride; } head_view;

static head_view head_of(atm_tensor t, int n, int h, int heads)
{
    const int rows = t.dim[t.rank - 2], c = atm_last_dim(t), d = c / heads;
    const float *data = t.data;
    const size_t first = (size_t)n * (size_t)rows * (size_t)c + (size_t)h * (size_t)d;
    return (head_view){ data + first, rows, d, (size_t)c };
}

/* Rows become columns of the right operand (x^T), or its depth (x itself). */
static filter as_columns(head_view x)
{
    return (filter){ x.data, x.rows, x.d, 1, x.stride, 1, &no_offset };
}

static filter as_depth(head_view x)
{
    return (filter){ x.data, x.d, x.rows, 1, 1, x.stride, &no_offset };
}

/* Points `rows` at MR rows of x from `first`; those beyond n_rows repeat the last. */
static void point_at(const float *x, size_t stride, int n_rows, const float **rows)
{
    for (int i = 0; i < MR; i++) rows[i] = x + (size_t)(i < n_rows ? i : n_rows - 1) * stride;
}

/* out [n_rows][count, padded to NR] = rows [.., d] times columns [from, from + count). */
static void score_tile(const float *const *rows, int n_rows, const float *columns, int d, int from, int count,
                       float *out, size_t stride)
{
    for (int j = 0; j < count; j += NR) {
        const micro_args args = { 1, d, rows, columns + (size_t)(from + j) * (size_t)d };
        micro(n_rows, count - j, &args, out + j, stride);
    }
}

/* sum [n_rows][d, padded] = sum * keep + weights [n_rows][count] times rows [from, from + count). */
static void weighted_sum(const float *const *weights, int n_rows, const float *depth, int total, int from,
                         int count, const float *keep, float *sum, int d)
{
    _Alignas(64) float tile[MR * NR];
    const size_t stride = (size_t)panels(d) * NR;
    for (int j = 0; j < d; j += NR) {
        const micro_args args = { 1, count, weights, depth + (size_t)j * (size_t)total + (size_t)from * NR };
        micro(n_rows, d - j, &args, tile, NR);
        for (int i = 0; i < n_rows; i++) {
            float *to = sum + (size_t)i * stride + j;
            for (int v = 0; v < min_int(NR, d - j); v += VL)
                v_store(to + v, v_fma(v_load(to + v), v_splat(keep[i]), v_load(tile + i * NR + v)));
        }
    }
}

/* ------------------------------------------------------------------ online softmax */

typedef struct { float max, sum; } softmax_state;

/* exp(x) for x <= 0; exactly 0 from -88 on: 2^-127 has no normal representation. */
INLINE vf v_exp_negative(vf x)
{
    x = v_max(x, v_splat(-88.0f));
    const vf magic = v_splat(0x1.8p23f);
    const vf shifted = v_fma(x, v_splat(1.44269504f), magic), n = shifted - magic;
    vf r = v_fma(n, v_splat(-0x1.62e4p-1f), x);
    r = v_fma(n, v_splat(-1.42860677e-6f), r);
    vf p = v_splat(1.381453999e-03f);
    POLY_STEP(p, r, 8.368745246e-03f);
    POLY_STEP(p, r, 4.166839080e-02f);
    POLY_STEP(p, r, 1.666652040e-01f);
    POLY_STEP(p, r, 4.999999343e-01f);
    p = v_fma(p, r * r, r) + 1.0f;
    return p * (vf)(((vi)shifted << 23) + (127 << 23));
}

/* s = s scale + mask, -inf from `visible` on; returns the largest. */
static float scale_scores(float *s, int visible, int padded, float scale, const float *mask)
{
    vf max = v_splat(-INFINITY);
    for (int j = 0; j < padded; j += VL) {
        const int count = visible - j;
        vf x = v_load(s + j) * scale;
        if (mask && count > 0) x += v_load_n(mask + j, count);
        if (count < VL) x = v_select(v_lanes() < count, x, v_splat(-INFINITY));
        v_store(s + j, x);
        max = v_max(max, x);
    }
    return v_max_lane(max);
}

/* Turns a row of scores into weights and returns their sum. */
static float weigh_row(float *s, int padded, float max)
{
    const float shift = max == -INFINITY ? 0.0f : max;          /* nothing seen yet: weights 0, not NaN */
    vf sum = v_splat(0.0f);
    for (int j = 0; j < padded; j += VL) {
        const vf p = v_exp_negative(v_load(s + j) - shift);
        v_store(s + j, p);
        sum += p;
    }
    return v_sum(sum);
}

/* After a block of keys: `max` and `sum` are the block's.  keep: the factor for
 * what was summed before.  All rows at once, for their exp is one vector. */
static void update_states(softmax_state *state, const float *max, const float *sum, int n_rows, float *keep)
{
    for (int i = 0; i < n_rows; i++)
        keep[i] = max[i] == -INFINITY ? -INFINITY : state[i].max - max[i];
    for (int i = 0; i < n_rows; i += VL) v_store(keep + i, v_exp_negative(v_load(keep + i)));
    for (int i = 0; i < n_rows; i++) state[i] = (softmax_state){ max[i], state[i].sum * keep[i] + sum[i] };
}

/* ------------------------------------------------------------------ tasks */

typedef struct {
    const atm_attention_args *a;
    float *packed;                  /* for each sample and head: keys, then values */
    char *scratch;
    size_t head_floats, scratch_bytes;
    int lq, lk, d, bq, blocks;
} attention_job;

typedef struct {                    /* of one thread; `sums` runs on to [BQ][d, padded] */
    softmax_state state[BQ];
    _Alignas(64) float scores[MR * MAX_BK];
    _Alignas(64) float sums[];
} attention_scratch;

static size_t attention_scratch_bytes(int d)
{
    return sizeof(attention_scratch) + (size_t)BQ * (size_t)panels(d) * NR * sizeof(float);
}

static attention_job attention_plan(const atm_attention_args *a)
{
    attention_job j = { .a = a, .lq = a->q.dim[a->q.rank - 2], .lk = a->k.dim[a->k.rank - 2] };
    j.d = atm_last_dim(a->q) / a->heads;
    const size_t keys = (size_t)panels(j.lk) * NR * (size_t)j.d;
    const size_t values = (size_t)panels(j.d) * NR * (size_t)j.lk;
    j.head_floats = (keys + values + 15) / 16 * 16;
    j.scratch_bytes = attention_scratch_bytes(j.d);
    return j;
}

static int heads_in(const atm_attention_args *a) { return a->q.dim[0] * a->heads; }

static void pack_head_task(int task, int thread, void *arg)
{
    const attention_job *j = arg;
    const int key_panels = panels(j->lk), each = key_panels + panels(j->d);
    const int panel = task % each, nh = task / each, n = nh / j->a->heads, h = nh % j->a->heads;
    float *to = j->packed + (size_t)nh * j->head_floats;
    const filter keys = as_columns(head_of(j->a->k, n, h, j->a->heads));
    const filter values = as_depth(head_of(j->a->v, n, h, j->a->heads));
    if (panel < key_panels) pack_panel(panel, thread, &(pack_job){ &keys, to });
    else pack_panel(panel - key_panels, thread, &(pack_job){ &values, to + packed_count(&keys) });
}

/* Queries [q0, q0 + n_rows) see keys [from, from + count). */
static void attend_group(const attention_job *j, const float *packed, head_view q, const float *mask, int q0,
                         int n_rows, int from, int count, attention_scratch *s, int local)
{
    const float *rows[MR];
    float max[MR], sum[MR], keep[MR_VECTORS * VL] = { 0 };
    softmax_state *state = &s->state[local];
    point_at(q.data + (size_t)q0 * q.stride, q.stride, n_rows, rows);
    score_tile(rows, n_rows, packed, j->d, from, count, s->scores, MAX_BK);
    const int padded = (count + VL - 1) / VL * VL;
    for (int i = 0; i < n_rows; i++) {
        float *scores = s->scores + i * MAX_BK;
        const int seen = j->a->causal ? min_int(count, q0 + i + j->lk - j->lq + 1 - from) : count;
        const float found = scale_scores(scores, seen, padded, (float)j->a->scale, mask);
        max[i] = found > state[i].max ? found : state[i].max;
        sum[i] = weigh_row(scores, padded, max[i]);
    }
    update_states(state, max, sum, n_rows, keep);
    point_at(s->scores, MAX_BK, n_rows, rows);
    const size_t keys = (size_t)panels(j->lk) * NR * (size_t)j->d, width = (size_t)panels(j->d) * NR;
    weighted_sum(rows, n_rows, packed + keys, j->lk, from, count, keep,
                 s->sums + (size_t)local * width, j->d);
}

static void write_rows(const attention_job *j, int nh, int q0, int n_rows, const attention_scratch *s)
{
    const size_t width = (size_t)panels(j->d) * NR, c = (size_t)j->d * (size_t)j->a->heads;
    const size_t first = (size_t)(nh / j->a->heads) * (size_t)j->lq + (size_t)q0;
    float *y = j->a->y.data, *lse = j->a->lse.data;
    for (int i = 0; i < n_rows; i++) {
        const softmax_state state = s->state[i];
        const float scale = state.sum > 0 ? 1 / state.sum : 0;  /* a query that sees nothing gives 0 */
        float *to = y ? y + (first + (size_t)i) * c + (size_t)(nh % j->a->heads) * (size_t)j->d : NULL;
        for (int v = 0; to && v < j->d; v += VL)
            v_store_n(to + v, v_load(s->sums + (size_t)i * width + v) * scale, j->d - v);
        if (lse) lse[(size_t)nh * (size_t)j->lq + (size_t)(q0 + i)] = state.max + logf(state.sum);
    }
}

static void attend_task(int task, int thread, void *arg)
{
    const attention_job *j = arg;
    const atm_attention_args *a = j->a;
    const int nh = task / j->blocks, q0 = task % j->blocks * j->bq, m = min_int(j->bq, j->lq - q0);
    const int n = nh / a->heads, step = key_block(j->d);
    attention_scratch *s = (attention_scratch *)(j->scratch + (size_t)thread * j->scratch_bytes);
    const head_view q = head_of(a->q, n, nh % a->heads, a->heads);
    const float *mask = a->mask.data ? (const float *)a->mask.data + (size_t)n * (size_t)j->lk : NULL;
    for (int i = 0; i < m; i++) s->state[i] = (softmax_state){ -INFINITY, 0 };
    memset(s->sums, 0, (size_t)m * (size_t)panels(j->d) * NR * sizeof(float));
    const int end = a->causal ? min_int(j->lk, q0 + m + j->lk - j->lq) : j->lk;
    for (int from = 0; from < end; from += step)
        for (int i = 0; i < m; i += MR)
            attend_group(j, j->packed + (size_t)nh * j->head_floats, q, mask ? mask + from : NULL, q0 + i,
                         min_int(MR, m - i), from, min_int(step, j->lk - from), s, i);
    write_rows(j, nh, q0, m, s);
}

static atm_status prepare_attention(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    const atm_attention_args *a = &args->attention;
    const attention_job j = attention_plan(a);
    out->workspace = (size_t)heads_in(a) * j.head_floats * sizeof(float) +
                     (size_t)atm_pool_size(device->pool) * j.scratch_bytes;
    return ATM_OK;
}

static void run_attention(const atm_op_args *args, const atm_run_env *env)
{
    const atm_attention_args *a = &args->attention;
    attention_job j = attention_plan(a);
    const int heads = heads_in(a), wanted = 4 * atm_pool_size(env->pool);
    j.packed = env->workspace;
    j.scratch = (char *)(j.packed + (size_t)heads * j.head_floats);
    for (j.bq = BQ; j.bq > 2 * MR && heads * ceil_div(j.lq, j.bq) < wanted; ) j.bq /= 2;
    j.blocks = ceil_div(j.lq, j.bq);
    atm_pool_run(env->pool, heads * (panels(j.lk) + panels(j.d)), pack_head_task, &j);
    atm_pool_run(env->pool, heads * j.blocks, attend_task, &j);
}
