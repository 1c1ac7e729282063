/* bench_train.c - what an update of the weights costs, through the trainer's own code.
 *
 *     bench_train [--model full|nano|tiny|FOLDER] [--stage adapter] [--batch 1,4] [--recompute]
 *                 [--threads N] [--seconds S] [--backend B] [--profile]
 *                 [--rival "python3 bench/rivals/torch_train.py"]
 *
 * Model and data have random numbers: speed does not depend on them.  `full` has the sizes of AudioLDM2
 * where a gradient passes (adapter, language model, UNet) and small stand-ins for the networks whose
 * results are cached in the dataset.  One measured run is atm_train_update: batch from the loader, forward,
 * backward, clipping, AdamW.  --recompute measures each batch also with activations computed twice.
 *
 * The rival takes the number of threads and batch sizes, and prints "batch seconds cpu_seconds peak_mib"
 * lines for the full model; it runs first, alone, on the same cores. */
#define _GNU_SOURCE
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "base/philox.h"
#include "generate/recipe.h"
#include "io/folder.h"
#include "train/update.h"

enum { CLIPS = 32, LATENT_FRAMES = 256, MAX_BATCHES = 8 };      /* 256: 10.24 s */

typedef struct {
    const char *model, *stage, *backend, *rival;
    int batch[MAX_BATCHES], n_batches, threads;
    double seconds;
    bool recompute, profile;
} settings;

/* ------------------------------------------------------------------ the model */

static const char *const stand_ins[] = {
    "image_encoder.num_hidden_layers=1", "image_encoder.hidden_size=64", "image_encoder.intermediate_size=64",
    "image_encoder.num_attention_heads=4", "vae.block_out_channels=[32, 32, 32]",
    "vocoder.upsample_initial_channel=64", "language_model.vocab_size=4", "text.length=16"
};

static const struct { const char *name, *recipe; const char *const *changes; int n_changes; } known[] = {
    { "full", ATM_SOURCE_DIR "/configs/audioldm2.yaml", stand_ins, sizeof stand_ins / sizeof *stand_ins },
    { "nano", ATM_SOURCE_DIR "/configs/nano.yaml", NULL, 0 },
    { "tiny", ATM_SOURCE_DIR "/configs/tiny.yaml", NULL, 0 },
};

/* One of the above is written into `folder`; any other name is a folder that is there. */
static atm_status open_model(const settings *s, const char *folder, atm_pool *pool, atm_model_dir *out)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        atm_recipe recipe;
        if (strcmp(s->model, known[i].name) != 0) continue;
        TRY_RETURN(atm_recipe_load(known[i].recipe, known[i].changes, known[i].n_changes, &recipe));
        TRY_RETURN(atm_model_dir_init(&recipe.config, folder, (atm_model_init_options){
            .dtype = recipe.dtype, .text_tokens = recipe.text_tokens, .pool = pool }));
        return atm_model_dir_open(folder, out);
    }
    return atm_model_dir_open(s->model, out);
}

/* ------------------------------------------------------------------ the data */

static atm_status put_random(atm_dataset_writer *w, const atm_column *c, size_t row, float *host)
{
    const size_t n = c->row_bytes / sizeof *host;
    atm_normal((atm_rng){ 1, ATM_STREAM_TEST, (uint32_t)c->rank, (uint32_t)row }, host, n);
    for (size_t i = 0; i < n; i++) host[i] *= 0.1f;
    return atm_dataset_put(w, c->name, row, host);
}

static atm_status put_rows(atm_dataset_writer *w, const atm_column *columns, int n, float *host)
{
    static const char *const pairs[] = { "pairs/artwork", "pairs/clip", "pairs/split" };
    for (int i = 0; i < n; i++) TRY_RETURN(atm_dataset_declare(w, &columns[i]));
    for (int i = 0; i < 3; i++)
        TRY_RETURN(atm_dataset_declare(w, &(atm_column){ .name = pairs[i], .dtype = ATM_I32,
                                                         .rows = CLIPS }));
    for (size_t row = 0; row < CLIPS; row++) {
        const int32_t pair[] = { (int32_t)row, (int32_t)row, ATM_SPLIT_TRAIN };
        for (int i = 0; i < 3; i++) TRY_RETURN(atm_dataset_put(w, pairs[i], row, &pair[i]));
        for (int i = 0; i < n; i++) TRY_RETURN(put_random(w, &columns[i], row, host));
    }
    return ATM_OK;
}

static atm_status write_data(const char *path, const atm_model_config *c)
{
    const int latents = atm_model_latent_channels(c), mels = atm_model_latent_mels(c);
    atm_column mean = { .name = "clips/latent_mean", .dtype = ATM_F32, .rows = CLIPS, .rank = 3,
                        .dim = { latents, LATENT_FRAMES, mels } };
    mean.row_bytes = (size_t)latents * LATENT_FRAMES * (size_t)mels * sizeof(float);
    atm_column logvar = mean;
    logvar.name = "clips/latent_logvar";
    const atm_column embedding = { .name = "artworks/embedding", .dtype = ATM_F32, .rows = CLIPS, .rank = 1,
                                   .dim = { c->adapter.in_dim },
                                   .row_bytes = (size_t)c->adapter.in_dim * sizeof(float) };
    atm_dataset_writer *w;
    float *host = malloc(mean.row_bytes + embedding.row_bytes);
    if (!host) return atm_fail(ATM_E_MEMORY, "no memory for a latent");
    atm_status status = atm_dataset_begin(path, &w);
    if (status == ATM_OK) {
        status = put_rows(w, (atm_column[]){ mean, logvar, embedding }, 3, host);
        if (status == ATM_OK) status = atm_dataset_commit(w);
        else atm_dataset_abort(w);
    }
    free(host);
    return status;
}

