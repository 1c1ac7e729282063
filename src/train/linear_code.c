/* linear_code.c - see linear_code.h.
 *
 * The best linear code of a 4 x 4 patch x is z = V (x - m) with V the first L eigenvectors of
 * the patches' covariance.  A convolutional encoder can compute it exactly:
 *
 *   - two stride-2 convolutions whose taps pick the 2 x 2 corner collect 16 numbers;
 *   - residual blocks begin as the identity: their last convolution is zero;
 *   - a group norm divides by the group's standard deviation, which would lose loudness: a pair
 *     of constant channels +-K in the group makes that deviation K, whatever the music;
 *   - silu(u) - silu(-u) = u, so signals go through the activation as pairs (u, -u).
 *
 * The decoder can only come near: a nearest-neighbour upsampling followed by a 3 x 3
 * convolution cannot tell the four corners of a pixel apart, except by their neighbours.  Per axis, the best
 * taps for E (first corner) and O (second) with unrelated neighbours are (O - E) / 4, (E + O) / 2, (E - O) / 4.
 * Everything else keeps its random weights, and training finds the rest. */
#include "train/linear_code.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 4, PATCH = SIDE * SIDE, MAX_ROWS = 512 };
static const double K = 30;             /* of the constant channels, in standard deviations of a signal */
static const double LOGVAR = -6;        /* of the posterior to begin with */

typedef struct {
    double mean, pixel_std;             /* of a mel value                                     */
    double vector[PATCH][PATCH];        /* row l: component l, the largest variance first      */
    double std[PATCH];
} code;

/* ------------------------------------------------------------------ principal components */

/* Jacobi rotations: a becomes diagonal, rows of v its eigenvectors. */
static void diagonalize(double a[PATCH][PATCH], double v[PATCH][PATCH])
{
    for (int i = 0; i < PATCH; i++) for (int j = 0; j < PATCH; j++) v[i][j] = i == j;
    for (int sweep = 0; sweep < 50; sweep++)
        for (int p = 0; p < PATCH; p++)
            for (int q = p + 1; q < PATCH; q++) {
                if (fabs(a[p][q]) < 1e-300) continue;
                const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                const double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
                const double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < PATCH; k++) {
                    const double x = a[k][p], y = a[k][q];
                    a[k][p] = c * x - s * y; a[k][q] = s * x + c * y;
                }
                for (int k = 0; k < PATCH; k++) {
                    const double x = a[p][k], y = a[q][k], u = v[p][k], w = v[q][k];
                    a[p][k] = c * x - s * y; a[q][k] = s * x + c * y;
                    v[p][k] = c * u - s * w; v[q][k] = s * u + c * w;
                }
            }
}

/* Selection sort: 16 of them. */
static void sort_components(double a[PATCH][PATCH], double v[PATCH][PATCH], code *out)
{
    bool taken[PATCH] = { false };
    for (int l = 0; l < PATCH; l++) {
        int best = -1;
        for (int i = 0; i < PATCH; i++) if (!taken[i] && (best < 0 || a[i][i] > a[best][best])) best = i;
        taken[best] = true;
        memcpy(out->vector[l], v[best], sizeof v[best]);
        out->std[l] = sqrt(fmax(a[best][best], 1e-12));
    }
}

typedef struct { double n, sum[PATCH], product[PATCH][PATCH]; } moments;

static void add_patch(const float *mel, int bands, moments *m)
{
    double x[PATCH];
    for (int i = 0; i < PATCH; i++) x[i] = mel[(i / SIDE) * bands + i % SIDE];
    for (int i = 0; i < PATCH; i++) {
        m->sum[i] += x[i];
        for (int j = 0; j < PATCH; j++) m->product[i][j] += x[i] * x[j];
    }
    m->n++;
}

static void add_picture(const float *mel, int frames, int bands, moments *m)
{
    for (int t = 0; t + SIDE <= frames; t += SIDE)
        for (int b = 0; b + SIDE <= bands; b += SIDE) add_patch(mel + t * bands + b, bands, m);
}

