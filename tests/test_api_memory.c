/* test_api_memory.c - opening, generating and saving with the n-th allocation failing:
 * every failure is a status with a message, leaks nothing, and leaves no file behind. */
#include "support/support.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/fail_malloc.h"
#include "support/tiny_model.h"

static char sound[4300];

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* jansson 2.14 asserts when the buffer of a string cannot grow (load.c, lex_scan_string):
 * its allocations are counted, and never fail. */
static void *spared(size_t n) { return counted(__libc_malloc(n)); }
static void spare_jansson(void) { json_set_alloc_funcs(spared, free); }
#else
static void spare_jansson(void) { }
#endif

/* One thread: the pool's own allocations come at the same places every time. */
static atm_status open_and_close(void)
{
    const atm_open_options how = { .size = sizeof how, .backend = "cpu", .threads = 1 };
    atm_model *model;
    const atm_status status = atm_open(tiny_model_path(), &how, &model);
    atm_close(model);
    return status;
}

static atm_status paint(atm_model *model)
{
    const atm_generate_options options = { .size = sizeof options, .steps = 1, .duration = 1, .guidance = 1 };
    const atm_artwork artwork = { .size = sizeof artwork,
                                  .path = ATM_SOURCE_DIR "/tests/fixtures/data/plain.jpg" };
    atm_result *result;
    atm_status status = atm_generate(model, 1, &artwork, &options, &result);
    if (status == ATM_OK) status = atm_save_audio(result, 0, sound, "wav");
    atm_result_free(result);
    return status;
}

static atm_status everything(void)
{
    const atm_open_options how = { .size = sizeof how, .backend = "cpu", .threads = 1 };
    atm_model *model;
    atm_status status = atm_open(tiny_model_path(), &how, &model);
    if (status == ATM_OK) status = paint(model);
    atm_close(model);
    return status;
}

/* Runs `work` with ever later allocations failing.  Libraries may survive a failure, so a
 * pass with `countdown` used up is not yet the end.  `spread`: how soon n grows faster
 * than 1; a generation allocates thousands of times. */
static void fail_each(atm_status (*work)(void), long spread, int least)
{
    int failures = 0;
    if (!CAN_FAIL) skip();
    assert_int_equal(work(), ATM_OK);       /* what is made once is made */
    unlink(sound);
    for (long n = 1, left = 0; left == 0; n += 1 + n / spread) {
        const long before = live;
        countdown = n;
        const atm_status status = work();
        left = countdown;
        countdown = 0;
        failures += status != ATM_OK;
        if (live != before) fail_msg("allocation %ld failed: %ld blocks leak (%s)", n, live - before,
                                     atm_error());
        if (status != ATM_OK && !*atm_error()) fail_msg("allocation %ld failed without a message", n);
        if (status != ATM_OK && access(sound, F_OK) == 0) fail_msg("allocation %ld failed and left a file",
                                                                   n);
        unlink(sound);
    }
    print_message("%d allocations failed\n", failures);
    assert_true(failures >= least);
}

static void test_open(void **state)
{
    (void)state;
    fail_each(open_and_close, 1000000, 50);
}

static void test_everything(void **state)
{
    (void)state;
    fail_each(everything, 1000, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_open), cmocka_unit_test(test_everything) };
    spare_jansson();
    snprintf(sound, sizeof sound, "%s/memory.wav", tiny_model_path());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
