/* gemm.c - matrix products and convolutions: blocking, threads, epilogue.
 *
 *     y[row][n] = act(sum over taps t, channels c of  x(row, t)[c] w(n, c, t)  + bias) + residual
 *
 * A row is a pixel of a grid; tap t of grid point (a, b) reads input pixel
 * (a step_h + dy[t], b step_w + dx[t]), zeros outside.  Taps side by side (a line of
 * a 3 x 3 kernel) read neighbouring pixels, which are neighbours in memory too: with
 * few channels such a run of taps is read as one row.  That one form is
 *     linear            one tap, the grid is the list of rows;
 *     convolution       a tap for each kernel element;
 *     transposed conv   one product for each output phase (conv.c), so that no
 *                       inserted zero is ever multiplied.
 *
 * Blocking (BLIS, Van Zee & van de Geijn 2015, with the left operand in place):
 *     a task is MC = 192 rows x NC = 256 columns of y, all of the depth;
 *     the depth is cut into blocks of at most KC = 384 elements: a panel of b,
 *     384 x 16 floats = 24 KB, stays in L1 while all rows of the task pass by
 *     (AVX-512: 768 x 32 floats, which streams from L2 at 8 bytes a cycle: fewer
 *     partial sums pay for it);
 *     those rows, 192 x 384 floats = 288 KB (a convolution's taps share pixels:
 *     less), and the task's part of y, 192 KB, stay in L2.
 * Partial sums of the blocks are added in y itself.
 *
 * The cut of the depth depends on taps and channels alone, and a row's sum is
 * the same chain in any tile: bits do not depend on threads, on the batch, or
 * on the place in it.  The cut of y into tasks may depend on anything. */

enum { MC = 192, NC = 256, KC = VL == 16 ? 768 : 384, MIN_GATHER = 16, MAX_SEGMENTS = KC / MIN_GATHER };
_Static_assert(MC % MR == 0, "row groups must fill a task");

typedef struct { int dy, dx; } tap;

/* The left operand: pixels of x [images, in_h, in_w, channels]. */
typedef struct {
    const float *x;
    int images, in_h, in_w, channels;
    int grid_h, grid_w, step_h, step_w;
    int n_taps, run;                /* taps of a run; all runs are equal */
    const tap *taps;
} pixels;

static int runs(const pixels *a) { return a->n_taps / a->run; }
static int run_width(const pixels *a) { return a->run * a->channels; }

/* Where grid point (a, b) lies in y: pixel (a step_h + first_h, b step_w + first_w). */
typedef struct { int h, w, step_h, step_w, first_h, first_w; } placement;

typedef struct {
    const float *bias, *per_sample, *residual;      /* each may be NULL */
    float *y, *z;                                   /* not both NULL    */
    atm_act act;
    float slope;
} epilogue;

typedef struct {
    pixels a;
    const float *b;                 /* packed: pack.c */
    int n;
    placement out;
    epilogue e;
} product;

/* A part of the depth: floats [c0, c0 + len) of runs [r0, r1). */
typedef struct { int r0, r1, c0, len; bool first, last; } depth_block;

/* A grid point in x: its pixel before a tap is added, and the offset of that pixel in x. */
typedef struct { ptrdiff_t at; int y, x; } grid_point;

typedef struct {                    /* scratch of one thread */
    grid_point at[MC];
    int sample[MC];
    size_t out[MC];                                 /* offset of the row in y */
    const float *rows[MC * MAX_SEGMENTS];           /* [group][segment][MR]   */
    float gathered[MC * KC];
} gemm_scratch;

typedef struct {
    const product *p;
    gemm_scratch *scratch;
    int m, mc, nc, m_tiles;
} gemm_job;

static const float zero_row[KC];

static int ceil_div(int a, int b) { return (a + b - 1) / b; }
static int min_int(int a, int b) { return a < b ? a : b; }

static size_t gemm_scratch_bytes(const atm_pool *pool)
{
    return (size_t)atm_pool_size(pool) * sizeof(gemm_scratch);
}

/* ------------------------------------------------------------------ the left operand */

/* Walks the grid of all images row by row: a division for each point would show. */
typedef struct { int image, line, column; } grid_walk;

