/* eval.c - the table of measures, and taking them one after the other. */
#include "eval/eval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/nearest.h"
#include "eval/job.h"
#include "model/fingerprint.h"

/* ------------------------------------------------------------------ measures */

#define MEASURES(X) \
    X(reconstruction) X(decoders) X(statistics) X(difference) X(retrieval) X(conditioning)

#define NAME(measure) #measure,
#define RUN(measure) eval_##measure,
const char *const atm_eval_measures[] = { MEASURES(NAME) NULL };
static atm_status (*const run_measure[])(eval_job *) = { MEASURES(RUN) };
enum { N_MEASURES = sizeof run_measure / sizeof *run_measure };

static atm_status find_measure(const char *name, unsigned *out)
{
    for (int i = 0; i < N_MEASURES; i++)
        if (strcmp(atm_eval_measures[i], name) == 0) {
            *out |= 1U << i;
            return ATM_OK;
        }
    const char *near = atm_nearest(name, atm_eval_measures, N_MEASURES, sizeof atm_eval_measures[0]);
    return near ? atm_fail(ATM_E_USAGE, "no measure '%s': did you mean %s?", name, near)
                : atm_fail(ATM_E_USAGE, "no measure '%s': reconstruction, decoders, statistics, difference, "
                           "retrieval and conditioning are there", name);
}

atm_status atm_eval_measures_parse(const char *text, unsigned *out)
{
    char name[32];
    *out = 0;
    for (const char *at = text; ; at++) {
        const size_t bytes = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)bytes, at);
        TRY_RETURN(find_measure(name, out));
        at += bytes;
        if (*at == '\0') return ATM_OK;
    }
}

/* ------------------------------------------------------------------ what measures share */

atm_status eval_tick(eval_job *job, int done, int total)
{
    const atm_eval_options *o = job->options;
    const atm_progress p = { sizeof p, total > 0 ? (double)done / total : 0, job->measure, done, total };
    if (!o->progress || o->progress(&p, o->user) == 0) return ATM_OK;
    return atm_fail(ATM_E_CANCELLED, "stopped in %s: nothing is written", job->measure);
}

atm_status eval_find(const atm_dataset *dataset, const char *name, const atm_column **out)
{
    *out = atm_dataset_find(dataset, name);
    if (*out && !(*out)->text) return ATM_OK;
    const char *slash = strchr(name, '/');
    const char *column = strncmp(slash + 1, "latent", 6) == 0 ? "latents" : slash + 1;
    return atm_fail(ATM_E_DATA, "%s has no %s: run `arttomus prepare` with the column %s",
                    atm_dataset_path(dataset), name, column);
}

atm_status eval_read(const atm_dataset *dataset, const atm_column *column, size_t row, float *out)
{
    const size_t n = column->row_bytes / atm_dtype_size(column->dtype);
    if (column->dtype == ATM_F32) return atm_dataset_read(dataset, column, row, out);
    void *raw = malloc(column->row_bytes);
    if (!raw) return atm_fail(ATM_E_MEMORY, "no memory for a row of %s", column->name);
    const atm_status status = atm_dataset_read(dataset, column, row, raw);
    if (status == ATM_OK) atm_convert(out, ATM_F32, raw, column->dtype, n);
    free(raw);
    return status;
}

atm_status eval_made_by(const eval_job *job, const atm_dataset *data, const char *folder,
                        const char *component, bool *out)
{
    char now[ATM_FINGERPRINT_TEXT], attribute[64];
    snprintf(attribute, sizeof attribute, "%s_fingerprint", folder);
    const char *then = atm_dataset_attribute(data, attribute);
    *out = true;
    if (!then) return ATM_OK;
    TRY_RETURN(atm_model_fingerprint(&job->model, component, now));
    *out = strcmp(now, then) == 0;
    return ATM_OK;
}

atm_status eval_choose_sounds(eval_job *job, atm_split split, int most, eval_items *out)
{
    return eval_choose(job->sounds, split, EVAL_EACH_CLIP, most, job->options->seed, out);
}

/* ------------------------------------------------------------------ the whole */

/* The last `words` words of a path: where files lie is nobody's business. */
static const char *last_words(const char *path, int words)
{
    const char *at = path + strlen(path);
    while (at > path && at[-1] == '/') at--;
    for (; at > path; at--)
        if (at[-1] == '/' && --words == 0) break;
    return at;
}

