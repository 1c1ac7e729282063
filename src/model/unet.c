/* unet.c - the denoiser of AudioLDM2.
 *
 *     temb = silu(linear_2(silu(linear_1(sinusoid(timestep)))))        width 4 C0
 *     h = conv_in(sample)
 *     down:  every level: layers x (resblock, streams), then a stride-2 convolution
 *     mid:   resblock, streams, resblock
 *     up:    every level: (layers + 1) x (resblock([h, skip]), streams), then
 *            nearest upsampling to the size of the next skip and a convolution
 *     out = conv_out(silu(norm h))
 *
 * "Streams" are transformers, one for each context of the level, in this order:
 * self-attention twice (no context), the LOA vectors, the masked T5 states.
 * Every residual block and every downsampling leaves a skip; the way up takes
 * them from the end.
 *
 * These have caused bugs in ports: the concatenation is [h, skip]; temb itself
 * is not activated in the reference, each resblock does it (so we do it once);
 * stride 2 rounds up, hence upsampling asks the skip for its size (250 -> 125
 * -> 63 -> 32 and back); masked keys get -10000, not minus infinity.
 *
 * Source: diffusers 0.27.2, pipelines/audioldm2/modeling_audioldm2.py; A. Liu et
 * al., AudioLDM 2, arXiv 2308.05734.  To add a context: ATM_UNET_CONTEXTS. */
#include "model/layers.h"
#include "model/unet.h"

enum { MAX_SKIPS = ATM_UNET_LEVELS * (ATM_UNET_LAYERS + 1) + 1 };

typedef struct {
    atm_plan *p;
    const atm_unet_config *config;
    int batch;                          /* N of unet.h */
    atm_time_embedding time;
    atm_tensor context[ATM_UNET_CONTEXTS], mask[ATM_UNET_CONTEXTS];
    atm_tensor skip[MAX_SKIPS];
    int n_skips;
    bool recompute;
} unet;

/* ------------------------------------------------------------------ conditioning */

static atm_tensor embed_time(unet *u, atm_tensor timestep)
{
    const atm_unet_config *c = u->config;
    const int width = 4 * c->channels[0];
    const atm_linear_options silu = { .act = ATM_ACT_SILU };
    atm_scope(u->p, "time_embedding");
    atm_tensor e = atm_timestep_embedding(u->p, timestep, c->channels[0], c->flip_sin_to_cos, c->freq_shift);
    e = atm_nn_linear(u->p, "linear_1", e, width, silu);
    e = atm_nn_linear(u->p, "linear_2", e, width, silu);
    atm_scope_end(u->p);
    return e;
}

/* 1 -> 0, 0 -> -10000: added to the scores. */
static atm_tensor score_bias(atm_plan *p, atm_tensor mask)
{
    return atm_present(mask) ? atm_affine(p, mask, 10000, -10000) : ATM_NONE;
}

static int rows(atm_tensor t) { return atm_present(t) ? t.dim[0] : 0; }

/* Everybody who knows N must agree on it. */
static void set_batch(unet *u, const atm_unet_inputs *in)
{
    const int b = in->sample.dim[0];
    const atm_tensor teller[] = { in->context[0], in->context[1], in->mask[0], in->mask[1],
                                  atm_present(in->index) ? in->index : in->timestep };
    u->batch = rows(in->context[0]) ? rows(in->context[0]) : rows(in->context[1]) ? rows(in->context[1]) : b;
    for (size_t i = 0; i < sizeof teller / sizeof *teller; i++)
        if (rows(teller[i]) && rows(teller[i]) != u->batch)
            atm_plan_fail(u->p, "contexts, masks and times are for %d and for %d samples",
                          u->batch, rows(teller[i]));
    if (u->batch != b && u->batch != 2 * b)
        atm_plan_fail(u->p, "the contexts are for %d samples, the latents for %d: must be as many or twice",
                      u->batch, b);
}

/* ------------------------------------------------------------------ layers */

static atm_tensor resblock(unet *u, int i, atm_tensor x, int out)
{
    const atm_resblock_options o = { .groups = u->config->norm_num_groups, .eps = u->config->norm_eps,
                                     .time = &u->time };
    atm_scope(u->p, "resnets.%d", i);
    x = atm_nn_resblock(u->p, x, out, o);
    atm_scope_end(u->p);
    return x;
}

