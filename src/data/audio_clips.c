/* audio_clips.c - see audio_clips.h. */
#include "data/audio_clips.h"
#include "data/waveform.h"

#include <math.h>
#include <stdlib.h>

static const double CLIP_SECONDS = 2.0, MEAN = -4.268, DEVIATION = 9.138;
enum { WHOLE_FRAMES = 1 + (ATM_CLIP_SAMPLES - ATM_FBANK_WINDOW) / ATM_FBANK_HOP };

static const size_t divisors[] = {
    [ATM_CLIP_RULE_TO_THE_END] = ATM_CLIPS - 1, [ATM_CLIP_RULE_THIRDS] = ATM_CLIPS
};

/* floor(a b) of the exact product, a, b >= 0: rounding may carry it up to an integer. */
static size_t floor_product(double a, double b)
{
    const double product = a * b;
    const size_t whole = (size_t)product;
    return (double)whole == product && fma(a, b, -product) < 0 ? whole - 1 : whole;
}

/* pytorchvideo computes with the exact fraction that n / 16000 became in a double: where
 * that lies below, clips start one sample earlier. */
size_t atm_clip_start(size_t n, atm_clip_rule rule, int clip)
{
    const double left = fmax((double)n / ATM_FBANK_RATE - CLIP_SECONDS, 0.0);
    return floor_product(left, (double)clip * ATM_FBANK_RATE) / divisors[rule];
}

/* y [frames, 128] to out [128, 204] */
static void paint(const float *y, size_t frames, float *out)
{
    for (size_t b = 0; b < ATM_FBANK_BANDS; b++)
        for (size_t t = 0; t < ATM_CLIP_FRAMES; t++) {
            const double v = t < frames ? (double)y[t * ATM_FBANK_BANDS + b] : 0.0;
            out[b * ATM_CLIP_FRAMES + t] = (float)((v - MEAN) / DEVIATION);
        }
}

static atm_status make_clips(const float *x, size_t n, atm_clip_rule rule, float *y, float *features)
{
    const size_t length = n < ATM_CLIP_SAMPLES ? n : ATM_CLIP_SAMPLES;
    for (int clip = 0; clip < ATM_CLIPS; clip++) {
        TRY_RETURN(atm_fbank(x + atm_clip_start(n, rule, clip), length, y));
        paint(y, atm_fbank_frames(length), features + clip * ATM_FBANK_BANDS * ATM_CLIP_FRAMES);
    }
    return ATM_OK;
}

atm_status atm_audio_clips(const atm_audio *audio, atm_clip_rule rule, float *features)
{
    atm_status status = ATM_OK;
    float *x = NULL, *y = malloc(sizeof(float[WHOLE_FRAMES][ATM_FBANK_BANDS]));
    size_t n;
    if (!y) return atm_fail(ATM_E_MEMORY, "out of memory for the clips of a sound");
    TRY(atm_waveform_first_channel(audio, 0, audio->frames, &x, &n));
    TRY(make_clips(x, n, rule, y, features));
done:
    free(x);
    free(y);
    return status;
}
