/* bench_generate.c - the networks of a clip at full size, and what a clip costs.
 *
 *     bench_generate [--threads N] [--seconds S] [--rival "python3 bench/rivals/torch_baseline.py"] [stage ...]
 *
 * Weights are random: speed does not depend on their values.  The rival is a
 * program that takes a number of threads, and prints "stage seconds" lines for
 * the same stages; it runs in between, on the same cores.  Stages: unet (one
 * guided step of a 10.24 s clip: two samples), vae, vocoder, image, gpt2. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench.h"
#include "base/arena.h"
#include "model/gpt2.h"
#include "model/hifigan.h"
#include "model/image_encoder.h"
#include "model/unet.h"
#include "model/vae.h"

enum { FRAMES = 1024, LATENT_T = 256, LATENT_F = 16, MEL = 64, T5_TOKENS = 16, TOKENS = 4 };

/* ------------------------------------------------------------------ random weights */

typedef struct { atm_param_source source; atm_arena arena; unsigned state; } random_weights;

static atm_param_data random_param(atm_param_source *self, const char *name, int rank, const int *dim, atm_dtype dtype)
{
    random_weights *r = (random_weights *)self;
    size_t n = 1, fan_in = 1;
    for (int i = 0; i < rank; i++) n *= (size_t)dim[i];
    for (int i = 1; i < rank; i++) fan_in *= (size_t)dim[i];
    float *w = atm_arena_alloc(&r->arena, n, sizeof *w), scale = 1.0f / (float)(fan_in > 1 ? fan_in : 64);
    (void)name;
    (void)dtype;
    for (size_t i = 0; w && i < n; i++) {
        r->state = r->state * 1664525u + 1013904223u;
        w[i] = ((float)(r->state >> 8) * 0x1p-23f - 1) * scale;
    }
    return (atm_param_data){ .data = w };
}

/* ------------------------------------------------------------------ stages */

static void build_unet(atm_plan *p)
{
    atm_unet_config c = atm_unet_config_audioldm2();
    atm_unet_inputs in = {
        .sample = atm_input(p, "sample", 0, ATM_DIMS(1, LATENT_T, LATENT_F, c.in_channels)),
        .timestep = atm_input(p, "timestep", ATM_INPUT_STATIC, ATM_DIMS(200)),
        .index = atm_input(p, "index", ATM_INPUT_INDEX, ATM_DIMS(2)),
        .context = { atm_input(p, "loa", ATM_INPUT_STATIC, ATM_DIMS(2, 8, 768)),
                     atm_input(p, "t5", ATM_INPUT_STATIC, ATM_DIMS(2, T5_TOKENS, 1024)) },
        .mask = { ATM_NONE, atm_input(p, "mask", ATM_INPUT_STATIC, ATM_DIMS(2, T5_TOKENS)) } };
    atm_output(p, "out", atm_unet(p, &c, in));
}

static void build_vae(atm_plan *p)
{
    atm_vae_config c = atm_vae_config_audioldm2();
    atm_tensor z = atm_input(p, "latents", 0, ATM_DIMS(1, LATENT_T, LATENT_F, c.latent_channels));
    atm_output(p, "mel", atm_vae_decode(p, &c, z));
}

static void build_vocoder(atm_plan *p)
{
    atm_hifigan_config c = atm_hifigan_config_audioldm2();
    atm_output(p, "waveform", atm_hifigan(p, &c, atm_input(p, "mel", 0, ATM_DIMS(1, FRAMES, MEL))));
}

static void build_image(atm_plan *p)
{
    atm_tensor x = atm_input(p, "pixels", 0, ATM_DIMS(1, 3, 224, 224));
    atm_output(p, "embeds", atm_image_encoder(p, &atm_imagebind_huge, x).unit);
}

static void build_gpt2(atm_plan *p)
{
    atm_output(p, "loa", atm_gpt2(p, &atm_gpt2_small, atm_input(p, "tokens", 0, ATM_DIMS(1, TOKENS, 768)), ATM_NONE));
}

static const struct { const char *name; void (*build)(atm_plan *p); } stage[] = {
    { "unet", build_unet }, { "vae", build_vae }, { "vocoder", build_vocoder }, { "image", build_image }, { "gpt2", build_gpt2 },
};
enum { N_STAGES = sizeof stage / sizeof *stage };

/* ------------------------------------------------------------------ measuring */

typedef struct { bench_time run; double ready, flops, block_mib, weights_mib; } measurement;

