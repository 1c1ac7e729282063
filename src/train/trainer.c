/* trainer.c - the loop; see trainer.h. */
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "io/atomic_file.h"
#include "model/model_parts.h"
#include "train/dataset_check.h"
#include "train/export.h"
#include "train/run_folder.h"
#include "train/run_log.h"
#include "train/samples.h"
#include "train/update.h"
#include "train/validate.h"

enum { NORM = ATM_STAGE_METRICS };          /* its place in state.sum */

typedef struct {
    const atm_train_config *config;
    const atm_train_options *options;
    atm_run_folder folder;
    atm_model_dir model;
    atm_dataset *dataset;
    atm_stage stage;
    atm_loader *loader;
    atm_run_log *log;                       /* rank 0 alone */
    atm_train_state state;
    char *yaml;
    double begun, seconds_before;           /* clock when this session began; training before it */
    double validation[ATM_STAGE_METRICS];
    bool validated;                         /* there is a validation split */
    uint64_t logged_step, saved_step;
    double logged_at, waited_at;
    atm_train_progress progress;
} run;

static double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_writer(const run *r) { return atm_comm_rank(r->options->comm) == 0 && !r->options->dry_run; }

/* ------------------------------------------------------------------ beginning */

static atm_status share_batch(const atm_train_config *c, int ranks, int *micro_batch)
{
    const int parts = ranks * c->train.gradient_accumulation_steps;
    if (c->train.batch_size % parts)
        return atm_fail(ATM_E_CONFIG, "train.batch_size %d cannot be shared by %d ranks x %d accumulation steps: make "
                        "it a multiple of %d", c->train.batch_size, ranks, c->train.gradient_accumulation_steps, parts);
    *micro_batch = c->train.batch_size / parts;
    return ATM_OK;
}

static atm_status open_stage(run *r)
{
    const atm_train_config *c = r->config;
    atm_stage *s = &r->stage;
    *s = (atm_stage){ .info = atm_stage_find(c->stage), .config = c, .device = r->options->device,
                      .model = &r->model, .dataset = r->dataset, .comm = r->options->comm };
    if (!s->info) return atm_fail(ATM_E_CONFIG, "stage \"%s\": known are adapter, diffusion, vae, vocoder, align", c->stage);
    TRY_RETURN(share_batch(c, atm_comm_size(s->comm), &s->micro_batch));
    TRY_RETURN(s->info->open(s));
    return atm_train_check_dataset(s);
}

/* A checkpoint of another run: that run's log stays there. */
static void begin_new_log(run *r, const char *from)
{
    const size_t n = strlen(r->config->output);
    if (strncmp(from, r->config->output, n) != 0 || from[n] != '/') r->state.metrics_bytes = 0;
}

static atm_status resume(run *r)
{
    const char *from = r->config->train.resume_from_checkpoint;
    const char *fingerprint = atm_dataset_fingerprint(r->dataset);
    if (from[0]) TRY_RETURN(atm_checkpoint_resume(r->config->output, from, &r->stage, &r->state));
    if (strcmp(from, "latest") != 0) begin_new_log(r, from);
    if (r->state.step) atm_log(ATM_LOG_INFO, "resumed at update %llu", (unsigned long long)r->state.step);
    if (r->state.step && strcmp(r->state.dataset, fingerprint) != 0)
        return atm_fail(ATM_E_DATA, "%s has changed since the checkpoint was made (fingerprint %s, then %s): train in "
                        "a new output folder", r->config->data, fingerprint, r->state.dataset);
    memcpy(r->state.dataset, fingerprint, sizeof r->state.dataset);
    return ATM_OK;
}

