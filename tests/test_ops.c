/* test_ops.c - every kernel of every backend, every gradient rule.
 *
 *   fixtures    ref64 and ref, and the rules on ref64, against PyTorch's answers
 *   gradients   the rules against finite differences in double
 *   backends    ref, ref64 and each CPU variant: accuracy and the rules of ops.h
 *   faults      each check is shown a backend with one fault, and must see it
 *   complete    no op lacks a kernel, a rule, a fixture or a case
 *   classes     cross_entropy of an index that is no class: NaN, and nothing is read
 *   refusals    what the builders of losses do not take, and what they say
 *
 * The problems are the lines of tests/cases.  A failure prints its line; to run
 * that line alone:       ATM_CASE='linear shape=3x5 out=7' build/.../test_ops
 * Other seed: ATM_SEED=7.  The model's real sizes too (minutes): ATM_BENCH_CASES=1. */
#include "support/support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "support/op_fault.h"
#include "support/op_fixture.h"
#include "support/op_gradient.h"
#include "support/plan_fixture.h"

enum { MAX_SUBJECTS = 6, N_REFERENCES = 2, MAX_GRADIENT_SIZE = 20000 };

static op_case_list cases;
static uint64_t seed = 1;
static atm_device *ref, *ref64;
static op_subject subject[MAX_SUBJECTS];
static int n_subjects;

static void fail_line(int *failures, const char *who, const char *line, const char *text)
{
    print_error("%s: %s\n    ATM_SEED=%llu ATM_CASE='%s'\n", who, text, (unsigned long long)seed, line);
    ++*failures;
}

/* ------------------------------------------------------------------ setup */

static void load_one(const char *line)
{
    cases = (op_case_list){ calloc(1, sizeof(op_case)), 1 };
    const char *error = op_case_parse(line, cases.item);
    if (error) print_error("%s: %s\n", line, error);
    assert_null(error);
}

static void drop_bench_cases(void)
{
    int kept = 0;
    for (int i = 0; i < cases.n; i++)
        if (!cases.item[i].bench) cases.item[kept++] = cases.item[i];
    cases.n = kept;
}

static int setup(void **state)
{
    const char *line = getenv("ATM_CASE"), *other_seed = getenv("ATM_SEED");
    (void)state;
    if (other_seed) seed = strtoull(other_seed, NULL, 10);
    if (line) load_one(line);
    else must(op_cases_load(ATM_SOURCE_DIR "/tests/cases", &cases));
    if (!line && !getenv("ATM_BENCH_CASES")) drop_bench_cases();
    for (int i = 0; i < cases.n; i++) must(op_case_fill(&cases.item[i], seed));
    must(atm_device_open("ref", 2, &ref));
    must(atm_device_open("ref64", 2, &ref64));
    must(op_subject_open("ref64", NULL, &subject[n_subjects++]));
    must(op_subject_open("ref", NULL, &subject[n_subjects++]));
    for (int i = 0; atm_cpu_variant(i) && n_subjects < MAX_SUBJECTS; i++)
        must(op_subject_open(atm_cpu_variant(i)->name, atm_cpu_variant(i), &subject[n_subjects++]));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < n_subjects; i++) op_subject_close(&subject[i]);
    atm_device_close(ref);
    atm_device_close(ref64);
    op_cases_free(&cases);
    return 0;
}

/* ------------------------------------------------------------------ fixtures */

/* Largest difference in units of the largest element; infinite when not a number. */
static double relative_error(const double *x, const double *y, size_t n)
{
    double error = 0, size = 0x1p-1000;
    for (size_t i = 0; i < n; i++) {
        size = fmax(size, fabs(y[i]));
        if (!(fabs(x[i] - y[i]) <= error)) error = isnan(x[i]) ? INFINITY : fabs(x[i] - y[i]);
    }
    return error / size;
}

/* Compares slot `slot` of the answer with the file's tensor "prefix" + name. */
static void compare(const op_fixture *f, const char *prefix, int slot, const double *x, double limit,
                    const char *who, int *failures)
{
    char text[128];
    double *answer = op_fixture_read(f, prefix, slot);
    double error = answer ? relative_error(x, answer, atm_count(f->c.args.t[slot])) : 0;
    snprintf(text, sizeof text, "%s%s: relative error %.3g, allowed %.3g", prefix,
             op_slot_of(f->c.op, slot).name, error, limit);
    if (!(error <= limit)) fail_line(failures, who, f->c.line, text);
    free(answer);
}

