/* networks.c - mels to latents and pixels to embeddings, in batches through one plan each.
 *
 * A row of the result is the network's outputs one after the other.  Samples of a batch do not
 * touch each other, so what a row holds does not depend on who is beside it.
 * To add a network: a row of the table. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "prepare/job.h"

enum { MAX_OUTPUTS = 2, LATENT_BATCH = 4, PICTURE_BATCH = 8 };

typedef struct { atm_tensor in, out[MAX_OUTPUTS]; } ends;

typedef struct network network;
struct network {
    const char *stage, *component;
    job_store from, to;
    int batch, n_outputs;
    size_t (*in_floats)(const atm_job *job);            /* of the network's input: a pixel has a byte */
    size_t (*out_floats)(const atm_job *job);           /* of one output          */
    atm_status (*convert)(const atm_job *job, const void *row, float *in);
    ends (*append)(const atm_job *job, atm_plan *plan);
};

/* ------------------------------------------------------------------ mel -> latents */

static size_t mel_bytes(const atm_job *job) { return job_mel_floats(job) * sizeof(float); }

static atm_status copy_mel(const atm_job *job, const void *row, float *in)
{
    memcpy(in, row, mel_bytes(job));
    return ATM_OK;
}

static ends append_vae(const atm_job *job, atm_plan *plan)
{
    ends e;
    e.in = atm_input(plan, "mel", ATM_INPUT_VARIES, ATM_DIMS(LATENT_BATCH, job->frames, 64, 1));
    const atm_vae_posterior posterior = atm_vae_encode(plan, &job->model.config.vae, e.in);
    e.out[0] = atm_to_channels_first(plan, posterior.mean);
    e.out[1] = atm_to_channels_first(plan, posterior.logvar);
    return e;
}

/* ------------------------------------------------------------------ pixels -> embedding */

static size_t embedding_floats(const atm_job *job) { return (size_t)job->embedding; }

/* Of the size already: resizing leaves it as it is. */
static atm_status normalise_pixels(const atm_job *job, const void *row, float *in)
{
    const atm_image square = { job->side, job->side, (uint8_t *)row };      /* only read */
    return atm_image_to_chw_normalised(&square, job->side, job->crop, atm_clip_mean, atm_clip_std, in);
}

static ends append_image_encoder(const atm_job *job, atm_plan *plan)
{
    ends e;
    e.in = atm_input(plan, "pixels", ATM_INPUT_VARIES, ATM_DIMS(PICTURE_BATCH, 3, job->side, job->side));
    e.out[0] = atm_image_encoder(plan, &job->model.config.image_encoder, e.in).unit;
    return e;
}

static const network
    vae_encoder = { "latents", "vae-encoder", JOB_SOUNDS, JOB_LATENTS, LATENT_BATCH, 2,
                    job_mel_floats, job_latent_floats, copy_mel, append_vae },
    image_encoder = { "embeddings", "image-encoder", JOB_PICTURES, JOB_EMBEDDINGS, PICTURE_BATCH, 1,
                      job_pixel_bytes, embedding_floats, normalise_pixels, append_image_encoder };

/* ------------------------------------------------------------------ a network at work */

typedef struct {
    atm_job *job;
    const network *net;
    atm_params params;
    atm_plan *plan;
    ends at;
    unsigned char *row;                 /* of `from` */
    float *in, *out[MAX_OUTPUTS], *result;
} worker;

static void close_worker(worker *w)
{
    free(w->row);
    free(w->in);
    for (int i = 0; i < MAX_OUTPUTS; i++) free(w->out[i]);
    free(w->result);
    if (w->plan) atm_params_forget(w->job->device, w->plan);
    atm_plan_destroy(w->plan);
    atm_params_close(&w->params);
}

static atm_status allocate(worker *w)
{
    const network *net = w->net;
    const size_t batch = (size_t)net->batch, out = net->out_floats(w->job), n = (size_t)net->n_outputs;
    w->row = malloc(job_row_bytes(w->job, net->from));
    w->in = calloc(batch * net->in_floats(w->job), sizeof *w->in);
    w->result = malloc(n * out * sizeof *w->result);
    bool all = w->row && w->in && w->result;
    for (size_t i = 0; i < n; i++) all &= (w->out[i] = malloc(batch * out * sizeof *w->out[i])) != NULL;
    return all ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for a batch of %s", net->stage);
}

