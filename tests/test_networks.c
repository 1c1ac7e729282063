/* test_networks.c - every network against the reference implementation.
 *
 * tests/fixtures/networks/NAME/ holds a tiny random model as diffusers or
 * transformers saved it, and problems io*.safetensors, each naming its component:
 * inputs, outputs and gradients in double precision (scripts/make_fixtures.py).
 * Adding a folder is adding a test.
 *
 * Bounds, relative to the largest element: 1e-10 in double, forward and
 * gradients; 1e-5 in single, forward.  How far rounding moves gradients in single is
 * a property of the network: the worst of the plain loops says it, and ten times that is
 * allowed (two orders of summation differ by luck, here by 3; a wrong rule by 1000). */
#include "support/support.h"

#include <glob.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/component.h"

static const double DOUBLE_BOUND = 1e-10, SINGLE_BOUND = 1e-5, GRADIENT_FACTOR = 10;
static const double ZERO = 1e-12;       /* times the largest gradient of a problem: rounding of a zero */
enum { MAX_GRADS = 2048 };

typedef struct {
    char path[4096], folder[4096];
    char label[256];                    /* "unet/io_odd" */
    atm_tensor_file *file;
    const char *component;
    double largest_gradient;
    const char *grad[MAX_GRADS + 1];    /* as atm_component_request wants them */
} problem;

/* ------------------------------------------------------------------ problems */

static void open_problem(const char *path, problem *p)
{
    *p = (problem){ 0 };
    snprintf(p->path, sizeof p->path, "%s", path);
    snprintf(p->folder, sizeof p->folder, "%s", path);
    dirname(p->folder);
    snprintf(p->label, sizeof p->label, "%s", strstr(path, "networks/") + strlen("networks/"));
    assert_int_equal(atm_tensor_file_open(path, &p->file), ATM_OK);
    p->component = atm_tensor_file_metadata(p->file, "component");
    assert_non_null(p->component);
    int n = 0;
    for (size_t i = 0; i < atm_tensor_file_count(p->file); i++) {
        const char *name = atm_tensor_file_at(p->file, i)->name;
        if (strncmp(name, "grad.", 5) != 0) continue;
        assert_true(n < MAX_GRADS);
        p->grad[n++] = name + 5;
    }
}

static void run(const problem *p, const char *backend, atm_plan_options options, atm_tensor_file **out)
{
    char path[4096];
    atm_device *device;
    snprintf(path, sizeof path, "%s/networks_out.safetensors", ATM_BINARY_DIR);
    assert_int_equal(atm_device_open(backend, 1, &device), ATM_OK);
    const atm_status status = atm_component_run(device, &(atm_component_request){
        .component = p->component, .weights = p->folder, .inputs = p->path, .outputs = path,
        .grad = p->grad, .options = options });
    if (status != ATM_OK) fail_msg("%s on %s: %s", p->label, backend, atm_error());
    atm_device_close(device);
    assert_int_equal(atm_tensor_file_open(path, out), ATM_OK);
    remove(path);                       /* the mapping stays */
}

/* ------------------------------------------------------------------ comparing */

static double element(const atm_file_tensor *t, size_t i)
{
    return t->dtype == ATM_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

static size_t count(const atm_file_tensor *t) { return t->bytes / atm_dtype_size(t->dtype); }

static double largest(const atm_file_tensor *t)
{
    double most = 0;
    for (size_t i = 0; i < count(t); i++) most = fmax(most, fabs(element(t, i)));
    return most;
}

/* max |a - b|; infinite where the shapes differ or a number is not one. */
static double distance(const atm_file_tensor *a, const atm_file_tensor *b)
{
    double worst = 0;
    if (!a || a->rank != b->rank) return INFINITY;
    if (memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) != 0) return INFINITY;
    for (size_t i = 0; i < count(b); i++) {
        const double difference = fabs(element(a, i) - element(b, i));
        if (!(difference < INFINITY)) return INFINITY;
        worst = fmax(worst, difference);
    }
    return worst;
}

static bool is_gradient(const char *name) { return strncmp(name, "grad.", 5) == 0; }

static double largest_gradient(const atm_tensor_file *file)
{
    double most = 0;
    for (size_t i = 0; i < atm_tensor_file_count(file); i++) {
        const atm_file_tensor *t = atm_tensor_file_at(file, i);
        if (is_gradient(t->name)) most = fmax(most, largest(t));
    }
    return most;
}

/* Relative to the largest element.  The gradient of an attention's key bias is zero, for it
 * moves all scores of a query alike: what rounding leaves there has no size of its own and
 * is measured by the largest gradient of the problem. */