static atm_status add_facts(eval_job *job)
{
    const atm_eval_options *o = job->options;
    atm_eval_report *r = job->report;
    TRY_RETURN(atm_eval_add_fact(r, "model", "%s", last_words(o->model, 2)));
    TRY_RETURN(atm_eval_add_fact(r, "data", "%s (%s)", last_words(o->data, 1),
                                 atm_dataset_fingerprint(job->data)));
    if (o->sounds)
        TRY_RETURN(atm_eval_add_fact(r, "sounds", "%s (%s)", last_words(o->sounds, 1),
                                     atm_dataset_fingerprint(job->sounds)));
    TRY_RETURN(atm_eval_add_fact(r, "split", "%s", atm_split_names[o->split]));
    TRY_RETURN(atm_eval_add_fact(r, "clips", "at most %d", o->clips));
    TRY_RETURN(atm_eval_add_fact(r, "steps", "%d", o->steps));
    TRY_RETURN(atm_eval_add_fact(r, "guidance", "%g", o->guidance));
    TRY_RETURN(atm_eval_add_fact(r, "duration", "%g s", o->duration));
    TRY_RETURN(atm_eval_add_fact(r, "decoder", "%s", atm_decoder_names[job->model.config.vocoder.decoder]));
    TRY_RETURN(atm_eval_add_fact(r, "seed", "%llu", (unsigned long long)o->seed));
    return atm_eval_add_fact(r, "engine", "arttomus %s", atm_version());
}

/* Left out for want of data, or of a network, when nobody asked for it by name. */
static bool may_be_left_out(const eval_job *job, atm_status status)
{
    return job->options->measures == 0 && (status == ATM_E_DATA || status == ATM_E_CONFIG);
}

/* Every `path` of a text by its last words. */
static void shorten(char *text, const char *path, int words)
{
    const char *end = last_words(path, words);
    const size_t head = (size_t)(end - path);
    for (char *at = text; head && (at = strstr(at, path)) != NULL; at++)
        memmove(at, at + head, strlen(at + head) + 1);
}

/* What cannot be measured, and why. */
static atm_status add_reason(eval_job *job)
{
    const atm_eval_options *o = job->options;
    char text[ATM_EVAL_NOTE];
    snprintf(text, sizeof text, "%s", atm_error());
    shorten(text, o->model, 2);
    shorten(text, o->data, 1);
    if (o->sounds) shorten(text, o->sounds, 1);
    return atm_eval_add_note(job->report, job->measure, "%s", text);
}

static atm_status take_measures(eval_job *job)
{
    for (int i = 0; i < N_MEASURES; i++) {
        if (job->options->measures && !(job->options->measures >> i & 1)) continue;
        job->measure = atm_eval_measures[i];
        TRY_RETURN(eval_tick(job, 0, 1));
        const atm_status status = run_measure[i](job);
        if (status != ATM_OK && !may_be_left_out(job, status)) return atm_fail_in(status, "%s", job->measure);
        if (status == ATM_OK) continue;
        atm_log(ATM_LOG_WARNING, "%s is left out: %s", job->measure, atm_error());
        TRY_RETURN(add_reason(job));
    }
    return ATM_OK;
}

static atm_status open_all(eval_job *job)
{
    const atm_eval_options *o = job->options;
    TRY_RETURN(atm_dataset_open(o->data, &job->data));
    if (o->sounds) TRY_RETURN(atm_dataset_open(o->sounds, &job->sounds));
    else job->sounds = job->data;
    TRY_RETURN(atm_model_dir_open(o->model, &job->model));
    return atm_device_open(o->backend ? o->backend : "auto", o->threads, &job->device);
}

static void close_all(eval_job *job)
{
    eval_forget_generated(job);
    if (job->sounds != job->data) atm_dataset_close(job->sounds);
    atm_dataset_close(job->data);
    atm_model_dir_close(&job->model);
    atm_device_close(job->device);
}

/* The engine's own defaults, so that the report can tell them. */
static atm_eval_options with_defaults(const atm_eval_options *given)
{
    atm_eval_options o = *given;
    if (o.steps == 0) o.steps = 25;
    if (o.guidance == 0) o.guidance = 3.5;
    if (o.duration == 0) o.duration = 10;
    if (o.clips == 0) o.clips = 32;
    return o;
}

atm_status atm_evaluate(const atm_eval_options *options, atm_eval_report *report)
{
    const atm_eval_options o = with_defaults(options);
    eval_job job = { .options = &o, .report = report };
    *report = (atm_eval_report){ 0 };
    atm_status status;
    TRY(open_all(&job));
    TRY(add_facts(&job));
    TRY(take_measures(&job));
done:
    close_all(&job);
    return status;
}
