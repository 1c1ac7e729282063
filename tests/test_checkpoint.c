/* test_checkpoint.c - what is saved comes back bit for bit; whatever fails or is damaged, the
 * checkpoint before is whole and is the one that a run goes on from.
 *
 * With one argument, a folder, it writes the golden checkpoint there. */
#define _GNU_SOURCE
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arttomus/log.h"
#include "io/folder.h"
#include "support/bytes.h"
#include "support/hand_stage.h"
#include "train/manifest.h"
#include "train/run_folder.h"

/* ------------------------------------------------------------------ faults */

/* These take the C library's place in this program; the n-th call fails. */
typedef enum { WRITE, FSYNC, RENAME, EXCHANGE, MKDIR, CALLS } call;
static int countdown[CALLS];            /* 1: the next call fails; 0: none */
static int reason;

static bool fails(call c)
{
    if (!countdown[c] || --countdown[c]) return false;
    errno = reason;
    return true;
}

ssize_t write(int fd, const void *data, size_t n) { return fails(WRITE) ? -1 : syscall(SYS_write, fd, data, n); }
int fsync(int fd) { (void)fd; return fails(FSYNC) ? -1 : 0; }       /* no power cuts here, so no waiting */
int mkdir(const char *path, mode_t mode) { return fails(MKDIR) ? -1 : (int)syscall(SYS_mkdir, path, mode); }

int rename(const char *from, const char *to)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return fails(EXCHANGE) ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

/* ------------------------------------------------------------------ runs in a scratch folder */

static const char yaml[] = "stage: \"vocoder\"\n";
static char run[4200], last_warning[8192];
static int warnings;

static void note_warning(atm_log_level level, const char *text, void *user)
{
    (void)user;
    if (level != ATM_LOG_WARNING) return;
    warnings++;
    snprintf(last_warning, sizeof last_warning, "%s", text);
}

static int make_run(void **state)
{
    (void)state;
    memset(countdown, 0, sizeof countdown);
    warnings = 0;
    last_warning[0] = '\0';
    scratch_make();
    snprintf(run, sizeof run, "%s", scratch_path("run"));
    atm_log_to(note_warning, NULL);
    return 0;
}

static int remove_run(void **state)
{
    (void)state;
    memset(countdown, 0, sizeof countdown);
    atm_log_to(NULL, NULL);
    atm_folder_remove(run);
    scratch_remove();
    return 0;
}

static atm_status save(int step)
{
    atm_stage stage = hand_stage_make();
    const atm_train_state state = hand_state(step);
    hand_stage_set(&stage, step);
    const atm_status status = atm_checkpoint_save(run, &stage, &state, yaml);
    hand_stage_free(&stage);
    return status;
}

static void must_save(int step)
{
    if (save(step) != ATM_OK) fail_msg("%s", atm_error());
}

/* Resumes, and looks at every number. */
static void assert_resumes(const char *which, int step)
{
    atm_stage stage = hand_stage_make();
    atm_train_state state;
    const atm_train_state expected = hand_state(step);
    if (atm_checkpoint_resume(run, which, &stage, &state) != ATM_OK) fail_msg("%s", atm_error());
    assert_memory_equal(&state, &expected, sizeof state);
    hand_stage_check(&stage, step);
    hand_stage_free(&stage);
}

static atm_status try_resume(const char *which)
{
    atm_stage stage = hand_stage_make();
    atm_train_state state;
    const atm_status status = atm_checkpoint_resume(run, which, &stage, &state);
    hand_stage_free(&stage);
    return status;
}

/* "RUN/checkpoints/NAME" */
static const char *in_run(const char *name)
{
    static char path[4][8192];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/checkpoints/%s", run, name);
    return out;
}

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

static int count_entries(const char *path)
{
    char command[8300];
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", path);
    FILE *p = popen(command, "r");
    int n = -1;
    assert_int_equal(fscanf(p, "%d", &n), 1);
    pclose(p);
    return n;
}

/* ------------------------------------------------------------------ saving and resuming */

