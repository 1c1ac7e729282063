/* test_atomic_file.c - whatever fails while saving, the old file stays whole and
 * nothing is left beside it. */
#define _GNU_SOURCE
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/atomic_file.h"
#include "support/bytes.h"

/* These take the C library's place in this program; the n-th call fails. */
typedef enum { WRITE, SHORT_WRITE, NO_WRITE, INTERRUPT, FSYNC, RENAME, CALLS } call;
static int countdown[CALLS];            /* 1: the next call fails; 0: none */
static int reason;

static bool fails(call c) { return countdown[c] && --countdown[c] == 0; }

ssize_t write(int fd, const void *data, size_t n)
{
    if (fails(SHORT_WRITE)) return syscall(SYS_write, fd, data, n / 2);
    if (fails(NO_WRITE)) return 0;
    if (fails(INTERRUPT)) { errno = EINTR; return -1; }
    if (fails(WRITE)) { errno = reason; return -1; }
    return syscall(SYS_write, fd, data, n);
}

int fsync(int fd)
{
    if (fails(FSYNC)) { errno = reason; return -1; }
    return (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    if (fails(RENAME)) { errno = reason; return -1; }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static const char old[] = "the old content", new[] = "the new content, longer";

static int make_scratch(void **state)
{
    (void)state;
    memset(countdown, 0, sizeof countdown);
    scratch_make();
    write_bytes(scratch_path("f"), old, sizeof old);
    return 0;
}

static int remove_scratch(void **state)
{
    (void)state;
    memset(countdown, 0, sizeof countdown);
    scratch_remove();
    return 0;
}

static void assert_content(const char *path, const char *content, size_t n)
{
    bytes b = read_bytes(path);
    assert_int_equal(b.n, n);
    assert_memory_equal(b.p, content, n);
    bytes_free(&b);
}

static void replaces(void **state)
{
    (void)state;
    assert_int_equal(atm_atomic_write_file(scratch_path("f"), new, sizeof new), ATM_OK);
    assert_content(scratch_path("f"), new, sizeof new);
    assert_int_equal(scratch_count(), 1);
}

static void survives_short_writes_and_interrupts(void **state)
{
    (void)state;
    countdown[SHORT_WRITE] = 1;
    countdown[INTERRUPT] = 1;
    replaces(state);
}

static void keeps_the_old_file_when_a_call_fails(void **state)
{
    (void)state;
    static const struct { call c; int errno_value; } fault[] = {
        { WRITE, ENOSPC }, { WRITE, EIO }, { WRITE, EFBIG }, { NO_WRITE, ENOSPC }, { FSYNC, EIO }, { FSYNC, ENOSPC },
        { RENAME, EXDEV },
    };
    for (size_t i = 0; i < sizeof fault / sizeof fault[0]; i++) {
        countdown[fault[i].c] = 1;
        reason = fault[i].errno_value;
        assert_int_equal(atm_atomic_write_file(scratch_path("f"), new, sizeof new), ATM_E_IO);
        assert_non_null(strstr(atm_error(), strerror(reason)));
        assert_non_null(strstr(atm_error(), scratch_path("f")));
        assert_content(scratch_path("f"), old, sizeof old);
        assert_int_equal(scratch_count(), 1);
    }
}

/* The second fsync is the directory's: by then the new file is in place, and the
 * caller must still hear that it may not outlive a power cut. */
static void reports_a_failing_directory_sync(void **state)
{
    (void)state;
    countdown[FSYNC] = 2;
    reason = EIO;
    assert_int_equal(atm_atomic_write_file(scratch_path("f"), new, sizeof new), ATM_E_IO);
    assert_content(scratch_path("f"), new, sizeof new);
    assert_int_equal(scratch_count(), 1);
}

static void remembers_a_failed_write(void **state)
{
    (void)state;
    atm_atomic_file *f;
    countdown[WRITE] = 1;
    reason = ENOSPC;
    assert_int_equal(atm_atomic_open(scratch_path("f"), &f), ATM_OK);
    assert_int_equal(atm_atomic_write(f, new, 4), ATM_E_IO);
    assert_int_equal(atm_atomic_write(f, new, 4), ATM_OK);
    assert_int_equal(atm_atomic_commit(f), ATM_E_IO);
    assert_content(scratch_path("f"), old, sizeof old);
    assert_int_equal(scratch_count(), 1);
}

static void aborts_without_trace(void **state)
{
    (void)state;
    atm_atomic_file *f;
    assert_int_equal(atm_atomic_open(scratch_path("f"), &f), ATM_OK);
    assert_int_equal(atm_atomic_write(f, new, sizeof new), ATM_OK);
    assert_int_equal(scratch_count(), 2);
    atm_atomic_abort(f);
    atm_atomic_abort(NULL);
    assert_content(scratch_path("f"), old, sizeof old);
    assert_int_equal(scratch_count(), 1);
}

static void lets_a_library_write_by_path(void **state)
{
    (void)state;
    atm_atomic_file *f;
    assert_int_equal(atm_atomic_open(scratch_path("f"), &f), ATM_OK);
    assert_true(atm_atomic_fd(f) >= 0);
    write_bytes(atm_atomic_temp_path(f), new, sizeof new);
    assert_int_equal(atm_atomic_commit(f), ATM_OK);
    assert_content(scratch_path("f"), new, sizeof new);
}

static void respects_a_file_size_limit(void **state)
{
    (void)state;
    static const char big[65536];
    struct rlimit before;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1000, before.rlim_max });
    atm_status status = atm_atomic_write_file(scratch_path("f"), big, sizeof big);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, ATM_E_IO);
    assert_content(scratch_path("f"), old, sizeof old);
    assert_int_equal(scratch_count(), 1);
}

