/* cmd_generate.c - `arttomus generate`: artworks in, sound files out.
 *
 * Artworks are taken in groups of as many clips as --batch says.  One that cannot be
 * read is reported and passed over; the exit code is that of the first failure. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "arttomus/arttomus.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/latents.h"
#include "cli/signals.h"
#include "cli/terminal.h"

typedef struct {
    cli_common common;
    cli_list images;
    const char *folder, *manifest;
    const char *output, *format, *spectrogram;
    const char *model, *backend, *sampler;
    const char *latents_in, *latents_out;
    int steps, n, batch, threads;
    double guidance, duration, eta;
    uint64_t seed;
    bool force;
} args;

static const args defaults = {
    .backend = "auto", .sampler = "dpm++", .steps = 25, .n = 1, .batch = 1, .guidance = 3.5, .duration = 10
};

static const char *const formats[] = { "wav", "wav16", "flac", "ogg", NULL };
static const char *const samplers[] = { "dpm++", "dpm++-karras", "ddim", NULL };
static const char *const backends[] = { "auto", "cpu", "cuda", "ref", NULL };

#define AT(member) offsetof(args, member)
static const cli_option options[] = {
    { "image", 'i', CLI_LIST, AT(images), .value = "FILE",
      .help = "an artwork (JPEG, PNG, WebP); may be repeated" },
    { "images", 0, CLI_TEXT, AT(folder), .value = "DIR", .help = "every artwork in a folder" },
    { "manifest", 0, CLI_TEXT, AT(manifest), .value = "FILE",
      .help = "JSON lines: {\"image\": ..., \"output\": ..., \"seed\": ...}" },
    { "output", 'o', CLI_TEXT, AT(output), .value = "PATH",
      .help = "file to write, or folder for several (default: here, named as the image)" },
    { "format", 0, CLI_CHOICE, AT(format), .choices = formats, .value = "FORMAT",
      .help = "wav (float), wav16, flac, ogg (default: as the output's name says, else wav)" },
    { "spectrogram", 0, CLI_TEXT, AT(spectrogram), .value = "PATH",
      .help = "also draw the spectrogram, a PNG" },
    { "model", 'm', CLI_TEXT, AT(model), .value = "DIR", .help = "model folder (default: the built-in one)" },
    { "duration", 'd', CLI_DOUBLE, AT(duration), 1, 600, .value = "SECONDS",
      .help = "1 to 600 (default 10)" },
    { "seed", 's', CLI_SEED, AT(seed), .value = "N", .help = "same seed, same bits (default 0)" },
    { "n", 'n', CLI_INT, AT(n), 1, 1000, .value = "N", .help = "variants of each artwork (default 1)" },
    { "steps", 0, CLI_INT, AT(steps), 1, 1000, .value = "N", .help = "denoising steps (default 25)" },
    { "sampler", 0, CLI_CHOICE, AT(sampler), .choices = samplers, .value = "NAME",
      .help = "dpm++ (default), dpm++-karras, ddim" },
    { "eta", 0, CLI_DOUBLE, AT(eta), 0, 1, .value = "X", .help = "ddim: share of fresh noise (default 0)" },
    { "guidance", 'g', CLI_DOUBLE, AT(guidance), 1, 100, .value = "X",
      .help = "how much the artwork is exaggerated; 1: not, and twice as fast (default 3.5)" },
    { "latents-in", 0, CLI_TEXT, AT(latents_in), .value = "FILE",
      .help = "starting noise, tensor `latents` [B,8,T,16] of a safetensors file" },
    { "latents-out", 0, CLI_TEXT, AT(latents_out), .value = "FILE",
      .help = "save the finished latents, the same way" },
    { "batch", 'b', CLI_INT, AT(batch), 1, 64, .value = "N", .help = "clips computed together (default 1)" },
    { "threads", 't', CLI_INT, AT(threads), 1, 1024, .value = "N", .help = "default: one for each core" },
    { "backend", 0, CLI_CHOICE, AT(backend), .choices = backends, .value = "NAME",
      .help = "auto (default), cpu, cuda, ref" },
    { "force", 'f', CLI_FLAG, AT(force), .help = "make again what is already there" },
    { 0 }
};

/* ------------------------------------------------------------------ one run of the command */

typedef struct {
    const args *args;
    cli_jobs jobs;
    atm_model *model;
    atm_info info;
    cli_latents latents;
    atm_generate_options options;
    int written, skipped, failed;
    int clips_done, clips_in_work, clips_total;     /* of what is not skipped */
    const char *label;                  /* of the group in work */
    atm_status first_failure;
} run;

