/* griffin_lim.c - see griffin_lim.h. */
#include "data/griffin_lim.h"
#include "data/mel.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BANDS = ATM_MEL_BANDS, BINS = ATM_STFT_BINS, UPDATES = 30, ITERATIONS = 30, LEAST_FRAMES = 4 };
static const double MOMENTUM = 0.99, TINY = 1e-10, LOUDEST = 20;      /* nats: keeps wild input finite */

static void bands_of(const atm_mel_bank *bank, const double *bins, double *bands)      /* W s */
{
    for (int b = 0; b < BANDS; b++) {
        bands[b] = 0;
        for (int i = 0; i < bank->count[b]; i++)
            bands[b] += (double)bank->weight[b][i] * bins[bank->first[b] + i];
    }
}

static void bins_of(const atm_mel_bank *bank, const double *bands, double *bins)      /* W' m */
{
    memset(bins, 0, BINS * sizeof *bins);
    for (int b = 0; b < BANDS; b++)
        for (int i = 0; i < bank->count[b]; i++)
            bins[bank->first[b] + i] += (double)bank->weight[b][i] * bands[b];
}

/* Each bin starts at the flat level of the quieter of its bands: the updates fill a
 * valley slowly from above (from W' m: 0.21 nats on a clip with gaps, from here 0.10). */
static void first_guess(const atm_mel_bank *bank, const double *target, double *bins)
{
    for (int k = 0; k < BINS; k++) bins[k] = INFINITY;
    for (int b = 0; b < BANDS; b++) {
        double weight = 0;
        for (int i = 0; i < bank->count[b]; i++) weight += (double)bank->weight[b][i];
        double *const mine = bins + bank->first[b];
        for (int i = 0; i < bank->count[b]; i++) mine[i] = fmin(mine[i], target[b] / weight);
    }
    for (int k = 0; k < BINS; k++)
        if (isinf(bins[k])) bins[k] = 0;    /* no band covers it */
}

/* One frame's magnitudes. */
static void invert_mel(const atm_mel_bank *bank, const float *mel, double *bins)
{
    double target[BANDS], bands[BANDS], wanted[BINS], have[BINS];
    for (int b = 0; b < BANDS; b++) target[b] = exp(fmin((double)mel[b], LOUDEST));
    bins_of(bank, target, wanted);
    first_guess(bank, target, bins);
    for (int update = 0; update < UPDATES; update++) {
        bands_of(bank, bins, bands);
        bins_of(bank, bands, have);
        for (int k = 0; k < BINS; k++) bins[k] *= wanted[k] / (have[k] + TINY);
    }
}

typedef struct {
    size_t frames;
    atm_stft *stft;
    double *magnitude;                      /* [frames, BINS] */
    atm_complex *now, *rebuilt;             /* [frames, BINS]; `rebuilt`: the last iteration's transform */
} state;

static void state_free(state *s)
{
    atm_stft_destroy(s->stft);
    free(s->magnitude);
    free(s->now);
    free(s->rebuilt);
}

static atm_status state_init(state *s, size_t frames, atm_framing framing)
{
    if (frames < LEAST_FRAMES || frames > ((size_t)1 << 40))
        return atm_fail(ATM_E_DATA, "Griffin-Lim: %zu frames, at least %d are needed", frames, LEAST_FRAMES);
    s->frames = frames;
    s->magnitude = calloc(frames * BINS, sizeof *s->magnitude);
    s->now = calloc(frames * BINS, sizeof *s->now);
    s->rebuilt = calloc(frames * BINS, sizeof *s->rebuilt);
    if (!s->magnitude || !s->now || !s->rebuilt)
        return atm_fail(ATM_E_MEMORY, "Griffin-Lim: out of memory for %zu frames", frames);
    return atm_stft_create(framing, frames * ATM_STFT_HOP, &s->stft);
}

/* Projects frame t of the rebuilt signal, pushed by momentum, onto the wanted magnitudes. */
static void project(state *s, size_t t, const atm_complex *fresh)
{
    const double push = MOMENTUM / (1 + MOMENTUM);
    for (size_t k = 0, i = t * BINS; k < BINS; k++, i++) {
        const double re = fresh[k].re - push * s->rebuilt[i].re, im = fresh[k].im - push * s->rebuilt[i].im;
        const double scale = s->magnitude[i] / (sqrt(re * re + im * im) + TINY);
        s->now[i] = (atm_complex){ re * scale, im * scale };
        s->rebuilt[i] = fresh[k];
    }
}

static void start_at_zero_phase(state *s, float *x)
{
    for (size_t i = 0; i < s->frames * BINS; i++) s->now[i].re = s->magnitude[i];
    atm_stft_inverse(s->stft, s->now, x);
}

static void iterate(state *s, int iterations, float *x)
{
    atm_complex fresh[BINS];
    for (int i = 0; i < iterations; i++) {
        for (size_t t = 0; t < s->frames; t++) {
            atm_stft_frame(s->stft, x, t, fresh);
            project(s, t, fresh);
        }
        atm_stft_inverse(s->stft, s->now, x);
    }
}

static atm_status invert(const float *mel, size_t frames, atm_framing framing, int iterations, bool from_x, float *x)
{
    state s = { 0 };
    atm_status status;
    TRY(state_init(&s, frames, framing));
    atm_mel_bank bank;
    atm_mel_bank_init(&bank);
    for (size_t t = 0; t < frames; t++) invert_mel(&bank, mel + t * BANDS, s.magnitude + t * BINS);
    if (!from_x) start_at_zero_phase(&s, x);
    iterate(&s, iterations, x);
done:
    state_free(&s);
    return status;
}

atm_status atm_griffin_lim(const float *mel, size_t frames, atm_framing framing, float *x)
{
    return invert(mel, frames, framing, ITERATIONS, false, x);
}

atm_status atm_griffin_lim_from(const float *mel, size_t frames, atm_framing framing, int iterations, float *x)
{
    return invert(mel, frames, framing, iterations, true, x);
}
