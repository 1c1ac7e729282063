/* measure_conditioning.c - does the UNet use the artwork?  The error of the predicted noise with the
 * right artwork, with that of another track, and with the negative vectors (no artwork),
 * for the same latents, noise and timesteps: only the condition differs.
 *
 * On held-out pairs it is what the model knows of artworks in general, on training pairs also what
 * it knows by heart.  Errors are unweighted; at high noise they are small whatever the
 * artwork, so differences are also told as shares of the error at their timestep. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "eval/denoiser.h"

enum { RIGHT, WRONG, NONE, CONDITIONS, TIMES = 9, THIRD = TIMES / 3 };

typedef double errors[TIMES][CONDITIONS];

typedef struct {
    eval_job *job;
    atm_split split;
    const atm_column *latent;
    eval_items pairs;                   /* all of the split: the first n are measured */
    int n, tracks;
    int *wrong;                         /* [n] whose artwork stands for a wrong one: index of a pair */
    int *cluster;                       /* [n] */
    size_t count, loa_size;             /* numbers in a latent, in an artwork's vectors */
    float *loa;                         /* [2, n, loa_size]: right, wrong */
    float *z, *noise, *contexts;
    errors *error;                      /* [n] */
    eval_denoiser denoiser;
} conditioning;

/* ------------------------------------------------------------------ pairs */

static bool are_paired(const eval_items *pairs, int32_t artwork, int track)
{
    for (int i = 0; i < pairs->n; i++)
        if (pairs->item[i].artwork == artwork && pairs->item[i].track == track) return true;
    return false;
}

/* The next pair behind a random place whose artwork has nothing to do with this track. */
static atm_status find_wrong(conditioning *c, int i)
{
    const atm_rng rng = { c->job->options->seed, ATM_STREAM_CONTROL, 1, (uint32_t)i };
    const int n = c->pairs.n, from = (int)(((uint64_t)atm_uint32(rng, 0) * (uint64_t)n) >> 32);
    for (int k = 0; k < n; k++) {
        c->wrong[i] = (from + k) % n;
        if (!are_paired(&c->pairs, c->pairs.item[c->wrong[i]].artwork, c->pairs.item[i].track)) return ATM_OK;
    }
    return atm_fail(ATM_E_DATA, "%s: in the %s split an artwork goes with every track: none is wrong",
                    atm_dataset_path(c->job->data), atm_split_names[c->split]);
}

static atm_status choose_pairs(conditioning *c)
{
    const atm_eval_options *o = c->job->options;
    TRY_RETURN(eval_choose(c->job->data, c->split, EVAL_EACH_PAIR, 0, o->seed, &c->pairs));
    c->n = c->pairs.n < o->clips ? c->pairs.n : o->clips;
    c->wrong = calloc((size_t)c->n, sizeof *c->wrong);
    c->cluster = eval_clusters(&c->pairs);
    c->error = calloc((size_t)c->n, sizeof *c->error);
    if (!c->wrong || !c->cluster || !c->error) return atm_fail(ATM_E_MEMORY, "no memory for %d pairs", c->n);
    c->tracks = c->n < c->pairs.tracks ? c->n : c->pairs.tracks;        /* one of each track comes first */
    for (int i = 0; i < c->n; i++) TRY_RETURN(find_wrong(c, i));
    return ATM_OK;
}

/* ------------------------------------------------------------------ conditions */

static atm_status embed(conditioning *c, float *embedding)
{
    int32_t *row = calloc(2 * (size_t)c->n, sizeof *row);
    if (!row) return atm_fail(ATM_E_MEMORY, "no memory for %d artworks", c->n);
    for (int i = 0; i < c->n; i++) {
        row[i] = c->pairs.item[i].artwork;
        row[c->n + i] = c->pairs.item[c->wrong[i]].artwork;
    }
    const atm_status status = eval_embed_artworks(c->job, c->job->data, 2 * c->n, row, embedding);
    free(row);
    return status;
}

static atm_status make_conditions(conditioning *c)
{
    const atm_conditioning *k = &c->job->model.conditioning;
    const size_t artworks = 2 * (size_t)c->n, dim = (size_t)c->job->model.config.adapter.in_dim;
    c->loa_size = (size_t)k->loa_tokens * (size_t)k->loa_dim;
    float *embedding = calloc(artworks, dim * sizeof *embedding);
    c->loa = calloc(artworks, c->loa_size * sizeof *c->loa);
    c->contexts = calloc(CONDITIONS, c->loa_size * sizeof *c->contexts);
    atm_status status = ATM_OK;
    if (!embedding || !c->loa || !c->contexts)
        TRY(atm_fail(ATM_E_MEMORY, "no memory for %zu artworks", artworks));
    TRY(embed(c, embedding));
    TRY(eval_language_of_audio(c->job, 2 * c->n, embedding, c->loa));
    memcpy(c->contexts + NONE * c->loa_size, k->negative_loa, c->loa_size * sizeof *c->contexts);
done:
    free(embedding);
    return status;
}