static atm_status open_loader(run *r)
{
    const atm_stage *s = &r->stage;
    return atm_loader_open(&(atm_loader_options){
        .dataset = r->dataset, .column = s->column, .n_columns = s->n_columns, .split = ATM_SPLIT_TRAIN,
        .clips = s->clips, .seed = (uint64_t)r->config->seed, .batch = r->config->train.batch_size,
        .micro_batches = r->config->train.gradient_accumulation_steps, .rank = atm_comm_rank(s->comm),
        .ranks = atm_comm_size(s->comm), .first_step = r->state.step
    }, &r->loader);
}

static atm_status open_files(run *r)
{
    char path[ATM_PATH_BYTES];
    const atm_status status = atm_config_print(atm_train_fields, (size_t)atm_n_train_fields, r->config, &r->yaml);
    if (status != ATM_OK || !is_writer(r)) return status;
    TRY_RETURN(atm_checkpoint_prune(r->config->output, 0, 0));      /* only what a killed run has left */
    TRY_RETURN(atm_model_path(path, r->config->output, "config.yaml", NULL));
    TRY_RETURN(atm_atomic_write_file(path, r->yaml, strlen(r->yaml)));
    return atm_run_log_open(r->config->output, r->state.metrics_bytes, r->state.step, &r->log);
}

/* A rank that began from another checkpoint (a run folder that is not shared) would go its own way in silence. */
static atm_status check_ranks(const run *r)
{
    atm_comm *comm = r->options->comm;
    TRY_RETURN(atm_comm_agree(comm, &r->state.step, sizeof r->state.step, "checkpoint to resume from"));
    TRY_RETURN(atm_comm_agree(comm, r->state.dataset, sizeof r->state.dataset, "dataset"));
    return atm_comm_agree(comm, r->yaml, strlen(r->yaml), "configuration");
}

static void describe(const run *r)
{
    size_t trained = 0;
    for (int g = 0; g < r->stage.n_groups; g++) trained += r->stage.group[g].count;
    atm_log(ATM_LOG_INFO, "stage %s: %.2f M parameters to train, %zu items, batch %d = %d ranks x %d x %d",
            r->config->stage, (double)trained / 1e6, atm_loader_items(r->loader), r->config->train.batch_size,
            atm_comm_size(r->options->comm), r->config->train.gradient_accumulation_steps, r->stage.micro_batch);
}

static atm_status begin(run *r)
{
    if (is_writer(r)) TRY_RETURN(atm_run_folder_open(r->config->output, &r->folder));
    TRY_RETURN(atm_model_dir_open(r->config->model, &r->model));
    TRY_RETURN(atm_dataset_open(r->config->data, &r->dataset));
    TRY_RETURN(open_stage(r));
    TRY_RETURN(resume(r));
    TRY_RETURN(open_loader(r));
    TRY_RETURN(open_files(r));
    TRY_RETURN(check_ranks(r));
    describe(r);
    r->begun = r->logged_at = clock_seconds();
    r->seconds_before = r->state.seconds;
    r->logged_step = r->saved_step = r->state.step;
    return ATM_OK;
}

static void end(run *r)
{
    if (r->stage.info) r->stage.info->close(&r->stage);
    for (int g = 0; g < ATM_STAGE_GROUPS; g++) atm_group_free(&r->stage.group[g]);
    atm_loader_close(r->loader);
    atm_run_log_close(r->log);
    atm_dataset_close(r->dataset);
    atm_model_dir_close(&r->model);
    if (is_writer(r)) atm_run_folder_close(&r->folder);
    free(r->yaml);
}

/* ------------------------------------------------------------------ logging */

static void add_to_means(run *r, const atm_update *u)
{
    atm_train_state *s = &r->state;
    if (u->bad) return;
    for (int i = 0; i < atm_stage_n_metrics(&r->stage); i++) s->sum[i] += u->metric[i];
    s->sum[NORM] += u->grad_norm;
    s->summed++;
}