/* ------------------------------------------------------------------ one measurement */

typedef struct {
    atm_train_config config;
    atm_stage stage;
    atm_loader *loader;
    atm_train_state state;
    atm_update last;
    double first_wait;                  /* of the first batch, which nobody could read ahead */
    atm_status status;
} training;

typedef struct { bench_time run; double open, wait, flops, block_mib, peak_mib; } measurement;

typedef struct { const settings *s; atm_device *device; atm_model_dir model; atm_dataset *dataset; } world;

static void configure(const settings *s, int batch, bool recompute, atm_train_config *c)
{
    *c = atm_train_config_default();
    snprintf(c->stage, sizeof c->stage, "%s", s->stage);
    c->train.batch_size = batch;
    c->train.gradient_accumulation_steps = 1;
    c->train.recompute = recompute;
}

static atm_status open_training(const world *w, int batch, bool recompute, training *t)
{
    configure(w->s, batch, recompute, &t->config);
    t->stage = (atm_stage){ .info = atm_stage_find(w->s->stage), .config = &t->config, .device = w->device,
                            .model = &w->model, .dataset = w->dataset, .micro_batch = batch,
                            .profile = w->s->profile };
    if (!t->stage.info) return atm_fail(ATM_E_USAGE, "there is no stage \"%s\"", w->s->stage);
    TRY_RETURN(t->stage.info->open(&t->stage));
    return atm_loader_open(&(atm_loader_options){
        .dataset = w->dataset, .column = t->stage.column, .n_columns = t->stage.n_columns,
        .split = ATM_SPLIT_TRAIN, .clips = t->stage.clips, .batch = batch, .micro_batches = 1, .ranks = 1
    }, &t->loader);
}

static void close_training(training *t)
{
    atm_loader_close(t->loader);
    if (t->stage.info) t->stage.info->close(&t->stage);
    for (int g = 0; g < ATM_STAGE_GROUPS; g++) atm_group_free(&t->stage.group[g]);
}

static void update(void *arg)
{
    training *t = arg;
    if (t->status != ATM_OK) return;
    t->status = atm_train_update(&t->stage, t->loader, 0, &t->state, &t->last);
    if (t->state.step == 1) t->first_wait = atm_loader_waited(t->loader);
}

static void read_plan(const training *t, measurement *out)
{
    const atm_plan_stats stats = atm_plan_get_stats(t->stage.plan);
    out->flops = stats.flops;
    out->block_mib = (double)stats.block_bytes / 0x1p20;
}

/* The kernel's high-water mark starts again from what is resident now. */
static void reset_peak(void)
{
    malloc_trim(0);
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f) fputs("5", f);
    if (f) fclose(f);
}

static atm_status measure(const world *w, int batch, bool recompute, measurement *out)
{
    atm_status status = ATM_OK;
    training *t = calloc(1, sizeof *t);
    if (!t) return atm_fail(ATM_E_MEMORY, "no memory");
    reset_peak();
    const double start = atm_seconds();
    TRY(open_training(w, batch, recompute, t));
    out->open = atm_seconds() - start;
    out->run = bench_median(update, t, 2, w->s->seconds);
    TRY(t->status);
    out->wait = atm_loader_waited(t->loader) - t->first_wait;
    out->wait /= (double)(t->state.step - 1) * out->run.wall;
    out->peak_mib = bench_peak_mib();
    if (t->state.bad_steps) fprintf(stderr, "a loss was not finite\n");
    if (t->stage.plan) read_plan(t, out);
    if (t->stage.plan && w->s->profile) atm_plan_print_profile(t->stage.plan, stdout);
done:
    close_training(t);
    free(t);
    return status;
}

/* ------------------------------------------------------------------ rival, table */

typedef struct { double wall, cpu, mib; } rival_time;

static void ask_rival(const settings *s, int threads, rival_time rival[])
{
    char line[PATH_MAX];
    int n = snprintf(line, sizeof line, "%s %d", s->rival, threads);
    for (int i = 0; i < s->n_batches; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, " %d", s->batch[i]);
    FILE *f = popen(line, "r");
    while (f && fgets(line, sizeof line, f)) {
        int batch;
        rival_time t;
        if (sscanf(line, "%d %lf %lf %lf", &batch, &t.wall, &t.cpu, &t.mib) != 4) continue;
        for (int i = 0; i < s->n_batches; i++) if (s->batch[i] == batch) rival[i] = t;
    }
    if (f) pclose(f);
}