/* One mean for all pixels of a patch: the encoder's first bias holds it. */
static void solve(const moments *m, code *out)
{
    static _Thread_local double a[PATCH][PATCH], v[PATCH][PATCH];
    *out = (code){ 0 };
    for (int i = 0; i < PATCH; i++) out->mean += m->sum[i] / m->n / PATCH;
    for (int i = 0; i < PATCH; i++)
        for (int j = 0; j < PATCH; j++)
            a[i][j] = m->product[i][j] / m->n - out->mean * (m->sum[i] + m->sum[j]) / m->n + out->mean * out->mean;
    for (int i = 0; i < PATCH; i++) out->pixel_std += a[i][i] / PATCH;
    out->pixel_std = sqrt(out->pixel_std);
    diagonalize(a, v);
    sort_components(a, v, out);
}

static atm_status find_code(const atm_stage *s, code *out)
{
    const atm_column *column = atm_dataset_find(s->dataset, "clips/mel");
    const atm_pair *pair = atm_dataset_pairs(s->dataset);
    const size_t n = atm_dataset_n_pairs(s->dataset), every = n / MAX_ROWS + 1;
    moments m = { 0 };
    float *mel = malloc(column->row_bytes);
    atm_status status = mel ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a clip's mel");
    for (size_t i = 0; i < n && status == ATM_OK; i += every) {
        if (pair[i].split != ATM_SPLIT_TRAIN || pair[i].clip < 0) continue;
        status = atm_dataset_read(s->dataset, column, (size_t)pair[i].clip, mel);
        if (status == ATM_OK) add_picture(mel, column->dim[0], column->dim[1], &m);
    }
    free(mel);
    if (status == ATM_OK && m.n == 0) return atm_fail(ATM_E_DATA, "%s: no training clips", atm_dataset_path(s->dataset));
    if (status == ATM_OK) solve(&m, out);
    return status;
}

/* ------------------------------------------------------------------ writing weights */

typedef struct {
    atm_group *group;
    atm_status status;                  /* sticky */
} writer;

typedef struct { float *v; const int *dim; } weights;

