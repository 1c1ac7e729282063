/* attention_dx.c - gradients of attention, the weights computed again from lse.
 *
 *     p = exp(q k^T scale + mask - lse)       delta_i = sum_c dy_ic y_ic
 *     ds = p (dy v^T - delta) scale
 *     dq = ds k        dk = ds^T q        dv = p^T dy
 *
 * A task is a chunk of the keys of one head, against all its queries:
 *
 *     for each block of keys, for each block of queries:
 *         p, ds                               two products, in L2
 *         dq += ds k                          one row of weights for each query
 *         dk += ds^T q, dv += p^T dy          sums of outer products (dw.c): nothing is transposed
 *
 * so every p is computed once, and every element of dk and dv is summed by one task
 * in a fixed order.  With few heads the keys are cut into chunks, each with a dq of
 * its own; these are added at the end.  Chunks depend on heads and keys alone. */

enum { GRADIENT_QUERIES = 48, FEW_HEADS = 4, MAX_KEY_CHUNKS = 4 };
_Static_assert(GRADIENT_QUERIES % MR == 0, "whole groups of rows");

typedef struct {
    const atm_attention_dx_args *a;
    int lq, lk, d, width;           /* width: d padded to panels */
    int chunks, chunk;              /* chunk: keys */
    float *partial;                 /* [chunks] times dq, when there are chunks */
    char *scratch;
    size_t scratch_floats;
} gradient_job;

typedef struct {                    /* of one thread */
    float *p, *ds;                              /* [GRADIENT_QUERIES][MAX_BK] */
    float *k_columns, *v_columns, *k_depth;     /* of the chunk, packed       */
    float *q_depth, *dy_depth;
    float *dq, *dk, *dv;                        /* [lq], [MAX_BK], [MAX_BK] rows of `width` */
} gradient_scratch;

/* Places the parts from `base` on; returns their size. */
static size_t place_parts(const gradient_job *j, float *base, gradient_scratch *s)
{
    const size_t tile = GRADIENT_QUERIES * MAX_BK, columns = (size_t)panels(j->chunk) * NR * (size_t)j->d;
    const size_t width = (size_t)j->width, queries = width * (size_t)j->lq, keys = width * (size_t)j->chunk;
    const struct { float **part; size_t floats; } parts[] = {
        { &s->p, tile }, { &s->ds, tile }, { &s->k_columns, columns }, { &s->v_columns, columns }, { &s->k_depth, keys },
        { &s->q_depth, queries }, { &s->dy_depth, queries }, { &s->dq, queries }, { &s->dk, MAX_BK * width },
        { &s->dv, MAX_BK * width },
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].part = base ? base + at : NULL;
        at += (parts[i].floats + 15) / 16 * 16;
    }
    return at;
}

static gradient_job plan_attention_dx(const atm_attention_dx_args *a)
{
    gradient_scratch s;
    gradient_job j = { .a = a, .lq = a->q.dim[a->q.rank - 2], .lk = a->k.dim[a->k.rank - 2],
                       .d = atm_last_dim(a->q) / a->heads };
    const int step = key_block(j.d), blocks = ceil_div(j.lk, step);
    j.width = panels(j.d) * NR;
    j.chunk = ceil_div(blocks, a->heads <= FEW_HEADS ? min_int(blocks, MAX_KEY_CHUNKS) : 1) * step;
    j.chunk = min_int(j.chunk, j.lk);
    j.chunks = ceil_div(j.lk, j.chunk);
    j.scratch_floats = place_parts(&j, NULL, &s);
    return j;
}

static void pack_all(filter f, float *out)
{
    for (int panel = 0; panel < panels(f.n); panel++) pack_panel(panel, 0, &(pack_job){ &f, out });
}

/* ------------------------------------------------------------------ a block of queries and keys */

/* One head, its keys those of the chunk. */
typedef struct { head_view q, k, v, y, dy; const float *lse, *mask; int first_key; } gradient_head;

/* Scores and dy v^T of a query to p and ds, in place; zeros from `visible` on. */
static void gradient_row(float *p, float *ds, int visible, int padded, float scale, const float *mask, float lse,
                         float delta)
{
    for (int j = 0; j < padded; j += VL) {
        const int count = visible - j;
        const vi seen = v_lanes() < count;
        vf x = v_load(p + j) * scale - lse;
        if (mask && count > 0) x += v_load_n(mask + j, count);
        const vf weight = v_select(seen, v_exp_negative(x), v_splat(0.0f));
        v_store(p + j, weight);
        v_store(ds + j, v_select(seen, weight * (v_load(ds + j) - delta) * scale, v_splat(0.0f)));
    }
}

