/* jobs.c - see jobs.h. */
#include "cli/jobs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/audio.h"

static atm_status no_memory(void) { return atm_fail(ATM_E_MEMORY, "no memory for the list of artworks"); }

/* ------------------------------------------------------------------ adding */

static atm_status add(cli_jobs *jobs, cli_job job)
{
    if (jobs->n == jobs->capacity) {
        const int capacity = jobs->capacity ? 2 * jobs->capacity : 16;
        cli_job *grown = reallocarray(jobs->job, (size_t)capacity, sizeof *grown);
        if (!grown) return no_memory();
        jobs->job = grown;
        jobs->capacity = capacity;
    }
    if (!job.image) return no_memory();
    jobs->job[jobs->n++] = job;
    return ATM_OK;
}

atm_status cli_jobs_add(cli_jobs *jobs, const char *image, uint64_t seed)
{
    return add(jobs, (cli_job){ .image = atm_arena_strdup(&jobs->arena, image), .seed = seed });
}

static int is_picture(const struct dirent *entry)
{
    static const char *const extensions[] = { ".jpg", ".jpeg", ".png", ".webp" };
    const char *dot = strrchr(entry->d_name, '.');
    for (size_t i = 0; dot && dot != entry->d_name && i < sizeof extensions / sizeof extensions[0]; i++)
        if (!strcasecmp(dot, extensions[i])) return 1;
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

atm_status cli_jobs_add_folder(cli_jobs *jobs, const char *folder, uint64_t seed)
{
    struct dirent **entry;
    const int n = scandir(folder, &entry, is_picture, by_name);
    if (n < 0) return atm_fail(ATM_E_NOINPUT, "%s: %s", folder, strerror(errno));
    atm_status status = n ? ATM_OK : atm_fail(ATM_E_NOINPUT, "%s: no JPEG, PNG or WebP file in it", folder);
    for (int i = 0; i < n; i++) {
        if (status == ATM_OK)
            status = add(jobs, (cli_job){ .seed = seed,
                .image = atm_arena_printf(&jobs->arena, "%s/%s", folder, entry[i]->d_name) });
        free(entry[i]);
    }
    free(entry);
    jobs->many = true;
    return status;
}

/* ------------------------------------------------------------------ where to */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Length of the path without its extension. */
static int stem_length(const char *path)
{
    const char *dot = strrchr(base_name(path), '.');
    return (int)(dot && dot != base_name(path) ? dot - path : (ptrdiff_t)strlen(path));
}

const char *cli_variant_path(atm_arena *arena, const char *path, int variant, int n)
{
    if (n <= 1 || !path) return path;
    const int stem = stem_length(path);
    return atm_arena_printf(arena, "%.*s-%d%s", stem, path, variant + 1, path + stem);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool means_folder(const char *path) { return path[strlen(path) - 1] == '/' || is_folder(path); }

static atm_status make_folder(atm_arena *arena, const char *path)
{
    char *copy = atm_arena_strdup(arena, path);
    if (!copy) return no_memory();
    for (char *p = copy + 1; ; p++) {
        const char c = *p;
        if (c && c != '/') continue;
        *p = '\0';
        if (mkdir(copy, 0777) && errno != EEXIST)
            return atm_fail(ATM_E_IO, "%s: cannot make this folder: %s", copy, strerror(errno));
        *p = c;
        if (!c) break;
    }
    return is_folder(path) ? ATM_OK
                           : atm_fail(ATM_E_IO, "%s: must be a folder to hold several files, and is a file",
                                      path);
}

static bool ends_in(const char *path, const char *extension)
{
    const char *dot = strrchr(path, '.');
    return dot && strcmp(dot + 1, extension) == 0;
}

/* One kind of output: `target` as the user gave it, or NULL for the working directory. */
static atm_status place(cli_jobs *jobs, const char *target, const char *extension, int job, const char **out)
{
    const cli_job *j = &jobs->job[job];
    const bool folder = !target || jobs->many || jobs->n > 1 || means_folder(target);
    const char *name = base_name(j->named_output ? j->named_output : j->image);
    if (!folder) *out = target;
    else *out = atm_arena_printf(&jobs->arena, "%s%s%.*s.%s", target ? target : "",
                                 !target || target[strlen(target) - 1] == '/' ? "" : "/",
                                 stem_length(name), name, extension);
    if (!*out) return no_memory();
    if (!folder || !target || job) return ATM_OK;
    if (!is_folder(target) && ends_in(target, extension))
        return atm_fail(ATM_E_USAGE, "%s: several artworks need a folder to go to, and this names one file", target);
    return make_folder(&jobs->arena, target);
}

static atm_status place_named(cli_jobs *jobs, const char *target, cli_job *job)
{
    const char *name = job->named_output;
    job->audio = *name == '/' || !target ? name : atm_arena_printf(&jobs->arena, "%s/%s", target, name);
    return job->audio ? ATM_OK : no_memory();
}

/* Better now than after an hour of work. */
static atm_status check_writable(cli_jobs *jobs, const char *path)
{
    const int length = (int)(base_name(path) - path);
    const char *folder = length ? atm_arena_printf(&jobs->arena, "%.*s", length, path) : ".";
    if (!folder) return no_memory();
    if (access(path, W_OK) == 0 || access(folder, W_OK) == 0) return ATM_OK;
    return atm_fail(ATM_E_IO, "%s: cannot write there: %s", path, strerror(errno));
}

/* ------------------------------------------------------------------ who writes what */

/* A file that this run reads or writes. */
typedef struct { const char *path, *name, *image; bool is_input; } claim;
typedef struct { claim *item; int n; } claims;

/* One name per file, whether it exists or not: "./a.wav" and "a.wav" are one. */
static const char *true_name(atm_arena *arena, const char *path)
{
    char *whole = realpath(path, NULL);
    const int length = (int)(base_name(path) - path);
    char *folder = whole ? NULL : realpath(length ? atm_arena_printf(arena, "%.*s", length, path) : ".", NULL);
    const char *name = whole ? atm_arena_strdup(arena, whole)
                     : atm_arena_printf(arena, "%s/%s", folder ? folder : "", base_name(path));
    free(whole);
    free(folder);
    return name;
}

static atm_status claim_file(cli_jobs *jobs, claims *all, const char *path, const char *image, bool is_input)
{
    const char *name = path ? true_name(&jobs->arena, path) : NULL;
    if (!name) return no_memory();
    all->item[all->n++] = (claim){ path, name, image, is_input };
    return ATM_OK;
}

static atm_status claim_files(cli_jobs *jobs, const cli_targets *t, const cli_job *job, claims *all)
{
    TRY_RETURN(claim_file(jobs, all, job->image, job->image, true));
    for (int v = 0; v < t->n; v++) {
        TRY_RETURN(claim_file(jobs, all, cli_variant_path(&jobs->arena, job->audio, v, t->n), job->image, false));
        if (!job->picture) continue;
        TRY_RETURN(claim_file(jobs, all, cli_variant_path(&jobs->arena, job->picture, v, t->n), job->image,
                              false));
    }
    return ATM_OK;
}

static int by_name_inputs_first(const void *a, const void *b)
{
    const claim *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : y->is_input - x->is_input;
}

/* /dev/null and its like may be written any number of times. */
static bool may_be_shared(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISREG(info.st_mode);
}

static atm_status refuse_pair(const claim *a, const claim *b)
{
    if (b->is_input || strcmp(a->name, b->name) || may_be_shared(b->path)) return ATM_OK;
    if (a->is_input)
        return atm_fail(ATM_E_USAGE, "%s is an artwork and would be overwritten: choose another output", a->path);
    if (a->image == b->image || !strcmp(a->image, b->image))
        return atm_fail(ATM_E_USAGE, "two results from %s would both become %s", a->image, b->path);
    return atm_fail(ATM_E_USAGE, "%s and %s would both become %s: name the outputs in a --manifest",
                    a->image, b->image, b->path);
}

/* No artwork is overwritten, and no result by another. */
static atm_status refuse_collisions(cli_jobs *jobs, const cli_targets *t)
{
    claims all = { .item = atm_arena_alloc(&jobs->arena, (size_t)jobs->n * (2 * (size_t)t->n + 1) + 1,
                                           sizeof *all.item) };
    if (!all.item) return no_memory();
    for (int i = 0; i < jobs->n; i++) TRY_RETURN(claim_files(jobs, t, &jobs->job[i], &all));
    if (t->latents) TRY_RETURN(claim_file(jobs, &all, t->latents, "--latents-out", false));
    qsort(all.item, (size_t)all.n, sizeof *all.item, by_name_inputs_first);
    for (int i = 1; i < all.n; i++) TRY_RETURN(refuse_pair(&all.item[i - 1], &all.item[i]));
    return ATM_OK;
}

atm_status cli_jobs_resolve(cli_jobs *jobs, const cli_targets *t)
{
    for (int i = 0; i < jobs->n; i++) {
        cli_job *job = &jobs->job[i];
        TRY_RETURN(place(jobs, t->output, t->extension, i, &job->audio));
        if (job->named_output) TRY_RETURN(place_named(jobs, t->output, job));
        TRY_RETURN(atm_audio_format_for(job->audio, t->format, &(atm_audio_format){ 0 }));
        TRY_RETURN(check_writable(jobs, job->audio));
        if (!t->picture) continue;
        TRY_RETURN(place(jobs, t->picture, "png", i, &job->picture));
        TRY_RETURN(check_writable(jobs, job->picture));
    }
    if (t->latents) TRY_RETURN(check_writable(jobs, t->latents));
    return refuse_collisions(jobs, t);
}

void cli_jobs_free(cli_jobs *jobs)
{
    free(jobs->job);
    atm_arena_free(&jobs->arena);
    *jobs = (cli_jobs){ 0 };
}
