/* mel.c - see mel.h. */
#include "data/mel.h"

#include <math.h>

enum { LINEAR_MELS = 15 };                  /* 1000 Hz, where Slaney's scale turns logarithmic */
static const double TOP_HZ = 8000.0, FLOOR = 1e-5;

double atm_hz_to_mel(double hz)
{
    return hz < 1000.0 ? 3.0 * hz / 200.0 : LINEAR_MELS + 27.0 * log(hz / 1000.0) / log(6.4);
}

double atm_mel_to_hz(double mel)
{
    return mel < LINEAR_MELS ? 200.0 * mel / 3.0 : 1000.0 * exp((mel - LINEAR_MELS) * log(6.4) / 27.0);
}

/* The triangle from `low` over `centre` to `high` Hz, of area 1 per Hz. */
static double triangle(double hz, double low, double centre, double high)
{
    const double up = (hz - low) / (centre - low), down = (high - hz) / (high - centre);
    return fmax(0.0, fmin(up, down)) * 2.0 / (high - low);
}

static void init_band(atm_mel_bank *bank, int band)
{
    const double step = atm_hz_to_mel(TOP_HZ) / (ATM_MEL_BANDS + 1);
    const double low = atm_mel_to_hz(band * step), centre = atm_mel_to_hz((band + 1) * step),
                 high = atm_mel_to_hz((band + 2) * step);
    const double bin_hz = (double)ATM_STFT_RATE / ATM_STFT_SIZE;
    bank->first[band] = (int)(low / bin_hz) + 1;
    bank->count[band] = 0;
    for (int bin = bank->first[band]; bin < ATM_STFT_BINS && bin * bin_hz < high; bin++)
        bank->weight[band][bank->count[band]++] = (float)triangle(bin * bin_hz, low, centre, high);
}

void atm_mel_bank_init(atm_mel_bank *bank)
{
    for (int band = 0; band < ATM_MEL_BANDS; band++) init_band(bank, band);
}

static void mel_of_frame(const atm_mel_bank *bank, const atm_complex *spectrum, float *mel)
{
    double magnitude[ATM_STFT_BINS];
    for (int k = 0; k < ATM_STFT_BINS; k++)
        magnitude[k] = sqrt(spectrum[k].re * spectrum[k].re + spectrum[k].im * spectrum[k].im);
    for (int band = 0; band < ATM_MEL_BANDS; band++) {
        double sum = 0;
        for (int i = 0; i < bank->count[band]; i++)
            sum += (double)bank->weight[band][i] * magnitude[bank->first[band] + i];
        mel[band] = (float)log(fmax(sum, FLOOR));
    }
}

atm_status atm_mel(const float *x, size_t n, atm_framing framing, float *mel)
{
    atm_stft *stft;
    TRY_RETURN(atm_stft_create(framing, n, &stft));
    atm_mel_bank bank;
    atm_mel_bank_init(&bank);
    atm_complex spectrum[ATM_STFT_BINS];
    for (size_t t = 0; t < atm_stft_frames(stft); t++) {
        atm_stft_frame(stft, x, t, spectrum);
        mel_of_frame(&bank, spectrum, mel + t * ATM_MEL_BANDS);
    }
    atm_stft_destroy(stft);
    return ATM_OK;
}
