/* cmd_doctor.c - `arttomus doctor`: what this machine can do, and what is missing. */
#include <gnu/libc-version.h>
#include <jansson.h>
#include <jpeglib.h>
#include <png.h>
#include <sndfile.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <webp/decode.h>
#include <yaml.h>
#include <zlib.h>

#include "arttomus/arttomus.h"
#include "cli/commands.h"
#include "cli/measure.h"
#include "cli/terminal.h"
#include "comm/comm.h"
#include "kernels/cpu/cpu.h"
#include "kernels/device.h"

typedef struct {
    cli_common common;
    const char *model;
    int threads;
    bool fast;
} args;

static const args defaults = { 0 };

#define AT(member) offsetof(args, member)
static const cli_option options[] = {
    { "model", 'm', CLI_TEXT, AT(model), .value = "DIR",
      .help = "model to look at (default: the one generate would use)" },
    { "threads", 't', CLI_INT, AT(threads), 1, 1024, .value = "N", .help = "default: one for each core" },
    { "fast", 0, CLI_FLAG, AT(fast), .help = "measure nothing" },
    { 0 }
};

/* One row of the report: "name      text". */
#define ROW(name, ...) (printf("%-14s", name), printf(__VA_ARGS__), putchar('\n'))

/* ------------------------------------------------------------------ machine */

static void print_cpu_name(void)
{
    char line[256] = "";
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "model name", 10)) break;
    if (file) fclose(file);
    const char *colon = strchr(line, ':');
    if (colon) ROW("processor", "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
}

static void print_features(void)
{
    printf("%-14s", "instructions");
#if defined(__x86_64__)
#define FEATURE(name) if (__builtin_cpu_supports(name)) printf("%s ", name)
    FEATURE("sse4.2");
    FEATURE("avx");
    FEATURE("avx2");
    FEATURE("fma");
    FEATURE("avx512f");
    FEATURE("avx512bw");
    FEATURE("avx512vnni");
#undef FEATURE
#endif
    putchar('\n');
    printf("%-14s%s (portable always works)\n", "kernels", atm_cpu_variant(0)->name);
}

static void print_memory(void)
{
    const double page = (double)sysconf(_SC_PAGESIZE);
    ROW("memory", "%s, %s free", cli_bytes_text(page * (double)sysconf(_SC_PHYS_PAGES)),
        cli_bytes_text(page * (double)sysconf(_SC_AVPHYS_PAGES)));
}

static atm_status print_speed(const args *a)
{
    atm_pool *pool;
    TRY_RETURN(atm_pool_create(a->threads, &pool));
    ROW("threads", "%d (of %d cores this process may use)", atm_pool_size(pool), atm_cpu_count());
    if (!a->fast) {
        ROW("arithmetic", "%.0f GFLOP/s, single precision", cli_measure_flops(pool));
        ROW("bandwidth", "%.1f GB/s, copying", cli_measure_bandwidth(pool));
    }
    atm_pool_destroy(pool);
    return ATM_OK;
}

static atm_status print_machine(const args *a)
{
    struct utsname os;
    if (uname(&os) == 0) ROW("system", "%s %s %s", os.sysname, os.release, os.machine);
    print_cpu_name();
    print_features();
    print_memory();
    return print_speed(a);
}

/* ------------------------------------------------------------------ libraries, GPU, model */

/* A library's number 1.2.4 in three bytes. */
static const char *webp_version(void)
{
    static char text[24];
    const int v = WebPGetDecoderVersion();
    snprintf(text, sizeof text, "%d.%d.%d", v >> 16 & 255, v >> 8 & 255, v & 255);
    return text;
}

static void print_libraries(void)
{
#ifdef LIBJPEG_TURBO_VERSION
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
    const char *jpeg = "turbo " TEXT(LIBJPEG_TURBO_VERSION);
#else
    const char *jpeg = "6b or later";
#endif
    ROW("libraries", "libjpeg %s, libpng %s, libwebp %s, zlib %s", jpeg, png_get_libpng_ver(NULL),
        webp_version(),
        zlibVersion());
    ROW("", "%s, jansson %s, libyaml %s, glibc %s", sf_version_string(), jansson_version_str(),
        yaml_get_version_string(),
        gnu_get_libc_version());
}

static void print_gpu(void)
{
    atm_device *device;
    if (atm_device_open("cuda", 1, &device) != ATM_OK) {
        ROW("CUDA", "not used: %s", atm_error());
        return;
    }
    ROW("CUDA", "plugin loaded");
    atm_device_close(device);
}

static void print_mpi(void)
{
    const char *library;
    if (atm_comm_probe("mpi", &library) == ATM_OK) ROW("MPI", "%s: mpirun -np N arttomus train ...", library);
    else ROW("MPI", "not used: %s", atm_error());
}

static atm_status print_model(const args *a)
{
    const atm_open_options how = { .size = sizeof how, .backend = "cpu", .threads = a->threads };
    atm_info info = { .size = sizeof info };
    atm_model *model;
    const atm_status status = atm_open(a->model, &how, &model);
    if (status != ATM_OK) {
        ROW("model", "cannot be used: %s", atm_error());
        return status;
    }
    atm_get_info(model, &info);
    ROW("model", "%s, %s", *info.folder ? info.folder : "built in", 
        info.trained ? "trained" : "untrained: expect noise");
    atm_close(model);
    return ATM_OK;
}

static atm_status doctor(void *values)
{
    const args *a = values;
    ROW("arttomus", "%s", atm_version());
    TRY_RETURN(print_machine(a));
    print_libraries();
    print_gpu();
    print_mpi();
    return print_model(a);
}

const cli_command cli_doctor = {
    "doctor", "", "report what this machine can do", NULL, options, &defaults, sizeof(args), 0, 0, doctor
};