static void refresh_progress(run *r, double now)
{
    const double steps = (double)(r->state.step - r->logged_step), time = now - r->logged_at;
    const double waited = atm_loader_waited(r->loader);
    atm_train_progress *p = &r->progress;
    if (r->state.summed) p->loss = r->state.sum[0] / (double)r->state.summed;
    p->steps_per_second = time > 0 ? steps / time : 0;
    p->seconds_left = p->steps_per_second > 0 ? (double)(p->max_steps - r->state.step) / p->steps_per_second : 0;
    p->data_wait = time > 0 ? (waited - r->waited_at) / time : 0;
    p->bad_steps = r->state.bad_steps;
}

/* metrics.jsonl: what the updates since the last line have been on average. */
static atm_status write_metrics(run *r, const atm_update *u)
{
    static const char *const timing[] = { "samples_per_second", "data_wait", "seconds" };
    const char *name[ATM_STAGE_METRICS + 3];
    double value[ATM_STAGE_METRICS + 3];
    int n = 0;
    for (; n < atm_stage_n_metrics(&r->stage); n++) {
        name[n] = r->stage.metric[n];
        value[n] = r->state.sum[n] / (double)r->state.summed;
    }
    name[n] = "grad_norm"; value[n++] = r->state.sum[NORM] / (double)r->state.summed;
    name[n] = "learning_rate"; value[n++] = u->learning_rate;
    name[n] = "bad_steps"; value[n++] = (double)r->state.bad_steps;
    const double times[] = { r->progress.steps_per_second * r->config->train.batch_size, r->progress.data_wait,
                             r->seconds_before + clock_seconds() - r->begun };
    return atm_run_log_metrics(r->log, r->state.step, "train", n, name, value, 3, timing, times);
}

static atm_status log_update(run *r, const atm_update *u)
{
    add_to_means(r, u);
    const double now = clock_seconds();
    refresh_progress(r, now);
    if (r->state.step % (uint64_t)r->config->train.logging_steps || !r->state.summed) return ATM_OK;
    TRY_RETURN(write_metrics(r, u));
    memset(r->state.sum, 0, sizeof r->state.sum);
    r->state.summed = 0;
    r->logged_step = r->state.step;
    r->logged_at = now;
    r->waited_at = atm_loader_waited(r->loader);
    return ATM_OK;
}

/* Asks the caller what to do; `note` while something else than training goes on. */
static int ask(run *r, const char *note)
{
    r->progress.step = r->state.step;
    r->progress.note = note;
    return r->options->progress ? (int)r->options->progress(&r->progress, r->options->user) : ATM_TRAIN_GO_ON;
}

/* ------------------------------------------------------------------ saving, validating */

static atm_status save(run *r)
{
    const atm_train_config *c = r->config;
    if (r->saved_step == r->state.step) return ATM_OK;
    ask(r, "saving");
    r->saved_step = r->state.step;
    r->state.seconds = r->seconds_before + clock_seconds() - r->begun;
    if (!is_writer(r)) return atm_comm_barrier(r->options->comm);
    TRY_RETURN(atm_run_log_sync(r->log, &r->state.metrics_bytes));
    TRY_RETURN(atm_checkpoint_save(c->output, &r->stage, &r->state, r->yaml));
    TRY_RETURN(atm_checkpoint_prune(c->output, c->train.checkpoints_total_limit, c->train.milestone_steps));
    return atm_comm_barrier(r->options->comm);
}

static atm_status export_model(run *r)
{
    char path[ATM_PATH_BYTES];
    if (!is_writer(r)) return ATM_OK;
    ask(r, "writing the model");
    TRY_RETURN(atm_model_path(path, r->config->output, "model", NULL));
    return atm_export_model(&r->stage, path, &(atm_export_options){
        .dtype = atm_train_output_dtype(r->config), .config_yaml = r->yaml, .step = r->state.step,
        .metric = r->validated ? r->stage.metric : NULL,
        .value = r->validation, .seconds = r->seconds_before + clock_seconds() - r->begun
    });
}

