/* test_train_memory.c - checkpoints and model folders, with the n-th allocation failing for
 * n = 1, 2, ... until it passes: each failure is a status, leaks nothing, and costs no
 * checkpoint. */
#define _GNU_SOURCE
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/folder.h"
#include "support/bytes.h"
#include "support/dataset_file.h"
#include "support/fail_malloc.h"
#include "support/hand_stage.h"
#include "support/tiny_model.h"
#include "train/export.h"
#include "train/run_folder.h"

static char run[4300], model_folder[4300];
static atm_stage stage, exported;
static atm_train_state state;
static atm_train_config config;
static atm_model_dir model;

int fsync(int fd) { (void)fd; return 0; }           /* no power cuts here, so no waiting */

static atm_status save(void)
{
    const atm_train_state now = hand_state(12);
    hand_stage_set(&stage, 12);
    return atm_checkpoint_save(run, &stage, &now, "seed: 1\n");
}

static atm_status resume(void) { return atm_checkpoint_resume(run, "latest", &stage, &state); }
static atm_status prune(void) { return atm_checkpoint_prune(run, 1, 0); }

static atm_status lock(void)
{
    atm_run_folder folder;
    TRY_RETURN(atm_run_folder_open(run, &folder));
    atm_run_folder_close(&folder);
    return ATM_OK;
}

static atm_status export(void)
{
    const atm_export_options options = { .dtype = ATM_F16, .config_yaml = "a: \"b\"\n" };
    return atm_export_model(&exported, model_folder, &options);
}

/* Whatever has failed, a run goes on from step 7 or 12, bit for bit. */
static void assert_resumes(const char *name, long n)
{
    if (resume() != ATM_OK) fail_msg("%s: after allocation %ld failing: %s", name, n, atm_error());
    assert_true(state.step == 7 || state.step == 12);
    hand_stage_check(&stage, (int)state.step);
}

/* jansson calls some of its lack of memory a syntax error. */
static bool is_honest(atm_status status)
{
    return status == ATM_OK || status == ATM_E_MEMORY || status == ATM_E_NOINPUT || status == ATM_E_IO ||
           (status == ATM_E_DATA && strstr(atm_error(), ".json:"));
}

/* How often it failed before it passed. */
static int fail_each_allocation(const char *name, atm_status (*work)(void))
{
    int failures = 0;
    if (work() != ATM_OK) fail_msg("%s: %s", name, atm_error());     /* libraries set themselves up */
    for (long n = 1; CAN_FAIL; n++) {
        const long before = live;
        countdown = n;
        const atm_status status = work();
        const bool fired = countdown == 0;
        countdown = 0;
        if (live != before) fail_msg("%s: allocation %ld failing leaks %ld blocks", name, n, live - before);
        if (!fired) break;
        failures += status != ATM_OK;
        if (!is_honest(status))
            fail_msg("%s: allocation %ld failing gives status %d: %s", name, n, status, atm_error());
        assert_resumes(name, n);
    }
    return failures;
}

static void save_step_7(void)
{
    const atm_train_state then = hand_state(7);
    hand_stage_set(&stage, 7);
    assert_int_equal(atm_checkpoint_save(run, &stage, &then, "seed: 1\n"), ATM_OK);
}

static void survives(void **unused)
{
    static const struct { const char *name; atm_status (*work)(void); int least; } c[] = {
        { "save", save, 60 }, { "resume", resume, 30 }, { "prune", prune, 5 }, { "lock", lock, 1 },
        { "export", export, 100 },
    };
    (void)unused;
    save_step_7();
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        const int failures = fail_each_allocation(c[i].name, c[i].work);
        if (CAN_FAIL && failures < c[i].least) fail_msg("%s failed only %d times", c[i].name, failures);
    }
}

/* The stage of `export` trains the adapter of the tiny model, which has a tensor of that name. */
static atm_stage make_exported(void)
{
    atm_stage s = hand_stage_make();
    atm_group_param *p = &s.group[0].param[1];
    s.config = &config;
    s.model = &model;
    s.dataset = dataset_open(scratch_path("data.h5"));
    s.trained[0] = "adapter";
    free(p->name);
    p->name = strdup("adapter.projection1.bias");
    p->count = (size_t)(p->dim[0] = model.config.adapter.hidden_dim);
    return s;
}

static int setup(void **unused)
{
    (void)unused;
    scratch_make();
    snprintf(run, sizeof run, "%s", scratch_path("run"));
    snprintf(model_folder, sizeof model_folder, "%s", scratch_path("model"));
    dataset_write(scratch_path("data.h5"), (dataset_size){ .artworks = 2, .clips = 2, .pairs = 2 });
    assert_int_equal(atm_model_dir_open(tiny_model_path(), &model), ATM_OK);
    config = atm_train_config_default();
    stage = hand_stage_make();
    exported = make_exported();
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    hand_stage_free(&stage);
    hand_stage_free(&exported);
    atm_dataset_close((atm_dataset *)(uintptr_t)exported.dataset);
    atm_model_dir_close(&model);
    atm_folder_remove(run);
    atm_folder_remove(model_folder);
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(survives, setup, teardown) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
