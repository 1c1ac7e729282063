/* test_json.c - range-checked JSON, and writing it. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "support/bytes.h"

static int make_scratch(void **state) { (void)state; scratch_make(); return 0; }
static int remove_scratch(void **state) { (void)state; scratch_remove(); return 0; }

static atm_status load(const char *text, atm_json *json)
{
    write_bytes(scratch_path("config.json"), text, strlen(text));
    return atm_json_load(scratch_path("config.json"), json);
}

static const char config[] =
    "{\"i\": 5, \"neg\": -3, \"d\": 0.5, \"t\": true, \"s\": \"text\", \"none\": null,"
    " \"group\": {\"deep\": {\"i\": 6}}, \"list\": [3, 7, 11], \"empty\": [],"
    " \"table\": [[1, 3, 5], [2, null]], \"mixed\": [1, \"a\"],"
    " \"long\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17], \"big\": 4294967296, \"huge\": 1e300}";

static void reads_values(void **state)
{
    (void)state;
    atm_json j;
    int i = 0;
    double d = 0;
    bool b = false;
    const char *s = NULL;
    assert_int_equal(load(config, &j), ATM_OK);
    assert_int_equal(atm_json_int(&j, "i", ATM_REQUIRED, 0, 5, &i), ATM_OK);
    assert_int_equal(i, 5);
    assert_int_equal(atm_json_int(&j, "group.deep.i", ATM_REQUIRED, 0, 9, &i), ATM_OK);
    assert_int_equal(i, 6);
    assert_int_equal(atm_json_double(&j, "d", ATM_REQUIRED, 0, 1, &d), ATM_OK);
    assert_true(d == 0.5);
    assert_int_equal(atm_json_double(&j, "i", ATM_REQUIRED, 0, 9, &d), ATM_OK);
    assert_true(d == 5);
    assert_int_equal(atm_json_bool(&j, "t", ATM_REQUIRED, &b), ATM_OK);
    assert_true(b);
    assert_int_equal(atm_json_string(&j, "s", ATM_REQUIRED, &s), ATM_OK);
    assert_string_equal(s, "text");
    assert_non_null(atm_json_get(&j, "group.deep"));
    assert_null(atm_json_get(&j, "group.shallow.i"));
    assert_null(atm_json_get(&j, "i.x"));
    atm_json_free(&j);
}

static void reads_lists(void **state)
{
    (void)state;
    atm_json j;
    atm_int_list list = { 0 };
    atm_int_table table = { 0 };
    assert_int_equal(load(config, &j), ATM_OK);
    assert_int_equal(atm_json_int_list(&j, "list", ATM_REQUIRED, 1, 11, &list), ATM_OK);
    assert_int_equal(list.n, 3);
    assert_int_equal(list.v[2], 11);
    assert_int_equal(atm_json_int_list(&j, "i", ATM_REQUIRED, 1, 11, &list), ATM_OK);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.v[0], 5);
    assert_int_equal(atm_json_int_table(&j, "table", ATM_REQUIRED, 1, 9, -1, &table), ATM_OK);
    assert_int_equal(table.n, 2);
    assert_int_equal(table.row[0].v[2], 5);
    assert_int_equal(table.row[1].v[1], -1);
    assert_int_equal(atm_json_int_table(&j, "list", ATM_REQUIRED, 1, 11, 0, &table), ATM_OK);
    assert_int_equal(table.n, 1);
    assert_int_equal(table.row[0].n, 3);
    assert_int_equal(atm_json_int_table(&j, "empty", ATM_REQUIRED, 1, 11, 0, &table), ATM_OK);
    assert_int_equal(table.n, 0);
    assert_int_equal(atm_json_int_list(&j, "empty", ATM_REQUIRED, 1, 11, &list), ATM_OK);
    assert_int_equal(list.n, 0);
    atm_json_free(&j);
}

static void keeps_defaults(void **state)
{
    (void)state;
    atm_json j;
    int i = 42;
    double d = 42;
    bool b = true;
    const char *s = "42";
    atm_int_list list = { 1, { 42 } };
    atm_int_table table = { .n = 42 };
    assert_int_equal(load(config, &j), ATM_OK);
    static const char *const key[] = { "absent", "none", "group.absent" };
    for (int k = 0; k < 3; k++) {
        assert_int_equal(atm_json_int(&j, key[k], ATM_OPTIONAL, 0, 1, &i), ATM_OK);
        assert_int_equal(atm_json_double(&j, key[k], ATM_OPTIONAL, 0, 1, &d), ATM_OK);
        assert_int_equal(atm_json_bool(&j, key[k], ATM_OPTIONAL, &b), ATM_OK);
        assert_int_equal(atm_json_string(&j, key[k], ATM_OPTIONAL, &s), ATM_OK);
        assert_int_equal(atm_json_int_list(&j, key[k], ATM_OPTIONAL, 0, 1, &list), ATM_OK);
        assert_int_equal(atm_json_int_table(&j, key[k], ATM_OPTIONAL, 0, 1, 0, &table), ATM_OK);
        assert_int_equal(atm_json_int(&j, key[k], ATM_REQUIRED, 0, 1, &i), ATM_E_CONFIG);
        assert_non_null(strstr(atm_error(), key[k]));
    }
    assert_true(i == 42 && d == 42 && b && strcmp(s, "42") == 0 && list.v[0] == 42 && table.n == 42);
    atm_json_free(&j);
}

static void assert_says(atm_status status, const char *says)
{
    assert_int_equal(status, ATM_E_CONFIG);
    assert_non_null(strstr(atm_error(), "config.json: "));
    if (!strstr(atm_error(), says)) fail_msg("\"%s\" does not say \"%s\"", atm_error(), says);
}

static void refuses_wrong_values(void **state)
{
    (void)state;
    atm_json j;
    int i;
    double d;
    bool b;
    const char *s;
    atm_int_list list;
    atm_int_table table;
    assert_int_equal(load(config, &j), ATM_OK);
    assert_says(atm_json_int(&j, "i", ATM_REQUIRED, 0, 4, &i), "i: 5 is not an integer from 0 to 4");
    assert_says(atm_json_int(&j, "neg", ATM_REQUIRED, 0, 4, &i), "neg: -3 is not");
    assert_says(atm_json_int(&j, "big", ATM_REQUIRED, 0, INT32_MAX, &i), "4294967296");
    assert_says(atm_json_int(&j, "d", ATM_OPTIONAL, 0, 4, &i), "d: 0.5 is not an integer");
    assert_says(atm_json_int(&j, "s", ATM_REQUIRED, 0, 4, &i), "s: \"text\" is not");
    assert_says(atm_json_double(&j, "huge", ATM_REQUIRED, 0, 1, &d), "a number from 0 to 1");
    assert_says(atm_json_double(&j, "t", ATM_REQUIRED, 0, 1, &d), "t: true is not");
    assert_says(atm_json_bool(&j, "i", ATM_REQUIRED, &b), "true or false");
    assert_says(atm_json_string(&j, "i", ATM_REQUIRED, &s), "a text");
    assert_says(atm_json_int_list(&j, "mixed", ATM_REQUIRED, 0, 4, &list), "mixed: \"a\" is not");
    assert_says(atm_json_int_list(&j, "long", ATM_REQUIRED, 0, 99, &list), "at most 16");
    assert_says(atm_json_int_list(&j, "table", ATM_REQUIRED, 0, 99, &list), "is not an integer");
    assert_says(atm_json_int_table(&j, "mixed", ATM_REQUIRED, 0, 4, 0, &table), "mixed: \"a\" is not");
    assert_says(atm_json_int_table(&j, "i", ATM_REQUIRED, 0, 4, 0, &table), "list");
    assert_says(atm_json_int_table(&j, "table", ATM_REQUIRED, 2, 9, 0, &table), "1 is not");
    atm_json_free(&j);
}

static void refuses_broken_files(void **state)
{
    (void)state;
    atm_json j;
    static const char *const text[] = { "", "{", "[]", "1", "{\"a\":1,\"a\":2}", "{} x",
                                        "{\"a\":\"\xff\"}", "{\"a\":NaN}" };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        assert_int_equal(load(text[i], &j), ATM_E_DATA);
        assert_non_null(strstr(atm_error(), "config.json"));
    }
    char deep[10001];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(load(deep, &j), ATM_E_DATA);
    assert_int_equal(atm_json_load(scratch_path("absent"), &j), ATM_E_NOINPUT);
    assert_int_equal(atm_json_load(scratch_path("."), &j), ATM_E_NOINPUT);
}

static void writes(void **state)
{
    (void)state;
    atm_json j;
    assert_int_equal(load(config, &j), ATM_OK);
    assert_int_equal(atm_json_write(scratch_path("copy.json"), j.root), ATM_OK);
    atm_json copy;
    assert_int_equal(atm_json_load(scratch_path("copy.json"), &copy), ATM_OK);
    assert_true(json_equal(j.root, copy.root));
    bytes b = read_bytes(scratch_path("copy.json"));
    assert_int_equal(b.p[b.n - 1], '\n');
    bytes_free(&b);
    assert_int_equal(atm_json_write(scratch_path("no/such/folder.json"), j.root), ATM_E_IO);
    atm_json_free(&j);
    atm_json_free(&copy);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        TEST(reads_values), TEST(reads_lists), TEST(keeps_defaults), TEST(refuses_wrong_values),
        TEST(refuses_broken_files), TEST(writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