static atm_status make_samples(run *r)
{
    char folder[ATM_PATH_BYTES], model[ATM_PATH_BYTES], name[64];
    const int n = r->config->train.validation_samples;
    if (!n || !r->stage.makes_music || !is_writer(r)) return ATM_OK;
    ask(r, "generating samples");
    snprintf(name, sizeof name, "step_%08llu", (unsigned long long)r->state.step);
    TRY_RETURN(atm_model_path(model, r->config->output, "model", NULL));
    TRY_RETURN(atm_model_path(folder, r->config->output, "samples", name));
    return atm_train_samples(model, r->dataset, n, 25, 10, folder, r->log, r->state.step);
}

/* Validates, and leaves a model that can be listened to. */
static atm_status validate(run *r)
{
    ask(r, "validating");
    TRY_RETURN(atm_train_validate(&r->stage, r->validation, &r->validated));
    if (r->validated && r->log)
        TRY_RETURN(atm_run_log_metrics(r->log, r->state.step, "validation", atm_stage_n_metrics(&r->stage),
                                       r->stage.metric, r->validation, 0, NULL, NULL));
    TRY_RETURN(export_model(r));
    TRY_RETURN(make_samples(r));
    return atm_comm_barrier(r->options->comm);
}

/* ------------------------------------------------------------------ the loop */

static bool due(uint64_t step, int every) { return every > 0 && step % (uint64_t)every == 0; }

static int out_of_time(const run *r, int wish)
{
    const double limit = r->config->train.max_seconds;
    return limit > 0 && clock_seconds() - r->begun > limit && wish < ATM_TRAIN_SAVE_AND_STOP ? ATM_TRAIN_SAVE_AND_STOP
                                                                                           : wish;
}

static atm_status after_update(run *r, const atm_update *u)
{
    const atm_train_config *c = r->config;
    TRY_RETURN(log_update(r, u));
    if (u->wish == ATM_TRAIN_STOP) return atm_fail(ATM_E_CANCELLED, "training stopped without saving");
    const bool last = r->state.step == (uint64_t)c->train.max_train_steps;
    if (due(r->state.step, c->train.validation_steps) && !last) TRY_RETURN(validate(r));
    if (due(r->state.step, c->train.checkpointing_steps) || u->wish >= ATM_TRAIN_SAVE) TRY_RETURN(save(r));
    if (u->wish == ATM_TRAIN_SAVE_AND_STOP)
        return atm_fail(ATM_E_REQUEUE, "stopped and saved after update %llu of %d: run it again with "
                        "train.resume_from_checkpoint=latest", (unsigned long long)r->state.step,
                        c->train.max_train_steps);
    return ATM_OK;
}

static atm_status train(run *r)
{
    const uint64_t last = (uint64_t)r->config->train.max_train_steps;
    r->progress.max_steps = last;
    while (r->state.step < last) {
        atm_update update;
        const int wish = out_of_time(r, ask(r, NULL));
        TRY_RETURN(atm_train_update(&r->stage, r->loader, wish, &r->state, &update));
        TRY_RETURN(after_update(r, &update));
    }
    /* In this order: who is stopped in the last validation goes on here, and it comes out the same. */
    TRY_RETURN(save(r));
    return validate(r);
}

static atm_status rehearse(run *r)
{
    double metrics[ATM_STAGE_METRICS];
    TRY_RETURN(atm_train_gradients(&r->stage, r->loader, metrics));
    atm_log(ATM_LOG_INFO, "dry run: all is in place, the first loss is %.6g; nothing was written", metrics[0]);
    return ATM_OK;
}

atm_status atm_train(const atm_train_config *config, const atm_train_options *options)
{
    run r = { .config = config, .options = options, .folder = { -1 } };
    atm_status status = begin(&r);
    if (status == ATM_OK) status = options->dry_run ? rehearse(&r) : train(&r);
    end(&r);
    return status;
}