static void compare_outputs(const op_fixture *f, atm_device *device, double limit, int *failures)
{
    op_instance x;
    must(op_instance_open(&f->c, device, (op_variant){ 0 }, &x));
    op_instance_run(&x);
    for (int i = atm_op_table[f->c.op].n_in; i < op_n_slots(f->c.op); i++) {
        if (!atm_present(x.args.t[i])) continue;
        double *y = malloc(atm_count(x.args.t[i]) * sizeof *y);
        assert_non_null(y);
        op_instance_read(&x, i, y);
        compare(f, "", i, y, limit, device->backend->name, failures);
        free(y);
    }
    op_instance_close(&x);
}

static void compare_gradients(const op_fixture *f, int *failures)
{
    double *grad[ATM_MAX_OP_TENSORS], *dy = op_fixture_read(f, "d", atm_op_table[f->c.op].n_in);
    if (!dy || !atm_op_table[f->c.op].has_gradient) { free(dy); return; }
    must(op_gradients(&f->c, ref64, dy, grad));
    for (int i = 0; i < ATM_MAX_OP_TENSORS; i++) {
        if (grad[i]) compare(f, "d", i, grad[i], 1e-10, "gradient rule", failures);
        free(grad[i]);
    }
    free(dy);
}

/* In float a result of order one carries the rounding of its inputs' sums: some
 * 2^-24 a term, random in sign, over at most a few hundred terms; sizes up to
 * 100 (group_norm-offset) lose as many digits again. */
static double float_limit(const op_fixture *f)
{
    double size = 1;
    size_t n = atm_count(f->c.args.t[0]);
    for (size_t i = 0; i < n; i++) size = fmax(size, fabs(f->c.value[0][i]));
    return 16 * 0x1p-24 * size;
}

static int is_fixture(const struct dirent *entry) { return strstr(entry->d_name, ".safetensors") != NULL; }

static int list_fixtures(struct dirent ***entry)
{
    int n = scandir(fixture_path("ops"), entry, is_fixture, alphasort);
    assert_true(n > 0);
    return n;
}

static void test_fixtures(void **state)
{
    struct dirent **entry;
    int failures = 0, n = list_fixtures(&entry);
    (void)state;
    for (int i = 0; i < n; i++) {
        char name[300];
        op_fixture f;
        snprintf(name, sizeof name, "ops/%s", entry[i]->d_name);
        must(op_fixture_open(fixture_path(name), &f));
        compare_outputs(&f, ref64, 1e-10, &failures);
        compare_outputs(&f, ref, float_limit(&f), &failures);
        compare_gradients(&f, &failures);
        op_fixture_close(&f);
        free(entry[i]);
    }
    free(entry);
    assert_int_equal(failures, 0);
}

/* ------------------------------------------------------------------ gradients */

static bool small_enough(const op_case *c)
{
    double size = atm_op_flops(c->op, &c->args);
    for (int i = 0; i < op_n_slots(c->op); i++)
        if (atm_present(c->args.t[i])) size += 8.0 * (double)atm_count(c->args.t[i]);
    return size < 8.0 * MAX_GRADIENT_SIZE;
}

static void test_gradients(void **state)
{
    int failures = 0, tried[ATM_OP_COUNT] = { 0 };
    char text[OP_MESSAGE];
    (void)state;
    for (int i = 0; i < cases.n; i++) {
        const op_case *c = &cases.item[i];
        if (!atm_op_table[c->op].has_gradient || !small_enough(c)) continue;
        if (!op_check_gradient(c, ref64, seed, 1, text)) fail_line(&failures, "gradient", c->line, text);
        if (!tried[c->op]++ && op_check_gradient(c, ref64, seed, 1.01, text))
            fail_line(&failures, "gradient", c->line, "a gradient 1 % too large is not noticed");
    }
    for (int op = 0; op < ATM_OP_COUNT && !getenv("ATM_CASE"); op++)
        if (atm_op_table[op].has_gradient && tried[op] < 3)
            fail_line(&failures, "gradient", atm_op_table[op].name, "fewer than 3 small cases");
    assert_int_equal(failures, 0);
}

/* ------------------------------------------------------------------ backends */

static void test_backends(void **state)
{
    int failures = 0;
    char text[OP_MESSAGE];
    (void)state;
    for (int i = 0; i < cases.n; i++) {
        const op_case *c = &cases.item[i];
        op_truth truth;
        must(op_truth_make(c, ref, ref64, &truth));
        for (int s = c->bench ? N_REFERENCES : 0; s < n_subjects; s++)
            if (!op_check(c, &truth, &subject[s], text)) fail_line(&failures, subject[s].name, c->line, text);
        op_truth_free(&truth);
    }
    assert_int_equal(failures, 0);
}