/* Passed over and remembered: the rest goes on. */
static void job_failed(run *r, const cli_job *job, atm_status status)
{
    cli_print_error(strstr(atm_error(), job->image) || strstr(atm_error(), job->audio)
                    ? atm_error() : (atm_fail_in(status, "%s", job->image), atm_error()));
    if (r->first_failure == ATM_OK) r->first_failure = status;
    r->failed++;
}

static int on_progress(const atm_progress *p, void *user)
{
    const run *r = user;
    cli_progress(r->label, (r->clips_done + p->fraction * r->clips_in_work) / r->clips_total, p);
    return cli_signal();
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool is_done(run *r, const cli_job *job)
{
    const int n = r->args->n;
    if (r->args->force || r->args->latents_in || r->args->latents_out) return false;
    for (int v = 0; v < n; v++) {
        const char *audio = cli_variant_path(&r->jobs.arena, job->audio, v, n);
        const char *picture = cli_variant_path(&r->jobs.arena, job->picture, v, n);
        if (!audio || !is_file(audio) || (picture && !is_file(picture))) return false;
    }
    return true;
}

/* Moves the jobs still to be done to the front. */
static void skip_done(run *r)
{
    int kept = 0;
    for (int i = 0; i < r->jobs.n; i++) {
        const cli_job job = r->jobs.job[i];
        if (!is_done(r, &job)) {
            r->jobs.job[kept++] = job;
            continue;
        }
        atm_log(ATM_LOG_INFO, "%s is already there (--force makes it again)", job.audio);
        r->skipped++;
    }
    r->jobs.n = kept;
    r->clips_total = kept * r->args->n;
}

static atm_status save_clip(run *r, const atm_result *result, int clip, const cli_job *job, int variant)
{
    const char *audio = cli_variant_path(&r->jobs.arena, job->audio, variant, r->args->n);
    const char *picture = cli_variant_path(&r->jobs.arena, job->picture, variant, r->args->n);
    if (!audio || (job->picture && !picture)) return atm_fail(ATM_E_MEMORY, "no memory for a file name");
    TRY_RETURN(atm_save_audio(result, clip, audio, r->args->format));
    printf("%s\n", audio);
    if (picture) TRY_RETURN(atm_save_spectrogram(result, clip, picture));
    if (picture) printf("%s\n", picture);
    fflush(stdout);
    return ATM_OK;
}

static void save_job(run *r, const atm_result *result, int first_clip, const cli_job *job)
{
    for (int v = 0; v < r->args->n; v++) {
        const atm_status status = save_clip(r, result, first_clip + v, job, v);
        if (status == ATM_OK) continue;
        job_failed(r, job, status);
        return;
    }
    r->written++;
}

/* Encodes the jobs from..to; `good` receives those that can be read. */
static int encode_group(run *r, int from, int to, const cli_job **good, atm_artwork *artwork,
                        float *embeddings)
{
    int n = 0;
    for (int i = from; i < to && !cli_signal(); i++) {
        const cli_job *job = &r->jobs.job[i];
        float *embedding = embeddings + (size_t)n * (size_t)r->info.embedding_dim;
        const atm_artwork file = { .size = sizeof file, .path = job->image };
        const atm_progress looking = { .stage = "encode", .step = i - from + 1, .n_steps = to - from };
        cli_progress(r->label, (double)r->clips_done / r->clips_total, &looking);
        const atm_status status = atm_encode(r->model, &file, embedding);
        if (status != ATM_OK) {
            job_failed(r, job, status);
            continue;
        }
        artwork[n] = (atm_artwork){ .size = sizeof file, .embedding = embedding, .seed = job->seed };
        good[n++] = job;
    }
    return n;
}

static atm_status generate_group(run *r, int n, const cli_job *const *job, const atm_artwork *artwork,
                                 int first_clip)
{
    atm_result *result = NULL;
    cli_latents_slice(&r->latents, first_clip, n * r->args->n, &r->options);
    atm_status status = atm_generate(r->model, n, artwork, &r->options, &result);
    cli_progress_end();
    for (int i = 0; i < n && status == ATM_OK; i++) save_job(r, result, i * r->args->n, job[i]);
    if (status == ATM_OK && r->args->latents_out) status = cli_latents_keep(&r->latents, result);
    atm_result_free(result);
    return status;
}

static const char *group_label(run *r, int from, int to)
{
    const char *path = r->jobs.job[from].image, *slash = strrchr(path, '/');
    if (r->jobs.n == 1) return slash ? slash + 1 : path;
    const char *label = to - from == 1 ? atm_arena_printf(&r->jobs.arena, "%d of %d", from + 1, r->jobs.n)
                      : atm_arena_printf(&r->jobs.arena, "%d-%d of %d", from + 1, to, r->jobs.n);
    return label ? label : "";
}

/* Artworks taken together.  Latents of a file belong to places in the list, and a
 * group closes up when an artwork of it cannot be read: so then one by one. */
static int group_size(const run *r)
{
    const int group = r->args->batch / r->args->n;
    return group < 1 || r->args->latents_in ? 1 : group;
}

static atm_status run_groups(run *r)
{
    const int group = group_size(r);
    atm_status status = ATM_OK;
    const cli_job **good = calloc((size_t)group, sizeof *good);
    atm_artwork *artwork = calloc((size_t)group, sizeof *artwork);
    float *embeddings = calloc((size_t)group * (size_t)r->info.embedding_dim, sizeof *embeddings);
    if (!good || !artwork || !embeddings) status = atm_fail(ATM_E_MEMORY, "no memory for %d artworks", group);
    cli_progress_begin();
    for (int i = 0; i < r->jobs.n && status == ATM_OK; i += group) {
        const int to = i + group < r->jobs.n ? i + group : r->jobs.n;
        r->label = group_label(r, i, to);
        r->clips_in_work = (to - i) * r->args->n;
        const int n = encode_group(r, i, to, good, artwork, embeddings);
        if (cli_signal()) status = atm_fail(ATM_E_CANCELLED, "interrupted");
        else if (n > 0) status = generate_group(r, n, good, artwork, r->clips_done);
        r->clips_done += r->clips_in_work;
    }
    cli_progress_end();
    free(good);
    free(artwork);
    free(embeddings);
    return status;
}

/* ------------------------------------------------------------------ setting up */

static atm_status collect_jobs(run *r)
{
    const args *a = r->args;
    for (int i = 0; i < a->images.n; i++) TRY_RETURN(cli_jobs_add(&r->jobs, a->images.item[i], a->seed));
    for (int i = 0; i < a->common.rest.n; i++)
        TRY_RETURN(cli_jobs_add(&r->jobs, a->common.rest.item[i], a->seed));
    if (a->folder) TRY_RETURN(cli_jobs_add_folder(&r->jobs, a->folder, a->seed));
    if (a->manifest) TRY_RETURN(cli_jobs_add_manifest(&r->jobs, a->manifest, a->seed));
    if (r->jobs.n == 0)
        return atm_fail(ATM_E_USAGE, "which artwork? --image FILE, --images DIR or --manifest FILE");
    const char *format = a->format ? a->format : "wav";
    const cli_targets targets = { a->output, a->spectrogram, strcmp(format, "wav16") ? format : "wav", a->n,
                                  a->latents_out, a->format };
    TRY_RETURN(cli_jobs_resolve(&r->jobs, &targets));
    skip_done(r);
    return ATM_OK;
}

static atm_status open_model(run *r)
{
    const args *a = r->args;
    const atm_open_options open = { .size = sizeof open, .backend = a->backend, .threads = a->threads };
    TRY_RETURN(atm_open(a->model, &open, &r->model));
    r->info.size = sizeof r->info;
    TRY_RETURN(atm_get_info(r->model, &r->info));
    r->options = (atm_generate_options){
        .size = sizeof r->options, .steps = a->steps, .sampler = a->sampler, .eta = a->eta,
            .guidance = a->guidance,
        .duration = a->duration, .n = a->n, .batch = a->batch, .progress = on_progress, .user = r
    };
    return cli_latents_open(&r->latents, a->latents_in, r->model, r->clips_total, a->duration);
}

static void print_summary(const run *r)
{
    if (r->written + r->skipped + r->failed > 1)
        atm_log(ATM_LOG_INFO, "%d written, %d already there, %d failed", r->written, r->skipped, r->failed);
}

static atm_status generate(void *values)
{
    run r = { .args = values };
    atm_status status;
    TRY(collect_jobs(&r));
    if (r.jobs.n > 0) {
        TRY(open_model(&r));
        TRY(run_groups(&r));
        if (r.args->latents_out) TRY(cli_latents_save(&r.latents, r.args->latents_out));
    }
    print_summary(&r);
    status = r.first_failure;
    atm_fail(status, "%s", "");         /* each failure has been told already */
done:
    cli_latents_free(&r.latents);
    atm_close(r.model);
    cli_jobs_free(&r.jobs);
    return status;
}

const cli_command cli_generate = {
    "generate", "[FILE...]", "turn artworks into music",
    "  arttomus generate --image great_wave.jpg -o great_wave.wav\n"
    "  arttomus generate --images paintings -o music --duration 30 --batch 4\n\n"
    "An output that is already there is left alone, unless --force is given. An artwork\n"
    "that cannot be read is reported and the others are made.",
    options, &defaults, sizeof(args), 0, INT_MAX, generate
};
