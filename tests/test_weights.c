/* test_weights.c - where weights are found, and how a network learns what does not fit. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/safetensors.h"
#include "io/weights.h"
#include "support/bytes.h"

static const float value[32] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
static const int64_t count7 = 7;

static const atm_file_tensor tensor[] = {
    { "conv.weight", ATM_F32, 4, { 2, 3, 1, 1 }, value, 24 },
    { "conv.bias", ATM_F32, 1, { 2 }, value, 8 },
    { "mid.query.weight", ATM_F32, 2, { 2, 2 }, value + 4, 16 },
    { "mid.proj_attn.bias", ATM_F32, 1, { 2 }, value + 8, 8 },
    { "bn.num_batches_tracked", ATM_I64, 0, { 0 }, &count7, 8 },
    { "nothing", ATM_F32, 2, { 0, 5 }, NULL, 0 },
};
enum { TENSORS = sizeof tensor / sizeof tensor[0] };

static int make_scratch(void **state) { (void)state; scratch_make(); return 0; }
static int remove_scratch(void **state) { (void)state; scratch_remove(); return 0; }

static void save(const char *name, const atm_file_tensor *t, size_t n)
{
    assert_int_equal(atm_safetensors_write(scratch_path(name), t, n, NULL, 0), ATM_OK);
}

static atm_weights *open_weights(const char *name, const char *prefix)
{
    atm_weights *w;
    if (atm_weights_open(scratch_path(name), prefix, &w) != ATM_OK) fail_msg("%s", atm_error());
    return w;
}

#define DIM(...) (const int64_t[]){ __VA_ARGS__ }

static void binds_a_network(void **state)
{
    (void)state;
    atm_weight out;
    save("model.safetensors", tensor, TENSORS);
    atm_weights *w = open_weights(".", NULL);
    atm_weights_alias(w, "to_q", "query");
    atm_weights_alias(w, "to_out.0", "proj_attn");
    assert_true(atm_weights_has(w, "conv.bias"));
    assert_true(atm_weights_has(w, "mid.to_q.weight"));
    assert_false(atm_weights_has(w, "mid.to_k.weight"));
    assert_true(atm_weights_find(w, "conv.weight", 4, DIM(2, 3, 1, 1), ATM_F32, &out));
    assert_int_equal(out.count, 6);
    assert_int_equal(out.dtype, ATM_F32);
    assert_memory_equal(out.data, value, 24);
    assert_ptr_equal(out.data, out.source->data);                       /* no copy */
    assert_true(atm_weights_find(w, "conv.weight", 2, DIM(2, 3), ATM_F32, &out));
    assert_true(atm_weights_find(w, "conv.bias", 3, DIM(1, 2, 1), ATM_F32, &out));
    assert_true(atm_weights_find(w, "mid.to_q.weight", 4, DIM(2, 2, 1, 1), ATM_F32, &out));
    assert_string_equal(out.source->name, "mid.query.weight");
    assert_true(atm_weights_find(w, "mid.to_out.0.bias", 1, DIM(2), ATM_F32, &out));
    assert_memory_equal(out.data, value + 8, 8);
    if (atm_weights_check(w, NULL) != ATM_OK) fail_msg("%s", atm_error());
    assert_int_equal(atm_weights_file_count(w), 1);
    assert_int_equal(atm_tensor_file_count(atm_weights_file(w, 0)), TENSORS);
    atm_weights_close(w);
}

static void lists_everything_that_is_wrong(void **state)
{
    (void)state;
    atm_weight out = { .count = 1 };
    save("model.safetensors", tensor, TENSORS);
    atm_weights *w = open_weights("model.safetensors", NULL);
    assert_false(atm_weights_find(w, "conv.weight", 4, DIM(3, 2, 1, 1), ATM_F32, &out));
    assert_null(out.data);
    assert_int_equal(out.count, 0);
    assert_false(atm_weights_find(w, "absent.bias", 1, DIM(5), ATM_F32, &out));
    assert_false(atm_weights_find(w, "conv.bias", 1, DIM(2), ATM_I64, &out));
    assert_int_equal(atm_weights_check(w, NULL), ATM_E_DATA);
    static const char *const says[] = {
        "model.safetensors: ", "1 missing: absent.bias [5]",
        "2 unexpected: mid.proj_attn.bias [2], mid.query.weight [2,2]",
        "2 of another shape: conv.weight is F32 [2,3,1,1], expected [3,2,1,1], conv.bias is F32 [2], "
        "expected integers [2]",
    };
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++)
        if (!strstr(atm_error(), says[i])) fail_msg("\"%s\" does not say \"%s\"", atm_error(), says[i]);
    static const char *const ignore[] = { "mid.*", NULL };
    assert_int_equal(atm_weights_check(w, ignore), ATM_E_DATA);
    assert_null(strstr(atm_error(), "unexpected"));
    atm_weights_close(w);
}

