/* discriminators.c - the discriminators of HiFi-GAN and of pix2pix, and least-squares losses.
 *
 *     period q:  x, mirrored at its end to a multiple of q, read as q sequences of every q-th
 *                sample; convolutions over each: 4 layers of stride 3, 1 of stride 1
 *     scale s:   x averaged over 4 at stride 2, s times; 7 layers of long kernels
 *     patch:     layers of kernel 4 and stride 2, then two of stride 1
 *
 *     discriminator:     sum_k  mean (D_k(real) - 1)^2 + mean D_k(fake)^2
 *     generator:         sum_k  mean (D_k(fake) - 1)^2
 *     feature matching:  sum over layers  mean |layer(fake) - layer(real)|
 *
 * Differences from the papers: weights are plain, without weight or spectral norm; the
 * patch network has group norm where pix2pix has batch norm, which would make a sample's
 * loss depend on its batch, and so on the number of ranks.  `groups` 1 makes full
 * convolutions out of the grouped ones; above that, groups are slices of one weight.
 *
 * To add a network: a function that records layers with seen() and ends with judge().
 *
 * Sources: J. Kong, J. Kim, J. Bae, HiFi-GAN, arXiv 2010.05646, section 2.3 and its
 * models.py; P. Isola et al., Image-to-image translation, arXiv 1611.07004, section 3.2.2;
 * X. Mao et al., Least squares GAN, arXiv 1611.04076, equation 9. */
#include "model/discriminators.h"

#include "model/layers.h"

static const double SLOPE = 0.1, PATCH_SLOPE = 0.2, EPS = 1e-5;

/* ------------------------------------------------------------------ what was seen */

static atm_tensor seen(atm_plan *p, atm_verdict *v, atm_tensor layer)
{
    if (v->n_features < ATM_VERDICT_FEATURES) v->feature[v->n_features++] = layer;
    else atm_plan_fail(p, "more than %d layers", ATM_VERDICT_FEATURES);
    return layer;
}

static void judge(atm_plan *p, atm_verdict *v, atm_tensor score)
{
    if (v->n_scores < ATM_VERDICT_SCORES) v->score[v->n_scores++] = seen(p, v, score);
    else atm_plan_fail(p, "more than %d discriminators", ATM_VERDICT_SCORES);
}

/* ------------------------------------------------------------------ layers over sequences */

/* `width` is in units of the configured channels. */
typedef struct { int width, kernel, stride, groups; } layer;

static int smaller(int a, int b) { return a < b ? a : b; }

static int common_divisor(int a, int b) { return b ? common_divisor(b, a % b) : a; }

static atm_tensor grouped_conv(atm_plan *p, atm_tensor x, int out, int groups, int kernel, atm_conv_options o)
{
    const int in = atm_channels(x) / groups, each = out / groups;
    const atm_tensor w = atm_param(p, "weight", ATM_DIMS(out, in, kernel));
    const atm_tensor b = atm_param(p, "bias", ATM_DIMS(out));
    if (groups == 1) return atm_conv2d(p, x, w, b, o);
    atm_tensor y = ATM_NONE;
    for (int g = 0; g < groups; g++) {
        const atm_tensor part_w = atm_slice(p, w, 0, g * each, each);
        const atm_tensor part_b = atm_slice(p, b, 0, g * each, each);
        const atm_tensor part = atm_conv2d(p, atm_slice(p, x, -1, g * in, in), part_w, part_b, o);
        y = g ? atm_concat(p, y, part, -1) : part;
    }
    return y;
}

static atm_tensor convolve(atm_plan *p, layer l, int channels, int groups, atm_tensor x)
{
    const atm_conv_options o = { .is_1d = true, .stride = l.stride, .pad = l.kernel / 2,
                                 .act = ATM_ACT_LEAKY_RELU, .slope = SLOPE };
    const int out = l.width * channels, shared = common_divisor(out, atm_channels(x));
    return grouped_conv(p, x, out, common_divisor(shared, smaller(l.groups, groups)), l.kernel, o);
}

