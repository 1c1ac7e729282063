/* cmd_prepare.c - `arttomus prepare`: collections of artworks and music in, one dataset out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory_stream.h"
#include "cli/commands.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "prepare/prepare.h"

typedef struct {
    cli_common common;
    const char *artworks, *music, *pairs, *model, *output, *columns, *framing, *clips, *backend;
    double duration, validation, test;
    int max_clips, threads;
    bool strict, dry_run;
} args;

static const args defaults = {
    .framing = "art2mus", .backend = "auto", .duration = 10.24, .validation = 0.05, .test = 0.05
};

static const char *const framings[] = { "art2mus", "audioldm2", NULL };
static const char *const clip_choices[] = { "one", "all", NULL };
static const char *const backends[] = { "auto", "cpu", "cuda", "ref", NULL };

#define AT(member) offsetof(args, member)
static const cli_option options[] = {
    { "output", 'o', CLI_TEXT, AT(output), .value = "FILE", .help = "the dataset to write (HDF5)" },
    { "music", 0, CLI_TEXT, AT(music), .value = "DIR",
      .help = "where the tracks are; without --pairs all of them, and of the folders in it" },
    { "artworks", 0, CLI_TEXT, AT(artworks), .value = "DIR", .help = "where the artworks are" },
    { "pairs", 'p', CLI_TEXT, AT(pairs), .value = "FILE",
      .help = "which belong together: .csv, .tsv or .jsonl, described above" },
    { "model", 'm', CLI_TEXT, AT(model), .value = "DIR",
      .help = "model folder whose encoders make embeddings and latents" },
    { "columns", 'c', CLI_TEXT, AT(columns), .value = "LIST",
      .help = "of embedding,pixels,latents,mel,audio (default: with --model\n"
              "                              embedding,latents, without mel,audio)" },
    { "duration", 'd', CLI_DOUBLE, AT(duration), 1, 600, .value = "SECONDS",
      .help = "of a clip, 1 to 600 (default 10.24)" },
    { "framing", 0, CLI_CHOICE, AT(framing), .choices = framings, .value = "NAME",
      .help = "art2mus (default: 10 s in a clip of 10.24, as ArtToMus was trained)\n"
              "                              or audioldm2 (as AudioLDM2's VAE and vocoder were)" },
    { "clips", 0, CLI_CHOICE, AT(clips), .choices = clip_choices, .value = "one|all",
      .help = "one at `start`, or all from there on (default: one where the\n"
              "                              pairs have starts, else all)" },
    { "max-clips", 0, CLI_INT, AT(max_clips), 1, 1000000, .value = "N",
      .help = "at most N clips of a pair, spread over the track" },
    { "validation", 0, CLI_DOUBLE, AT(validation), 0, 0.5, .value = "SHARE",
      .help = "of the tracks, drawn where no split is given (default 0.05)" },
    { "test", 0, CLI_DOUBLE, AT(test), 0, 0.49, .value = "SHARE", .help = "the same (default 0.05)" },
    { "strict", 0, CLI_FLAG, AT(strict), .help = "a file that cannot be used is an error (65)" },
    { "dry-run", 'n', CLI_FLAG, AT(dry_run), .help = "look at lists, files and model; write nothing" },
    { "threads", 't', CLI_INT, AT(threads), 1, 1024, .value = "N", .help = "default: one for each core" },
    { "backend", 0, CLI_CHOICE, AT(backend), .choices = backends, .value = "NAME",
      .help = "auto (default), cpu, cuda, ref" },
    { 0 }
};

/* ------------------------------------------------------------------ provenance */

/* What decides the content; the rest would make equal datasets differ. */
static const char *const told[] = {
    "music", "artworks", "pairs", "model", "columns", "duration", "framing", "clips", "max-clips",
    "validation", "test", NULL
};

static bool is_told(const char *name)
{
    for (const char *const *t = told; *t; t++)
        if (!strcmp(*t, name)) return true;
    return false;
}

/* Texts and whole numbers that are not there are NULL and 0. */
static void append_option(const cli_option *o, const args *a, FILE *out)
{
    const void *member = (const char *)a + o->offset;
    if (o->type == CLI_DOUBLE) fprintf(out, " --%s %.10g", o->name, *(const double *)member);
    else if (o->type == CLI_INT && *(const int *)member)
        fprintf(out, " --%s %d", o->name, *(const int *)member);
    else if (o->type != CLI_INT && *(const char *const *)member)
        fprintf(out, " --%s %s", o->name, *(const char *const *)member);
}

/* The caller's to free(); NULL: no memory. */
static char *command_line(const args *a)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = atm_memory_stream(&text, &bytes);
    if (!out) return NULL;
    fputs("arttomus prepare", out);
    for (const cli_option *o = options; o->name; o++)
        if (is_told(o->name)) append_option(o, a, out);
    return fclose(out) == 0 ? text : NULL;
}

/* ------------------------------------------------------------------ telling */

/* A bar for each stage: their speeds have nothing in common. */
static int on_progress(const atm_progress *p, void *user)
{
    const char **stage = user;
    if (!*stage || strcmp(*stage, p->stage)) cli_progress_begin();
    *stage = p->stage;
    cli_progress("prepare", p->fraction, p);
    return cli_signal();
}

