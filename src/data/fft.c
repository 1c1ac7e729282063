/* fft.c - see fft.h.  A real transform of n is a complex one of n/2 on the
 * pairs z_j = x_2j + i x_2j+1, untangled at the end:
 *     y_k = (Z_k + Z*_{h-k})/2 + e^(-2 pi i k / n) (Z_k - Z*_{h-k})/(2i),  h = n/2
 * Radix 2, decimation in time (Cooley and Tukey 1965).  No scratch: the
 * complex transform works in the output. */
#include "data/fft.h"

#include <math.h>
#include <stdlib.h>

struct atm_fft {
    int n;
    int *reversed;          /* [n/2] bit-reversed index */
    atm_complex *root;      /* [n/2] e^(-2 pi i k / n)   */
};

static atm_complex add(atm_complex a, atm_complex b) { return (atm_complex){ a.re + b.re, a.im + b.im }; }
static atm_complex sub(atm_complex a, atm_complex b) { return (atm_complex){ a.re - b.re, a.im - b.im }; }
static atm_complex conj_of(atm_complex a) { return (atm_complex){ a.re, -a.im }; }

static atm_complex mul(atm_complex a, atm_complex b)
{
    return (atm_complex){ a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re };
}

static void fill_tables(atm_fft *fft)
{
    const int half = fft->n / 2;
    for (int k = 0; k < half; k++) {
        const double angle = -2.0 * M_PI * k / fft->n;
        fft->root[k] = (atm_complex){ cos(angle), sin(angle) };
    }
    fft->reversed[0] = 0;
    for (int k = 1; k < half; k++) fft->reversed[k] = fft->reversed[k / 2] / 2 + (k % 2) * (half / 2);
}

atm_status atm_fft_create(int n, atm_fft **out)
{
    if (n < 4 || n > 1 << 20 || (n & (n - 1)) != 0)
        return atm_fail(ATM_E_BUG, "fft: size %d is not a power of two from 4 to 2^20", n);
    atm_fft *fft = malloc(sizeof *fft);
    if (!fft) return atm_fail(ATM_E_MEMORY, "fft: out of memory");
    *fft = (atm_fft){ n, malloc((size_t)n / 2 * sizeof *fft->reversed),
                      malloc((size_t)n / 2 * sizeof *fft->root) };
    if (!fft->reversed || !fft->root) {
        atm_fft_destroy(fft);
        return atm_fail(ATM_E_MEMORY, "fft: out of memory for size %d", n);
    }
    fill_tables(fft);
    *out = fft;
    return ATM_OK;
}

void atm_fft_destroy(atm_fft *fft)
{
    if (!fft) return;
    free(fft->reversed);
    free(fft->root);
    free(fft);
}

static void bit_reverse(const atm_fft *fft, atm_complex *z)
{
    for (int i = 0; i < fft->n / 2; i++) {
        const int j = fft->reversed[i];
        if (i >= j) continue;
        const atm_complex swap = z[i];
        z[i] = z[j];
        z[j] = swap;
    }
}

/* In place, forward, h = n/2 points. */
static void transform(const atm_fft *fft, atm_complex *z)
{
    const int h = fft->n / 2;
    bit_reverse(fft, z);
    for (int half = 1; half < h; half *= 2) {
        const int stride = h / half;        /* of the table of e^(-2 pi i k / n), n = 2 h */
        for (atm_complex *a = z; a < z + h; a += 2 * half)
            for (int k = 0; k < half; k++) {
                const atm_complex t = mul(fft->root[k * stride], a[half + k]);
                a[half + k] = sub(a[k], t);
                a[k] = add(a[k], t);
            }
    }
}

void atm_fft_forward(const atm_fft *fft, const double *x, atm_complex *y)
{
    const int h = fft->n / 2;
    for (int j = 0; j < h; j++) y[j] = (atm_complex){ x[2 * j], x[2 * j + 1] };
    transform(fft, y);
    y[h] = y[0];
    for (int k = 0; k <= h / 2; k++) {
        const atm_complex a = y[k], b = conj_of(y[h - k]), d = sub(a, b), even = add(a, b);
        const atm_complex odd = mul(fft->root[k], (atm_complex){ d.im, -d.re });
        y[k]     = (atm_complex){ (even.re + odd.re) / 2, (even.im + odd.im) / 2 };
        y[h - k] = (atm_complex){ (even.re - odd.re) / 2, (odd.im - even.im) / 2 };
    }
}

/* The tangling undone, then the inverse transform as conj(forward(conj z)). */
void atm_fft_inverse(const atm_fft *fft, const atm_complex *y, double *x)
{
    const int h = fft->n / 2;
    atm_complex *const z = (atm_complex *)x;
    for (int k = 0; k < h; k++) {
        const atm_complex a = y[k], b = conj_of(y[h - k]);
        const atm_complex odd = mul(conj_of(fft->root[k]), sub(a, b));
        z[k] = conj_of((atm_complex){ a.re + b.re - odd.im, a.im + b.im + odd.re });
    }
    transform(fft, z);
    for (int j = 0; j < h; j++) z[j] = (atm_complex){ z[j].re / fft->n, -z[j].im / fft->n };
}
