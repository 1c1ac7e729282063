/* spectral_loss.c - spectra and their distances as plan ops.
 *
 *     S[k, f] = sqrt(re^2 + im^2 + eps),
 *               re + i im = sum_n h[n] x[k hop + offset + n] e^(-2 pi i f n / size)
 *     convergence = mean over resolutions of  ||S(target) - S(x)||_F / ||S(target)||_F
 *     magnitude   = mean over resolutions of  mean |ln S(target) - ln S(x)|
 *     log-mel     = ln max(1e-5, W S),  loss = mean |log-mel - mel|
 *
 * The transform is a convolution of stride 1 with a frozen basis: x is read as [N, T / hop, hop], so
 * that a hop is a pixel and its samples are channels; a frame is as many neighbouring pixels as
 * its window touches.  (Stride `hop` over one channel is the same sum, but is no work for a matrix
 * multiplication, and its gradient would be a transposed convolution of stride 240.)
 *
 * Parallel WaveGAN mirrors the sound at its ends; here frames lie inside the crop.  It clamps the power at
 * 1e-7, here 1e-7 is added: a gradient everywhere.
 *
 * Sources: R. Yamamoto, E. Song, J.-M. Kim, Parallel WaveGAN, arXiv 1910.11480, equations 4 to 6 and
 * table 1; mel: data/mel.h. */
#include "train/spectral_loss.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"

static const double STFT_EPS = 1e-7, STFT_FLOOR = 1e-5;         /* the floor is never reached */
static const double MEL_EPS = 1e-9;         /* in the quietest band 2e-6 of magnitude, below the floor */
static const double MEL_FLOOR = 1e-5;

/* ------------------------------------------------------------------ frozen weights */

static int ceil_div(int a, int b) { return (a + b - 1) / b; }
static int bins(atm_stft_frame_shape s) { return s.size / 2 + 1; }
static int taps(atm_stft_frame_shape s) { return ceil_div(s.offset + s.window, s.hop); }

/* Column `at` of the basis: what sample `at` of a frame's hops adds to each sum, cosines first.  Angles
 * are counted in parts of a turn, as whole numbers: the cosine of a large angle is not exact. */
static void fill_column(atm_stft_frame_shape s, const double *cosine, int at, double *basis)
{
    const int n_taps = taps(s), n = at - s.offset, quarter = s.size / 4;
    const double window = n >= 0 && n < s.window ? 0.5 - 0.5 * cos(2 * M_PI * n / s.window) : 0;
    for (int row = 0; row < 2 * bins(s); row++) {
        const int64_t turn = row < bins(s) ? (int64_t)row * n : (int64_t)(row - bins(s)) * n - quarter;
        const int64_t part = (turn % s.size + s.size) % s.size;
        basis[(row * s.hop + at % s.hop) * n_taps + at / s.hop] = window * cosine[part];
    }
}

static bool fill_basis(atm_stft_frame_shape s, double *basis)
{
    double *cosine = malloc((size_t)s.size * sizeof *cosine);
    if (!cosine) return false;
    for (int i = 0; i < s.size; i++) cosine[i] = cos(2 * M_PI * i / s.size);
    for (int at = 0; at < taps(s) * s.hop; at++) fill_column(s, cosine, at, basis);
    free(cosine);
    return true;
}

static bool fill_mel(double *w)
{
    atm_mel_bank bank;
    atm_mel_bank_init(&bank);
    memset(w, 0, sizeof(double) * ATM_MEL_BANDS * ATM_STFT_BINS);
    for (int band = 0; band < ATM_MEL_BANDS; band++)
        for (int i = 0; i < bank.count[band]; i++)
            w[band * ATM_STFT_BINS + bank.first[band] + i] = (double)bank.weight[band][i];
    return true;
}

static const char BASIS_NAME[] = "stft_%d_%d_%d_%d", MEL_NAME[] = "mel_filterbank";

/* False: out of memory. */
static bool fill_weight(const char *name, double *out)
{
    atm_stft_frame_shape s;
    if (strcmp(name, MEL_NAME) == 0) return fill_mel(out);
    return sscanf(name, BASIS_NAME, &s.size, &s.hop, &s.window, &s.offset) == 4 && fill_basis(s, out);
}

static bool is_ours(const char *name)
{
    return strncmp(name, BASIS_NAME, strlen("stft_")) == 0 || strcmp(name, MEL_NAME) == 0;
}

static void *make_weight(const char *name, size_t n, atm_dtype dtype)
{
    double *exact = malloc(n * sizeof *exact);
    void *data = exact && fill_weight(name, exact) ? atm_device_alloc(n * atm_dtype_size(dtype)) : NULL;
    if (data) atm_convert(data, dtype, exact, ATM_F64, n);
    free(exact);
    return data;
}

static const void *remember(atm_spectral_source *self, const char *name, size_t n, atm_dtype dtype)
{
    for (int i = 0; i < self->n_weights; i++)
        if (self->weight[i].dtype == dtype && strcmp(self->weight[i].name, name) == 0)
            return self->weight[i].data;
    if (self->n_weights == ATM_SPECTRAL_WEIGHTS) return NULL;
    char *copy = strdup(name);
    void *data = copy ? make_weight(name, n, dtype) : NULL;
    if (!data) {
        free(copy);
        return NULL;
    }
    self->weight[self->n_weights].name = copy;
    self->weight[self->n_weights].dtype = dtype;
    self->weight[self->n_weights++].data = data;
    return data;
}

