/* test_run_log.c - the lines of metrics.jsonl, cutting at a resume, and full disks. */
#define _GNU_SOURCE
#include "support/support.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/json.h"
#include "support/bytes.h"
#include "train/run_log.h"

/* Takes the C library's place in this program: `room` bytes fit on the disk. */
static long room = -1;                      /* -1: no limit */

ssize_t write(int fd, const void *data, size_t n)
{
    if (room < 0) return syscall(SYS_write, fd, data, n);
    if (room == 0) { errno = ENOSPC; return -1; }
    if ((long)n > room) n = (size_t)room;
    room -= (long)n;
    return syscall(SYS_write, fd, data, n);
}

static int make_scratch(void **state) { (void)state; room = -1; scratch_make(); return 0; }
static int remove_scratch(void **state) { (void)state; room = -1; scratch_remove(); return 0; }

static atm_run_log *open_log(int64_t metrics_bytes, uint64_t step)
{
    atm_run_log *log;
    assert_int_equal(atm_run_log_open(scratch_path("."), metrics_bytes, step, &log), ATM_OK);
    return log;
}

static atm_status write_line(atm_run_log *log, uint64_t step, double loss)
{
    static const char *const name[] = { "loss", "lr" }, *const timing[] = { "seconds" };
    return atm_run_log_metrics(log, step, "train", 2, name, (double[]){ loss, 1e-4 },
                               1, timing, (double[]){ 2.5 });
}

static void assert_metrics(const char *text)
{
    bytes file = read_bytes(scratch_path("metrics.jsonl"));
    bytes_put(&file, "", 1);
    assert_string_equal((char *)file.p, text);
    bytes_free(&file);
}

#define LINE(step, loss) \
    "{\"step\":" step ",\"kind\":\"train\",\"loss\":" loss ",\"lr\":0.0001,\"timing\":{\"seconds\":2.5}}\n"

static void lines(void **state)
{
    static const char all[] = LINE("1", "0.5") LINE("2", "null") LINE("3", "null")
                              "{\"step\":18446744073709551615,\"kind\":\"empty\"}\n";
    int64_t size;
    (void)state;
    atm_run_log *log = open_log(0, 0);
    assert_int_equal(write_line(log, 1, 0.5), ATM_OK);
    assert_int_equal(write_line(log, 2, (double)NAN), ATM_OK);
    assert_int_equal(write_line(log, 3, (double)INFINITY), ATM_OK);
    assert_int_equal(atm_run_log_metrics(log, 18446744073709551615u, "empty", 0, NULL, NULL, 0, NULL, NULL),
                     ATM_OK);
    assert_int_equal(atm_run_log_sync(log, &size), ATM_OK);
    assert_int_equal(size, strlen(all));
    atm_run_log_close(log);
    assert_metrics(all);
}

/* What is printed reads back as the same float, and each line is JSON. */
static void floats_round_trip(void **state)
{
    static const float value[] = { 0.1f, 1.0f / 3, 3.4028235e38f, 1.17549435e-38f, 1e-45f, -16777215, 0 };
    (void)state;
    for (size_t i = 0; i < sizeof value / sizeof *value; i++) {
        atm_json json = { 0 };
        double read;
        atm_run_log *log = open_log(0, 0);
        assert_int_equal(write_line(log, 1, (double)value[i]), ATM_OK);
        atm_run_log_close(log);
        assert_int_equal(atm_json_load(scratch_path("metrics.jsonl"), &json), ATM_OK);
        assert_int_equal(atm_json_double(&json, "loss", ATM_REQUIRED, -INFINITY, INFINITY, &read), ATM_OK);
        assert_true((float)read == value[i]);
        atm_json_free(&json);
    }
}