static atm_status open_worker(worker *w)
{
    TRY_RETURN(atm_model_dir_params(&w->job->model, w->net->component, &w->params));
    TRY_RETURN(atm_plan_create(w->job->device, &w->plan));
    atm_plan_params(w->plan, &w->params.source);
    w->at = w->net->append(w->job, w->plan);
    for (int i = 0; i < w->net->n_outputs; i++) atm_output(w->plan, i ? "out.1" : "out.0", w->at.out[i]);
    if (!atm_plan_failed(w->plan)) TRY_RETURN(atm_params_check(&w->params));
    TRY_RETURN(atm_plan_finish(w->plan, (atm_plan_options){ 0 }));
    return allocate(w);
}

static atm_status load_batch(worker *w, int n, const atm_part_key *key)
{
    for (int i = 0; i < n; i++) {
        TRY_RETURN(atm_parts_read(w->job->store[w->net->from], key[i], w->row));
        TRY_RETURN(w->net->convert(w->job, w->row, w->in + (size_t)i * w->net->in_floats(w->job)));
    }
    return ATM_OK;
}

/* A model that gives NaN would poison the training that trusts it. */
static atm_status check_finite(const worker *w, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return atm_fail(ATM_E_DATA, "%s: its %s gives %s that are not finite", w->job->model.path,
                            w->net->component, w->net->stage);
    return ATM_OK;
}

static atm_status keep_batch(worker *w, int n, const atm_part_key *key)
{
    const size_t floats = w->net->out_floats(w->job);
    for (size_t i = 0; i < (size_t)n; i++) {
        for (size_t k = 0; k < (size_t)w->net->n_outputs; k++)
            memcpy(w->result + k * floats, w->out[k] + i * floats, floats * sizeof *w->result);
        TRY_RETURN(check_finite(w, w->result, floats * (size_t)w->net->n_outputs));
        TRY_RETURN(atm_parts_add(w->job->store[w->net->to], key[i], w->result));
    }
    return ATM_OK;
}

static atm_status run_batch(worker *w, int n, const atm_part_key *key)
{
    TRY_RETURN(load_batch(w, n, key));
    TRY_RETURN(atm_plan_write_f32(w->plan, w->at.in, w->in));
    TRY_RETURN(atm_plan_run(w->plan));
    for (int i = 0; i < w->net->n_outputs; i++)
        TRY_RETURN(atm_plan_read_f32(w->plan, w->at.out[i], w->out[i]));
    return keep_batch(w, n, key);
}

static atm_status run_batches(worker *w, int n, const atm_part_key *key)
{
    TRY_RETURN(open_worker(w));
    for (int i = 0; i < n; i += w->net->batch) {
        const int some = n - i < w->net->batch ? n - i : w->net->batch;
        TRY_RETURN(job_tick(w->job, w->net->stage, (double)i / n, i, n));
        TRY_RETURN(run_batch(w, some, key + i));
    }
    return ATM_OK;
}

/* Of n keys those whose rows are still to be made, to the front. */
static int keep_missing(atm_parts *store, int n, atm_part_key *key)
{
    int missing = 0;
    for (int i = 0; i < n; i++)
        if (!atm_parts_has(store, key[i])) key[missing++] = key[i];
    return missing;
}

static atm_status run_network(atm_job *job, const network *net, int n, atm_part_key *key)
{
    worker w = { .job = job, .net = net };
    n = keep_missing(job->store[net->to], n, key);
    if (n == 0) return ATM_OK;
    const atm_status status = run_batches(&w, n, key);
    close_worker(&w);
    return status;
}

/* ------------------------------------------------------------------ both */

static atm_status make_latents(atm_job *job, atm_part_key *key)
{
    for (int i = 0; i < job->n_clips; i++) key[i] = job_clip_key(job, i);
    return run_network(job, &vae_encoder, job->n_clips, key);
}

static atm_status make_embeddings(atm_job *job, atm_part_key *key)
{
    int n = 0;
    for (int i = 0; i < job->collection.n_artworks; i++)
        if (*job->collection.artwork[i].fingerprint) key[n++] = job_artwork_key(job, i);
    return run_network(job, &image_encoder, n, key);
}

atm_status job_networks(atm_job *job)
{
    const int most = job->n_clips > job->collection.n_artworks ? job->n_clips : job->collection.n_artworks;
    atm_part_key *key = malloc(((size_t)most + 1) * sizeof *key);
    if (!key) return atm_fail(ATM_E_MEMORY, "no memory for %d clips", most);
    atm_status status = ATM_OK;
    if (job_wants(job, ATM_PREPARE_LATENTS)) status = make_latents(job, key);
    if (status == ATM_OK && job_wants(job, ATM_PREPARE_EMBEDDING)) status = make_embeddings(job, key);
    free(key);
    return status;
}