static float row_dot(head_view a, head_view b, int row)
{
    const float *x = a.data + (size_t)row * a.stride, *y = b.data + (size_t)row * b.stride;
    vf sum = v_splat(0.0f);
    for (int c = 0; c < a.d; c += VL) sum += v_load_n(x + c, a.d - c) * v_load_n(y + c, a.d - c);
    return v_sum(sum);
}

/* p and ds of queries [q0, q0 + m) and keys [from, from + count) of the chunk. */
static void weigh_block(const gradient_job *j, const gradient_head *h, int q0, int m, int from, int count,
                        const gradient_scratch *s)
{
    const float *rows[MR];
    for (int i = 0; i < m; i += MR) {
        const int n_rows = min_int(MR, m - i);
        point_at(h->q.data + (size_t)(q0 + i) * h->q.stride, h->q.stride, n_rows, rows);
        score_tile(rows, n_rows, s->k_columns, j->d, from, count, s->p + i * MAX_BK, MAX_BK);
        point_at(h->dy.data + (size_t)(q0 + i) * h->dy.stride, h->dy.stride, n_rows, rows);
        score_tile(rows, n_rows, s->v_columns, j->d, from, count, s->ds + i * MAX_BK, MAX_BK);
    }
    for (int i = 0; i < m; i++) {
        const int before = q0 + i + j->lk - j->lq + 1 - h->first_key - from;
        const int visible = j->a->causal ? min_int(count, before) : count;
        gradient_row(s->p + i * MAX_BK, s->ds + i * MAX_BK, visible, (count + VL - 1) / VL * VL, (float)j->a->scale,
                     h->mask ? h->mask + from : NULL, h->lse[q0 + i], row_dot(h->y, h->dy, q0 + i));
    }
}

/* sums [keys][width] += weights^T rows, over queries [q0, q0 + m); `depth` is their packed rows. */
static void add_outer(const gradient_job *j, const float *weights, int q0, int m, int keys, const float *depth, float *sums)
{
    depth += (size_t)q0 * NR;
    for (int c = 0; c < j->d; c += NR, depth += (size_t)j->lq * NR)
        for (int key = 0; key < keys; key += MR) {
            const outer_args args = { weights + key, depth, MAX_BK, (size_t)j->width, m,
                                      sums + (size_t)key * (size_t)j->width + c, q0 == 0 };
            outer_table[min_int(MR, keys - key) - 1][j->d - c > VL](&args);
        }
}

static void gradient_block(const gradient_job *j, const gradient_head *h, int q0, int m, int from, int count,
                           const gradient_scratch *s)
{
    const float *rows[MR];
    float ones[MR];
    for (int i = 0; i < MR; i++) ones[i] = 1;
    weigh_block(j, h, q0, m, from, count, s);
    for (int i = 0; j->a->dq.data && i < m; i += MR) {
        const int n_rows = min_int(MR, m - i);
        point_at(s->ds + i * MAX_BK, MAX_BK, n_rows, rows);
        weighted_sum(rows, n_rows, s->k_depth, h->k.rows, from, count, ones,
                     s->dq + (size_t)(q0 + i) * (size_t)j->width, j->d);
    }
    if (j->a->dk.data) add_outer(j, s->ds, q0, m, count, s->q_depth, s->dk);
    if (j->a->dv.data) add_outer(j, s->p, q0, m, count, s->dy_depth, s->dv);
}

/* ------------------------------------------------------------------ tasks */

static head_view rows_from(head_view x, int first, int rows)
{
    x.data += (size_t)first * x.stride;
    x.rows = rows;
    return x;
}

