/* cmd_train.c - `arttomus train`: one training run, alone or as one of several ranks. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/log_copy.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "cli/train_progress.h"

typedef struct {
    cli_common common;
    const char *config, *backend, *comm;
    int threads;
    double peer_timeout;
    bool dry_run, print_config, no_env_detect;
} args;

static const args defaults = { .backend = "auto", .comm = "auto", .peer_timeout = 600 };

static const char *const backends[] = { "auto", "cpu", "cuda", "ref", NULL };
static const char *const comms[] = { "auto", "self", "mpi", NULL };

#define AT(member) offsetof(args, member)
static const cli_option options[] = {
    { "config", 'c', CLI_TEXT, AT(config), .value = "FILE", .help = "the run (YAML; configs/train/)" },
    { "dry-run", 0, CLI_FLAG, AT(dry_run), 
      .help = "check config, model, data and memory, try one step, write nothing" },
    { "print-config", 0, CLI_FLAG, AT(print_config),
      .help = "print every key with its value and meaning, and stop" },
    { "backend", 0, CLI_CHOICE, AT(backend), .choices = backends, .value = "NAME",
      .help = "auto (default), cpu, cuda, ref" },
    { "threads", 't', CLI_INT, AT(threads), 1, 1024, .value = "N",
      .help = "of each rank (default: one for each core)" },
    { "comm", 0, CLI_CHOICE, AT(comm), .choices = comms, .value = "NAME",
      .help = "auto (default: mpi under mpirun or srun), self, mpi" },
    { "no-env-detect", 0, CLI_FLAG, AT(no_env_detect), .help = "do not look for a launcher's variables" },
    { "peer-timeout", 0, CLI_DOUBLE, AT(peer_timeout), 1, 86400, .value = "SECONDS",
      .help = "a rank that is silent for so long counts as lost (default 600)" },
    { 0 }
};

typedef struct {
    const args *args;
    atm_train_config config;
    atm_comm *comm;
    atm_device *device;
    bool first;                         /* rank 0: the one that reports and writes */
} run;

/* ------------------------------------------------------------------ configuration */

/* Not atm_train_config_load(): what is printed is a start to fill in, and need not be complete. */
static atm_status print_config(const args *a)
{
    const size_t n = (size_t)atm_n_train_fields;
    atm_train_config config = atm_train_config_default();
    char *text;
    if (a->config) TRY_RETURN(atm_config_load(a->config, atm_train_fields, n, &config));
    for (int i = 0; i < a->common.rest.n; i++)
        TRY_RETURN(atm_config_override(a->common.rest.item[i], atm_train_fields, n, &config));
    TRY_RETURN(atm_config_print_explained(atm_train_fields, n, &config, &text));
    fputs(text, stdout);
    free(text);
    return ATM_OK;
}

static atm_status load_config(run *r)
{
    const args *a = r->args;
    if (!a->config && a->common.rest.n == 0)
        return atm_fail(ATM_E_USAGE, "which run? --config FILE, or KEY=VALUE...: "
                        "arttomus train --print-config lists the keys");
    return atm_train_config_load(a->config, a->common.rest.item, a->common.rest.n, &r->config);
}

/* ------------------------------------------------------------------ the run */

/* Before the first update: the folder is locked by now, and its log may be written. */
static void begin_log_file(const run *r)
{
    char path[PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s/log.jsonl", r->config.output);
    if (n < (int)sizeof path) cli_log_copy_to(path);
}

static atm_train_wish on_progress(const atm_train_progress *progress, void *user)
{
    const run *r = user;
    if (r->first && !r->args->dry_run) begin_log_file(r);
    if (r->first) cli_train_progress(progress);
    return progress->note ? ATM_TRAIN_GO_ON : cli_training_wish();
}

static atm_status open_rank(run *r)
{
    const args *a = r->args;
    const atm_comm_options how = { .timeout = a->peer_timeout, .no_env_detect = a->no_env_detect };
    TRY_RETURN(atm_comm_open(a->comm, &how, &r->comm));
    r->first = atm_comm_rank(r->comm) == 0;
    if (atm_comm_size(r->comm) > 1) cli_terminal_rank(atm_comm_rank(r->comm), &a->common);
    return ATM_OK;
}

static atm_status run_training(run *r)
{
    TRY_RETURN(open_rank(r));
    TRY_RETURN(load_config(r));
    TRY_RETURN(atm_device_open(r->args->backend, r->args->threads, &r->device));
    cli_progress_begin();
    const atm_status status = atm_train(&r->config, &(atm_train_options){
        .device = r->device, .comm = r->comm, .dry_run = r->args->dry_run,
        .progress = on_progress, .user = r
    });
    cli_progress_end();
    return status;
}

/* Here and not in main.c, so that the last line of log.jsonl says how the run ended. */
static void report(const run *r, atm_status status)
{
    if (status == ATM_E_REQUEUE && r->first) atm_log(ATM_LOG_INFO, "%s", atm_error());
    else if (status != ATM_OK && status != ATM_E_REQUEUE) cli_print_error(atm_error());
    atm_clear_error();
    if (status != ATM_OK || !r->first || r->args->dry_run) return;
    atm_log(ATM_LOG_INFO, "all %d updates are done", r->config.train.max_train_steps);
    printf("%s/model\n", r->config.output);
}

static atm_status train(void *values)
{
    run r = { .args = values };
    if (r.args->print_config) return print_config(r.args);
    cli_signals_training();
    cli_log_copy_begin();
    const atm_status status = run_training(&r);
    report(&r, status);
    cli_log_copy_end();
    if (status != ATM_OK && status != ATM_E_REQUEUE) atm_comm_abort(r.comm, status);
    atm_device_close(r.device);
    atm_comm_close(r.comm);
    return status;
}

const cli_command cli_train = {
    "train", "[KEY=VALUE...]", "train a model on a dataset of `arttomus prepare`",
    "  arttomus train --config my.yaml\n"
    "  arttomus train --config my.yaml train.learning_rate=1e-4 output=runs/faster\n"
    "  arttomus train --print-config stage=adapter > my.yaml     every key, explained\n"
    "  arttomus train --config my.yaml --dry-run                 is all in place?\n"
    "  mpirun -np 2 arttomus train --config my.yaml              two ranks, the same result\n"
    "  scripts/plot_run runs/faster -o curves.png                what it has learnt so far\n\n"
    "The run folder (key `output`) receives config.yaml, metrics.jsonl, log.jsonl, events for\n"
    "TensorBoard, samples/, checkpoints/, and in the end model/, which is printed and which\n"
    "generate --model opens.\n\n"
    "Signals, acted on after the update that is under way:\n"
    "  SIGTERM, SIGUSR1   save and stop, exit code 75: run the same command again to go on\n"
    "  SIGINT (Ctrl+C)    the same; a second one leaves at once, with the last checkpoint (130)\n"
    "  SIGUSR2            save and go on\n"
    "Nothing is lost by kill -9 but the updates since the last checkpoint.\n\n"
    "Exit codes: 0 done; 65 data broken, or of another model; 66 no such file; 69 no such\n"
    "device; 71 out of memory; 74 cannot write; 75 saved, run it again; 76 another rank was\n"
    "lost; 78 configuration, or another process is writing to the run folder.",
    options, &defaults, sizeof(args), 0, INT_MAX, train
};