static double error(const problem *p, const atm_tensor_file *got, const char *name)
{
    const atm_file_tensor *truth = atm_tensor_file_find(p->file, name);
    double unit = largest(truth);
    if (is_gradient(name) && unit < ZERO * p->largest_gradient) unit = p->largest_gradient;
    return distance(atm_tensor_file_find(got, name), truth) / unit;
}

/* The name that `file` must hold because `name` is in the fixture: outputs are those with
 * a single-precision twin. */
static const char *expected_name(const char *name)
{
    if (is_gradient(name)) return name;
    return strncmp(name, "f32.", 4) == 0 ? name + 4 : NULL;
}

typedef struct { double forward, gradient; } worst;

/* Prints what is out of bounds; *bad counts it. */
static worst compare(const problem *p, const char *backend, const atm_tensor_file *got, worst allowed,
                     int *bad)
{
    worst w = { 0, 0 };
    for (size_t i = 0; i < atm_tensor_file_count(p->file); i++) {
        const char *name = expected_name(atm_tensor_file_at(p->file, i)->name);
        if (!name) continue;
        const double e = error(p, got, name), bound = is_gradient(name) ? allowed.gradient : allowed.forward;
        double *most = is_gradient(name) ? &w.gradient : &w.forward;
        *most = fmax(*most, e);
        if (e <= bound) continue;
        print_error("%s on %s: %s is off by %.2e, allowed are %.2e\n", p->label, backend, name, e, bound);
        (*bad)++;
    }
    print_message("%-32s %-6s forward %.1e  gradients %.1e\n", p->label, backend, w.forward, w.gradient);
    return w;
}

static worst check_backend(const problem *p, const char *backend, atm_plan_options options, worst allowed,
                           int *bad)
{
    atm_tensor_file *out;
    run(p, backend, options, &out);
    const worst w = compare(p, backend, out, allowed, bad);
    atm_tensor_file_close(out);
    return w;
}

static int check_problem(const char *path)
{
    problem p;
    int bad = 0;
    const atm_plan_options fast = { 0 }, checked = { .checked = true };
    open_problem(path, &p);
    p.largest_gradient = largest_gradient(p.file);
    check_backend(&p, "ref64", checked, (worst){ DOUBLE_BOUND, DOUBLE_BOUND }, &bad);
    const worst plain = check_backend(&p, "ref", fast, (worst){ SINGLE_BOUND, INFINITY }, &bad);
    check_backend(&p, "cpu", fast, (worst){ SINGLE_BOUND, GRADIENT_FACTOR * plain.gradient }, &bad);
    atm_tensor_file_close(p.file);
    return bad;
}

/* ------------------------------------------------------------------ tests */

static void find_problems(glob_t *found)
{
    assert_int_equal(glob(fixture_path("networks/*/io*.safetensors"), 0, NULL, found), 0);
}

static void networks_agree_with_the_reference(void **state)
{
    (void)state;
    glob_t found;
    int bad = 0;
    find_problems(&found);
    for (size_t i = 0; i < found.gl_pathc; i++) bad += check_problem(found.gl_pathv[i]);
    globfree(&found);
    assert_int_equal(bad, 0);
}

static void every_component_has_a_fixture(void **state)
{
    (void)state;
    glob_t found;
    find_problems(&found);
    for (int k = 0; k < atm_n_components; k++) {
        bool covered = false;
        for (size_t i = 0; i < found.gl_pathc; i++) {
            problem p;
            open_problem(found.gl_pathv[i], &p);
            covered |= strcmp(p.component, atm_components[k].name) == 0;
            atm_tensor_file_close(p.file);
        }
        if (!covered) fail_msg("no fixture for component %s", atm_components[k].name);
    }
    globfree(&found);
}

/* The bits of all results, memory reuse on and off: layout bugs show here. */
static void memory_reuse_changes_nothing(void **state)
{
    (void)state;
    glob_t found;
    find_problems(&found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        problem p;
        atm_tensor_file *a, *b;
        open_problem(found.gl_pathv[i], &p);
        run(&p, "ref", (atm_plan_options){ 0 }, &a);
        run(&p, "ref", (atm_plan_options){ .no_reuse = true }, &b);
        for (size_t k = 0; k < atm_tensor_file_count(a); k++)
            assert_memory_equal(atm_tensor_file_at(a, k)->data, atm_tensor_file_at(b, k)->data,
                                atm_tensor_file_at(a, k)->bytes);
        atm_tensor_file_close(a);
        atm_tensor_file_close(b);
        atm_tensor_file_close(p.file);
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_component_has_a_fixture),
        cmocka_unit_test(networks_agree_with_the_reference),
        cmocka_unit_test(memory_reuse_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