static void print_warnings(const args *a, const atm_prepare_summary *s)
{
    if (s->repeated) atm_log(ATM_LOG_INFO, "%d pairs say what an earlier one said", s->repeated);
    if (s->crossing)
        atm_log(ATM_LOG_INFO, "%d pairs dropped: their artwork and track were drawn into different splits",
                s->crossing);
    if (s->leaks)
        atm_log(ATM_LOG_WARNING, "%d artworks and tracks are in several splits: what is measured on held-out "
                "pairs will flatter", s->leaks);
    for (int i = ATM_SPLIT_VALIDATION; i < ATM_SPLITS; i++)
        if (!s->pairs[i] && (i == ATM_SPLIT_TEST ? a->test : a->validation) > 0)
            atm_log(ATM_LOG_WARNING, "no pair is in the %s split", atm_split_names[i]);
}

static void print_summary(const args *a, const atm_prepare_summary *s)
{
    const int *n = s->pairs, all = n[0] + n[1] + n[2];
    print_warnings(a, s);
    if (a->dry_run)
        atm_log(ATM_LOG_INFO, "%d pairs listed, of %d artworks and %d tracks: %d train, %d validation, "
                "%d test", s->listed_pairs, s->listed_artworks, s->listed_tracks, n[0], n[1], n[2]);
    else
        atm_log(ATM_LOG_INFO, "%d artworks, %d clips (%.2f h), %d pairs: %d train, %d validation, %d test",
                s->artworks, s->clips, s->seconds / 3600, all, n[0], n[1], n[2]);
    if (s->skipped && a->dry_run) atm_log(ATM_LOG_WARNING, "%d files are missing", s->skipped);
    else if (s->skipped) atm_log(ATM_LOG_WARNING, "%d skipped: see %s.skipped.tsv", s->skipped, a->output);
}

/* ------------------------------------------------------------------ the command */

static atm_status read_options(const args *a, atm_prepare_options *out)
{
    *out = (atm_prepare_options){
        .output = a->output ? a->output : "dry run", .artworks = a->artworks, .music = a->music,
        .pairs = a->pairs, .model = a->model, .duration = a->duration,
        .framing = strcmp(a->framing, "art2mus") ? ATM_FRAMING_AUDIOLDM2 : ATM_FRAMING_ART2MUS,
        .clips = !a->clips ? ATM_CLIPS_AS_LISTED : strcmp(a->clips, "one") ? ATM_CLIPS_ALL : ATM_CLIPS_ONE,
        .max_clips = a->max_clips, .shares = { a->validation, a->test }, .strict = a->strict,
        .dry_run = a->dry_run, .backend = a->backend, .threads = a->threads
    };
    return a->columns ? atm_prepare_columns_parse(a->columns, &out->columns) : ATM_OK;
}

static atm_status run(const args *a, atm_prepare_options *o)
{
    const char *stage = NULL;
    atm_prepare_summary summary;
    o->progress = on_progress;
    o->user = &stage;
    const atm_status status = atm_prepare(o, &summary);
    cli_progress_end();
    if (status == ATM_E_CANCELLED) atm_log(ATM_LOG_INFO, "%s", atm_error());
    if (status == ATM_OK) print_summary(a, &summary);
    return status;
}

static atm_status prepare(void *values)
{
    const args *a = values;
    atm_prepare_options o;
    if (!a->output && !a->dry_run) return atm_fail(ATM_E_USAGE, "which file to write? -o FILE");
    TRY_RETURN(read_options(a, &o));
    char *created_by = command_line(a);
    if (!created_by) return atm_fail(ATM_E_MEMORY, "no memory for the command line");
    o.created_by = created_by;
    const atm_status status = run(a, &o);
    free(created_by);
    if (status == ATM_OK && !a->dry_run) printf("%s\n", a->output);
    return status;
}

const cli_command cli_prepare = {
    "prepare", "", "turn collections of artworks and music into a dataset to train on",
    "  arttomus prepare --music recordings -o music.h5\n"
    "  arttomus prepare --pairs pairs.csv --artworks scans --music recordings --model nano -o data.h5\n\n"
    "The pairs are a table whose first line names its columns, in any order (JSON lines: an\n"
    "object a line):\n\n"
    "  track                         file, relative to --music (else to the table)\n"
    "  artwork                       file, relative to --artworks; empty: music alone\n"
    "  start                         seconds into the track (default 0)\n"
    "  split                         train, validation or test; empty: drawn\n"
    "  caption_artwork, caption_music, licence, source\n\n"
    "Splits are drawn by the hash of the track's path, so they stay when others are added;\n"
    "an artwork goes where one of its tracks went, and a pair whose two sides went apart is\n"
    "dropped: nothing held out is ever trained on. A clip is there for every window of the\n"
    "track; the last may be short, if half of it or more is there.\n\n"
    "What cannot be used (missing, broken, silent, too short) is left out and listed, with\n"
    "the reason, in FILE.skipped.tsv. After an interruption the same command goes on where it\n"
    "was: what is done is kept in FILE.parts until the dataset is whole.",
    options, &defaults, sizeof(args), 0, 0, prepare
};