static atm_param_data find(atm_param_source *source, const char *name, int rank, const int *dim,
                           atm_dtype dtype)
{
    atm_spectral_source *self = (atm_spectral_source *)source;
    const char *dot = strrchr(name, '.'), *leaf = dot ? dot + 1 : name;
    size_t n = 1;
    for (int i = 0; i < rank; i++) n *= (size_t)dim[i];
    if (is_ours(leaf)) return (atm_param_data){ .data = remember(self, leaf, n, dtype) };
    return self->base ? self->base->find(self->base, name, rank, dim, dtype) : (atm_param_data){ 0 };
}

atm_spectral_source atm_spectral_source_make(atm_param_source *base)
{
    return (atm_spectral_source){ .source = { .find = find }, .base = base };
}

void atm_spectral_source_free(atm_spectral_source *self)
{
    for (int i = 0; i < self->n_weights; i++) {
        free(self->weight[i].name);
        atm_device_free(self->weight[i].data);
    }
    self->n_weights = 0;
}

/* ------------------------------------------------------------------ spectra */

atm_tensor atm_stft_magnitude(atm_plan *p, atm_tensor x, atm_stft_frame_shape s, double eps)
{
    if (atm_plan_failed(p)) return ATM_NONE;
    const int hops = x.dim[1] / s.hop;
    char name[64];
    if (hops < taps(s)) {
        atm_plan_fail(p, "spectrum: %d samples are less than the %d of a frame", x.dim[1], taps(s) * s.hop);
        return ATM_NONE;
    }
    if (hops * s.hop < x.dim[1]) x = atm_slice(p, x, 1, 0, hops * s.hop);
    x = atm_reshape(p, x, ATM_DIMS(x.dim[0], hops, s.hop));
    snprintf(name, sizeof name, BASIS_NAME, s.size, s.hop, s.window, s.offset);
    atm_scope(p, "spectra");
    const atm_tensor basis = atm_param(p, name, ATM_DIMS(2 * bins(s), s.hop, taps(s)));
    x = atm_conv2d(p, x, basis, ATM_NONE, (atm_conv_options){ .is_1d = true });
    atm_scope_end(p);
    return atm_magnitude(p, x, eps);
}

/* Frame k of the whole sound begins at 160 k - pad. */
static int mel_pad(atm_framing framing)
{
    return framing == ATM_FRAMING_ART2MUS ? ATM_STFT_SIZE / 2 : (ATM_STFT_SIZE - ATM_STFT_HOP) / 2;
}

static int first_inside(atm_framing framing) { return ceil_div(mel_pad(framing), ATM_STFT_HOP); }

static atm_stft_frame_shape mel_shape(atm_framing framing)
{
    return (atm_stft_frame_shape){ .size = ATM_STFT_SIZE, .hop = ATM_STFT_HOP, .window = ATM_STFT_SIZE,
                                   .offset = first_inside(framing) * ATM_STFT_HOP - mel_pad(framing) };
}

atm_mel_range atm_mel_inner_frames(atm_framing framing, int frames)
{
    return (atm_mel_range){ .first = first_inside(framing), .count = frames - taps(mel_shape(framing)) + 1 };
}

atm_tensor atm_log_mel(atm_plan *p, atm_tensor x, atm_framing framing)
{
    const atm_tensor magnitude = atm_stft_magnitude(p, x, mel_shape(framing), MEL_EPS);
    const atm_tensor bank = atm_param(p, MEL_NAME, ATM_DIMS(ATM_MEL_BANDS, ATM_STFT_BINS));
    const atm_tensor mel = atm_linear(p, magnitude, bank, ATM_NONE, (atm_linear_options){ 0 });
    return atm_activate(p, mel, ATM_ACT_LOG, MEL_FLOOR);
}

/* ------------------------------------------------------------------ losses */

/* size, hop, window of table 1: chosen there for 24 kHz, and by others kept at 16. */
static const atm_stft_frame_shape resolution[] = {
    { 512, 50, 240, 0 }, { 1024, 120, 600, 0 }, { 2048, 240, 1200, 0 }
};
enum { RESOLUTIONS = sizeof resolution / sizeof *resolution };

static atm_stft_losses compare(atm_plan *p, atm_tensor x, atm_tensor target, atm_stft_frame_shape s)
{
    const atm_tensor got = atm_stft_magnitude(p, x, s, STFT_EPS);
    const atm_tensor wanted = atm_stft_magnitude(p, target, s, STFT_EPS);
    return (atm_stft_losses){
        .convergence = atm_spectral_convergence(p, got, wanted),
        .magnitude = atm_l1(p, atm_activate(p, got, ATM_ACT_LOG, STFT_FLOOR),
                            atm_activate(p, wanted, ATM_ACT_LOG, STFT_FLOOR), ATM_NONE)
    };
}

atm_stft_losses atm_stft_loss(atm_plan *p, atm_tensor x, atm_tensor target)
{
    const double share = 1.0 / RESOLUTIONS;
    atm_stft_losses sum = { 0 };
    for (int i = 0; i < RESOLUTIONS; i++) {
        const atm_stft_losses one = compare(p, x, target, resolution[i]);
        sum.convergence = i ? atm_add_scaled(p, sum.convergence, 1, one.convergence, share)
                            : atm_affine(p, one.convergence, share, 0);
        sum.magnitude = i ? atm_add_scaled(p, sum.magnitude, 1, one.magnitude, share)
                          : atm_affine(p, one.magnitude, share, 0);
    }
    return sum;
}

atm_tensor atm_log_mel_loss(atm_plan *p, atm_tensor x, atm_tensor mel, atm_framing framing)
{
    const atm_mel_range inner = atm_mel_inner_frames(framing, mel.dim[1]);
    const atm_tensor got = atm_log_mel(p, x, framing);
    if (atm_plan_failed(p)) return ATM_NONE;
    return atm_l1(p, got, atm_slice(p, mel, 1, inner.first, inner.count), ATM_NONE);
}
