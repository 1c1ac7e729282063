/* resample.c - see resample.h.  Polyphase: output phase j (0 <= j < n) always
 * meets the same taps, and only those with |t| < 6 are not zero: about 12 o / base
 * of the 2 width + o that torchaudio multiplies. */
#include "data/resample.h"
#include "data/audio.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float CROSSINGS = 6;
static const double ROLLOFF = 0.99;

typedef struct {
    int o, n;                       /* rates over their gcd           */
    int width, taps;                /* taps: stored per phase         */
    double base;
    int   *first;                   /* [n] offset i of the first tap   */
    float *tap;                     /* [n, taps]                      */
} filter;

static int gcd(int a, int b) { return b ? gcd(b, a % b) : a; }

size_t atm_resample_length(size_t n, int from, int to)
{
    const size_t g = (size_t)gcd(from, to), o = (size_t)from / g, p = (size_t)to / g;
    return n / o * p + (n % o * p + o - 1) / o;       /* n p itself might not fit */
}

/* All in float32 and in torchaudio's order of operations: a kernel computed in
 * double is better, and differs from the reference's by 1e-5. */
static float place(const filter *f, int j, int i)
{
    const float t = ((float)-j / (float)f->n + (float)i / (float)f->o) * (float)f->base;
    return fminf(fmaxf(t, -CROSSINGS), CROSSINGS);
}

static float kernel(const filter *f, float t)
{
    const float c = cosf(t * (float)M_PI / CROSSINGS / 2.0f), pt = t * (float)M_PI;
    const float window = c * c * (float)(f->base / f->o);
    return t == 0.0f ? window : sinf(pt) / pt * window;
}

static void fill_phase(filter *f, int j)
{
    /* where (i/o - j/n) base = -6, and one tap of margin for rounding */
    const double start = f->o * ((double)j / f->n - (double)CROSSINGS / f->base);
    f->first[j] = (int)floor(start) - 1;
    float *tap = f->tap + (size_t)j * (size_t)f->taps;
    for (int k = 0; k < f->taps; k++) {
        const int i = f->first[j] + k;
        tap[k] = i >= -f->width && i < f->width + f->o ? kernel(f, place(f, j, i)) : 0.0f;
    }
}

static atm_status filter_init(filter *f, int from, int to)
{
    const int g = gcd(from, to);
    f->o = from / g;
    f->n = to / g;
    f->base = (f->o < f->n ? f->o : f->n) * ROLLOFF;
    f->width = (int)ceil((double)CROSSINGS * f->o / f->base);
    f->taps = (int)ceil(2 * (double)CROSSINGS * f->o / f->base) + 4;
    f->first = malloc((size_t)f->n * sizeof *f->first);
    f->tap = calloc((size_t)f->n * (size_t)f->taps, sizeof *f->tap);
    if (!f->first || !f->tap)
        return atm_fail(ATM_E_MEMORY, "resample: out of memory for %d to %d Hz", from, to);
    for (int j = 0; j < f->n; j++) fill_phase(f, j);
    return ATM_OK;
}

/* sum of tap[k] x[at + k] over the taps that meet samples. */
static float dot(const float *x, size_t n, int64_t at, const float *tap, int taps)
{
    const int64_t low = at < 0 ? -at : 0, high = at + taps > (int64_t)n ? (int64_t)n - at : taps;
    double sum = 0;
    for (int64_t k = low; k < high; k++) sum += (double)tap[k] * (double)x[at + k];
    return (float)sum;
}

static void apply(const filter *f, const float *x, size_t n, float *y, size_t n_out)
{
    for (size_t m = 0; m < n_out; m++) {
        const size_t block = m / (size_t)f->n, j = m % (size_t)f->n;
        const int64_t at = (int64_t)(block * (size_t)f->o) + f->first[j];
        y[m] = dot(x, n, at, f->tap + j * (size_t)f->taps, f->taps);
    }
}

atm_status atm_resample(const float *x, size_t n, int from, int to, float *y)
{
    const int most = ATM_AUDIO_MAX_RATE;
    if (from < 1 || to < 1 || from > most || to > most)
        return atm_fail(ATM_E_DATA, "resample: %d Hz to %d Hz: rates must be 1 to %d", from, to, most);
    if (from == to) {
        memcpy(y, x, n * sizeof *y);
        return ATM_OK;
    }
    filter f = { 0 };
    atm_status status;
    TRY(filter_init(&f, from, to));
    apply(&f, x, n, y, atm_resample_length(n, from, to));
done:
    free(f.first);
    free(f.tap);
    return status;
}