static grid_walk walk_from(const pixels *a, int first)
{
    const int line = first / a->grid_w;
    return (grid_walk){ line / a->grid_h, line % a->grid_h, first % a->grid_w };
}

INLINE void walk_on(const pixels *a, grid_walk *g)
{
    if (++g->column < a->grid_w) return;
    g->column = 0;
    if (++g->line < a->grid_h) return;
    g->line = 0;
    g->image++;
}

/* Grid points [first, first + n) of all images. */
static void locate(const pixels *a, int first, int n, grid_point *out)
{
    grid_walk g = walk_from(a, first);
    for (int i = 0; i < n; i++, walk_on(a, &g)) {
        const int y = g.line * a->step_h, x = g.column * a->step_w;
        const ptrdiff_t row = (ptrdiff_t)g.image * a->in_h + y;
        out[i] = (grid_point){ (row * a->in_w + x) * a->channels, y, x };
    }
}

static void place(const product *p, int first, int n, gemm_scratch *s)
{
    const placement *o = &p->out;
    grid_walk g = walk_from(&p->a, first);
    for (int i = 0; i < n; i++, walk_on(&p->a, &g)) {
        const size_t y = (size_t)g.image * (size_t)o->h + (size_t)(g.line * o->step_h + o->first_h);
        s->out[i] = (y * (size_t)o->w + (size_t)(g.column * o->step_w + o->first_w)) * (size_t)p->n;
        s->sample[i] = g.image;
    }
}

/* How many taps make a run: as many as lie side by side, when all come in such runs.
 * Rows of many channels are long enough, and runs would cost copies at an image's sides. */
static int run_of(const tap *taps, int n, int channels)
{
    int run = 1;
    if (channels >= 2 * MIN_GATHER) return 1;
    while (run < n && taps[run].dy == taps[0].dy && taps[run].dx == taps[0].dx + run) run++;
    for (int t = 0; t < n; t++) {
        const tap first = taps[t / run * run];
        if (n % run || taps[t].dy != first.dy || taps[t].dx != first.dx + t % run) return 1;
    }
    return run;
}

static int clamp_int(int x, int low, int high) { return x < low ? low : x > high ? high : x; }

/* The n floats at a->x + offset, of which those outside [0, end) of their line, in which the first
 * is the `first`, are zeros: a run that leaves the image at the sides. */
static const float *clip_run(const pixels *a, ptrdiff_t offset, int first, int end, int n, float *room)
{
    const int from = clamp_int(-first, 0, n), to = clamp_int(end - first, 0, n);
    if (from >= to) return zero_row;
    zero_floats(room, from);
    copy_floats(room + from, a->x + (offset + from), to - from);
    zero_floats(room + to, n - to);
    return room;
}

static ptrdiff_t tap_offset(const pixels *a, tap t)
{
    return ((ptrdiff_t)t.dy * a->in_w + t.dx) * a->channels;
}

/* Channels from c0 on of the pixel under one tap, or zeros. */
INLINE const float *tap_floats(const pixels *a, const grid_point *g, tap t, int c0)
{
    const unsigned y = (unsigned)(g->y + t.dy), x = (unsigned)(g->x + t.dx);
    const bool inside = (y < (unsigned)a->in_h) & (x < (unsigned)a->in_w);      /* one branch, or none */
    return inside ? a->x + (g->at + tap_offset(a, t) + c0) : zero_row;
}

/* Floats [c0, c0 + n) of the run of taps that begins with t: in place where they can be. */
INLINE const float *run_floats(const pixels *a, const grid_point *g, tap t, int c0, int n, float *room)
{
    const int y = g->y + t.dy, x = g->x + t.dx;
    const ptrdiff_t offset = g->at + tap_offset(a, t) + c0;
    if ((unsigned)y >= (unsigned)a->in_h) return zero_row;
    if (x >= 0 && x <= a->in_w - a->run) return a->x + offset;
    return clip_run(a, offset, x * a->channels + c0, a->in_w * a->channels, n, room);
}

/* Whether grid points g[0 .. MR - 1] are neighbours in one line that a tap moves to inside the image,
 * as is usual: their rows are then equally far apart. */