static void a_resume_cuts(void **state)
{
    int64_t kept;
    (void)state;
    atm_run_log *log = open_log(0, 0);
    assert_int_equal(write_line(log, 1, 0.5), ATM_OK);
    assert_int_equal(atm_run_log_sync(log, &kept), ATM_OK);
    assert_int_equal(write_line(log, 2, 0.25), ATM_OK);
    atm_run_log_close(log);
    FILE *file = fopen(scratch_path("metrics.jsonl"), "a");
    fputs("{\"step\":3,\"ki", file);                        /* killed here */
    fclose(file);

    log = open_log(kept, 1);
    assert_metrics(LINE("1", "0.5"));
    assert_int_equal(write_line(log, 2, 0.25), ATM_OK);
    atm_run_log_close(log);
    assert_metrics(LINE("1", "0.5") LINE("2", "0.25"));
    assert_int_equal(scratch_count(), 3);                   /* metrics and two event files */

    atm_run_log_close(open_log(0, 0));
    assert_metrics("");
}

static void a_file_that_lost_lines_is_refused(void **state)
{
    atm_run_log *log = NULL;
    (void)state;
    write_bytes(scratch_path("metrics.jsonl"), "{}\n", 3);
    assert_int_equal(atm_run_log_open(scratch_path("."), 4, 1, &log), ATM_E_DATA);
    assert_null(log);
    assert_non_null(strstr(atm_error(), "metrics.jsonl"));
    bytes file = read_bytes(scratch_path("metrics.jsonl"));
    assert_int_equal(file.n, 3);
    bytes_free(&file);
}

/* However much of a line fits, the file ends with a whole one. */
static void full_disk(void **state)
{
    (void)state;
    for (long fits = 0; fits < 60; fits += 7) {
        atm_run_log *log = open_log(0, 0);
        assert_int_equal(write_line(log, 1, 0.5), ATM_OK);
        room = fits;
        assert_int_equal(write_line(log, 2, 0.5), ATM_E_IO);
        assert_non_null(strstr(atm_error(), strerror(ENOSPC)));
        room = -1;
        assert_metrics(LINE("1", "0.5"));
        assert_int_equal(write_line(log, 2, 0.5), ATM_OK);
        assert_metrics(LINE("1", "0.5") LINE("2", "0.5"));
        atm_run_log_close(log);
    }
}

static void sounds_and_pictures(void **state)
{
    (void)state;
    atm_run_log *log = open_log(0, 0);
    assert_int_equal(atm_run_log_audio(log, 1, "a", (float[]){ 0, 0.5f, -1 }, 3, 16000), ATM_OK);
    assert_int_equal(atm_run_log_audio(log, 1, "a", (float[]){ 0, NAN, -1 }, 3, 16000), ATM_E_DATA);
    assert_int_equal(atm_run_log_image(log, 1, "p", fixture_path("data/animated.png")), ATM_OK);
    assert_int_equal(atm_run_log_image(log, 1, "p", scratch_path("metrics.jsonl")), ATM_E_DATA);
    assert_int_equal(atm_run_log_image(log, 1, "p", scratch_path("nowhere.png")), ATM_E_NOINPUT);
    assert_int_equal(atm_run_log_text(log, 1, "t", "hello"), ATM_OK);
    atm_run_log_close(log);
    assert_metrics("");
}

static void no_log_takes_everything(void **state)
{
    int64_t size = -1;
    (void)state;
    assert_int_equal(write_line(NULL, 1, 0.5), ATM_OK);
    assert_int_equal(atm_run_log_image(NULL, 1, "p", "nowhere.png"), ATM_OK);
    assert_int_equal(atm_run_log_audio(NULL, 1, "a", NULL, 0, 16000), ATM_OK);
    assert_int_equal(atm_run_log_text(NULL, 1, "t", ""), ATM_OK);
    assert_int_equal(atm_run_log_sync(NULL, &size), ATM_OK);
    assert_int_equal(size, 0);
    atm_run_log_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines), TEST(floats_round_trip), TEST(a_resume_cuts), TEST(a_file_that_lost_lines_is_refused),
        TEST(full_disk), TEST(sounds_and_pictures), TEST(no_log_takes_everything)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
