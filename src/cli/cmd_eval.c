/* cmd_eval.c - `arttomus eval`: how good a model is, as a table. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "eval/eval.h"
#include "io/atomic_file.h"

typedef struct {
    cli_common common;
    const char *model, *data, *sounds, *split, *measures, *output, *backend;
    int clips, steps, threads;
    double guidance, duration;
    uint64_t seed;
} args;

static const args defaults = {
    .split = "test", .backend = "auto", .clips = 32, .steps = 25, .guidance = 3.5, .duration = 10
};

static const char *const backends[] = { "auto", "cpu", "cuda", "ref", NULL };

#define AT(member) offsetof(args, member)
static const cli_option options[] = {
    { "model", 'm', CLI_TEXT, AT(model), .value = "DIR", .help = "the model folder" },
    { "data", 0, CLI_TEXT, AT(data), .value = "FILE",
      .help = "dataset of `arttomus prepare`: pairs, with embedding or pixels,\n"
              "                              and latents of this model" },
    { "sounds", 0, CLI_TEXT, AT(sounds), .value = "FILE",
      .help = "one with mel and audio (default: --data)" },
    { "output", 'o', CLI_TEXT, AT(output), .value = "NAME", .help = "writes NAME.json and NAME.md" },
    { "measures", 0, CLI_TEXT, AT(measures), .value = "LIST",
      .help = "of reconstruction,decoders,statistics,difference,retrieval,\n"
              "                              conditioning (default: all that the data allow)" },
    { "split", 0, CLI_CHOICE, AT(split), .choices = atm_split_names, .value = "NAME",
      .help = "train, validation, test (default)" },
    { "clips", 'n', CLI_INT, AT(clips), 1, 1000000, .value = "N",
      .help = "at most N clips, artworks or pairs of each kind (default 32);\n"
              "                              retrieval takes all" },
    { "steps", 's', CLI_INT, AT(steps), 1, 1000, .value = "N", .help = "of generation (default 25)" },
    { "guidance", 'g', CLI_DOUBLE, AT(guidance), 1, 100, .value = "G",
      .help = "of generation (default 3.5)" },
    { "duration", 'd', CLI_DOUBLE, AT(duration), 1, 600, .value = "SECONDS",
      .help = "of generated clips (default 10)" },
    { "seed", 0, CLI_SEED, AT(seed), .value = "N", .help = "of noise, choices and intervals (default 0)" },
    { "threads", 't', CLI_INT, AT(threads), 1, 1024, .value = "N", .help = "default: one for each core" },
    { "backend", 0, CLI_CHOICE, AT(backend), .choices = backends, .value = "NAME",
      .help = "auto (default), cpu, cuda, ref" },
    { 0 }
};

static atm_split split_named(const char *name)
{
    int split = 0;
    while (strcmp(atm_split_names[split], name) != 0) split++;
    return (atm_split)split;
}

/* A bar for each measure: their speeds have nothing in common. */
static int on_progress(const atm_progress *p, void *user)
{
    const char **stage = user;
    if (!*stage || strcmp(*stage, p->stage) != 0) cli_progress_begin();
    *stage = p->stage;
    cli_progress("eval", p->fraction, p);
    return cli_signal();
}

static atm_status read_options(const args *a, atm_eval_options *out)
{
    if (!a->model) return atm_fail(ATM_E_USAGE, "which model? --model DIR");
    if (!a->data) return atm_fail(ATM_E_USAGE, "on which data? --data FILE, a dataset of `arttomus prepare`");
    if (!a->output) return atm_fail(ATM_E_USAGE, "where to? -o NAME writes NAME.json and NAME.md");
    *out = (atm_eval_options){
        .model = a->model, .data = a->data, .sounds = a->sounds, .split = split_named(a->split),
        .clips = a->clips,
        .steps = a->steps, .guidance = a->guidance, .duration = a->duration, .seed = a->seed,
        .backend = a->backend,
        .threads = a->threads, .progress = on_progress
    };
    return a->measures ? atm_eval_measures_parse(a->measures, &out->measures) : ATM_OK;
}

/* Before hours of work, not after them. */
static atm_status check_output(const args *a)
{
    char path[PATH_MAX];
    atm_atomic_file *file;
    if (snprintf(path, sizeof path, "%s.json", a->output) >= (int)sizeof path)
        return atm_fail(ATM_E_USAGE, "-o %.60s...: the path is too long", a->output);
    TRY_RETURN(atm_atomic_open(path, &file));
    atm_atomic_abort(file);
    return ATM_OK;
}

static atm_status run(const args *a, atm_eval_options *o)
{
    const char *stage = NULL;
    atm_eval_report report = { 0 };
    o->user = &stage;
    atm_status status = atm_evaluate(o, &report);
    cli_progress_end();
    if (status == ATM_E_CANCELLED) atm_log(ATM_LOG_INFO, "%s", atm_error());
    if (status == ATM_OK) status = atm_eval_report_write(&report, a->output);
    atm_eval_report_free(&report);
    return status;
}

static atm_status eval(void *values)
{
    const args *a = values;
    atm_eval_options o;
    TRY_RETURN(read_options(a, &o));
    TRY_RETURN(check_output(a));
    TRY_RETURN(run(a, &o));
    printf("%s.md\n", a->output);
    return ATM_OK;
}

const cli_command cli_eval = {
    "eval", "", "measure a model on what it was not trained on",
    "  arttomus eval --model nano --data pairs.h5 --sounds music.h5 -o report\n"
    "  arttomus eval --model nano --data music.h5 --measures reconstruction,decoders -o report\n\n"
    "Measures, each beside what it must be compared with, and with 95 % intervals:\n\n"
    "  reconstruction   what the VAE loses of held-out music, in nats of the log-mel\n"
    "  decoders         what each way from log-mel to sound loses; recommends one\n"
    "  statistics       onsets, flatness, loudness and bands of generated clips, real music, noise\n"
    "  difference       how far the music of two artworks is apart at the same noise\n"
    "  retrieval        finding an artwork's music, and the artwork of music, by their embeddings\n"
    "  conditioning     diffusion loss with the right artwork, a wrong one and none\n\n"
    "The same command gives the same report.",
    options, &defaults, sizeof(args), 0, 0, eval
};