static void comes_back_bit_for_bit(void **state)
{
    (void)state;
    must_save(7);
    must_save(12);
    assert_resumes("latest", 12);
    assert_resumes("step_00000007", 7);
    assert_resumes(in_run("step_00000007"), 7);
    assert_int_equal(count_entries(in_run("")), 2);
    assert_int_equal(count_entries(in_run("step_00000012")), 5);
    assert_int_equal(warnings, 0);
}

static void the_newest_is_that_of_the_greatest_step(void **state)
{
    (void)state;
    must_save(100000000);
    must_save(99999999);
    assert_resumes("latest", 100000000);
}

static void begins_anew_when_nothing_was_saved(void **state)
{
    (void)state;
    atm_stage stage = hand_stage_make();
    atm_train_state s = { .dataset = "as given" };
    assert_int_equal(atm_checkpoint_resume(run, "latest", &stage, &s), ATM_OK);
    assert_int_equal(s.step, 0);
    assert_string_equal(s.dataset, "as given");
    hand_stage_free(&stage);
    assert_int_equal(try_resume("step_00000001"), ATM_E_DATA);
}

static void replaces_the_same_step(void **state)
{
    (void)state;
    must_save(7);
    write_bytes(in_run("step_00000007/group1.safetensors"), "x", 1);
    must_save(7);
    assert_resumes("latest", 7);
    assert_int_equal(count_entries(in_run("")), 1);
}

/* File systems on which two folders cannot change places. */
static void replaces_without_exchange(void **state)
{
    (void)state;
    must_save(7);
    countdown[EXCHANGE] = 1;
    reason = EINVAL;
    must_save(7);
    assert_int_equal(countdown[EXCHANGE], 0);
    assert_resumes("latest", 7);
    assert_int_equal(count_entries(in_run("")), 1);
}

static void saves_no_nan(void **state)
{
    (void)state;
    atm_stage stage = hand_stage_make();
    const atm_train_state s = hand_state(9);
    static const float broken[] = { __builtin_nanf(""), __builtin_inff(), -__builtin_inff() };
    must_save(7);
    for (int i = 0; i < 3; i++) {
        hand_stage_set(&stage, 9);
        stage.group[1].v[70] = broken[i];
        assert_int_equal(atm_checkpoint_save(run, &stage, &s, yaml), ATM_E_DATA);
        assert_non_null(strstr(atm_error(), "v of net.first.bias holds NaN"));
        assert_int_equal(count_entries(in_run("")), 1);
    }
    stage.group[1].v[70] = 0;
    stage.group[1].p[60] = broken[0];           /* padding: not a parameter */
    assert_int_equal(atm_checkpoint_save(run, &stage, &s, yaml), ATM_OK);
    hand_stage_free(&stage);
}

/* ------------------------------------------------------------------ what does not fit */

static void refuses_another_run(void **state)
{
    (void)state;
    static const atm_stage_info other = { .name = "vae" };
    atm_stage stage = hand_stage_make();
    atm_train_state s;
    must_save(7);
    const atm_stage_info *info = stage.info;
    stage.info = &other;
    assert_int_equal(atm_checkpoint_resume(run, "latest", &stage, &s), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "is of stage vocoder, this run trains vae"));
    stage.info = info;
    stage.n_groups = 1;
    assert_int_equal(atm_checkpoint_resume(run, "latest", &stage, &s), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "has 2 optimizers"));
    stage.n_groups = 2;
    stage.group[0].ema = NULL;
    assert_int_equal(atm_checkpoint_resume(run, "latest", &stage, &s), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "holds 12 tensors, this run has 9"));
    stage.group[0].ema = stage.group[0].v + HAND_COUNT;
    stage.group[1].param[0].dim[0] = 7;
    stage.group[1].param[0].dim[1] = 8;
    assert_int_equal(atm_checkpoint_resume(run, "latest", &stage, &s), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "p.net.first.weight is F32[7,8] in this run, in the checkpoint F32[8,7]"));
    for (size_t i = 0; i < 5 * HAND_COUNT; i++) assert_true(stage.group[0].p[i] == 0);       /* nothing was filled */
    hand_stage_free(&stage);
}

