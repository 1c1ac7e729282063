/* jobs.h - what `generate` is to make: one job per artwork. */
#ifndef ATM_CLI_JOBS_H
#define ATM_CLI_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct {
    const char *image;
    const char *audio, *picture;    /* where to; picture may be NULL */
    const char *named_output;       /* by the manifest; may be NULL  */
    uint64_t seed;
} cli_job;

typedef struct {                    /* {0} is empty */
    cli_job *job;
    int n, capacity;
    atm_arena arena;
    bool many;                      /* outputs go into folders, whatever their number */
} cli_jobs;

typedef struct {
    const char *output;             /* -o: a file, a folder, or NULL for the working directory */
    const char *picture;            /* --spectrogram: the same, or NULL for none               */
    const char *extension;          /* of sounds: "wav"                                        */
    int n;                          /* variants of each                                        */
    const char *latents;            /* --latents-out, or NULL                                  */
    const char *format;             /* --format, or NULL: as the outputs' names say            */
} cli_targets;

atm_status cli_jobs_add(cli_jobs *jobs, const char *image, uint64_t seed);

/* Every JPEG, PNG and WebP file of a folder, by name; not those of folders in it. */
atm_status cli_jobs_add_folder(cli_jobs *jobs, const char *folder, uint64_t seed);

/* One JSON object a line: {"image": "a.jpg", "output": "b.wav", "seed": 7}; all but
 * the image are optional.  Images are relative to the manifest's folder,
 * outputs to that of -o. */
atm_status cli_jobs_add_manifest(cli_jobs *jobs, const char *path, uint64_t seed);

/* Decides where everything goes, makes missing folders, and refuses outputs that
 * would replace each other or an artwork, and folders that cannot be written. */
atm_status cli_jobs_resolve(cli_jobs *jobs, const cli_targets *targets);

/* The path of one of n variants: "a.wav" becomes "a-2.wav" when n > 1. */
const char *cli_variant_path(atm_arena *arena, const char *path, int variant, int n);

void cli_jobs_free(cli_jobs *jobs);

#endif