static atm_status set_conditions(conditioning *c, int i)
{
    const size_t bytes = c->loa_size * sizeof *c->contexts;
    memcpy(c->contexts + RIGHT * c->loa_size, c->loa + (size_t)i * c->loa_size, bytes);
    memcpy(c->contexts + WRONG * c->loa_size, c->loa + (size_t)(c->n + i) * c->loa_size, bytes);
    return eval_denoiser_set(&c->denoiser, c->contexts);
}

/* ------------------------------------------------------------------ errors */

/* The middles of equal parts of the schedule. */
static int timestep(const conditioning *c, int k)
{
    return (2 * k + 1) * c->job->model.config.schedule.num_train_timesteps / (2 * TIMES);
}

/* The posterior's mean, scaled as the UNet has it. */
static atm_status read_latent(conditioning *c, int i)
{
    const double scale = c->job->model.config.vae.scaling_factor;
    TRY_RETURN(eval_read(c->job->data, c->latent, (size_t)c->pairs.item[i].clip, c->z));
    for (size_t k = 0; k < c->count; k++) c->z[k] = (float)(scale * (double)c->z[k]);
    return ATM_OK;
}

static atm_status measure_pair(conditioning *c, int i)
{
    TRY_RETURN(read_latent(c, i));
    TRY_RETURN(set_conditions(c, i));
    for (int k = 0; k < TIMES; k++) {
        const atm_rng rng = { c->job->options->seed, ATM_STREAM_NOISE, (uint32_t)k, (uint32_t)i };
        atm_normal(rng, c->noise, c->count);
        TRY_RETURN(eval_denoiser_run(&c->denoiser, c->z, c->noise, timestep(c, k), c->error[i][k]));
    }
    return ATM_OK;
}

static atm_status measure_pairs(conditioning *c)
{
    static const bool negative[CONDITIONS] = { [NONE] = true };
    c->count = c->latent->row_bytes / atm_dtype_size(c->latent->dtype);
    c->z = malloc(c->count * sizeof *c->z);
    c->noise = malloc(c->count * sizeof *c->noise);
    if (!c->z || !c->noise) return atm_fail(ATM_E_MEMORY, "no memory for a latent of %zu numbers", c->count);
    TRY_RETURN(eval_denoiser_open(c->job, CONDITIONS, negative, c->latent->dim[1], &c->denoiser));
    for (int i = 0; i < c->n; i++) {
        TRY_RETURN(eval_tick(c->job, (c->split == ATM_SPLIT_TRAIN ? c->n : 0) + i, 2 * c->n));
        TRY_RETURN(measure_pair(c, i));
    }
    return ATM_OK;
}

/* ------------------------------------------------------------------ the report */

typedef double (*pair_number)(const conditioning *c, int i, int condition, int first, int times);

static double mean_error(const conditioning *c, int i, int condition, int first, int times)
{
    double sum = 0;
    for (int k = first; k < first + times; k++) sum += c->error[i][k][condition] / times;
    return sum;
}

static double excess(const conditioning *c, int i, int condition, int first, int times)
{
    return mean_error(c, i, condition, first, times) - mean_error(c, i, RIGHT, first, times);
}

/* Of the mean error at its timestep, in percent. */
static double share(const conditioning *c, int i, int condition, int first, int times)
{
    double sum = 0;
    for (int k = first; k < first + times; k++) {
        double right = 0;
        for (int j = 0; j < c->n; j++) right += c->error[j][k][RIGHT] / c->n;
        sum += 100 * (c->error[i][k][condition] - c->error[i][k][RIGHT]) / right / times;
    }
    return sum;
}

static atm_status estimate(const conditioning *c, pair_number of, int condition, int first, int times,
                           atm_estimate *out)
{
    double *x = calloc((size_t)c->n, sizeof *x);
    if (!x) return atm_fail(ATM_E_MEMORY, "no memory for %d pairs", c->n);
    for (int i = 0; i < c->n; i++) x[i] = of(c, i, condition, first, times);
    const atm_status status = atm_bootstrap_mean(c->n, x, c->cluster, c->job->options->seed, out);
    free(x);
    return status;
}

