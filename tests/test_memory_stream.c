/* test_memory_stream.c - all of the text comes out, or fclose() says that it does not. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory_stream.h"
#include "support/fail_malloc.h"

enum { LINES = 3000 };

/* Returns what fclose() does. */
static int write_lines(FILE *out)
{
    for (int i = 0; i < LINES; i++) fprintf(out, "%d", i);
    return fclose(out);
}

static void gives_all_of_the_text(void **state)
{
    (void)state;
    char *text;
    size_t bytes, at = 0;
    assert_int_equal(write_lines(atm_memory_stream(&text, &bytes)), 0);
    for (int i = 0; i < LINES; i++) {
        char number[16];
        const size_t n = (size_t)snprintf(number, sizeof number, "%d", i);
        assert_memory_equal(text + at, number, n);
        at += n;
    }
    assert_int_equal(bytes, at);
    assert_int_equal(text[bytes], 0);
    free(text);
}

static void gives_an_empty_text(void **state)
{
    (void)state;
    char *text;
    size_t bytes;
    assert_int_equal(fclose(atm_memory_stream(&text, &bytes)), 0);
    assert_int_equal(bytes, 0);
    assert_string_equal(text, "");
    free(text);
}

static void tells_where_it_is(void **state)
{
    (void)state;
    char *text;
    size_t bytes;
    FILE *out = atm_memory_stream(&text, &bytes);
    for (long i = 0; i < 5000; i++) {
        assert_int_equal(ftell(out), i);
        fputc('x', out);
    }
    assert_int_equal(fseek(out, 0, SEEK_SET), -1);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(bytes, 5000);
    free(text);
}

static void says_when_memory_is_out(void **state)
{
    (void)state;
    int failures = 0;
    for (long n = 1; CAN_FAIL; n++) {
        char *text;
        size_t bytes;
        const long before = live;
        countdown = n;
        FILE *out = atm_memory_stream(&text, &bytes);
        const int status = out ? write_lines(out) : EOF;
        const bool fired = countdown == 0;
        countdown = 0;
        if (status == 0) assert_int_equal(strlen(text), bytes);
        else assert_null(text);
        if (status == 0) assert_int_equal(bytes, 10 + 2 * 90 + 3 * 900 + 4 * (LINES - 1000));
        free(text);
        assert_int_equal(live, before);
        if (!fired) break;
        failures += status != 0;
    }
    if (CAN_FAIL) assert_true(failures >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_all_of_the_text), cmocka_unit_test(gives_an_empty_text),
        cmocka_unit_test(tells_where_it_is), cmocka_unit_test(says_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