/* The reference picks the context by the stream's place: 0 and 1 the first, later ones the second. */
static atm_tensor transform(unet *u, int level, int i, int stream, atm_tensor x)
{
    const int dim = u->config->context_dim[level][stream], which = stream > 1;
    atm_transformer_options o = { .heads = u->config->heads[level] };
    if (dim) {
        o.context = u->context[which];
        o.mask = u->mask[which];
        if (atm_channels(o.context) != dim)
            atm_plan_fail(u->p, "context %d has %d channels, the configuration says %d",
                          which, atm_channels(o.context), dim);
    }
    atm_scope(u->p, "attentions.%d", i * u->config->streams[level] + stream);
    x = atm_nn_transformer2d(u->p, x, u->config->norm_num_groups, o);
    atm_scope_end(u->p);
    return x;
}

static atm_tensor attend(unet *u, int level, int i, atm_tensor x)
{
    for (int stream = 0; stream < u->config->streams[level]; stream++) x = transform(u, level, i, stream, x);
    return x;
}

/* ------------------------------------------------------------------ blocks */

static void segment_begin(unet *u) { if (u->recompute) atm_segment_begin(u->p); }
static void segment_end(unet *u)   { if (u->recompute) atm_segment_end(u->p); }

static atm_tensor push(unet *u, atm_tensor x) { return u->skip[u->n_skips++] = x; }

static atm_tensor down_block(unet *u, int level, atm_tensor x)
{
    const atm_unet_config *c = u->config;
    atm_scope(u->p, "down_blocks.%d", level);
    for (int i = 0; i < c->layers_per_block; i++) {
        segment_begin(u);
        x = resblock(u, i, x, c->channels[level]);
        if (c->attends_down[level]) x = attend(u, level, i, x);
        push(u, x);
        segment_end(u);
    }
    if (level < c->levels - 1)
        x = push(u, atm_nn_conv2d(u->p, "downsamplers.0.conv", x, c->channels[level], 3,
                                  (atm_conv_options){ .stride = 2, .pad = 1 }));
    atm_scope_end(u->p);
    return x;
}

static atm_tensor mid_block(unet *u, atm_tensor x)
{
    const int level = u->config->levels - 1, channels = u->config->channels[level];
    atm_scope(u->p, "mid_block");
    segment_begin(u);
    x = resblock(u, 0, x, channels);
    x = attend(u, level, 0, x);
    x = resblock(u, 1, x, channels);
    segment_end(u);
    atm_scope_end(u->p);
    return x;
}

static atm_tensor upsample(unet *u, atm_tensor x, int channels)
{
    const atm_tensor like = u->skip[u->n_skips - 1];
    x = atm_upsample(u->p, x, like.dim[1], like.dim[2]);
    return atm_nn_conv2d(u->p, "upsamplers.0.conv", x, channels, 3, (atm_conv_options){ .pad = 1 });
}

static atm_tensor up_block(unet *u, int level, atm_tensor x)
{
    const atm_unet_config *c = u->config;
    atm_scope(u->p, "up_blocks.%d", c->levels - 1 - level);
    for (int i = 0; i <= c->layers_per_block; i++) {
        const atm_tensor skip = atm_nn_repeat(u->p, u->skip[--u->n_skips], u->batch);
        segment_begin(u);
        x = resblock(u, i, atm_concat(u->p, x, skip, -1), c->channels[level]);
        if (c->attends_up[level]) x = attend(u, level, i, x);
        segment_end(u);
    }
    if (level > 0) x = upsample(u, x, c->channels[level]);
    atm_scope_end(u->p);
    return x;
}

/* ------------------------------------------------------------------ the network */

atm_tensor atm_unet(atm_plan *p, const atm_unet_config *c, atm_unet_inputs in)
{
    const atm_conv_options same = { .pad = 1 };
    unet u = { .p = p, .config = c, .recompute = in.recompute };
    set_batch(&u, &in);
    for (int i = 0; i < ATM_UNET_CONTEXTS; i++) {
        u.context[i] = in.context[i];
        u.mask[i] = score_bias(p, in.mask[i]);
    }
    u.time = (atm_time_embedding){ embed_time(&u, in.timestep), in.index };

    atm_tensor x = push(&u, atm_nn_conv2d(p, "conv_in", in.sample, c->channels[0], 3, same));
    for (int level = 0; level < c->levels; level++) x = down_block(&u, level, x);
    x = atm_nn_repeat(p, mid_block(&u, x), u.batch);
    for (int level = c->levels - 1; level >= 0; level--) x = up_block(&u, level, x);
    x = atm_nn_group_norm(p, "conv_norm_out", x, c->norm_num_groups, c->norm_eps, ATM_ACT_SILU);
    return atm_nn_conv2d(p, "conv_out", x, c->out_channels, 3, same);
}
