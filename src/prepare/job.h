/* job.h - one run of atm_prepare, as the files of src/prepare see it. */
#ifndef ATM_PREPARE_JOB_H
#define ATM_PREPARE_JOB_H

#include <stdatomic.h>

#include "data/resize.h"
#include "kernels/device.h"
#include "prepare/parts.h"
#include "prepare/prepare.h"
#include "prepare/skips.h"

typedef struct { int track, row; int64_t start; } atm_job_clip;

/* The rows of unfinished work (parts.h), by what made them. */
typedef enum { JOB_LENGTHS, JOB_SOUNDS, JOB_PICTURES, JOB_LATENTS, JOB_EMBEDDINGS, JOB_STORES } job_store;

typedef struct {
    const atm_prepare_options *options;
    unsigned columns;
    atm_pair_list list;
    atm_collection collection;
    atm_job_clip *clip;                 /* by (track, start) */
    int n_clips;
    atm_skips skips;
    atm_prepare_summary summary;

    atm_device *device;
    atm_model_dir model;
    bool has_model;

    /* Shapes. */
    int frames, samples;                /* of a clip: mel frames T, 160 T */
    atm_window_rule windows;
    int side;                           /* of pixels */
    atm_crop crop;
    int latent[3];                      /* C, T / s, 64 / s */
    int embedding;                      /* E */
    char vae[ATM_FINGERPRINT_TEXT], image_encoder[ATM_FINGERPRINT_TEXT];    /* "": not used */

    char *folder;                       /* of the parts */
    int lock;
    atm_parts *store[JOB_STORES];

    atomic_bool stop;                   /* somebody failed, or the caller wants an end */
} atm_job;

/* ------------------------------------------------------------------ work for all threads (job.c) */

typedef atm_status (*job_work)(atm_job *job, int item);

/* work(i) for each of n sources that a pair needs, the largest files first.  Ends at the first
 * failure, which it returns; failures of one file are for `work` to skip. */
atm_status job_each_source(atm_job *job, const char *stage, const atm_source *source, int n, job_work work);

/* On the calling thread: shows what was skipped, tells the progress, asks whether to go on. */
atm_status job_tick(atm_job *job, const char *stage, double fraction, int step, int n_steps);

/* A file that cannot be used is skipped, with the message of this thread; other failures stay. */
atm_status job_skip(atm_job *job, const char *kind, const atm_source *source, atm_status failure);

/* ------------------------------------------------------------------ shapes */

static inline bool job_wants(const atm_job *job, unsigned columns) { return (job->columns & columns) != 0; }
static inline size_t job_mel_floats(const atm_job *job) { return (size_t)job->frames * 64; }
static inline size_t job_pixel_bytes(const atm_job *job) { return (size_t)job->side * (size_t)job->side * 3; }
static inline size_t job_latent_floats(const atm_job *job)
{
    return (size_t)job->latent[0] * (size_t)job->latent[1] * (size_t)job->latent[2];
}
static inline bool job_wants_pictures(const atm_job *job)
{
    return job_wants(job, ATM_PREPARE_EMBEDDING | ATM_PREPARE_PIXELS);
}
static inline double job_seconds(int64_t samples) { return (double)samples / ATM_STFT_RATE; }
static inline atm_part_key job_clip_key(const atm_job *job, int clip)
{
    const atm_job_clip *c = &job->clip[clip];
    return atm_part_key_of(job->collection.track[c->track].fingerprint, c->start);
}
static inline atm_part_key job_artwork_key(const atm_job *job, int artwork)
{
    return atm_part_key_of(job->collection.artwork[artwork].fingerprint, 0);
}

/* ------------------------------------------------------------------ steps, in their order */

atm_status job_open(atm_job *job);              /* setup.c: lists, model, shapes */
atm_status job_open_stores(atm_job *job);       /* stores.c: not in a dry run */
size_t     job_row_bytes(const atm_job *job, job_store store);
atm_status job_sounds(atm_job *job);            /* sounds.c: rows of JOB_SOUNDS, then the clips */
atm_status job_pictures(atm_job *job);          /* pictures.c: rows of JOB_PICTURES */
atm_status job_networks(atm_job *job);          /* networks.c: rows of JOB_LATENTS and JOB_EMBEDDINGS */
atm_status job_assemble(atm_job *job);          /* assemble.c: the dataset */
void       job_close(atm_job *job);             /* setup.c */

#endif
