/* pack.c - weights in the order in which the micro-kernel reads them.
 *
 *     packed[panel][tap][channel][j] = w(n = panel * NR + j, channel, tap)
 *
 * with zeros where n is beyond the last column.  A `filter` says where w(n, c,
 * tap) lies, which covers PyTorch's layouts of linear, conv and transposed conv
 * and GPT-2's transposed linear with one packing routine.
 *
 * Constant weights are packed once, in `prepare`, and kept by the device; the
 * others in each run, into the workspace.  Either way at memory speed, all
 * threads: the UNet's 1.4 GB are packed at every start. */

typedef struct {
    const float *data;
    int n, channels, n_taps;
    size_t n_stride, c_stride;
    const int *tap;                 /* offsets of the taps; all below c_stride or n_stride */
} filter;

/* Channels at a time: a cache line of each column's weights. */
enum { PACK_BLOCK = 16, STAGE_TAPS = 16, STAGE_STRIDE = PACK_BLOCK * STAGE_TAPS + 16 };

static int panels(int n) { return (n + NR - 1) / NR; }

static size_t packed_count(const filter *f)
{
    return (size_t)panels(f->n) * NR * (size_t)f->channels * (size_t)f->n_taps;
}

typedef struct { const filter *f; float *out; } pack_job;

INLINE void copy_floats(float *to, const float *from, int n)
{
    for (int i = 0; i < n; i += VL) v_store_n(to + i, v_load_n(from + i, n - i), n - i);
}

INLINE void zero_floats(float *to, int n)
{
    for (int i = 0; i < n; i += VL) v_store_n(to + i, v_splat(0.0f), n - i);
}

/* Channels [0, channels) of w; `panel` begins at the first of them. */
static void pack_columns(const filter *f, const float *w, size_t n_stride, int columns, int channels, float *panel)
{
    for (int t = 0; t < f->n_taps; t++) {
        for (int c = 0; c < channels; c++) {
            const float *from = w + (size_t)c * f->c_stride + f->tap[t];
            float *to = panel + ((size_t)t * (size_t)f->channels + (size_t)c) * NR;
            if (n_stride == 1) copy_floats(to, from, columns);
            else for (int j = 0; j < columns; j++) to[j] = from[(size_t)j * n_stride];
            zero_floats(to + columns, NR - columns);
        }
    }
}

/* A column's weights often lie a multiple of 4096 bytes from the next one's, so NR
 * of them fight for the same few cache lines: copied to where they do not, each
 * line is fetched once instead of once for every channel in it. */
static void pack_staged(const filter *f, const float *w, int columns, int channels, float *panel)
{
    float stage[NR * STAGE_STRIDE];
    for (int j = 0; j < columns; j++)
        memcpy(stage + j * STAGE_STRIDE, w + (size_t)j * f->n_stride, (size_t)channels * f->c_stride * sizeof *w);
    pack_columns(f, stage, STAGE_STRIDE, columns, channels, panel);
}

static void pack_panel(int panel, int thread, void *arg)
{
    (void)thread;
    const pack_job *job = arg;
    const filter *f = job->f;
    const int n0 = panel * NR, columns = f->n - n0 < NR ? f->n - n0 : NR;
    const float *w = f->data + (size_t)n0 * f->n_stride;
    float *out = job->out + (size_t)n0 * (size_t)f->channels * (size_t)f->n_taps;
    for (int c = 0; c < f->channels; c += PACK_BLOCK) {
        const int channels = f->channels - c < PACK_BLOCK ? f->channels - c : PACK_BLOCK;
        const float *from = w + (size_t)c * f->c_stride;
        float *to = out + (size_t)c * NR;
        if (columns == NR && f->c_stride <= STAGE_TAPS) pack_staged(f, from, NR, channels, to);   /* constant: unrolled */
        else pack_columns(f, from, f->n_stride, columns, channels, to);
    }
}

static void pack_filter(const filter *f, float *out, atm_pool *pool)
{
    pack_job job = { f, out };
    atm_pool_run(pool, panels(f->n), pack_panel, &job);
}

/* ------------------------------------------------------------------ constant or not */

/* Writes all of an op's packed weights to `out`. */
typedef void (*pack_function)(const atm_op_args *args, float *out, atm_pool *pool);

enum { LAYOUT_LINEAR, LAYOUT_LINEAR_TRANSPOSED, LAYOUT_CONV, LAYOUT_COLUMNS,
       LAYOUT_COLUMNS_TRANSPOSE, LAYOUT_CONV_TRANSPOSE /* and above */ };

/* `layout` tells apart the packings of one weight (same op family, different
 * geometry); NR in it, those of the instruction sets. */
static atm_status prepare_weights(atm_device *device, const atm_op_args *args, atm_tensor w, int layout,
                                  size_t count, pack_function pack, atm_prepared *out)
{
    const size_t bytes = count * sizeof(float);
    out->workspace = (bytes + 63) / 64 * 64;
    if (!w.constant) return ATM_OK;
    out->workspace = 0;
    layout = layout * 4 + NR / 16;
    out->state = atm_pack_find(device, w.data, layout, bytes);
    if (out->state) return ATM_OK;
    float *packed = atm_device_alloc(bytes);
    if (!packed) return atm_fail(ATM_E_MEMORY, "no memory for %zu bytes of packed weights", bytes);
    pack(args, packed, device->pool);
    out->state = atm_pack_add(device, w.data, layout, bytes, packed);
    return out->state ? ATM_OK : ATM_E_MEMORY;
}

typedef struct { const float *weights; char *scratch; } packed_weights;

/* The packed weights at `run`, and the workspace left behind them. */
static packed_weights get_weights(const atm_op_args *args, const atm_run_env *env, size_t count,
                                  pack_function pack)
{
    if (env->state) return (packed_weights){ env->state, env->workspace };
    pack(args, env->workspace, env->pool);
    const size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
    return (packed_weights){ env->workspace, (char *)env->workspace + bytes };
}
