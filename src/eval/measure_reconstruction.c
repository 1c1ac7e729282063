/* measure_reconstruction.c - what the VAE loses: log-mel pictures through the posterior's mean and back. */
#include <stdlib.h>

#include "eval/networks.h"
#include "eval/sound_measures.h"

enum { VAE, BAND_MEANS, SILENCE, KINDS, MOST_FOR_MEANS = 200 };

typedef struct {
    eval_job *job;
    const atm_column *mel;
    int frames;                         /* of a picture: whole latent frames */
    size_t count;                       /* numbers in one                    */
    float *real, *back, *band;          /* band: [frames, bands] of the mean */
    double *distance[KINDS];            /* [items.n] */
    eval_items items;
    eval_vae vae;
} reconstruction;

/* ------------------------------------------------------------------ the predictor of band means */

static void repeat_row(float *picture, int frames, int bands)
{
    for (int i = bands; i < frames * bands; i++) picture[i] = picture[i - bands];
}

/* Of clips for training: what one knows of music without having heard the clip. */
static atm_status find_band_means(reconstruction *r)
{
    double sum[ATM_MEL_BANDS] = { 0 };
    eval_items items;
    const int bands = r->mel->dim[1];
    atm_status status = ATM_OK;
    TRY_RETURN(eval_choose_sounds(r->job, ATM_SPLIT_TRAIN, MOST_FOR_MEANS, &items));
    for (int i = 0; i < items.n; i++) {
        TRY(eval_read(r->job->sounds, r->mel, (size_t)items.item[i].clip, r->real));
        for (size_t k = 0; k < r->count; k++) sum[k % (size_t)bands] += (double)r->real[k];
    }
    for (int b = 0; b < bands; b++) r->band[b] = (float)(sum[b] / ((double)items.n * r->frames));
    repeat_row(r->band, r->frames, bands);
done:
    eval_items_free(&items);
    return status;
}

/* ------------------------------------------------------------------ clips */

static double distance_to_silence(const float *mel, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)mel[i] - (double)ATM_MEL_SILENCE;     /* never below it */
    return sum / (double)n;
}

static atm_status measure_clip(reconstruction *r, int i)
{
    TRY_RETURN(eval_read(r->job->sounds, r->mel, (size_t)r->items.item[i].clip, r->real));
    TRY_RETURN(eval_vae_run(&r->vae, r->real, r->back));
    r->distance[VAE][i] = atm_mean_distance(r->real, r->back, r->count);
    r->distance[BAND_MEANS][i] = atm_mean_distance(r->real, r->band, r->count);
    r->distance[SILENCE][i] = distance_to_silence(r->real, r->count);
    return ATM_OK;
}

static atm_status report(const reconstruction *r)
{
    int *track = eval_clusters(&r->items);
    if (!track) return atm_fail(ATM_E_MEMORY, "no memory for %d clips", r->items.n);
    atm_eval_row row = {
        .measure = r->job->measure, .name = "log-mel L1 through the VAE", .unit = "nats",
        .meaning = "mean absolute difference between a log-mel and what the VAE makes of it (posterior mean)",
        .n = r->items.n, .of = "clips", .units = r->items.tracks, .units_of = "tracks", .n_controls = 2,
        .control = { { .name = "predicting each band's mean over training music" },
                     { .name = "predicting silence" } }
    };
    atm_estimate *to[KINDS] = { &row.is, &row.control[0].is, &row.control[1].is };
    atm_status status = ATM_OK;
    for (int k = 0; k < KINDS && status == ATM_OK; k++)
        status = atm_bootstrap_mean(r->items.n, r->distance[k], track, r->job->options->seed, to[k]);
    free(track);
    return status == ATM_OK ? atm_eval_add_row(r->job->report, &row) : status;
}

/* ------------------------------------------------------------------ the whole */

static atm_status check_mel(reconstruction *r)
{
    const atm_model_config *c = &r->job->model.config;
    const int scale = atm_vae_scale(&c->vae);
    TRY_RETURN(eval_find(r->job->sounds, "clips/mel", &r->mel));
    const int rank = r->mel->rank, frames = r->mel->dim[0], bands = r->mel->dim[1];
    if (rank != 2 || bands != c->vocoder.model_in_dim || bands > ATM_MEL_BANDS || frames < scale)
        return atm_fail(ATM_E_DATA, "%s: mel is %d x %d, the model's VAE takes %d bands, %d frames or more",
                        atm_dataset_path(r->job->sounds), frames, bands, c->vocoder.model_in_dim, scale);
    r->frames = frames / scale * scale;
    r->count = (size_t)r->frames * (size_t)bands;
    return ATM_OK;
}

static atm_status allocate(reconstruction *r)
{
    const size_t whole = (size_t)r->mel->dim[0] * (size_t)r->mel->dim[1];
    r->real = malloc(whole * sizeof(float));
    r->back = malloc(whole * sizeof(float));
    r->band = malloc(whole * sizeof(float));
    bool all = r->real && r->back && r->band;
    for (int k = 0; k < KINDS; k++)
        all &= (r->distance[k] = calloc((size_t)r->items.n, sizeof(double))) != NULL;
    return all ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a picture of %zu numbers", whole);
}

atm_status eval_reconstruction(eval_job *job)
{
    reconstruction r = { .job = job };
    atm_status status;
    TRY(check_mel(&r));
    TRY(eval_choose_sounds(job, job->options->split, job->options->clips, &r.items));
    TRY(allocate(&r));
    TRY(find_band_means(&r));
    TRY(eval_vae_open(job, r.frames, &r.vae));
    for (int i = 0; i < r.items.n; i++) {
        TRY(eval_tick(job, i, r.items.n));
        TRY(measure_clip(&r, i));
    }
    TRY(report(&r));
done:
    eval_vae_close(&r.vae);
    eval_items_free(&r.items);
    free(r.real);
    free(r.back);
    free(r.band);
    for (int k = 0; k < KINDS; k++) free(r.distance[k]);
    return status;
}