/* ------------------------------------------------------------------ faults */

static void expect_noticed(const op_case *c, const op_truth *truth, op_subject *s, int slot, op_fault fault,
                           int *failures)
{
    char text[OP_MESSAGE];
    const atm_backend *sound = s->device[0]->backend;
    const atm_backend *faulty = op_faulty_backend(sound, c->op, slot, fault);
    for (int i = 0; i < OP_POOLS; i++) s->device[i]->backend = faulty;
    if (op_check(c, truth, s, text)) {
        snprintf(text, sizeof text, "not noticed in %s: %s", op_slot_of(c->op, slot).name,
                 op_fault_names[fault]);
        fail_line(failures, "fault", c->line, text);
    }
    for (int i = 0; i < OP_POOLS; i++) s->device[i]->backend = sound;
}

/* Every op, every output, every fault; on the last case of the op that has the output. */
static void test_faults(void **state)
{
    int failures = 0;
    bool seen[ATM_OP_COUNT][ATM_MAX_OP_TENSORS] = { { false } };
    op_subject *s = &subject[n_subjects - 1];
    (void)state;
    if (getenv("ATM_CASE")) skip();         /* a result that is all 0 hides 1 % of it */
    for (int i = cases.n - 1; i >= 0; i--) {
        const op_case *c = &cases.item[i];
        op_truth truth;
        must(op_truth_make(c, ref, ref64, &truth));
        for (int slot = atm_op_table[c->op].n_in; slot < op_n_slots(c->op); slot++) {
            if (!atm_present(c->args.t[slot]) || seen[c->op][slot]) continue;
            seen[c->op][slot] = true;
            for (int fault = 0; fault < OP_FAULT_COUNT; fault++)
                expect_noticed(c, &truth, s, slot, (op_fault)fault, &failures);
        }
        op_truth_free(&truth);
    }
    assert_int_equal(failures, 0);
}

/* ------------------------------------------------------------------ bad classes */

/* Row 1 of 2 has the bad class; row 0 of dx (slot 3) stays sound. */
static void expect_nan(const op_subject *s, const char *line, int slot, double bad, int *failures)
{
    op_case c;
    op_instance x;
    double y[2 * 5];
    assert_null(op_case_parse(line, &c));
    must(op_case_fill(&c, seed));
    c.value[1][1] = bad;
    must(op_instance_open(&c, s->device[1], (op_variant){ 0 }, &x));
    op_instance_run(&x);
    op_instance_read(&x, slot, y);
    const bool seen = isnan(y[atm_count(c.args.t[slot]) - 1]), spread = slot == 3 && isnan(y[0]);
    if (!seen) fail_line(failures, s->name, line, "a bad class is not seen");
    if (spread) fail_line(failures, s->name, line, "a bad class spoils another row");
    op_instance_close(&x);
    op_case_free(&c);
}

static void test_classes(void **state)
{
    static const double bad[] = { -1, 5, INT32_MAX, INT32_MIN };
    int failures = 0;
    (void)state;
    for (int s = 0; s < n_subjects; s++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            expect_nan(&subject[s], "cross_entropy shape=2x5", 2, bad[i], &failures);
            expect_nan(&subject[s], "cross_entropy_dx shape=2x5", 3, bad[i], &failures);
        }
    assert_int_equal(failures, 0);
}

/* ------------------------------------------------------------------ refusals */

static atm_tensor input(atm_plan *p, int rows, int columns)
{
    return atm_input(p, "x", ATM_INPUT_GRAD, 2, (int[]){ rows, columns });
}