/* x [N, L, 1] through the layers and to a score for each position. */
static void judge_sequence(atm_plan *p, atm_waveform_discriminator_config c, const layer *layers, int n,
                           atm_tensor x, atm_verdict *v)
{
    for (int i = 0; i < n; i++) {
        atm_scope(p, "convs.%d", i);
        x = seen(p, v, convolve(p, layers[i], c.channels, c.groups, x));
        atm_scope_end(p);
    }
    judge(p, v, atm_nn_conv1d(p, "conv_post", x, 1, 3, (atm_conv_options){ .pad = 1 }));
}

/* ------------------------------------------------------------------ periods */

static const layer period_layers[] = {
    { 1, 5, 3, 1 }, { 4, 5, 3, 1 }, { 16, 5, 3, 1 }, { 32, 5, 3, 1 }, { 32, 5, 1, 1 },
};
static const int periods[] = { 2, 3, 5, 7, 11 };

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* x [N, T] and its last `n` samples again, mirrored at the last: sample by sample, for there are
 * less than a period of them. */
static atm_tensor mirror_end(atm_plan *p, atm_tensor x, int n)
{
    if (n == 0) return x;
    const atm_tensor end = atm_slice(p, x, 1, x.dim[1] - 1 - n, n);
    atm_tensor mirrored = atm_slice(p, end, 1, n - 1, 1);
    for (int i = n - 2; i >= 0; i--) mirrored = atm_concat(p, mirrored, atm_slice(p, end, 1, i, 1), 1);
    return atm_concat(p, x, mirrored, 1);
}

/* [N, T] to [N q, T / q, 1]: sequence r of a sample holds its samples r, r + q, r + 2 q ... */
static atm_tensor fold(atm_plan *p, atm_tensor x, int period)
{
    const int n = x.dim[0];
    x = mirror_end(p, x, (period - x.dim[1] % period) % period);
    const int length = x.dim[1] / period;
    x = atm_transpose(p, atm_reshape(p, x, ATM_DIMS(n, length, period)));
    return atm_reshape(p, x, ATM_DIMS(n * period, length, 1));
}

/* ------------------------------------------------------------------ scales */

static const layer scale_layers[] = {
    { 4, 15, 1, 1 },   { 4, 41, 2, 4 },   { 8, 41, 2, 16 }, { 16, 41, 4, 16 },
    { 32, 41, 4, 16 }, { 32, 41, 1, 16 }, { 32, 5, 1, 1 },
};
enum { SCALES = 3 };

static atm_tensor silence(atm_plan *p, atm_tensor x, int n)
{
    return atm_affine(p, atm_slice(p, x, 1, 0, n), 0, 0);
}

/* y[i] = (x[2i-2] + x[2i-1] + x[2i] + x[2i+1]) / 4, zero outside: torch.nn.AvgPool1d(4, 2, padding=2),
 * [N, T] to [N, T / 2 + 1], as the sum of neighbouring pairs of pairs. */
static atm_tensor halve(atm_plan *p, atm_tensor x)
{
    const int n = x.dim[0], length = x.dim[1] / 2 + 1;
    const atm_tensor end = silence(p, x, 2 * length - x.dim[1]);
    x = atm_reshape(p, atm_concat(p, x, end, 1), ATM_DIMS(n * length, 2, 1));
    const atm_tensor pairs = atm_reshape(p, atm_reduce_rows(p, x, n * length), ATM_DIMS(n, length));
    const atm_tensor before = atm_concat(p, silence(p, pairs, 1), atm_slice(p, pairs, 1, 0, length - 1), 1);
    return atm_add_scaled(p, before, 0.25, pairs, 0.25);
}

/* ------------------------------------------------------------------ of waveforms */

static void judge_period(atm_plan *p, atm_waveform_discriminator_config c, int i, atm_tensor x,
                         atm_verdict *v)
{
    atm_scope(p, "mpd.discriminators.%d", i);
    judge_sequence(p, c, period_layers, COUNT(period_layers), fold(p, x, periods[i]), v);
    atm_scope_end(p);
}

static void judge_scale(atm_plan *p, atm_waveform_discriminator_config c, int i, atm_tensor x, atm_verdict *v)
{
    atm_scope(p, "msd.discriminators.%d", i);
    x = atm_reshape(p, x, ATM_DIMS(x.dim[0], x.dim[1], 1));
    judge_sequence(p, c, scale_layers, COUNT(scale_layers), x, v);
    atm_scope_end(p);
}