static gradient_head gradient_head_of(const gradient_job *j, int nh, int first_key)
{
    const atm_attention_dx_args *a = j->a;
    const int n = nh / a->heads, i = nh % a->heads, keys = min_int(j->chunk, j->lk - first_key);
    const float *mask = a->mask.data;
    return (gradient_head){
        .q = head_of(a->q, n, i, a->heads), .y = head_of(a->y, n, i, a->heads), .dy = head_of(a->dy, n, i, a->heads),
        .k = rows_from(head_of(a->k, n, i, a->heads), first_key, keys),
        .v = rows_from(head_of(a->v, n, i, a->heads), first_key, keys),
        .lse = (const float *)a->lse.data + (size_t)nh * (size_t)j->lq,
        .mask = mask ? mask + (size_t)n * (size_t)j->lk + first_key : NULL, .first_key = first_key
    };
}

/* To the columns of head nh of a tensor like `t`, from row `first` of its sample on. */
static void write_head(const gradient_job *j, float *to, atm_tensor t, int nh, int first, int rows, const float *from)
{
    const size_t sample_rows = (size_t)t.dim[t.rank - 2], stride = (size_t)atm_last_dim(t);
    if (!to) return;
    to += ((size_t)(nh / j->a->heads) * sample_rows + (size_t)first) * stride + (size_t)(nh % j->a->heads * j->d);
    for (int i = 0; i < rows; i++, to += stride, from += j->width) memcpy(to, from, (size_t)j->d * sizeof *to);
}

static void attention_dx_task(int task, int thread, void *arg)
{
    const gradient_job *j = arg;
    const int nh = task / j->chunks, chunk = task % j->chunks, step = key_block(j->d);
    const gradient_head h = gradient_head_of(j, nh, chunk * j->chunk);
    gradient_scratch s;
    place_parts(j, (float *)(void *)j->scratch + (size_t)thread * j->scratch_floats, &s);
    pack_all(as_columns(h.k), s.k_columns);
    pack_all(as_columns(h.v), s.v_columns);
    pack_all(as_depth(h.k), s.k_depth);
    pack_all(as_depth(h.q), s.q_depth);
    pack_all(as_depth(h.dy), s.dy_depth);
    memset(s.dq, 0, (size_t)j->lq * (size_t)j->width * sizeof *s.dq);
    for (int from = 0; from < h.k.rows; from += step) {
        const int count = min_int(step, h.k.rows - from);
        for (int q = 0; q < j->lq; q += GRADIENT_QUERIES)
            gradient_block(j, &h, q, min_int(GRADIENT_QUERIES, j->lq - q), from, count, &s);
        write_head(j, j->a->dk.data, j->a->k, nh, h.first_key + from, count, s.dk);
        write_head(j, j->a->dv.data, j->a->k, nh, h.first_key + from, count, s.dv);
    }
    float *dq = j->chunks > 1 ? j->partial + (size_t)chunk * atm_count(j->a->q) : j->a->dq.data;
    write_head(j, dq, j->a->q, nh, 0, j->lq, s.dq);
}

static void add_partial_dq(size_t from, size_t to, const void *arg)
{
    const gradient_job *j = arg;
    const size_t count = atm_count(j->a->q);
    float *dq = j->a->dq.data;
    memcpy(dq + from, j->partial + from, (to - from) * sizeof *dq);
    for (int chunk = 1; chunk < j->chunks; chunk++)
        for (size_t i = from; i < to; i++) dq[i] += j->partial[(size_t)chunk * count + i];
}

static size_t partial_dq_floats(const gradient_job *j)
{
    return j->chunks > 1 ? ((size_t)j->chunks * atm_count(j->a->q) + 15) / 16 * 16 : 0;
}

static atm_status prepare_attention_dx(atm_device *device, const atm_op_args *args, atm_prepared *out)
{
    const gradient_job j = plan_attention_dx(&args->attention_dx);
    out->workspace = (partial_dq_floats(&j) + (size_t)atm_pool_size(device->pool) * j.scratch_floats) * sizeof(float);
    return ATM_OK;
}

static void run_attention_dx(const atm_op_args *args, const atm_run_env *env)
{
    const atm_attention_dx_args *a = &args->attention_dx;
    gradient_job j = plan_attention_dx(a);
    if (!a->dq.data && !a->dk.data && !a->dv.data) return;
    j.partial = env->workspace;
    j.scratch = (char *)(j.partial + partial_dq_floats(&j));
    atm_pool_run(env->pool, a->q.dim[0] * a->heads * j.chunks, attention_dx_task, &j);
    if (j.chunks > 1 && a->dq.data) parallel(env, atm_count(a->q), 1, add_partial_dq, &j);
}