static void print_heading(void)
{
    printf("%5s %-9s %8s %9s %8s %8s %7s %7s %7s %7s %9s %9s %9s %7s %7s %9s\n", "batch", "", "s", "samples/s",
           "GFLOP", "GFLOP/s", "% peak", "cpu %", "wait %", "open s", "block MiB", "peak MiB", "rival s", "ratio",
           "cpu r.", "rival MiB");
}

/* "cpu %" divides by the time the cores really worked for us, "cpu r." compares that time with the rival's. */
static void print_row(int batch, bool recompute, const measurement *m, const rival_time *r,
                      const bench_machine *machine)
{
    const double gflop = 1e-9 * m->flops, percent = 100 / machine->peak_gflops;
    printf("%5d %-9s %8.3f %9.3f %8.1f %8.1f", batch, recompute ? "recompute" : "", m->run.wall,
           batch / m->run.wall, gflop, gflop / m->run.wall);
    printf(" %7.1f %7.1f %7.3f %7.2f %9.0f %9.0f", percent * gflop / m->run.wall,
           percent * gflop / m->run.cpu * machine->threads, 100 * m->wait, m->open, m->block_mib, m->peak_mib);
    if (r->wall > 0)
        printf(" %9.3f %6.2fx %6.2fx %9.0f", r->wall, r->wall / m->run.wall, r->cpu / m->run.cpu, r->mib);
    printf("\n");
    fflush(stdout);
}

static atm_status measure_all(const world *w, const bench_machine *machine, const rival_time *rival)
{
    print_heading();
    for (int i = 0; i < w->s->n_batches; i++)
        for (int recompute = 0; recompute <= (int)w->s->recompute; recompute++) {
            measurement m = { 0 };
            TRY_RETURN(measure(w, w->s->batch[i], recompute, &m));
            print_row(w->s->batch[i], recompute, &m, &rival[i], machine);
        }
    return ATM_OK;
}

/* ------------------------------------------------------------------ the program */

static atm_status run(const settings *s, const char *folder)
{
    atm_status status = ATM_OK;
    world w = { .s = s };
    rival_time rival[MAX_BATCHES] = { 0 };
    char data[PATH_MAX + 16];
    snprintf(data, sizeof data, "%s/data.h5", folder);
    TRY(atm_device_open(s->backend, s->threads, &w.device));
    const bench_machine machine = bench_measure_machine(w.device->pool);
    bench_print_machine(&machine, stdout);
    fflush(stdout);
    if (s->rival) ask_rival(s, machine.threads, rival);
    TRY(open_model(s, folder, w.device->pool, &w.model));
    TRY(write_data(data, &w.model.config));
    TRY(atm_dataset_open(data, &w.dataset));
    TRY(measure_all(&w, &machine, rival));
done:
    atm_dataset_close(w.dataset);
    atm_model_dir_close(&w.model);
    atm_device_close(w.device);
    return status;
}

static int read_batches(const char *text, int batch[MAX_BATCHES])
{
    int n = 0;
    char *end = (char *)text;
    do {
        batch[n++] = (int)strtol(text, &end, 10);
        text = end + 1;
    } while (*end == ',' && n < MAX_BATCHES);
    return *end || batch[n - 1] < 1 ? 0 : n;
}

static bool read_options(int argc, char **argv, settings *s)
{
    for (int at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--recompute") == 0) s->recompute = true;
        else if (strcmp(argv[at], "--profile") == 0) s->profile = true;
        else if (at + 1 == argc) return false;
        else if (strcmp(argv[at], "--model") == 0) s->model = argv[++at];
        else if (strcmp(argv[at], "--stage") == 0) s->stage = argv[++at];
        else if (strcmp(argv[at], "--batch") == 0) s->n_batches = read_batches(argv[++at], s->batch);
        else if (strcmp(argv[at], "--threads") == 0) s->threads = atoi(argv[++at]);
        else if (strcmp(argv[at], "--seconds") == 0) s->seconds = atof(argv[++at]);
        else if (strcmp(argv[at], "--backend") == 0) s->backend = argv[++at];
        else if (strcmp(argv[at], "--rival") == 0) s->rival = argv[++at];
        else return false;
    }
    return s->n_batches > 0;
}

int main(int argc, char **argv)
{
    settings s = { .model = "full", .stage = "adapter", .backend = "cpu", .batch = { 1, 4 }, .n_batches = 2,
                   .seconds = 5 };
    const char *tmp = getenv("TMPDIR");
    char folder[PATH_MAX];
    if (!read_options(argc, argv, &s)) {
        fprintf(stderr, "usage: bench_train [--model full|nano|tiny|FOLDER] [--stage adapter] [--batch 1,4] "
                "[--recompute] [--threads N] [--seconds S] [--backend B] [--profile] [--rival COMMAND]\n");
        return ATM_E_USAGE;
    }
    snprintf(folder, sizeof folder, "%s/bench_train-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder)) return ATM_E_IO;
    const atm_status status = run(&s, folder);
    if (status != ATM_OK) fprintf(stderr, "%s\n", atm_error());
    atm_folder_remove(folder);
    return (int)status;
}