atm_verdict atm_waveform_discriminators(atm_plan *p, const atm_waveform_discriminator_config *config,
                                        atm_tensor x)
{
    const int longest = periods[COUNT(periods) - 1];
    atm_verdict v = { .n_scores = 0 };
    if (atm_plan_failed(p)) return v;
    if (x.rank != 2 || x.dim[1] <= longest)
        atm_plan_fail(p, "discriminators need waveforms [N, T] of more than %d samples", longest);
    for (int i = 0; i < COUNT(periods) && !atm_plan_failed(p); i++) judge_period(p, *config, i, x, &v);
    for (int i = 0; i < SCALES && !atm_plan_failed(p); i++) {
        if (i > 0) x = halve(p, x);
        judge_scale(p, *config, i, x, &v);
    }
    return v;
}

/* ------------------------------------------------------------------ of pictures */

enum { PATCH_KERNEL = 4, PATCH_GROUPS = 8, PATCH_WIDEST = 8 };

static atm_tensor patch_layer(atm_plan *p, int i, int channels, int stride, atm_tensor x)
{
    atm_scope(p, "layers.%d", i);
    x = atm_nn_conv2d(p, "conv", x, channels, PATCH_KERNEL, (atm_conv_options){ .stride = stride, .pad = 1 });
    if (i > 0) x = atm_nn_group_norm(p, "norm", x, PATCH_GROUPS, EPS, ATM_ACT_NONE);
    atm_scope_end(p);
    return atm_activate(p, x, ATM_ACT_LEAKY_RELU, PATCH_SLOPE);
}

atm_verdict atm_patch_discriminator(atm_plan *p, const atm_patch_discriminator_config *c, atm_tensor x)
{
    atm_verdict v = { .n_scores = 0 };
    atm_scope(p, "patch");
    for (int i = 0; i <= c->layers; i++) {
        const int channels = c->channels * smaller(1 << i, PATCH_WIDEST);
        x = seen(p, &v, patch_layer(p, i, channels, i < c->layers ? 2 : 1, x));
    }
    judge(p, &v, atm_nn_conv2d(p, "conv_post", x, 1, PATCH_KERNEL, (atm_conv_options){ .pad = 1 }));
    atm_scope_end(p);
    return v;
}

/* ------------------------------------------------------------------ losses */

static atm_tensor sum(atm_plan *p, atm_tensor so_far, atm_tensor term)
{
    return atm_present(so_far) ? atm_add(p, so_far, term) : term;
}

/* mean (x - label)^2.  The zeros are an input that nobody writes: one begins as zeros. */
static atm_tensor distance_from(atm_plan *p, atm_tensor x, double label)
{
    const atm_tensor zeros = atm_input(p, "zeros", ATM_INPUT_STATIC, x.rank, x.dim);
    return atm_mse(p, label != 0 ? atm_affine(p, x, 1, -label) : x, zeros, ATM_NONE);
}

atm_tensor atm_adversarial_discriminator_loss(atm_plan *p, const atm_verdict *both)
{
    atm_tensor loss = ATM_NONE;
    for (int i = 0; i < both->n_scores; i++) {
        const int half = both->score[i].dim[0] / 2;
        loss = sum(p, loss, distance_from(p, atm_slice(p, both->score[i], 0, 0, half), 1));
        loss = sum(p, loss, distance_from(p, atm_slice(p, both->score[i], 0, half, half), 0));
    }
    return loss;
}

atm_tensor atm_adversarial_generator_loss(atm_plan *p, const atm_verdict *fake)
{
    atm_tensor loss = ATM_NONE;
    for (int i = 0; i < fake->n_scores; i++) loss = sum(p, loss, distance_from(p, fake->score[i], 1));
    return loss;
}

atm_tensor atm_feature_matching_loss(atm_plan *p, const atm_verdict *real, const atm_verdict *fake)
{
    atm_tensor loss = ATM_NONE;
    for (int i = 0; i < fake->n_features; i++)
        loss = sum(p, loss, atm_l1(p, fake->feature[i], real->feature[i], ATM_NONE));
    return loss;
}
