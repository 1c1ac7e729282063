/* stores.c - which rows are kept while a dataset is made, and what they depend on.
 * To add one: a value of job_store and a row here. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "prepare/job.h"

enum { SETTINGS = 256 };

static size_t length_bytes(const atm_job *job)
{
    (void)job;
    return sizeof(int64_t);
}

static size_t sound_bytes(const atm_job *job)
{
    const size_t audio = job_wants(job, ATM_PREPARE_AUDIO) ? (size_t)job->samples : 0;
    return (job_mel_floats(job) + audio) * sizeof(float);
}

static size_t latent_bytes(const atm_job *job) { return 2 * job_latent_floats(job) * sizeof(float); }
static size_t embedding_bytes(const atm_job *job) { return (size_t)job->embedding * sizeof(float); }

static void sound_settings(const atm_job *job, char *out)
{
    const int framing = (int)job->options->framing;
    snprintf(out, SETTINGS, "%s framing %d samples %d", ATM_VERSION, framing, job->samples);
}

static void latent_settings(const atm_job *job, char *out)
{
    sound_settings(job, out);
    strncat(out, job->vae, SETTINGS - strlen(out) - 1);
}

static void picture_settings(const atm_job *job, char *out)
{
    snprintf(out, SETTINGS, "%s side %d crop %d", ATM_VERSION, job->side, (int)job->crop);
}

static void embedding_settings(const atm_job *job, char *out)
{
    picture_settings(job, out);
    strncat(out, job->image_encoder, SETTINGS - strlen(out) - 1);
}

static void length_settings(const atm_job *job, char *out)
{
    (void)job;
    snprintf(out, SETTINGS, "%s", ATM_VERSION);
}

static const struct {
    const char *name;
    unsigned columns;                   /* that need it; 0: always */
    size_t (*row_bytes)(const atm_job *job);
    void (*settings)(const atm_job *job, char *out);
} stores[JOB_STORES] = {
    [JOB_LENGTHS]    = { "lengths",    0, length_bytes, length_settings },
    [JOB_SOUNDS]     = { "sounds",     0, sound_bytes, sound_settings },
    [JOB_PICTURES]   = { "pictures",   ATM_PREPARE_PIXELS | ATM_PREPARE_EMBEDDING, job_pixel_bytes,
                         picture_settings },
    [JOB_LATENTS]    = { "latents",    ATM_PREPARE_LATENTS, latent_bytes, latent_settings },
    [JOB_EMBEDDINGS] = { "embeddings", ATM_PREPARE_EMBEDDING, embedding_bytes, embedding_settings }
};

size_t job_row_bytes(const atm_job *job, job_store store) { return stores[store].row_bytes(job); }

/* What a run that was killed while it wrote the dataset has left. */
static void remove_unfinished(const char *folder)
{
    char path[4096];
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d)) != NULL; ) {
        if (strncmp(e->d_name, ".arttomus-", 10)) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    if (d) closedir(d);
}

static atm_status open_store(atm_job *job, job_store store)
{
    char settings[SETTINGS];
    if (stores[store].columns && !job_wants(job, stores[store].columns)) return ATM_OK;
    stores[store].settings(job, settings);
    return atm_parts_open(job->folder, stores[store].name, job_row_bytes(job, store), settings,
                          &job->store[store]);
}

atm_status job_open_stores(atm_job *job)
{
    size_t found = 0;
    if (asprintf(&job->folder, "%s.parts", job->options->output) < 0) {
        job->folder = NULL;
        return atm_fail(ATM_E_MEMORY, "no memory for a path");
    }
    TRY_RETURN(atm_parts_lock(job->folder, &job->lock));
    remove_unfinished(job->folder);
    for (job_store i = 0; i < JOB_STORES; i++) {
        TRY_RETURN(open_store(job, i));
        if (i != JOB_LENGTHS && job->store[i]) found += atm_parts_count(job->store[i]);
    }
    if (found) atm_log(ATM_LOG_INFO, "%s: goes on with %zu rows of an earlier run", job->folder, found);
    return ATM_OK;
}
