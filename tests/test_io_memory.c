/* test_io_memory.c - every file function, with the n-th allocation failing for
 * n = 1, 2, ... until it passes: each failure is a status, leaks nothing, and leaves no
 * file behind. */
#include "support/support.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/config.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "io/weights.h"
#include "support/bytes.h"
#include "support/fail_malloc.h"

static const float data[6] = { 1, 2, 3, 4, 5, 6 };
static const atm_file_tensor tensor[] = { { "a", ATM_F32, 1, { 2 }, data, 8 },
                                          { "b", ATM_F32, 2, { 2, 3 }, data, 24 } };
static const atm_text_pair metadata = { "key", "value" };

static char path[6][4300];          /* kept apart: scratch_path() gives rotating ones */
enum { ST, UNALIGNED, INDEX, JSON, YAML, OUT };

static atm_status open_file(const char *name)
{
    atm_tensor_file *file;
    TRY_RETURN(atm_tensor_file_open(name, &file));
    atm_tensor_file_close(file);
    return ATM_OK;
}

static atm_status open_safetensors(void) { return open_file(path[ST]); }
static atm_status open_unaligned(void) { return open_file(path[UNALIGNED]); }
static atm_status open_zip(void) { return open_file(fixture_path("torchfile/zip.pt")); }
static atm_status open_legacy(void) { return open_file(fixture_path("torchfile/legacy.pt")); }

static atm_status bind(const char *from)
{
    atm_weights *w;
    atm_weight out;
    TRY_RETURN(atm_weights_open(from, NULL, &w));
    atm_weights_alias(w, "x", "a");
    atm_weights_find(w, "x", 1, (int64_t[]){ 2 }, ATM_F32, &out);
    atm_weights_find(w, "b", 2, (int64_t[]){ 2, 3 }, ATM_F64, &out);
    atm_status status = atm_weights_check(w, NULL);
    atm_weights_close(w);
    return status;
}

static atm_status bind_file(void) { return bind(path[ST]); }
static atm_status bind_shards(void) { return bind(path[INDEX]); }

static atm_status write_safetensors(void)
{
    return atm_safetensors_write(path[OUT], tensor, 2, &metadata, 1);
}

static atm_status read_json(void)
{
    atm_json json;
    TRY_RETURN(atm_json_load(path[JSON], &json));
    atm_status status = atm_json_write(path[OUT], json.root);
    atm_json_free(&json);
    return status;
}

typedef struct {
    int steps;
    double rate;
    atm_int_list list;
    atm_int_table table;
    atm_config_text name;
} config;

static const atm_config_field field[] = {
    ATM_CONFIG_INT(config, steps, "group.steps", 1, 9, ""),
    ATM_CONFIG_DOUBLE(config, rate, "group.rate", 0, 1, ""),
    ATM_CONFIG_INTS(config, list, "list", 1, 9, ""),
    ATM_CONFIG_TABLE(config, table, "table", 1, 9, ""),
    ATM_CONFIG_TEXT(config, name, "name", ""),
};
enum { FIELDS = sizeof field / sizeof field[0] };

static atm_status read_config(void)
{
    config c = { 0 };
    char *text;
    TRY_RETURN(atm_config_load(path[YAML], field, FIELDS, &c));
    TRY_RETURN(atm_config_override("group.steps=3", field, FIELDS, &c));
    TRY_RETURN(atm_config_print(field, FIELDS, &c, &text));
    free(text);
    return ATM_OK;
}

static void prepare_files(void)
{
    static const char *const name[] = { "a.safetensors", "odd.safetensors", "model.safetensors.index.json",
                                        "a.json", "a.yaml", "out" };
    for (int i = 0; i <= OUT; i++) snprintf(path[i], sizeof path[i], "%s", scratch_path(name[i]));
    bytes odd = { 0 };
    bytes_safetensors(&odd, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                      "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}", 5);
    write_bytes(path[UNALIGNED], odd.p, odd.n);
    bytes_free(&odd);
    assert_int_equal(atm_safetensors_write(path[ST], tensor, 2, &metadata, 1), ATM_OK);
    static const char index[] = "{\"weight_map\":{\"a\":\"a.safetensors\",\"b\":\"a.safetensors\"}}";
    static const char yaml[] = "group: {steps: 2, rate: 0.5}\nlist: [1, 2]\ntable: [[1], [2, 3]]\nname: x\n";
    write_bytes(path[INDEX], index, sizeof index - 1);
    write_bytes(path[JSON], "{\"a\": [1, {\"b\": \"c\"}]}", 22);
    write_bytes(path[YAML], yaml, sizeof yaml - 1);
}

/* jansson calls some of its lack of memory a syntax error. */
static bool is_honest(atm_status status)
{
    return status == ATM_E_MEMORY || status == ATM_E_NOINPUT || status == ATM_E_IO ||
           (status == ATM_E_DATA && strstr(atm_error(), ".json:"));
}

/* How often it failed before it passed. */
static int fail_each_allocation(const char *name, atm_status (*run)(void))
{
    if (run() != ATM_OK) fail_msg("%s: %s", name, atm_error());     /* libraries set themselves up */
    remove(path[OUT]);
    int files = scratch_count(), failures = 0;
    for (long n = 1; ; n++) {
        long before = live;
        countdown = n;
        atm_status status = run();
        bool fired = countdown == 0;
        countdown = 0;
        if (live != before) fail_msg("%s: allocation %ld failing leaks %ld blocks", name, n, live - before);
        if (!fired || !CAN_FAIL) return failures;
        if (status == ATM_OK) {
            remove(path[OUT]);
            continue;                               /* the C library coped */
        }
        failures++;
        if (!is_honest(status))
            fail_msg("%s: allocation %ld failing gives status %d: %s", name, n, status, atm_error());
        if (scratch_count() != files) fail_msg("%s: allocation %ld failing leaves a file", name, n);
    }
}

static void survives(void **state)
{
    (void)state;
    static const struct { const char *name; atm_status (*run)(void); int least; } c[] = {
        { "open_safetensors", open_safetensors, 4 }, { "open_unaligned", open_unaligned, 4 },
        { "open_zip", open_zip, 5 },                 { "open_legacy", open_legacy, 5 },
        { "bind_file", bind_file, 7 },               { "bind_shards", bind_shards, 12 },
        { "write_safetensors", write_safetensors, 6 }, { "read_json", read_json, 10 },
        { "read_config", read_config, 20 },
    };
    scratch_make();
    prepare_files();
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        int failures = fail_each_allocation(c[i].name, c[i].run);
        if (CAN_FAIL && failures < c[i].least) fail_msg("%s failed only %d times", c[i].name, failures);
    }
    scratch_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(survives) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