static void shortens_long_lists(void **state)
{
    (void)state;
    char name[3000];
    atm_weight out;
    save("model.safetensors", tensor, 2);
    atm_weights *w = open_weights("model.safetensors", NULL);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_false(atm_weights_find(w, name, 1, DIM(1), ATM_F32, &out));      /* too long to be shown */
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "missing.%d", i);
        assert_false(atm_weights_find(w, name, 1, DIM(1), ATM_F32, &out));
    }
    assert_int_equal(atm_weights_check(w, NULL), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "51 missing: missing.0 [1], missing.1 [1]"));
    assert_non_null(strstr(atm_error(), "missing.11 [1] ... and 39 more"));
    assert_non_null(strstr(atm_error(), "2 unexpected"));
    atm_weights_close(w);
}

static void converts_once(void **state)
{
    (void)state;
    uint16_t half[6];
    double wide[2] = { 1.5, 1e-3 };
    atm_convert(half, ATM_BF16, value, ATM_F32, 6);
    const atm_file_tensor t[] = { { "d", ATM_F64, 1, { 2 }, wide, 16 },
                                  { "h", ATM_BF16, 1, { 6 }, half, 12 } };
    save("model.safetensors", t, 2);
    atm_weights *w = open_weights("model.safetensors", NULL);
    atm_weight a, b, d;
    assert_true(atm_weights_find(w, "h", 1, DIM(6), ATM_F32, &a));
    assert_true(atm_weights_find(w, "h", 1, DIM(6), ATM_F32, &b));
    assert_true(atm_weights_find(w, "h", 1, DIM(6), ATM_F64, &d));
    assert_ptr_equal(a.data, b.data);
    assert_memory_equal(a.data, value, 24);
    assert_true(((const double *)d.data)[5] == 5);
    assert_int_equal(a.source->dtype, ATM_BF16);
    assert_true(atm_weights_find(w, "d", 1, DIM(2), ATM_F32, &a));
    assert_true(((const float *)a.data)[1] == 1e-3f);
    atm_weights_release_pages(w, b.data, b.count * 4);              /* no file to come back from: stays */
    atm_weights_release_pages(w, NULL, 0);
    assert_memory_equal(b.data, value, 24);
    assert_int_equal(atm_weights_check(w, NULL), ATM_OK);
    atm_weights_close(w);
}

