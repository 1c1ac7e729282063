/* fbank.c - see fbank.h. */
#include "data/fbank.h"
#include "data/fft.h"

#include <float.h>
#include <math.h>

/* torchaudio leaves out the bin of 8000 Hz, where the last triangle is zero anyway. */
enum { FFT_SIZE = 512, BINS = FFT_SIZE / 2 };
static const double LOW_HZ = 20.0, HIGH_HZ = 8000.0, PREEMPHASIS = 0.97;

/* weight[0 .. count - 1] from bin `first` on; count is 0 in one band, 10 in the widest. */
typedef struct { int first, count; double weight[16]; } band;

typedef struct {
    atm_fft *fft;
    double window[ATM_FBANK_WINDOW];
    band bands[ATM_FBANK_BANDS];
} front;

static double mel(double hz) { return 1127.0 * log(1.0 + hz / 700.0); }

static void init_band(band *b, double left, double step)
{
    b->first = b->count = 0;
    for (int bin = 0; bin < BINS; bin++) {
        const double up = (mel(bin * (double)ATM_FBANK_RATE / FFT_SIZE) - left) / step;
        const double weight = fmin(up, 2.0 - up);
        if (weight <= 0) continue;
        if (b->count == 0) b->first = bin;
        b->weight[b->count++] = weight;
    }
}

static atm_status front_init(front *f)
{
    const double low = mel(LOW_HZ), step = (mel(HIGH_HZ) - low) / (ATM_FBANK_BANDS + 1);
    for (int b = 0; b < ATM_FBANK_BANDS; b++) init_band(&f->bands[b], low + b * step, step);
    for (int i = 0; i < ATM_FBANK_WINDOW; i++)
        f->window[i] = 0.5 - 0.5 * cos(2.0 * M_PI * i / (ATM_FBANK_WINDOW - 1));
    return atm_fft_create(FFT_SIZE, &f->fft);
}

static double mean_of(const float *x)
{
    double sum = 0;
    for (int i = 0; i < ATM_FBANK_WINDOW; i++) sum += (double)x[i];
    return sum / ATM_FBANK_WINDOW;
}

/* x [400] -> power [BINS + 1] */
static void spectrum(const front *f, const float *x, double *power)
{
    const double mean = mean_of(x);
    double frame[FFT_SIZE] = { 0 };
    atm_complex y[BINS + 1];
    for (int i = 1; i < ATM_FBANK_WINDOW; i++) {        /* the window is zero where nothing is before */
        const double now = (double)x[i] - mean, before = (double)x[i - 1] - mean;
        frame[i] = f->window[i] * (now - PREEMPHASIS * before);
    }
    atm_fft_forward(f->fft, frame, y);
    for (int k = 0; k <= BINS; k++) power[k] = y[k].re * y[k].re + y[k].im * y[k].im;
}

static float log_energy(const band *b, const double *power)
{
    double sum = 0;
    for (int i = 0; i < b->count; i++) sum += b->weight[i] * power[b->first + i];
    return (float)log(fmax(sum, (double)FLT_EPSILON));
}

size_t atm_fbank_frames(size_t n)
{
    return n < ATM_FBANK_WINDOW ? 0 : 1 + (n - ATM_FBANK_WINDOW) / ATM_FBANK_HOP;
}

atm_status atm_fbank(const float *x, size_t n, float *y)
{
    front f;
    double power[BINS + 1];
    if (n < ATM_FBANK_WINDOW)
        return atm_fail(ATM_E_DATA, "sound of %zu samples at %d Hz is too short: %d or more are needed",
                        n, ATM_FBANK_RATE, ATM_FBANK_WINDOW);
    TRY_RETURN(front_init(&f));
    for (size_t t = 0; t < atm_fbank_frames(n); t++) {
        spectrum(&f, x + t * ATM_FBANK_HOP, power);
        for (int b = 0; b < ATM_FBANK_BANDS; b++)
            y[t * ATM_FBANK_BANDS + (size_t)b] = log_energy(&f.bands[b], power);
    }
    atm_fft_destroy(f.fft);
    return ATM_OK;
}