static void refuses_what_cannot_be_created(void **state)
{
    (void)state;
    atm_atomic_file *f;
    char below_a_file[4300];
    snprintf(below_a_file, sizeof below_a_file, "%s/x", scratch_path("f"));
    assert_int_equal(atm_atomic_open(below_a_file, &f), ATM_E_IO);
    assert_int_equal(atm_atomic_open(scratch_path("no/such/folder"), &f), ATM_E_IO);
    assert_int_equal(atm_atomic_open(scratch_path("."), &f), ATM_E_IO);
    assert_non_null(strstr(atm_error(), strerror(EISDIR)));
    assert_int_equal(atm_atomic_open("", &f), ATM_E_IO);
    assert_int_equal(scratch_count(), 1);
}

static void follows_a_link(void **state)
{
    (void)state;
    struct stat info;
    assert_int_equal(symlink("f", scratch_path("link")), 0);
    assert_int_equal(atm_atomic_write_file(scratch_path("link"), new, sizeof new), ATM_OK);
    assert_content(scratch_path("f"), new, sizeof new);
    assert_int_equal(lstat(scratch_path("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

/* As root, a rename over /dev/null would replace it by a file. */
static void writes_devices_directly(void **state)
{
    (void)state;
    struct stat info;
    assert_int_equal(atm_atomic_write_file("/dev/null", new, sizeof new), ATM_OK);
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    assert_int_equal(atm_atomic_write_file("/dev/full", new, sizeof new), ATM_E_IO);
    assert_non_null(strstr(atm_error(), strerror(ENOSPC)));
    assert_int_equal(stat("/dev/full", &info), 0);
}

static void gives_the_permissions_of_the_umask(void **state)
{
    (void)state;
    struct stat info;
    mode_t before = umask(027);
    assert_int_equal(atm_atomic_write_file(scratch_path("g"), new, sizeof new), ATM_OK);
    umask(before);
    assert_int_equal(stat(scratch_path("g"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
}

static void works_in_the_current_folder(void **state)
{
    (void)state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(scratch_path(".")), 0);
    assert_int_equal(atm_atomic_write_file("f", new, sizeof new), ATM_OK);
    assert_content("f", new, sizeof new);
    assert_int_equal(chdir(before), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        TEST(replaces), TEST(survives_short_writes_and_interrupts),
        TEST(keeps_the_old_file_when_a_call_fails), TEST(reports_a_failing_directory_sync),
        TEST(remembers_a_failed_write), TEST(aborts_without_trace),
        TEST(lets_a_library_write_by_path), TEST(respects_a_file_size_limit),
        TEST(refuses_what_cannot_be_created), TEST(follows_a_link), TEST(writes_devices_directly),
        TEST(gives_the_permissions_of_the_umask), TEST(works_in_the_current_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
