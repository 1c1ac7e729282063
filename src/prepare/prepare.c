/* prepare.c - the steps of prepare.h, and what remains when they fail or end. */
#define _GNU_SOURCE
#include "prepare/prepare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/folder.h"
#include "prepare/job.h"

static atm_status look_at(atm_job *job, const char *kind, const atm_source *source, int n)
{
    for (int i = 0; i < n; i++)
        if (source[i].splits && access(source[i].file, R_OK) != 0)
            TRY_RETURN(atm_skips_add(&job->skips, kind, source[i].name, source[i].line, "%s",
                                     strerror(errno)));
    return ATM_OK;
}

/* What can be said without opening every file. */
static atm_status dry_run(atm_job *job)
{
    const atm_collection *c = &job->collection;
    TRY_RETURN(look_at(job, "artwork", c->artwork, c->n_artworks));
    TRY_RETURN(look_at(job, "track", c->track, c->n_tracks));
    for (int i = 0; i < c->n_matches; i++)
        if (c->match[i].split != ATM_SPLITS) job->summary.pairs[c->match[i].split]++;
    atm_skips_show(&job->skips);
    return atm_split_leaks(c, &job->summary.leaks);
}

static atm_status refuse_skips(const atm_job *job)
{
    if (!job->options->strict || job->skips.n == 0) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: %d things could not be used, and --strict wants all",
                    job->options->output, job->skips.n);
}

static atm_status make_rows(atm_job *job)
{
    TRY_RETURN(job_open_stores(job));
    TRY_RETURN(job_sounds(job));
    if (job_wants_pictures(job)) TRY_RETURN(job_pictures(job));
    TRY_RETURN(refuse_skips(job));
    TRY_RETURN(atm_split_leaks(&job->collection, &job->summary.leaks));
    return job_networks(job);
}

/* Pairs that split.h drops are listed, but not shown: there may be hundreds. */
static atm_status list_crossing(atm_job *job)
{
    const atm_collection *c = &job->collection;
    for (int i = 0; i < c->n_matches; i++) {
        const atm_match *m = &c->match[i];
        if (m->split != ATM_SPLITS) continue;
        const atm_source *artwork = &c->artwork[m->artwork], *track = &c->track[m->track];
        TRY_RETURN(atm_skips_add(&job->skips, "pair", artwork->name, m->line,
                                 "its artwork is in the %s split, its track %s in %s",
                                 atm_split_names[artwork->split], track->name,
                                 atm_split_names[track->split]));
    }
    return ATM_OK;
}

static atm_status write_skips(atm_job *job)
{
    char *path;
    job->summary.skipped = job->skips.n;
    if (job->options->dry_run || job->lock < 0) return ATM_OK;
    TRY_RETURN(list_crossing(job));
    if (asprintf(&path, "%s.skipped.tsv", job->options->output) < 0)
        return atm_fail(ATM_E_MEMORY, "no memory for a path");
    const atm_status status = atm_skips_write(&job->skips, path);
    free(path);
    return status;
}

/* A run that came to nothing leaves no empty folder. */
static void remove_useless_parts(const atm_job *job)
{
    size_t rows = 0;
    for (int i = 0; i < JOB_STORES; i++)
        if (job->store[i] && i != JOB_LENGTHS) rows += atm_parts_count(job->store[i]);
    if (job->lock >= 0 && rows == 0) atm_folder_remove(job->folder);
}

static atm_status run(atm_job *job)
{
    TRY_RETURN(job_open(job));
    if (job->options->dry_run) return dry_run(job);
    TRY_RETURN(make_rows(job));
    TRY_RETURN(job_assemble(job));
    atm_folder_remove(job->folder);
    return ATM_OK;
}

atm_status atm_prepare(const atm_prepare_options *options, atm_prepare_summary *summary)
{
    char error[1024] = "";
    atm_job *job = calloc(1, sizeof *job);
    if (!job) return atm_fail(ATM_E_MEMORY, "no memory to prepare %s", options->output);
    job->options = options;
    job->lock = -1;
    atm_skips_init(&job->skips);
    atm_status status = run(job);
    if (status != ATM_OK) remove_useless_parts(job);
    if (status != ATM_OK) snprintf(error, sizeof error, "%s", atm_error());
    const atm_status listed = write_skips(job);
    if (status == ATM_OK) status = listed;
    else atm_fail(status, "%s", error);
    *summary = job->summary;
    job_close(job);
    free(job);
    return status;
}