static void rewrite_state(const char *from, const char *to)
{
    static const char *const files[] = { "state.json", "config.yaml", "group0.safetensors", "group1.safetensors" };
    bytes b = read_bytes(in_run("step_00000007/state.json"));
    bytes_put(&b, "", 1);
    char *at = strstr((char *)b.p, from);
    assert_non_null(at);
    bytes changed = { 0 };
    bytes_put(&changed, b.p, (size_t)(at - (char *)b.p));
    bytes_text(&changed, to);
    bytes_text(&changed, at + strlen(from));
    write_bytes(in_run("step_00000007/state.json"), changed.p, changed.n);
    assert_int_equal(atm_manifest_write(in_run("step_00000007"), files, 4), ATM_OK);
    bytes_free(&b);
    bytes_free(&changed);
}

/* With a manifest that verifies: numbers are checked all the same. */
static void checks_every_number(void **state)
{
    (void)state;
    static const struct { const char *from, *to, *message; } change[] = {
        { "\"version\": 1", "\"version\": 2", "newer version" },
        { "\"version\": 1", "\"version\": 0", "version" },
        { "\"version\": 1", "\"version\": 1.0", "version" },
        { "\"step\": 7", "\"step\": -7", "step" },
        { "\"step\": 7", "\"step\": 7.5", "step" },
        { "\"step\": 7", "\"step\": \"7\"", "step" },
        { "\"step\": 7", "\"steps\": 7", "step" },
        { "\"step\": 7", "\"step\": 99999999999999999999", "integer" },
        { "1007", "-1", "metrics_bytes" },
        { "    6,", "    -6,", "optimizer_steps" },
        { "    6,", "    6, 6,", "3 optimizers" },
        { "2.3333333333333335", "-2", "seconds" },
        { "2.3333333333333335", "1e300", "seconds" },
        { "0123456789abcdef\"", "0123456789abcdef0\"", "dataset" },
        { "\"mel\": ", "\"stft\": ", "sums.mel" },
        { "1.0000000000000001e300", "\"much\"", "sums.grad_norm" },
        { "\"vocoder\"", "7", "stage" },
    };
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        must_save(7);
        rewrite_state(change[i].from, change[i].to);
        assert_int_equal(try_resume("latest"), ATM_E_DATA);
        if (!strstr(atm_error(), change[i].message)) fail_msg("%s: %s", change[i].to, atm_error());
    }
}

/* ------------------------------------------------------------------ damage */

static const char *const file_name[] = { "state.json", "config.yaml", "group0.safetensors", "group1.safetensors",
                                         "manifest.json" };
enum { FILES = sizeof file_name / sizeof *file_name };

static const char *damaged(int file)
{
    char name[100];
    snprintf(name, sizeof name, "step_00000012/%s", file_name[file]);
    return in_run(name);
}

/* In place: ext4 makes a program wait that truncates a file to nothing and writes it anew. */
static void put_bytes(const char *path, const unsigned char *data, size_t n)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, n, 0), n);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    assert_int_equal(close(fd), 0);
}

/* The checkpoint of step 12 is refused by name, and that of step 7 is taken. */
static void assert_passed_over(const char *what)
{
    const int before = warnings;
    assert_resumes("latest", 7);
    if (warnings != before + 1 || !strstr(last_warning, "step_00000012 is not valid"))
        fail_msg("%s: %d warnings, the last: %s", what, warnings - before, last_warning);
    assert_int_equal(try_resume("step_00000012"), ATM_E_DATA);
}

static void refuses_truncated_files(void **state)
{
    (void)state;
    enum { POINTS = 100 };
    must_save(7);
    must_save(12);
    for (int f = 0; f < FILES; f++) {
        bytes whole = read_bytes(damaged(f));
        for (size_t i = 0; i < POINTS; i++) {
            const size_t n = i == 0 ? whole.n - 1 : whole.n * i / (POINTS + 1);
            put_bytes(damaged(f), whole.p, n);
            assert_passed_over(file_name[f]);
        }
        put_bytes(damaged(f), whole.p, whole.n);
        assert_resumes("latest", 12);
        bytes_free(&whole);
    }
}

