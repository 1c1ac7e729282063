/* result.c - see result.h and arttomus.h. */
#include "generate/result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/audio.h"
#include "data/spectrogram_png.h"

struct atm_result {
    int clips, rate;
    size_t samples;                         /* of a clip */
    int mel_frames, mel_bins;
    int latent_rows, latent_bins;           /* C T, F    */
    float *audio, *mel, *latent;            /* of all clips, one after the other */
};

static size_t mel_size(const atm_result *r) { return (size_t)r->mel_frames * (size_t)r->mel_bins; }
static size_t latent_size(const atm_result *r) { return (size_t)r->latent_rows * (size_t)r->latent_bins; }

atm_status engine_result_create(const atm_model *model, const engine_request *request, atm_result **out)
{
    const atm_model_config *c = &model->dir.config;
    atm_result *r = calloc(1, sizeof *r);
    if (!r) return atm_fail(ATM_E_MEMORY, "no memory for a result");
    *r = (atm_result){
        .clips = request->clips, .rate = c->vocoder.sampling_rate, .samples = request->samples,
        .mel_frames = request->frames * atm_vae_scale(&c->vae), .mel_bins = c->vocoder.model_in_dim,
        .latent_rows = c->unet.in_channels * request->frames, .latent_bins = engine_bins(model)
    };
    const size_t clips = (size_t)r->clips;
    r->audio = calloc(clips, r->samples * sizeof(float));
    r->mel = calloc(clips, mel_size(r) * sizeof(float));
    r->latent = calloc(clips, latent_size(r) * sizeof(float));
    *out = r;
    return r->audio && r->mel && r->latent ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for %d clips",
                                                               r->clips);
}

void atm_result_free(atm_result *r)
{
    if (!r) return;
    free(r->audio);
    free(r->mel);
    free(r->latent);
    free(r);
}

/* ------------------------------------------------------------------ filling */

float *engine_result_latent(atm_result *r, int clip) { return r->latent + (size_t)clip * latent_size(r); }

float *engine_result_mel(atm_result *r, int clip) { return r->mel + (size_t)clip * mel_size(r); }

atm_status engine_result_set_audio(atm_result *r, int clip, const float *samples)
{
    for (size_t i = 0; i < r->samples; i++)
        if (!isfinite(samples[i]))
            return atm_fail(ATM_E_DATA,
                            "sample %zu of clip %d is not finite: are the model's weights broken?", i, clip);
    memcpy(r->audio + (size_t)clip * r->samples, samples, r->samples * sizeof *samples);
    return ATM_OK;
}

/* ------------------------------------------------------------------ reading */

static bool has_clip(const atm_result *r, int clip) { return r && clip >= 0 && clip < r->clips; }

int atm_result_clips(const atm_result *r) { return r ? r->clips : 0; }

atm_samples atm_result_audio(const atm_result *r, int clip)
{
    if (!has_clip(r, clip)) return (atm_samples){ 0 };
    return (atm_samples){ r->audio + (size_t)clip * r->samples, r->samples, r->rate };
}

atm_matrix atm_result_mel(const atm_result *r, int clip)
{
    if (!has_clip(r, clip)) return (atm_matrix){ 0 };
    return (atm_matrix){ r->mel + (size_t)clip * mel_size(r), r->mel_frames, r->mel_bins };
}

atm_matrix atm_result_latent(const atm_result *r, int clip)
{
    if (!has_clip(r, clip)) return (atm_matrix){ 0 };
    return (atm_matrix){ r->latent + (size_t)clip * latent_size(r), r->latent_rows, r->latent_bins };
}

/* ------------------------------------------------------------------ saving */

static atm_status find_clip(const atm_result *r, int clip)
{
    return has_clip(r, clip) ? ATM_OK : atm_fail(ATM_E_USAGE, "there is no clip %d among %d", clip,
                                                 atm_result_clips(r));
}

atm_status atm_save_audio(const atm_result *r, int clip, const char *path, const char *format)
{
    atm_audio_format f;
    TRY_RETURN(find_clip(r, clip));
    TRY_RETURN(atm_audio_format_for(path, format, &f));
    const atm_audio audio = {
        .rate = r->rate, .channels = 1, .frames = r->samples, .samples = r->audio + (size_t)clip * r->samples
    };
    return atm_audio_save(path, f, &audio);
}

atm_status atm_save_spectrogram(const atm_result *r, int clip, const char *path)
{
    TRY_RETURN(find_clip(r, clip));
    return atm_spectrogram_save(path, r->mel + (size_t)clip * mel_size(r), (size_t)r->mel_frames);
}
