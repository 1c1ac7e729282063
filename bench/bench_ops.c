/* bench_ops.c - every op on the shapes of the real model.
 *
 *     bench_ops [--threads N] [--seconds S] [--backend B] [--folder tests/cases] [WORD ...]
 *
 * Runs the lines marked `bench` of the test cases (only those that contain every
 * WORD) and prints per case the median time, GFLOP/s or GB/s with the percentage
 * of what this machine was just measured to do, and the time of each rival that
 * can do the same; `diff` is the largest difference from the first rival's
 * result over the largest result: a benchmark that also verifies.  Rivals run
 * without bias, activation and residual, which are in our time but not in theirs;
 * the comparison of results leaves such cases out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "rivals.h"
#include "support/op_instance.h"

typedef struct {
    bench_machine machine;
    atm_device *device;
    double seconds;
} bench;

static void run_instance(void *instance) { op_instance_compute(instance); }

typedef struct { const rival *r; rival_problem *p; } rival_run;
static void run_rival(void *x) { ((rival_run *)x)->r->run(((rival_run *)x)->p); }

/* The plain product, with nothing fused: what a rival computes. */
static bool is_plain(const op_case *c)
{
    if (c->op == ATM_OP_linear) return !c->args.linear.b.id && !c->args.linear.r.id;
    if (c->op == ATM_OP_conv2d) return !c->args.conv2d.b.id && !c->args.conv2d.e.id && !c->args.conv2d.r.id;
    return false;
}

static double difference(const float *a, const float *b, size_t n)
{
    double worst = 0, top = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - b[i]));
        top = fmax(top, fabs((double)b[i]));
    }
    return top > 0 ? worst / top : worst;
}

static void compare(const op_instance *x, const rival *r, rival_problem *p)
{
    atm_tensor y = x->args.t[atm_op_table[x->c->op].n_in];
    float *theirs = malloc(atm_count(y) * sizeof *theirs);
    if (theirs) {
        r->result(p, theirs);
        printf("  diff %.1e", difference(y.data, theirs, atm_count(y)));
    }
    free(theirs);
}

static void bench_rivals(const bench *b, const op_instance *x, double ours)
{
    for (int i = 0; rivals[i]; i++) {
        rivals[i]->set_threads(b->machine.threads);
        rival_run run = { rivals[i], rivals[i]->prepare(x->c->op, &x->args) };
        if (!run.p) continue;
        double theirs = bench_median(run_rival, &run, 5, b->seconds).wall;
        printf("  %s %.3f ms %.2fx", rivals[i]->name, 1e3 * theirs, theirs / ours);
        if (is_plain(x->c)) compare(x, rivals[i], run.p);
        rivals[i]->release(run.p);
    }
}

static void print_speed(const bench *b, const op_instance *x, double seconds)
{
    double flops = atm_op_flops(x->c->op, &x->args), bytes = atm_op_bytes(x->c->op, &x->args);
    if (flops > 0) printf("%9.3f ms %8.1f GFLOP/s %5.1f %%", 1e3 * seconds, 1e-9 * flops / seconds,
                          100e-9 * flops / seconds / b->machine.peak_gflops);
    else printf("%9.3f ms %8.1f GB/s    %5.1f %%", 1e3 * seconds, 1e-9 * bytes / seconds,
                100e-9 * bytes / seconds / b->machine.copy_gbs);
}

static atm_status bench_case(const bench *b, op_case *c)
{
    atm_status status = ATM_OK;
    op_instance x = { 0 };
    TRY(op_case_fill(c, 1));
    TRY(op_instance_open(c, b->device, (op_variant){ 0 }, &x));
    double seconds = bench_median(run_instance, &x, 5, b->seconds).wall;
    print_speed(b, &x, seconds);
    bench_rivals(b, &x, seconds);
    printf("  | %s\n", c->line);
    fflush(stdout);
done:
    op_instance_close(&x);
    op_case_free(c);
    return status;
}

static bool wanted(const op_case *c, int n, char **word)
{
    for (int i = 0; i < n; i++)
        if (!strstr(c->line, word[i])) return false;
    return c->bench;
}

int main(int argc, char **argv)
{
    int threads = 0, at = 1;
    const char *backend = "cpu", *folder = ATM_SOURCE_DIR "/tests/cases";
    bench b = { .seconds = 0.5 };
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (strcmp(argv[at], "--threads") == 0) threads = atoi(argv[at + 1]);
        else if (strcmp(argv[at], "--seconds") == 0) b.seconds = atof(argv[at + 1]);
        else if (strcmp(argv[at], "--backend") == 0) backend = argv[at + 1];
        else if (strcmp(argv[at], "--folder") == 0) folder = argv[at + 1];
        else break;
    }
    op_case_list list = { 0 };
    if (atm_device_open(backend, threads, &b.device) != ATM_OK || op_cases_load(folder, &list) != ATM_OK) {
        fprintf(stderr, "%s\n", atm_error());
        return ATM_E_USAGE;
    }
    b.machine = bench_measure_machine(b.device->pool);
    bench_print_machine(&b.machine, stdout);
    for (int i = 0; i < list.n; i++)
        if (wanted(&list.item[i], argc - at, argv + at) && bench_case(&b, &list.item[i]) != ATM_OK)
            printf("%s | %s\n", atm_error(), list.item[i].line);
    atm_device_close(b.device);
    return 0;
}