/* 200 bits of each of the five files, from all over it. */
static void refuses_flipped_bits(void **state)
{
    (void)state;
    enum { FLIPS = 200 };
    must_save(7);
    must_save(12);
    uint64_t random = 1;
    for (int f = 0; f < FILES; f++) {
        bytes whole = read_bytes(damaged(f));
        for (int i = 0; i < FLIPS; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            const size_t bit = (size_t)(random >> 33) % (8 * whole.n);
            whole.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
            put_bytes(damaged(f), whole.p, whole.n);
            assert_passed_over(file_name[f]);
            whole.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        put_bytes(damaged(f), whole.p, whole.n);
        bytes_free(&whole);
    }
    assert_resumes("latest", 12);
}

/* All bits of the manifest, by the quick look too. */
static void refuses_any_bit_of_the_manifest(void **state)
{
    (void)state;
    must_save(7);
    bytes b = read_bytes(in_run("step_00000007/manifest.json"));
    for (size_t bit = 0; bit < 8 * b.n; bit++) {
        b.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        put_bytes(in_run("step_00000007/manifest.json"), b.p, b.n);
        assert_int_equal(atm_manifest_verify(in_run("step_00000007"), ATM_DIGEST_FULL), ATM_E_DATA);
        b.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    bytes_free(&b);
}

static void refuses_missing_files(void **state)
{
    (void)state;
    must_save(7);
    must_save(12);
    for (int f = 0; f < FILES; f++) {
        bytes whole = read_bytes(damaged(f));
        assert_int_equal(unlink(damaged(f)), 0);
        assert_passed_over(file_name[f]);
        write_bytes(damaged(f), whole.p, whole.n);
        bytes_free(&whole);
    }
    assert_resumes("latest", 12);
}

static void refuses_a_stale_manifest(void **state)
{
    (void)state;
    must_save(7);
    must_save(12);
    bytes stale = read_bytes(in_run("step_00000007/manifest.json"));
    write_bytes(damaged(FILES - 1), stale.p, stale.n);
    assert_passed_over("stale manifest");
    write_bytes(damaged(FILES - 1), "{}\n", 3);
    assert_passed_over("empty manifest");
    write_bytes(damaged(FILES - 1), "[]\n", 3);
    assert_passed_over("a manifest that is a list");
    bytes_free(&stale);
}

/* A folder that bears the name of a checkpoint and holds some files of a good one. */
static void refuses_a_half_copied_folder(void **state)
{
    (void)state;
    char whole[100];
    must_save(7);
    must_save(12);
    assert_int_equal(rename(in_run("step_00000012"), in_run("whole")), 0);
    assert_int_equal(mkdir(in_run("step_00000012"), 0777), 0);
    for (int f = 0; f < FILES; f++) {
        assert_passed_over("half copied");
        snprintf(whole, sizeof whole, "whole/%s", file_name[f]);
        bytes b = read_bytes(in_run(whole));
        write_bytes(damaged(f), b.p, b.n / 2);
        assert_passed_over("half copied");
        write_bytes(damaged(f), b.p, b.n);
        bytes_free(&b);
    }
    assert_resumes("latest", 12);
}

static void does_not_begin_anew_over_damage(void **state)
{
    (void)state;
    must_save(7);
    write_bytes(in_run("step_00000007/state.json"), "x", 1);
    assert_int_equal(try_resume("latest"), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "none of its 1 checkpoints is valid"));
}

static void ignores_names_that_are_not_ours(void **state)
{
    (void)state;
    static const char *const name[] = {
        "step_00000099.tmp", "step_99", "step_000000099", "step_00000099 ", "step_-0000099", "step_0000009x",
        "Step_00000099", "step_00000099.bak"
    };
    must_save(7);
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) assert_int_equal(mkdir(in_run(name[i]), 0777), 0);
    assert_resumes("latest", 7);
    assert_int_equal(warnings, 0);
    assert_int_equal(atm_checkpoint_prune(run, 1, 0), ATM_OK);
    assert_false(is_there(in_run(name[0])));
    for (size_t i = 1; i < sizeof name / sizeof *name; i++) assert_true(is_there(in_run(name[i])));
}

/* ------------------------------------------------------------------ faults while saving */