static atm_eval_row row_for(const conditioning *c, const char *name, const char *unit, const char *meaning)
{
    atm_eval_row row = { .measure = c->job->measure, .unit = unit, .meaning = meaning, .n = c->n,
                         .of = "pairs", .units = c->tracks, .units_of = "tracks" };
    snprintf(row.name, sizeof row.name, "%.40s, %s pairs", name,
             c->split == ATM_SPLIT_TRAIN ? "training" : "held-out");
    return row;
}

static atm_status report_errors(const conditioning *c)
{
    atm_eval_row row = row_for(c, "noise error, right artwork", "MSE",
                               "mean over nine timesteps; noise has variance 1");
    row.n_controls = 2;
    row.control[0].name = "wrong artwork";
    row.control[1].name = "no artwork";
    TRY_RETURN(estimate(c, mean_error, RIGHT, 0, TIMES, &row.is));
    TRY_RETURN(estimate(c, mean_error, WRONG, 0, TIMES, &row.control[0].is));
    TRY_RETURN(estimate(c, mean_error, NONE, 0, TIMES, &row.control[1].is));
    return atm_eval_add_row(c->job->report, &row);
}

static atm_status report_excess(const conditioning *c, int condition, const char *name)
{
    static const char *const thirds[] = { "at low noise", "at middle noise", "at high noise" };
    char text[ATM_EVAL_NAME];
    snprintf(text, sizeof text, "%s minus right", name);
    atm_eval_row row = row_for(c, text, "MSE", "paired difference; above 0: the right artwork helps");
    TRY_RETURN(estimate(c, excess, condition, 0, TIMES, &row.is));
    TRY_RETURN(atm_eval_add_row(c->job->report, &row));
    snprintf(text, sizeof text, "%s minus right, share", name);
    row = row_for(c, text, "%", "of the right artwork's error at each timestep, mean over timesteps");
    row.n_controls = 3;
    TRY_RETURN(estimate(c, share, condition, 0, TIMES, &row.is));
    for (int k = 0; k < 3; k++) {
        row.control[k].name = thirds[k];
        TRY_RETURN(estimate(c, share, condition, k * THIRD, THIRD, &row.control[k].is));
    }
    return atm_eval_add_row(c->job->report, &row);
}

static atm_status report(const conditioning *c)
{
    TRY_RETURN(report_errors(c));
    TRY_RETURN(report_excess(c, WRONG, "wrong artwork"));
    return report_excess(c, NONE, "no artwork");
}

/* ------------------------------------------------------------------ the whole */

static atm_status check_latents(const eval_job *job, const atm_column **out)
{
    const atm_model_config *c = &job->model.config;
    bool ours;
    TRY_RETURN(eval_find(job->data, "clips/latent_mean", out));
    const atm_column *latent = *out;
    if (latent->rank != 3 || latent->dim[0] != c->unet.in_channels ||
        latent->dim[2] != atm_model_latent_mels(c))
        return atm_fail(ATM_E_DATA, "%s: latents are [%d, *, %d], the model's [%d, *, %d]: prepare the data "
                        "with this model", atm_dataset_path(job->data), latent->dim[0], latent->dim[2],
                        c->unet.in_channels, atm_model_latent_mels(c));
    TRY_RETURN(eval_made_by(job, job->data, "vae", "vae-encoder", &ours));
    if (ours) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: its latents are of another VAE than that of %s: prepare the data with "
                    "this model", atm_dataset_path(job->data), job->model.path);
}

static atm_status measure_split(eval_job *job, const atm_column *latent, atm_split split)
{
    conditioning c = { .job = job, .split = split, .latent = latent };
    atm_status status;
    TRY(choose_pairs(&c));
    TRY(make_conditions(&c));
    TRY(measure_pairs(&c));
    TRY(report(&c));
done:
    eval_denoiser_close(&c.denoiser);
    eval_items_free(&c.pairs);
    free(c.wrong);
    free(c.cluster);
    free(c.loa);
    free(c.contexts);
    free(c.z);
    free(c.noise);
    free(c.error);
    return status;
}

atm_status eval_conditioning(eval_job *job)
{
    const atm_column *latent;
    TRY_RETURN(check_latents(job, &latent));
    TRY_RETURN(measure_split(job, latent, job->options->split));
    return job->options->split == ATM_SPLIT_TRAIN ? ATM_OK : measure_split(job, latent, ATM_SPLIT_TRAIN);
}
