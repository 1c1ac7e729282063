/* measure_retrieval.c - finding an artwork's music among the split's tracks by the cosine of their
 * embeddings, and the other way round (ranking.h).
 *
 * A track is one candidate, however many of its clips are paired: the direction of the mean of
 * its clips' embeddings.  A track is right when any of its clips is paired with the artwork. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/job.h"
#include "eval/ranking.h"

typedef struct {
    eval_job *job;
    const atm_dataset *data;
    eval_items pairs;
    int dim, n_artworks, n_clips, n_tracks;
    int32_t *artwork, *clip, *track;    /* rows, rows and numbers; each once, ascending */
    float *image, *sound;               /* [n_artworks, dim], [n_clips, dim] */
    double *music;                      /* [n_tracks, dim]                  */
    double *similarity;                 /* [n_artworks, n_tracks]           */
    bool *relevant;                     /* the same                         */
    int *rank;
} retrieval;

/* ------------------------------------------------------------------ who is there */

static int ascending(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int sort_unique(int32_t *x, int n)
{
    int kept = 0;
    qsort(x, (size_t)n, sizeof *x, ascending);
    for (int i = 0; i < n; i++)
        if (i == 0 || x[i] != x[i - 1]) x[kept++] = x[i];
    return kept;
}

static int place_of(const int32_t *sorted, int n, int32_t x)
{
    const int32_t *at = bsearch(&x, sorted, (size_t)n, sizeof *sorted, ascending);
    return (int)(at - sorted);
}

static atm_status list_sides(retrieval *r)
{
    const size_t n = (size_t)r->pairs.n;
    r->artwork = calloc(n, sizeof *r->artwork);
    r->clip = calloc(n, sizeof *r->clip);
    r->track = calloc(n, sizeof *r->track);
    if (!r->artwork || !r->clip || !r->track) return atm_fail(ATM_E_MEMORY, "no memory for %zu pairs", n);
    for (size_t i = 0; i < n; i++) {
        r->artwork[i] = r->pairs.item[i].artwork;
        r->clip[i] = r->pairs.item[i].clip;
        r->track[i] = r->pairs.item[i].track;
    }
    r->n_artworks = sort_unique(r->artwork, r->pairs.n);
    r->n_clips = sort_unique(r->clip, r->pairs.n);
    r->n_tracks = sort_unique(r->track, r->pairs.n);
    return ATM_OK;
}

static atm_status allocate(retrieval *r)
{
    const size_t a = (size_t)r->n_artworks, t = (size_t)r->n_tracks, dim = (size_t)r->dim;
    r->image = calloc(a, dim * sizeof *r->image);
    r->sound = calloc((size_t)r->n_clips, dim * sizeof *r->sound);
    r->music = calloc(t, dim * sizeof *r->music);
    r->similarity = calloc(a, t * sizeof *r->similarity);
    r->relevant = calloc(a, t * sizeof *r->relevant);
    r->rank = calloc(a > t ? a : t, sizeof *r->rank);
    if (r->image && r->sound && r->music && r->similarity && r->relevant && r->rank) return ATM_OK;
    return atm_fail(ATM_E_MEMORY, "no memory for %zu artworks and %zu tracks", a, t);
}

/* ------------------------------------------------------------------ similarities */

/* Each clip counts once in its track, with however many artworks it is paired. */
static atm_status add_clips_to_tracks(retrieval *r)
{
    const size_t dim = (size_t)r->dim;
    int *track = calloc((size_t)r->n_clips, sizeof *track);
    if (!track) return atm_fail(ATM_E_MEMORY, "no memory for %d clips", r->n_clips);
    for (int i = 0; i < r->pairs.n; i++)
        track[place_of(r->clip, r->n_clips, r->pairs.item[i].clip)] =
            place_of(r->track, r->n_tracks, r->pairs.item[i].track);
    for (int c = 0; c < r->n_clips; c++) {
        double *music = r->music + (size_t)track[c] * dim;
        for (size_t k = 0; k < dim; k++) music[k] += (double)r->sound[(size_t)c * dim + k];
    }
    free(track);
    return ATM_OK;
}

static double cosine(const float *a, const double *b, int dim)
{
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < dim; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * (double)a[i];
        bb += b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static void compare_all(retrieval *r)
{
    const size_t dim = (size_t)r->dim;
    for (int a = 0; a < r->n_artworks; a++)
        for (int t = 0; t < r->n_tracks; t++)
            r->similarity[a * r->n_tracks + t] =
                cosine(r->image + (size_t)a * dim, r->music + (size_t)t * dim, r->dim);
    for (int i = 0; i < r->pairs.n; i++) {
        const int a = place_of(r->artwork, r->n_artworks, r->pairs.item[i].artwork);
        r->relevant[a * r->n_tracks + place_of(r->track, r->n_tracks, r->pairs.item[i].track)] = true;
    }
}

/* ------------------------------------------------------------------ the report */

typedef struct { const char *name, *of; atm_ranking ranking; } direction;

static atm_eval_row row_for(const retrieval *r, const direction *d, const char *unit, const char *meaning)
{
    return (atm_eval_row){
        .measure = r->job->measure, .unit = unit, .meaning = meaning, .n = d->ranking.queries, .of = d->of,
        .n_controls = 1, .control = { { .name = "chance" } }
    };
}

static atm_status report_recall(const retrieval *r, const direction *d, int k)
{
    atm_eval_row row = row_for(r, d, "share", "queries whose right answer is among the first so many");
    snprintf(row.name, sizeof row.name, "%s R@%d of %d", d->name, k, d->ranking.candidates);
    TRY_RETURN(atm_ranking_recall(r->rank, d->ranking.queries, k, r->job->options->seed, &row.is));
    row.control[0].is = atm_estimate_of(atm_ranking_chance_recall(&d->ranking, k));
    return atm_eval_add_row(r->job->report, &row);
}

static atm_status report_median(const retrieval *r, const direction *d)
{
    atm_eval_row row = row_for(r, d, "rank", "of the first right answer; 1 is the best");
    snprintf(row.name, sizeof row.name, "%s median rank of %d", d->name, d->ranking.candidates);
    TRY_RETURN(atm_ranking_median(r->rank, d->ranking.queries, r->job->options->seed, &row.is));
    row.control[0].is = atm_estimate_of(atm_ranking_chance_median(&d->ranking));
    return atm_eval_add_row(r->job->report, &row);
}

/* Among ten, all are among the first ten: such a row says nothing. */
static atm_status report_direction(const retrieval *r, const direction *d)
{
    static const int at[] = { 1, 5, 10 };
    atm_ranking_ranks(&d->ranking, r->rank);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        if (at[i] < d->ranking.candidates) TRY_RETURN(report_recall(r, d, at[i]));
    return report_median(r, d);
}

static atm_status report(const retrieval *r)
{
    const int a = r->n_artworks, t = r->n_tracks;
    const size_t row = (size_t)t;
    const direction music = { "image to music", "artworks", { a, t, row, 1, r->similarity, r->relevant } };
    const direction images = { "music to image", "tracks", { t, a, 1, row, r->similarity, r->relevant } };
    TRY_RETURN(report_direction(r, &music));
    return report_direction(r, &images);
}

/* ------------------------------------------------------------------ the whole */

/* The data may hold latents alone, and the sounds be pairs with pixels and audio. */
static const atm_dataset *find_data(const eval_job *job)
{
    return atm_dataset_find(job->data, "clips/audio") ? job->data : job->sounds;
}

static atm_status measure(retrieval *r)
{
    eval_job *job = r->job;
    TRY_RETURN(eval_choose(r->data, job->options->split, EVAL_EACH_PAIR, 0, job->options->seed, &r->pairs));
    TRY_RETURN(list_sides(r));
    TRY_RETURN(allocate(r));
    TRY_RETURN(eval_embed_artworks(job, r->data, r->n_artworks, r->artwork, r->image));
    TRY_RETURN(eval_embed_clips(job, r->data, r->n_clips, r->clip, r->sound));
    TRY_RETURN(add_clips_to_tracks(r));
    compare_all(r);
    return report(r);
}

static atm_status check_model(const eval_job *job)
{
    const atm_model_config *c = &job->model.config;
    if (c->audio_encoder.hidden_size == 0)
        return atm_fail(ATM_E_CONFIG, "%s has no audio_encoder/: it cannot hear", job->model.path);
    if (c->audio_encoder.projection_dim == c->image_encoder.projection_dim) return ATM_OK;
    return atm_fail(ATM_E_CONFIG, "%s: embeddings of images have %d numbers, those of music %d",
                    job->model.path, c->image_encoder.projection_dim, c->audio_encoder.projection_dim);
}

atm_status eval_retrieval(eval_job *job)
{
    retrieval r = { .job = job, .data = find_data(job) };
    TRY_RETURN(check_model(job));
    r.dim = job->model.config.image_encoder.projection_dim;
    const atm_status status = measure(&r);
    eval_items_free(&r.pairs);
    free(r.artwork);
    free(r.clip);
    free(r.track);
    free(r.image);
    free(r.sound);
    free(r.music);
    free(r.similarity);
    free(r.relevant);
    free(r.rank);
    return status;
}