/* The n-th call fails, n = 1, 2, ... until the save passes. */
static int save_with_faults(int step, call c, int error)
{
    int n = 1;
    for (; ; n++) {
        countdown[c] = n;
        reason = error;
        const atm_status status = save(step);
        const bool passed = countdown[c] > 0;
        countdown[c] = 0;
        if (passed) {
            assert_int_equal(status, ATM_OK);
            return n - 1;
        }
        assert_int_equal(status, ATM_E_IO);
        assert_non_null(strstr(atm_error(), strerror(error)));
        /* Only the last fsync comes after the new one is in place. */
        if (!is_there(in_run("step_00000012"))) assert_int_equal(count_entries(in_run("")), 1);
        assert_resumes("step_00000007", 7);
        assert_resumes("latest", is_there(in_run("step_00000012")) ? 12 : 7);
        atm_folder_remove(in_run("step_00000012"));
    }
}

static void survives_every_failing_call(void **state)
{
    (void)state;
    static const struct { call c; int error, at_least; } fault[] = {
        { WRITE, ENOSPC, 8 }, { WRITE, EIO, 8 }, { FSYNC, EIO, 12 }, { FSYNC, ENOSPC, 12 }, { RENAME, EACCES, 6 },
        { MKDIR, ENOSPC, 1 },
    };
    must_save(7);
    for (size_t i = 0; i < sizeof fault / sizeof *fault; i++) {
        const int failures = save_with_faults(12, fault[i].c, fault[i].error);
        if (failures < fault[i].at_least) fail_msg("fault %zu: only %d calls failed", i, failures);
        assert_resumes("latest", 12);
        atm_folder_remove(in_run("step_00000012"));
    }
}

/* Saving step 12 over an older step 12. */
static void a_failing_replacement_keeps_the_old_one(void **state)
{
    (void)state;
    static const struct { call c; int n; } fault[] = { { EXCHANGE, 1 }, { RENAME, 6 }, { FSYNC, 11 } };
    must_save(12);
    for (size_t i = 0; i < sizeof fault / sizeof *fault; i++) {
        countdown[fault[i].c] = fault[i].n;
        reason = EIO;
        assert_int_equal(save(12), ATM_E_IO);
        assert_resumes("latest", 12);
        assert_int_equal(count_entries(in_run("")), 1);
    }
}

/* ------------------------------------------------------------------ pruning */

static void keeps_the_newest_and_the_milestones(void **state)
{
    (void)state;
    for (int step = 1; step <= 10; step++) must_save(step);
    assert_int_equal(atm_checkpoint_prune(run, 0, 0), ATM_OK);
    assert_int_equal(count_entries(in_run("")), 10);
    assert_int_equal(atm_checkpoint_prune(run, 2, 4), ATM_OK);
    static const char *const stays[] = { "step_00000004", "step_00000008", "step_00000009", "step_00000010" };
    assert_int_equal(count_entries(in_run("")), 4);
    for (int i = 0; i < 4; i++) assert_true(is_there(in_run(stays[i])));
    assert_resumes("latest", 10);
}

static void never_removes_the_only_valid_one(void **state)
{
    (void)state;
    for (int step = 1; step <= 5; step++) must_save(step);
    for (int step = 3; step <= 5; step++) {
        char name[64];
        snprintf(name, sizeof name, "step_%08d/group0.safetensors", step);
        write_bytes(in_run(name), "x", 1);
    }
    assert_int_equal(atm_checkpoint_prune(run, 2, 0), ATM_OK);
    assert_int_equal(count_entries(in_run("")), 3);
    assert_resumes("latest", 2);
}

static void removes_what_killed_runs_left(void **state)
{
    (void)state;
    char path[8192];
    must_save(7);
    assert_int_equal(mkdir(in_run("step_00000012.tmp"), 0777), 0);
    write_bytes(in_run("step_00000012.tmp/manifest.json"), "{}", 2);
    assert_int_equal(mkdir(in_run("step_00000012.old"), 0777), 0);
    static const struct { const char *name; bool stays; } file[] = {
        { ".arttomus-1-0.tmp", false }, { ".arttomus-4194304-17.tmp", false }, { ".arttomus-x-0.tmp", true },
        { ".arttomus-1-0.tmp~", true }, { "notes.tmp", true },
    };
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", run, file[i].name);
        write_bytes(path, "x", 1);
    }
    assert_int_equal(atm_checkpoint_prune(run, 0, 0), ATM_OK);
    assert_int_equal(count_entries(in_run("")), 1);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", run, file[i].name);
        assert_int_equal(is_there(path), file[i].stays);
    }
    assert_resumes("latest", 7);
}