/* kB of this process's pages that are in memory and come from files. */
static long resident_file_kb(void)
{
    char line[200];
    long kb = -1;
    FILE *in = fopen("/proc/self/status", "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) sscanf(line, "RssFile: %ld", &kb);
    fclose(in);
    assert_true(kb >= 0);
    return kb;
}

static void releases_pages(void **state)
{
    (void)state;
    enum { BYTES = 16 << 20 };
    unsigned char *data = malloc(BYTES);
    assert_non_null(data);
    memset(data, 5, BYTES);
    const atm_file_tensor t = { "t", ATM_U8, 1, { BYTES }, data, BYTES };
    save("model.safetensors", &t, 1);
    atm_weights *w = open_weights("model.safetensors", NULL);
    atm_weight out;
    assert_true(atm_weights_find(w, "t", 1, DIM(BYTES), ATM_U8, &out));
    assert_memory_equal(out.data, data, BYTES);
    long before = resident_file_kb();
    atm_weights_release_pages(w, out.data, BYTES);
    assert_true(before - resident_file_kb() > BYTES / 1024 * 9 / 10);
    assert_memory_equal(out.data, data, BYTES);                     /* read again from the file */
    atm_weights_close(w);
    free(data);
}

static void sees_only_the_prefix(void **state)
{
    (void)state;
    const atm_file_tensor t[] = { { "vision.a", ATM_F32, 1, { 2 }, value, 8 },
                                  { "text.a", ATM_F32, 1, { 3 }, value, 12 } };
    atm_weight out;
    save("model.safetensors", t, 2);
    atm_weights *w = open_weights("model.safetensors", "vision.");
    assert_true(atm_weights_find(w, "a", 1, DIM(2), ATM_F32, &out));
    assert_int_equal(atm_weights_check(w, NULL), ATM_OK);
    atm_weights_close(w);
}

static void drops_a_wrapper(void **state)
{
    (void)state;
    const atm_file_tensor t[] = { { "module.a", ATM_F32, 1, { 2 }, value, 8 },
                                  { "module.b", ATM_F32, 1, { 3 }, value, 12 } };
    atm_weight out;
    save("model.safetensors", t, 2);
    atm_weights *w = open_weights("model.safetensors", NULL);
    assert_true(atm_weights_find(w, "a", 1, DIM(2), ATM_F32, &out));
    assert_true(atm_weights_find(w, "b", 1, DIM(3), ATM_F32, &out));
    assert_int_equal(atm_weights_check(w, NULL), ATM_OK);
    atm_weights_close(w);
}

static void reads_a_torch_file(void **state)
{
    (void)state;
    atm_weights *w;
    atm_weight out;
    assert_int_equal(atm_weights_open(fixture_path("torchfile/nested.pt"), NULL, &w), ATM_OK);
    assert_true(atm_weights_find(w, "0.weight", 2, DIM(1, 2), ATM_F32, &out));
    assert_true(((const float *)out.data)[1] == 2);
    static const char *const ignore[] = { "0.bias", "1.*", NULL };
    assert_int_equal(atm_weights_check(w, ignore), ATM_OK);
    atm_weights_close(w);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(scratch_path(name), text, strlen(text));
}

static void reads_shards(void **state)
{
    (void)state;
    atm_weight out;
    save("model-1.safetensors", tensor, 2);
    save("model-2.safetensors", tensor + 2, 2);
    write_text("model.safetensors.index.json",
               "{\"metadata\":{\"total_size\":56},\"weight_map\":{\"conv.weight\":\"model-1.safetensors\","
               "\"conv.bias\":\"model-1.safetensors\",\"mid.query.weight\":\"model-2.safetensors\","
               "\"mid.proj_attn.bias\":\"model-2.safetensors\"}}");
    atm_weights *w = open_weights(".", NULL);
    assert_int_equal(atm_weights_file_count(w), 2);
    assert_true(atm_weights_find(w, "mid.query.weight", 2, DIM(2, 2), ATM_F32, &out));
    assert_memory_equal(out.data, value + 4, 16);
    assert_int_equal(atm_weights_check(w, NULL), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "3 unexpected"));
    atm_weights_close(w);
}

static void refuses_bad_indexes(void **state)
{
    (void)state;
    static const struct { const char *json; atm_status status; const char *says; } c[] = {
        { "{}", ATM_E_DATA, "no weight_map" },
        { "{\"weight_map\":[]}", ATM_E_DATA, "no weight_map" },
        { "{\"weight_map\":{\"a\":1}}", ATM_E_DATA, "not text" },
        { "{\"weight_map\":{\"a\":\"../m.safetensors\"}}", ATM_E_DATA, "plain name" },
        { "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", ATM_E_DATA, "plain name" },
        { "{\"weight_map\":{\"a\":\"\"}}", ATM_E_DATA, "plain name" },
        { "{\"weight_map\":{\"a\":\"absent.safetensors\"}}", ATM_E_NOINPUT, "absent.safetensors" },
        { "{\"weight_map\":{\"a\":\"m.safetensors\"}}", ATM_E_DATA, "a is in no shard" },
        { "{\"weight_map\":", ATM_E_DATA, "index.json:1:" },
    };
    save("m.safetensors", tensor, 2);
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        atm_weights *w;
        write_text("model.safetensors.index.json", c[i].json);
        assert_int_equal(atm_weights_open(scratch_path("."), NULL, &w), c[i].status);
        if (!strstr(atm_error(), c[i].says)) fail_msg("\"%s\" does not say \"%s\"", atm_error(), c[i].says);
    }
}

static void says_where_it_looked(void **state)
{
    (void)state;
    atm_weights *w;
    assert_int_equal(atm_weights_open(scratch_path("."), NULL, &w), ATM_E_NOINPUT);
    assert_non_null(strstr(atm_error(), "diffusion_pytorch_model.safetensors"));
    assert_int_equal(atm_weights_open(scratch_path("absent"), NULL, &w), ATM_E_NOINPUT);
    write_text("model.safetensors", "not weights at all");
    assert_int_equal(atm_weights_open(scratch_path("."), NULL, &w), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "model.safetensors"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        TEST(binds_a_network), TEST(lists_everything_that_is_wrong), TEST(shortens_long_lists),
        TEST(converts_once), TEST(releases_pages), TEST(sees_only_the_prefix), TEST(drops_a_wrapper),
        TEST(reads_a_torch_file), TEST(reads_shards), TEST(refuses_bad_indexes), TEST(says_where_it_looked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