static void log_without_floor(atm_plan *p)  { atm_activate(p, input(p, 2, 3), ATM_ACT_LOG, 0); }
static void linear_without_floor(atm_plan *p)
{
    const atm_linear_options log = { .act = ATM_ACT_LOG, .slope = -1 };
    atm_linear(p, input(p, 2, 3), input(p, 4, 3), ATM_NONE, log);
}
static void odd_magnitude(atm_plan *p)      { atm_magnitude(p, input(p, 2, 3), 1e-6); }
static void bare_magnitude(atm_plan *p)     { atm_magnitude(p, input(p, 2, 4), 0); }
static void l1_of_shapes(atm_plan *p)       { atm_l1(p, input(p, 2, 3), input(p, 2, 4), ATM_NONE); }
static void l1_of_weights(atm_plan *p)      { atm_l1(p, input(p, 2, 3), input(p, 2, 3), input(p, 3, 1)); }
static void kl_of_shapes(atm_plan *p)       { atm_kl(p, input(p, 2, 3), input(p, 3, 3)); }
static void mix_of_shapes(atm_plan *p)      { atm_mix(p, input(p, 4, 3), input(p, 2, 3), input(p, 4, 2)); }
static void mix_of_coefs(atm_plan *p)       { atm_mix(p, input(p, 4, 3), input(p, 4, 3), input(p, 4, 1)); }
static void noise_of_shapes(atm_plan *p) { atm_posterior(p, input(p, 2, 3), input(p, 2, 3), input(p, 2, 1)); }
static void float_classes(atm_plan *p)      { atm_cross_entropy(p, input(p, 2, 3), input(p, 2, 1)); }
static void spectral_target(atm_plan *p)
{
    atm_tensor loss = atm_spectral_convergence(p, input(p, 2, 3), input(p, 2, 3));
    atm_plan_backward(p, 1, &loss, (atm_tensor[]){ atm_input(p, "d", 0, 1, (int[]){ 1 }) });
}
static void noise_gradient(atm_plan *p)
{
    atm_tensor z = atm_posterior(p, input(p, 2, 3), input(p, 2, 3), input(p, 2, 3));
    atm_plan_backward(p, 1, &z, (atm_tensor[]){ input(p, 2, 3) });
}

static const struct { void (*build)(atm_plan *p); const char *says; } refusal[] = {
    { log_without_floor, "log: the floor (slope) is 0" },
    { linear_without_floor, "log: the floor (slope) is -1" },
    { odd_magnitude, "magnitude: [2, 3]" }, { bare_magnitude, "magnitude: eps is 0" },
    { l1_of_shapes, "l1: x is [2, 3], target [2, 4]" }, { l1_of_weights, "l1: weight is [3, 1]" },
    { kl_of_shapes, "kl: mean is [2, 3], logvar [3, 3]" }, { mix_of_shapes, "mix: a is [4, 3], b [2, 3]" },
    { mix_of_coefs, "mix: a is [4, 3], coef [4, 1]" }, { noise_of_shapes, "posterior: mean is [2, 3]" },
    { float_classes, "cross_entropy: x is [2, 3], index not I32" },
    { spectral_target, "spectral_convergence: there is no gradient by its target" },
    { noise_gradient, "posterior: there is no gradient by its noise" },
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusal / sizeof *refusal; i++) {
        atm_plan *p;
        must(atm_plan_create(ref64, &p));
        refusal[i].build(p);
        assert_int_equal(atm_plan_finish(p, (atm_plan_options){ 0 }), ATM_E_DATA);
        const bool said = strstr(atm_error(), refusal[i].says) != NULL;
        if (!said) print_error("'%s' lacks '%s'\n", atm_error(), refusal[i].says);
        assert_true(said);
        atm_plan_destroy(p);
    }
}

/* ------------------------------------------------------------------ completeness */

static bool has_fixture(atm_op op)
{
    struct dirent **entry;
    char prefix[64];
    bool found = false;
    int n = list_fixtures(&entry);
    snprintf(prefix, sizeof prefix, "%s-", atm_op_table[op].name);
    for (int i = 0; i < n; i++) {
        found |= strncmp(entry[i]->d_name, prefix, strlen(prefix)) == 0;
        free(entry[i]);
    }
    free(entry);
    return found;
}

static int n_cases(atm_op op)
{
    int n = 0;
    for (int i = 0; i < cases.n; i++) n += cases.item[i].op == op;
    return n;
}

/* Gradient ops are compared with PyTorch through the rules; copy is the identity,
 * sampler_step is compared by the schedulers' fixtures. */
static bool needs_fixture(atm_op op)
{
    return op == op_forward_of(op) && op != ATM_OP_copy && op != ATM_OP_sampler_step;
}

/* Rules need no check here: the program does not link without rule_NAME. */
static void test_complete(void **state)
{
    int failures = 0;
    (void)state;
    if (getenv("ATM_CASE")) skip();
    for (int i = 0; i < ATM_OP_COUNT; i++) {
        atm_op op = (atm_op)i;
        const char *name = atm_op_table[op].name;
        for (int s = 0; s < n_subjects; s++)
            if (!subject[s].device[0]->backend->kernel[op].run)
                fail_line(&failures, subject[s].name, name, "no kernel");
        if (n_cases(op) == 0) fail_line(&failures, "complete", name, "no case");
        if (needs_fixture(op) && !has_fixture(op)) fail_line(&failures, "complete", name, "no fixture");
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete), cmocka_unit_test(test_fixtures), cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_backends), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_classes), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