/* ------------------------------------------------------------------ golden files */

/* Every version that was ever released is read for ever. */
static void reads_the_golden_checkpoints(void **state)
{
    (void)state;
    assert_resumes(fixture_path("checkpoints/version_1"), 500);
}

static int write_golden(const char *folder)
{
    char made[5000], wanted[5000];
    make_run(NULL);
    must_save(500);
    snprintf(made, sizeof made, "%s", in_run("step_00000500"));
    snprintf(wanted, sizeof wanted, "%s/version_%d", folder, (int)ATM_CHECKPOINT_VERSION);
    const atm_status status = atm_folder_replace(made, wanted);
    remove_run(NULL);
    return (int)status;
}

/* ------------------------------------------------------------------ run folders */

static void locks_a_run_folder(void **state)
{
    (void)state;
    char path[8192], holder[100];
    atm_run_folder first, second;
    snprintf(path, sizeof path, "%s/some/where", run);
    if (atm_run_folder_open(path, &first) != ATM_OK) fail_msg("%s", atm_error());
    assert_int_equal(atm_run_folder_open(path, &second), ATM_E_CONFIG);
    assert_int_equal(second.lock, -1);
    snprintf(holder, sizeof holder, "in use by pid %ld on host ", (long)getpid());
    assert_non_null(strstr(atm_error(), holder));
    atm_run_folder_close(&first);
    assert_int_equal(atm_run_folder_open(path, &second), ATM_OK);
    atm_run_folder_close(&second);
    atm_run_folder_close(&second);
}

static void a_dead_process_holds_nothing(void **state)
{
    (void)state;
    atm_run_folder folder;
    const pid_t child = fork();
    if (child == 0) _exit(atm_run_folder_open(run, &folder));
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    assert_int_equal(atm_run_folder_open(run, &folder), ATM_OK);
    atm_run_folder_close(&folder);
}

static void refuses_a_file_as_run_folder(void **state)
{
    (void)state;
    atm_run_folder folder;
    write_bytes(run, "x", 1);
    assert_int_equal(atm_run_folder_open(run, &folder), ATM_E_IO);
    assert_non_null(strstr(atm_error(), strerror(ENOTDIR)));
    char below[8192];
    snprintf(below, sizeof below, "%s/below", run);
    assert_int_equal(atm_run_folder_open(below, &folder), ATM_E_IO);
}

int main(int argc, char **argv)
{
    if (argc > 1) return write_golden(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_run, remove_run)
    const struct CMUnitTest tests[] = {
        TEST(comes_back_bit_for_bit), TEST(the_newest_is_that_of_the_greatest_step),
        TEST(begins_anew_when_nothing_was_saved), TEST(replaces_the_same_step), TEST(replaces_without_exchange),
        TEST(saves_no_nan), TEST(refuses_another_run), TEST(checks_every_number), TEST(refuses_truncated_files),
        TEST(refuses_flipped_bits), TEST(refuses_any_bit_of_the_manifest), TEST(refuses_missing_files),
        TEST(refuses_a_stale_manifest), TEST(refuses_a_half_copied_folder), TEST(does_not_begin_anew_over_damage),
        TEST(ignores_names_that_are_not_ours), TEST(survives_every_failing_call),
        TEST(a_failing_replacement_keeps_the_old_one), TEST(keeps_the_newest_and_the_milestones),
        TEST(never_removes_the_only_valid_one), TEST(removes_what_killed_runs_left),
        TEST(reads_the_golden_checkpoints), TEST(locks_a_run_folder), TEST(a_dead_process_holds_nothing),
        TEST(refuses_a_file_as_run_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