INLINE bool side_by_side(const pixels *a, const grid_point *g, tap t)
{
    const grid_point *last = g + MR - 1;
    return last->x - g->x == (MR - 1) * a->step_w && (unsigned)(g->y + t.dy) < (unsigned)a->in_h
           && g->x + t.dx >= 0 && last->x + t.dx <= a->in_w - a->run;
}

/* Rows [i0, i0 + MR) of run r.  Those beyond the last repeat it: computed with no harm, never stored. */
INLINE void point_group(const pixels *a, const depth_block *d, int i0, int m, int r, gemm_scratch *s,
                        const float **out)
{
    const tap t = a->taps[r * a->run];
    if (i0 + MR <= m && side_by_side(a, &s->at[i0], t)) {
        const float *first = a->x + (s->at[i0].at + tap_offset(a, t) + d->c0);
        for (int i = 0; i < MR; i++) out[i] = first + i * a->step_w * a->channels;
        return;
    }
    for (int i = 0; i < MR; i++) {
        const int row = min_int(i0 + i, m - 1);
        float *room = s->gathered + (size_t)row * KC + (size_t)(r - d->r0) * (size_t)d->len;
        out[i] = a->run == 1 ? tap_floats(a, &s->at[row], t, d->c0)
                             : run_floats(a, &s->at[row], t, d->c0, d->len, room);
    }
}

static void point_rows(const pixels *a, const depth_block *d, int m, gemm_scratch *s)
{
    const float **out = s->rows;
    for (int i = 0; i < m; i += MR)
        for (int r = d->r0; r < d->r1; r++, out += MR) point_group(a, d, i, m, r, s, out);
}

/* Floats [from, from + n) of all runs of a grid point, one run after another. */
INLINE void gather_floats(const pixels *a, const grid_point *g, int from, int n, float *to)
{
    const int width = run_width(a);
    for (int r = from / width, at = from % width; n > 0; r++, at = 0) {
        const int len = min_int(width - at, n);
        const float *floats = run_floats(a, g, a->taps[r * a->run], at, len, to);
        if (floats != to) copy_floats(to, floats, len);
        to += len;
        n -= len;
    }
}

/* With few channels (an image's 1 or 3) even runs would be too short: all of a row in one. */
static void gather_rows(const pixels *a, const depth_block *d, int m, gemm_scratch *s)
{
    const int width = run_width(a);
    for (int i = 0; i < m; i++)
        gather_floats(a, &s->at[i], d->r0 * width, (d->r1 - d->r0) * width, s->gathered + (size_t)i * KC);
    for (int i = 0; i < MC; i++) s->rows[i] = s->gathered + (size_t)min_int(i, m - 1) * KC;
}

static bool must_gather(const pixels *a) { return run_width(a) < MIN_GATHER && runs(a) > 1; }

/* ------------------------------------------------------------------ the epilogue */

INLINE vf finish(const epilogue *e, vf sum, size_t at, size_t sample_at, int j, int count)
{
    if (e->bias) sum += v_load_n(e->bias + j, count);
    if (e->per_sample) sum += v_load_n(e->per_sample + sample_at + j, count);
    if (e->z) v_store_n(e->z + at, sum, count);
    if (e->act != ATM_ACT_NONE) sum = v_act(sum, e->act, e->slope);
    if (e->residual) sum += v_load_n(e->residual + at, count);
    return sum;
}

/* One row of a tile: added to y (to z when nobody wants y), finished after the
 * last block.  `columns` is NR but at the right edge. */
INLINE void store_row(const product *p, const depth_block *d, size_t at, int sample, int n0, int columns,
                      const float *tile)
{
    float *sums = p->e.y ? p->e.y : p->e.z;
    for (int v = 0; v < columns; v += VL) {
        const int count = columns - v;
        vf sum = v_load(tile + v);
        if (!d->first) sum += v_load_n(sums + at + v, count);
        if (d->last) sum = finish(&p->e, sum, at + v, (size_t)sample * (size_t)p->n, n0 + v, count);
        if (!d->last || p->e.y) v_store_n(sums + at + v, sum, count);
    }
}

