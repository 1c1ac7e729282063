/* measure_decoders.c - from a log-mel to sound, by each decoder a model may name (model/hifigan.h),
 * and which of them is the best: real pictures first, then what the VAE makes of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/griffin_lim.h"
#include "eval/networks.h"
#include "eval/sound_measures.h"

/* Behind the decoders: the best one after the VAE, and what sound itself would score. */
enum { AFTER_VAE = ATM_DECODER_COUNT, SIXTEEN_BITS, LATER, KINDS };

typedef struct {
    eval_job *job;
    const atm_column *audio;
    int frames, bands;
    size_t samples;
    float *sound, *decoded, *mel, *again;       /* decoded: as long as the vocoder makes it */
    double *distance[KINDS];                    /* [items.n] */
    eval_items items;
    eval_network vocoder;
    eval_vae vae;
    int best;
} decoders;

static atm_status decode(decoders *d, int decoder, const float *mel)
{
    const size_t frames = (size_t)d->frames;
    if (decoder == ATM_DECODER_GRIFFIN_LIM)
        return atm_griffin_lim(mel, frames, ATM_FRAMING_AUDIOLDM2, d->decoded);
    TRY_RETURN(eval_network_run(&d->vocoder, mel, d->decoded));
    if (decoder == ATM_DECODER_VOCODER) return ATM_OK;
    return atm_griffin_lim_from(mel, frames, ATM_FRAMING_AUDIOLDM2, ATM_HYBRID_ITERATIONS, d->decoded);
}

/* Between the log-mel of `sound` and the clip's. */
static atm_status distance_of(decoders *d, const float *sound, double *out)
{
    TRY_RETURN(atm_mel(sound, d->samples, ATM_FRAMING_AUDIOLDM2, d->again));
    *out = atm_mean_distance(d->mel, d->again, (size_t)d->frames * (size_t)d->bands);
    return ATM_OK;
}

static atm_status read_clip(decoders *d, int i)
{
    TRY_RETURN(eval_read(d->job->sounds, d->audio, (size_t)d->items.item[i].clip, d->sound));
    return atm_mel(d->sound, d->samples, ATM_FRAMING_AUDIOLDM2, d->mel);
}

/* ------------------------------------------------------------------ sound itself */

static atm_status measure_sixteen_bits(decoders *d, int i)
{
    for (size_t k = 0; k < d->samples; k++)
        d->decoded[k] = (float)(rint((double)d->sound[k] * 32767) / 32767);
    return distance_of(d, d->decoded, &d->distance[SIXTEEN_BITS][i]);
}

/* Half a hop: what the other framing hears (data/stft.h). */
static atm_status measure_later(decoders *d, int i)
{
    enum { HALF_HOP = ATM_STFT_HOP / 2 };
    memcpy(d->decoded, d->sound + HALF_HOP, (d->samples - HALF_HOP) * sizeof *d->decoded);
    memset(d->decoded + d->samples - HALF_HOP, 0, HALF_HOP * sizeof *d->decoded);
    return distance_of(d, d->decoded, &d->distance[LATER][i]);
}

/* ------------------------------------------------------------------ clips */

static atm_status measure_clip(decoders *d, int i)
{
    TRY_RETURN(read_clip(d, i));
    for (int k = 0; k < ATM_DECODER_COUNT; k++) {
        TRY_RETURN(decode(d, k, d->mel));
        TRY_RETURN(distance_of(d, d->decoded, &d->distance[k][i]));
    }
    TRY_RETURN(measure_sixteen_bits(d, i));
    return measure_later(d, i);
}

static atm_status measure_after_vae(decoders *d, int i)
{
    TRY_RETURN(read_clip(d, i));
    TRY_RETURN(eval_vae_run(&d->vae, d->mel, d->again));
    TRY_RETURN(decode(d, d->best, d->again));
    return distance_of(d, d->decoded, &d->distance[AFTER_VAE][i]);
}

static int find_best(const decoders *d)
{
    double sum[ATM_DECODER_COUNT] = { 0 };
    int best = 0;
    for (int k = 0; k < ATM_DECODER_COUNT; k++)
        for (int i = 0; i < d->items.n; i++) sum[k] += d->distance[k][i];
    for (int k = 1; k < ATM_DECODER_COUNT; k++) if (sum[k] < sum[best]) best = k;
    return best;
}