static void run_plan(void *plan)
{
    if (atm_plan_run(plan) != ATM_OK) fprintf(stderr, "%s\n", atm_error());
}

static atm_status measure(atm_device *device, int s, double seconds, bool profile, measurement *out)
{
    atm_status status = ATM_OK;
    atm_plan *p = NULL;
    random_weights weights = { .source.find = random_param, .state = 1 };
    TRY(atm_plan_create(device, &p));
    atm_plan_params(p, &weights.source);
    stage[s].build(p);
    double start = atm_seconds();
    TRY(atm_plan_finish(p, (atm_plan_options){ .profile = profile }));
    out->ready = atm_seconds() - start;
    out->run = bench_median(run_plan, p, 3, seconds);
    atm_plan_stats stats = atm_plan_get_stats(p);
    out->flops = stats.flops;
    out->block_mib = (double)stats.block_bytes / 0x1p20;
    out->weights_mib = (double)stats.param_bytes / 0x1p20;
    if (profile) atm_plan_print_profile(p, stdout);
done:
    atm_plan_destroy(p);
    atm_device_forget(device, NULL, SIZE_MAX);
    atm_arena_free(&weights.arena);
    return status;
}

/* Seconds of each stage as the rival reports them; 0: not reported. */
static void ask_rival(const char *command, int threads, double seconds[N_STAGES])
{
    char line[512], name[64];
    double value;
    snprintf(line, sizeof line, "%s %d", command, threads);
    FILE *f = popen(line, "r");
    while (f && fgets(line, sizeof line, f))
        for (int s = 0; s < N_STAGES; s++)
            if (sscanf(line, "%63s %lf", name, &value) == 2 && strcmp(name, stage[s].name) == 0) seconds[s] = value;
    if (f) pclose(f);
}

/* "cpu %" divides by the time the cores really worked for us: what "% peak" would
 * be on an idle machine, if nothing waits for memory or for another thread. */
static void print_row(const char *name, const measurement *m, double rival, const bench_machine *machine)
{
    double gflop = 1e-9 * m->flops, gflops = gflop / m->run.wall;
    printf("%-8s %9.3f %9.1f %9.1f %7.1f %7.1f %9.2f %9.0f %9.0f", name, m->run.wall, gflop, gflops,
           100 * gflops / machine->peak_gflops, 100 * gflop / m->run.cpu * machine->threads / machine->peak_gflops, m->ready,
           m->block_mib, m->weights_mib);
    if (rival > 0) printf(" %9.3f %7.2fx", rival, rival / m->run.wall);
    printf("\n");
}

static bool wanted(int argc, char **argv, int first, const char *name)
{
    for (int i = first; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return first == argc;
}

int main(int argc, char **argv)
{
    int threads = 0, at = 1;
    double seconds = 5, rival[N_STAGES] = { 0 };
    const char *command = NULL, *backend = "cpu";
    bool profile = false;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--profile") == 0) profile = true;
        else if (at + 1 == argc) break;
        else if (strcmp(argv[at], "--threads") == 0) threads = atoi(argv[++at]);
        else if (strcmp(argv[at], "--seconds") == 0) seconds = atof(argv[++at]);
        else if (strcmp(argv[at], "--backend") == 0) backend = argv[++at];
        else if (strcmp(argv[at], "--rival") == 0) command = argv[++at];
        else break;
    }
    atm_device *device = NULL;
    if ((at < argc && argv[at][0] == '-') || atm_device_open(backend, threads, &device) != ATM_OK) {
        fprintf(stderr, "usage: bench_generate [--threads N] [--seconds S] [--backend B] [--profile] [--rival COMMAND] [stage ...]\n%s\n", atm_error());
        return ATM_E_USAGE;
    }
    bench_machine machine = bench_measure_machine(device->pool);
    bench_print_machine(&machine, stdout);
    if (command) ask_rival(command, machine.threads, rival);
    printf("%-8s %9s %9s %9s %7s %7s %9s %9s %9s %9s %8s\n", "stage", "s", "GFLOP", "GFLOP/s", "% peak", "cpu %", "ready s",
           "block MiB", "wts MiB", "rival s", "ratio");
    for (int s = 0; s < N_STAGES; s++) {
        measurement m = { 0 };
        if (!wanted(argc, argv, at, stage[s].name)) continue;
        if (measure(device, s, seconds, profile, &m) != ATM_OK) fprintf(stderr, "%s: %s\n", stage[s].name, atm_error());
        else print_row(stage[s].name, &m, rival[s], &machine);
        fflush(stdout);
    }
    atm_device_close(device);
    return 0;
}