static weights tensor(writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static weights tensor(writer *w, const char *format, ...)
{
    static const int none[ATM_MAX_RANK];
    char name[256];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const atm_group_param *param = atm_group_find(w->group, name);
    if (param) return (weights){ w->group->p + param->offset, param->dim };
    if (w->status == ATM_OK)
        w->status = atm_fail(ATM_E_CONFIG, "vae.linear_init: %s is not trained, or not of this VAE", name);
    return (weights){ NULL, none };
}

static void fill(writer *w, const char *name, double value)
{
    const atm_group_param *param = atm_group_find(w->group, name);
    for (size_t i = 0; param && i < param->count; i++) w->group->p[param->offset + i] = (float)value;
}

/* Row `o` of weight [O, I, 3, 3] (or [O, I]) and its bias to zero. */
static void clear_row(writer *w, const char *layer, int o)
{
    weights weight = tensor(w, "%s.weight", layer), bias = tensor(w, "%s.bias", layer);
    if (!weight.v || !bias.v) return;
    const atm_group_param *param = NULL;
    char name[256];
    snprintf(name, sizeof name, "%s.weight", layer);
    param = atm_group_find(w->group, name);
    const size_t row = param->count / (size_t)param->dim[0];
    memset(weight.v + (size_t)o * row, 0, row * sizeof(float));
    bias.v[o] = 0;
}

/* weight[o, i, y, x] of a convolution with k x k taps. */
static void set(writer *w, const char *layer, int o, int i, int k, int y, int x, double value)
{
    weights weight = tensor(w, "%s.weight", layer);
    if (weight.v) weight.v[((o * weight.dim[1] + i) * k + y) * k + x] = (float)value;
}

static void set_bias(writer *w, const char *layer, int o, double value)
{
    weights bias = tensor(w, "%s.bias", layer);
    if (bias.v) bias.v[o] = (float)value;
}

/* ------------------------------------------------------------------ signals in a normed trunk */

/* Where signal l lies among `channels` in `groups`: each group begins with +K, -K, then pairs. */
static int place(int channels, int groups, int l)
{
    const int size = channels / groups, each = size / 2 - 1;
    return l / each * size + 2 + 2 * (l % each);
}

/* `gain` times input channel i (tap y, x of k) as signal l of `layer`'s output, with its group's constants. */
static void put_signal(writer *w, const char *layer, int channels, int groups, int l, int i, int k, double gain)
{
    const int at = place(channels, groups, l), first = at / (channels / groups) * (channels / groups);
    if (at == first + 2)
        for (int c = 0; c < 2; c++) {
            clear_row(w, layer, first + c);
            set_bias(w, layer, first + c, c ? -K : K);
        }
    for (int c = 0; c < 2; c++) {
        clear_row(w, layer, at + c);
        set(w, layer, at + c, i, k, k / 2, k / 2, c ? -gain : gain);
    }
}

/* The group's deviation is K sqrt(2 / size): undone for its signals. */
static void undo_norm(writer *w, const char *norm, int channels, int groups, int n)
{
    weights weight = tensor(w, "%s.weight", norm);
    for (int l = 0; l < n && weight.v; l++)
        for (int c = 0; c < 2; c++)
            weight.v[place(channels, groups, l) + c] = (float)(K * sqrt(2.0 * groups / channels));
}

/* Output row o = gain times signal l after norm and silu. */
static void read_signal(writer *w, const char *layer, int channels, int groups, int l, int o, double gain)
{
    clear_row(w, layer, o);
    set(w, layer, o, place(channels, groups, l), 3, 1, 1, gain);
    set(w, layer, o, place(channels, groups, l) + 1, 3, 1, 1, -gain);
}

/* Residual branches begin at zero. */
static void silence_branches(writer *w)
{
    for (int i = 0; i < w->group->n_params; i++) {
        const char *name = w->group->param[i].name;
        if (strstr(name, ".conv2.") || strstr(name, ".to_out.0.")) fill(w, name, 0);
    }
}

/* ------------------------------------------------------------------ encoder, decoder */

static void encoder(writer *w, const atm_vae_config *c, const code *z)
{
    const int top = c->channels[2], groups = c->norm_num_groups, L = c->latent_channels;
    clear_row(w, "vae.encoder.conv_in", 0);
    set(w, "vae.encoder.conv_in", 0, 0, 3, 1, 1, 1);
    set_bias(w, "vae.encoder.conv_in", 0, -z->mean);
    for (int s = 0; s < 4; s++) {
        clear_row(w, "vae.encoder.down_blocks.0.downsamplers.0.conv", s);
        set(w, "vae.encoder.down_blocks.0.downsamplers.0.conv", s, 0, 3, s / 2, s % 2, 1);
        clear_row(w, "vae.encoder.down_blocks.1.resnets.0.conv_shortcut", s);
        set(w, "vae.encoder.down_blocks.1.resnets.0.conv_shortcut", s, s, 1, 0, 0, 1);
    }
    for (int l = 0; l < L; l++) {
        clear_row(w, "vae.encoder.down_blocks.1.downsamplers.0.conv", l);
        for (int pixel = 0; pixel < PATCH; pixel++) {
            const int y = pixel / SIDE, x = pixel % SIDE;
            set(w, "vae.encoder.down_blocks.1.downsamplers.0.conv", l, 2 * (y % 2) + x % 2, 3, y / 2, x / 2,
                z->vector[l][pixel]);
        }
        put_signal(w, "vae.encoder.down_blocks.2.resnets.0.conv_shortcut", top, groups, l, l, 1, 1 / z->std[l]);
        read_signal(w, "vae.encoder.conv_out", top, groups, l, l, z->std[l]);
        clear_row(w, "vae.encoder.conv_out", L + l);
        set_bias(w, "vae.encoder.conv_out", L + l, LOGVAR);
    }
    undo_norm(w, "vae.encoder.conv_norm_out", top, groups, L);
    for (int o = 0; o < 2 * L; o++) {
        clear_row(w, "vae.quant_conv", o);
        set(w, "vae.quant_conv", o, o, 1, 0, 0, 1);
    }
}

/* Taps of a 3 x 3 convolution after nearest-neighbour upsampling whose corner (a, b) comes near e[a][b] times
 * input i; see the head of this file. */
static void set_corners(writer *w, const char *layer, int o, int i, double e[2][2])
{
    const double all = (e[0][0] + e[0][1] + e[1][0] + e[1][1]) / 4, down = (e[0][0] + e[0][1] - e[1][0] - e[1][1]) / 4;
    const double right = (e[0][0] + e[1][0] - e[0][1] - e[1][1]) / 4;
    const double both = (e[0][0] - e[0][1] - e[1][0] + e[1][1]) / 4;
    for (int y = -1; y <= 1; y++)
        for (int x = -1; x <= 1; x++)
            set(w, layer, o, i, 3, y + 1, x + 1, y && x ? y * x * both / 4 : y ? y * down / 2 : x ? x * right / 2 : all);
}

static void decoder(writer *w, const atm_vae_config *c, const code *z)
{
    static const char up0[] = "vae.decoder.up_blocks.0.upsamplers.0.conv";
    static const char up1[] = "vae.decoder.up_blocks.1.upsamplers.0.conv";
    const int bottom = c->channels[0], groups = c->norm_num_groups, L = c->latent_channels;
    for (int l = 0; l < L; l++) {
        clear_row(w, "vae.post_quant_conv", l);
        set(w, "vae.post_quant_conv", l, l, 1, 0, 0, 1);
        clear_row(w, "vae.decoder.conv_in", l);
        set(w, "vae.decoder.conv_in", l, l, 3, 1, 1, 1);
    }
    for (int s = 0; s < 4; s++) {
        clear_row(w, up0, s);
        for (int l = 0; l < L; l++) {
            double e[2][2];
            for (int a = 0; a < 2; a++)
                for (int b = 0; b < 2; b++) e[a][b] = z->vector[l][(2 * a + s / 2) * SIDE + 2 * b + s % 2];
            set_corners(w, up0, s, l, e);
        }
        clear_row(w, "vae.decoder.up_blocks.1.resnets.0.conv_shortcut", s);
        set(w, "vae.decoder.up_blocks.1.resnets.0.conv_shortcut", s, s, 1, 0, 0, 1);
    }
    clear_row(w, up1, 0);
    for (int s = 0; s < 4; s++) {
        double e[2][2] = { { 0 } };
        e[s / 2][s % 2] = 1;
        set_corners(w, up1, 0, s, e);
    }
    put_signal(w, "vae.decoder.up_blocks.2.resnets.0.conv_shortcut", bottom, groups, 0, 0, 1, 1 / z->pixel_std);
    undo_norm(w, "vae.decoder.conv_norm_out", bottom, groups, 1);
    read_signal(w, "vae.decoder.conv_out", bottom, groups, 0, 0, z->pixel_std);
    set_bias(w, "vae.decoder.conv_out", 0, z->mean);
}

static atm_status check(const atm_vae_config *c)
{
    const int each = c->channels[0] / c->norm_num_groups, top = c->channels[2] / c->norm_num_groups;
    const int L = c->latent_channels;
    if (c->levels != 3 || c->in_channels != 1 || L > PATCH)
        return atm_fail(ATM_E_CONFIG, "vae.linear_init needs a VAE of 3 levels, 1 channel and at most %d latent ones; this "
                        "one has %d, %d and %d", PATCH, c->levels, c->in_channels, L);
    if (each < 4 || L > (top / 2 - 1) * c->norm_num_groups)
        return atm_fail(ATM_E_CONFIG, "vae.linear_init needs at least 4 channels in each group of the norms; %d / %d are %d: "
                        "lower vae.norm_num_groups", c->channels[0], c->norm_num_groups, each);
    if (c->channels[0] == c->channels[1] || c->channels[1] == c->channels[2])
        return atm_fail(ATM_E_CONFIG, "vae.linear_init needs levels of different widths");
    if (c->channels[1] < L || c->channels[1] < SIDE)
        return atm_fail(ATM_E_CONFIG, "vae.linear_init needs at least as many channels in level 1 as in a latent: %d, not %d",
                        L > SIDE ? L : SIDE, c->channels[1]);
    return ATM_OK;
}

atm_status atm_linear_code_init(const atm_stage *stage, atm_group *group)
{
    code z;
    writer w = { .group = group };
    TRY_RETURN(check(&stage->model->config.vae));
    TRY_RETURN(find_code(stage, &z));
    silence_branches(&w);
    encoder(&w, &stage->model->config.vae, &z);
    decoder(&w, &stage->model->config.vae, &z);
    if (w.status == ATM_OK && w.group->ema) memcpy(w.group->ema, w.group->p, w.group->count * sizeof(float));
    return w.status;
}