static void store_tile(const product *p, const depth_block *d, const gemm_scratch *s, int row, int n_rows,
                       int n0, const float *tile)
{
    const int columns = p->n - n0;
    for (int i = row; i < row + n_rows; i++, tile += NR) {
        const size_t at = s->out[i] + (size_t)n0;
        if (columns >= NR) store_row(p, d, at, s->sample[i], n0, NR, tile);     /* constant: no tails */
        else store_row(p, d, at, s->sample[i], n0, columns, tile);
    }
}

/* ------------------------------------------------------------------ loops */

static void multiply_block(const product *p, const depth_block *d, gemm_scratch *s, int m, int n0, int n1)
{
    const pixels *a = &p->a;
    const bool gather = must_gather(a);
    const size_t depth = (size_t)a->n_taps * (size_t)a->channels;
    if (gather) gather_rows(a, d, m, s);
    else point_rows(a, d, m, s);
    const int segments = d->r1 - d->r0;
    micro_args args = { gather ? 1 : segments, gather ? segments * d->len : d->len, NULL, NULL };
    for (int n = n0; n < n1; n += NR) {
        _Alignas(64) float tile[MR * NR];
        args.b = p->b + (size_t)n * depth + ((size_t)d->r0 * (size_t)run_width(a) + (size_t)d->c0) * NR;
        args.rows = s->rows;
        for (int i = 0; i < m; i += MR, args.rows += args.segments * MR) {
            const int n_rows = min_int(MR, m - i);
            micro(n_rows, p->n - n, &args, tile, NR);
            store_tile(p, d, s, i, n_rows, n, tile);
        }
    }
}

/* Blocks of about KC, equal in size: whole runs when a run is short, else parts of one. */
static void multiply_tile(const product *p, gemm_scratch *s, int m, int n0, int n1)
{
    const int n_runs = runs(&p->a), width = run_width(&p->a);
    if (n_runs == 0) {                    /* a phase no kernel element reaches: y = bias */
        multiply_block(p, &(depth_block){ .first = true, .last = true }, s, m, n0, n1);
        return;
    }
    const int parts = ceil_div(width, KC), len = ceil_div(width, parts);
    const int most = parts > 1 ? 1 : KC / width, step = ceil_div(n_runs, ceil_div(n_runs, most));
    for (int r = 0; r < n_runs; r += step) {
        for (int c = 0; c < width; c += len) {
            const int end = min_int(r + step, n_runs), count = min_int(len, width - c);
            const depth_block d = { r, end, c, count, r + c == 0, end == n_runs && c + count == width };
            multiply_block(p, &d, s, m, n0, n1);
        }
    }
}

static void multiply_task(int task, int thread, void *arg)
{
    const gemm_job *job = arg;
    const product *p = job->p;
    gemm_scratch *s = job->scratch + thread;
    const int m0 = task % job->m_tiles * job->mc, n0 = task / job->m_tiles * job->nc;
    const int m = min_int(job->mc, job->m - m0);
    locate(&p->a, m0, m, s->at);
    place(p, m0, m, s);
    multiply_tile(p, s, m, n0, min_int(n0 + job->nc, p->n));
}

/* Large tiles reuse more; small ones keep all threads busy to the end. */
static void choose_tiles(gemm_job *job, int n, int threads)
{
    const int wanted = threads > 1 ? 6 * threads : 1, smallest_nc = 64, smallest_mc = 24;
    job->mc = MC;
    job->nc = NC;
    while (ceil_div(job->m, job->mc) * ceil_div(n, job->nc) < wanted) {
        if (job->nc > smallest_nc) job->nc /= 2;
        else if (job->mc > smallest_mc && job->m > smallest_mc) job->mc /= 2;
        else break;
    }
    job->m_tiles = ceil_div(job->m, job->mc);
}

/* `scratch`: gemm_scratch_bytes of workspace. */
static void multiply(const product *p, const atm_run_env *env, void *scratch)
{
    gemm_job job = { .p = p, .scratch = scratch, .m = p->a.images * p->a.grid_h * p->a.grid_w };
    choose_tiles(&job, p->n, atm_pool_size(env->pool));
    atm_pool_run(env->pool, job.m_tiles * ceil_div(p->n, job.nc), multiply_task, &job);
}