static atm_status measure_clips(decoders *d)
{
    const int n = d->items.n;
    for (int i = 0; i < n; i++) {
        TRY_RETURN(eval_tick(d->job, 2 * i, 3 * n));
        TRY_RETURN(measure_clip(d, i));
    }
    d->best = find_best(d);
    for (int i = 0; i < n; i++) {
        TRY_RETURN(eval_tick(d->job, 2 * n + i, 3 * n));
        TRY_RETURN(measure_after_vae(d, i));
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ the report */

static atm_status report_one(const decoders *d, int kind, const int *track)
{
    atm_eval_row row = {
        .measure = d->job->measure, .unit = "nats",
        .meaning = kind == AFTER_VAE
                 ? "the same after the VAE: generated music cannot be nearer to what the UNet meant"
                 : "mean absolute difference between a log-mel and that of the sound made of it",
        .n = d->items.n, .of = "clips", .units = d->items.tracks, .units_of = "tracks", .n_controls = 2,
        .control = { { .name = "the recording in 16 bits" }, { .name = "the recording 5 ms later" } }
    };
    const uint64_t seed = d->job->options->seed;
    snprintf(row.name, sizeof row.name, "%s%s", kind == AFTER_VAE ? "VAE, then " : "",
             atm_decoder_names[kind == AFTER_VAE ? d->best : kind]);
    TRY_RETURN(atm_bootstrap_mean(d->items.n, d->distance[kind], track, seed, &row.is));
    TRY_RETURN(atm_bootstrap_mean(d->items.n, d->distance[SIXTEEN_BITS], track, seed, &row.control[0].is));
    TRY_RETURN(atm_bootstrap_mean(d->items.n, d->distance[LATER], track, seed, &row.control[1].is));
    return atm_eval_add_row(d->job->report, &row);
}

static atm_status report(const decoders *d)
{
    const int now = d->job->model.config.vocoder.decoder;
    int *track = eval_clusters(&d->items);
    if (!track) return atm_fail(ATM_E_MEMORY, "no memory for %d clips", d->items.n);
    atm_status status = ATM_OK;
    for (int k = 0; k <= AFTER_VAE && status == ATM_OK; k++) status = report_one(d, k, track);
    free(track);
    if (status != ATM_OK) return status;
    return atm_eval_add_note(d->job->report, d->job->measure,
                             "Recommended: \"decoder\": \"%s\" in vocoder/config.json, which now "
                             "says \"%s\".", atm_decoder_names[d->best], atm_decoder_names[now]);
}

/* ------------------------------------------------------------------ the whole */

static atm_status check_audio(decoders *d)
{
    const atm_model_config *c = &d->job->model.config;
    const int scale = atm_vae_scale(&c->vae);
    TRY_RETURN(eval_find(d->job->sounds, "clips/audio", &d->audio));
    d->frames = d->audio->dim[0] / ATM_STFT_HOP / scale * scale;
    d->samples = (size_t)d->frames * ATM_STFT_HOP;
    d->bands = c->vocoder.model_in_dim;
    if (d->audio->rank != 1 || d->bands != ATM_MEL_BANDS || d->frames < scale)
        return atm_fail(ATM_E_DATA, "%s: audio of %d samples, and %d bands in the model: decoders need "
                        "pictures of %d", atm_dataset_path(d->job->sounds), d->audio->dim[0], d->bands,
                        ATM_MEL_BANDS);
    return ATM_OK;
}

static atm_status allocate(decoders *d)
{
    const size_t picture = (size_t)d->frames * (size_t)d->bands, made = atm_count(d->vocoder.out);
    if (made < d->samples)
        return atm_fail(ATM_E_CONFIG, "%s: its vocoder makes %zu samples of %d frames, %zu are needed",
                        d->job->model.path, made, d->frames, d->samples);
    d->sound = malloc((size_t)d->audio->dim[0] * sizeof(float));
    d->decoded = malloc(made * sizeof(float));
    d->mel = malloc(picture * sizeof(float));
    d->again = malloc(picture * sizeof(float));
    bool all = d->sound && d->decoded && d->mel && d->again;
    for (int k = 0; k < KINDS; k++)
        all &= (d->distance[k] = calloc((size_t)d->items.n, sizeof(double))) != NULL;
    return all ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a sound of %zu samples", d->samples);
}

atm_status eval_decoders(eval_job *job)
{
    decoders d = { .job = job };
    atm_status status;
    TRY(check_audio(&d));
    TRY(eval_choose_sounds(job, job->options->split, job->options->clips, &d.items));
    TRY(eval_vocoder_open(job, d.frames, &d.vocoder));
    TRY(eval_vae_open(job, d.frames, &d.vae));
    TRY(allocate(&d));
    TRY(measure_clips(&d));
    TRY(report(&d));
done:
    eval_network_close(&d.vocoder);
    eval_vae_close(&d.vae);
    eval_items_free(&d.items);
    free(d.sound);
    free(d.decoded);
    free(d.mel);
    free(d.again);
    for (int k = 0; k < KINDS; k++) free(d.distance[k]);
    return status;
}
