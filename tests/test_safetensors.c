/* test_safetensors.c - the reader against hostile headers, the writer against the reader. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "io/safetensors.h"
#include "io/utf8.h"
#include "support/bytes.h"

static int make_scratch(void **state) { (void)state; scratch_make(); return 0; }
static int remove_scratch(void **state) { (void)state; scratch_remove(); return 0; }

static atm_status parse(const bytes *file, atm_tensor_set *set)
{
    atm_status status = atm_safetensors_parse(file->p, file->n, set);
    return status == ATM_OK ? atm_tensor_set_seal(set) : status;
}

static const char good[] =
    "{\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
    " \"__metadata__\" : {\"from\":\"a \\\"test\\\" \\u00e9\\ud83d\\ude00\", \"n\":\"1\"},\n"
    "\"a\":{\"data_offsets\":[0,8],\"shape\":[1],\"dtype\":\"I64\"},"
    "\"none\":{\"dtype\":\"F16\",\"shape\":[4,0],\"data_offsets\":[32,32]},"
    "\"scalar\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[32,33]}}   ";

static void reads_a_good_file(void **state)
{
    (void)state;
    bytes file = { 0 };
    atm_tensor_set set = { 0 };
    bytes_safetensors(&file, good, 33);
    assert_int_equal(parse(&file, &set), ATM_OK);
    assert_int_equal(set.n, 4);
    assert_string_equal(set.tensor[0].name, "a");
    const atm_file_tensor *b = atm_tensor_set_find(&set, "b");
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->dim[1], 3);
    assert_int_equal(b->bytes, 24);
    assert_int_equal(*(const unsigned char *)b->data, 8);
    assert_int_equal(atm_tensor_set_find(&set, "none")->bytes, 0);
    assert_int_equal(atm_tensor_set_find(&set, "scalar")->rank, 0);
    assert_null(atm_tensor_set_find(&set, "c"));
    assert_string_equal(atm_tensor_set_metadata(&set, "from"), "a \"test\" \xc3\xa9\xf0\x9f\x98\x80");
    assert_null(atm_tensor_set_metadata(&set, "to"));
    atm_tensor_set_free(&set);
    bytes_free(&file);
}

#define T(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{" T("x", dtype, shape, offsets) "}"

static const struct { const char *header; size_t data; const char *says; } bad[] = {
    /* four attacks that other readers fell for */
    { ONE("F32", "[4194305,4194305,211106198978564]", "[0,16]"), 16, "does not fill" },  /* wraps to 4 */
    { ONE("U8", "[8]", "[8,0]"), 8, "outside" },                               /* end < begin */
    { ONE("F32", "[1000000,1000000]", "[0,8]"), 8, "does not fill" },          /* big shape, small range */
    { ONE("U8", "[16]", "[0,16]"), 8, "outside" },                             /* beyond the file */
    /* places */
    { "{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[2,6]") "}", 6, "overlapping" },
    { "{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[0,4]") "}", 4, "overlapping" },
    { "{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[4,6]") "}", 6, "hole" },
    { ONE("U8", "[2]", "[1,3]"), 3, "hole" },
    { ONE("U8", "[2]", "[0,2]"), 3, "cover 2 of the 3" },
    { "{}", 1, "cover 0 of the 1" },
    { ONE("U8", "[0]", "[3,3]"), 8, "hole" },
    /* twice */
    { "{" T("a", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[1,2]") "}", 2, "a is there twice" },
    { "{\"x\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "twice" },
    { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice" },
    { "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "k is there twice" },
    /* numbers */
    { ONE("U8", "[-1]", "[0,1]"), 1, "non-negative" },
    { ONE("U8", "[NaN]", "[0,1]"), 1, "non-negative" },
    { ONE("U8", "[1.5]", "[0,1]"), 1, "not an integer" },
    { ONE("U8", "[1e2]", "[0,100]"), 100, "not an integer" },
    { ONE("U8", "[01]", "[0,1]"), 1, "leading zero" },
    { ONE("U8", "[9007199254740993]", "[0,1]"), 1, "9007199254740993" },       /* 2^53 + 1, exact */
    { ONE("U8", "[18446744073709551617]", "[0,1]"), 1, "63 bits" },
    { ONE("U8", "[1]", "[0,18446744073709551615]"), 1, "63 bits" },
    { ONE("U8", "[1]", "[0]"), 1, "two numbers" },
    { ONE("U8", "[1]", "[0,1,2]"), 1, "too long" },
    { ONE("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "too long" },
    { ONE("U8", "[\"1\"]", "[0,1]"), 1, "non-negative" },
    { ONE("U8", "[[[[[[[[1]]]]]]]]", "[0,1]"), 1, "non-negative" },
    { ONE("U8", "[1,]", "[0,1]"), 1, "non-negative" },
    { ONE("U8", "1", "[0,1]"), 1, "expected [" },
    /* kinds */
    { ONE("F8_E4M3", "[1]", "[0,1]"), 1, "tensor x has dtype F8_E4M3" },
    { ONE("f32", "[1]", "[0,4]"), 4, "dtype f32" },
    { "{\"x\":{\"dtype\":\"U8\",\"shape\":[]}}", 0, "lacks" },
    { "{\"x\":{}}", 0, "lacks" },
    { "{\"x\":{\"strides\":[1]}}", 0, "unknown property strides" },
    { "{\"x\":[1]}", 0, "expected {" },
    { "{\"__metadata__\":{\"k\":1}}", 0, "expected \"" },
    { "{\"__metadata__\":{\"k\":{\"k\":{}}}}", 0, "expected \"" },
    /* JSON itself */
    { " {}", 0, "expected {" },
    { "[]", 0, "expected {" },
    { "", 0, "expected {" },
    { "{", 0, "expected \"" },
    { "{}x", 0, "after the header's end" },
    { "{}{}", 0, "after the header's end" },
    { "{,}", 0, "expected \"" },
    { "{\"__metadata__\":{},}", 0, "expected \"" },
    { "{\"__metadata__\" {}}", 0, "expected :" },
    { "{\"__metadata__\":{\"a\":\"b", 0, "without end" },
    { "{\"__metadata__\":{\"a\":\"b\\", 0, "without end" },
    { "{\"__metadata__\":{\"a\":\"\\q\"}}", 0, "unknown escape" },
    { "{\"__metadata__\":{\"a\":\"\\u12\"}}", 0, "bad \\u" },
    { "{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, "no name may have" },
    { "{\"__metadata__\":{\"a\":\"\\udc00\"}}", 0, "no name may have" },
    { "{\"__metadata__\":{\"a\":\"\\ud800\"}}", 0, "surrogate" },
    { "{\"__metadata__\":{\"a\":\"\\ud800\\u0041\"}}", 0, "surrogate" },
    { "{\"__metadata__\":{\"a\":\"\n\"}}", 0, "control character" },
    { "{\"__metadata__\":{\"a\":\"\xff\"}}", 0, "UTF-8" },
};

static void refuses_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bytes file = { 0 };
        atm_tensor_set set = { 0 };
        bytes_safetensors(&file, bad[i].header, bad[i].data);
        assert_int_equal(parse(&file, &set), ATM_E_DATA);
        if (!strstr(atm_error(), bad[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].header, atm_error(), bad[i].says);
        atm_tensor_set_free(&set);
        bytes_free(&file);
    }
}

static void refuses_false_lengths(void **state)
{
    (void)state;
    const uint64_t length[] = { 3, 100, 100000001, UINT64_C(1) << 40, UINT64_MAX, UINT64_MAX - 7 };
    for (size_t i = 0; i < sizeof length / sizeof length[0]; i++) {
        bytes file = { 0 };
        atm_tensor_set set = { 0 };
        bytes_little(&file, length[i], 8);
        bytes_text(&file, "{}");
        assert_int_equal(parse(&file, &set), ATM_E_DATA);
        atm_tensor_set_free(&set);
        bytes_free(&file);
    }
}

static void refuses_a_header_above_100_million_bytes(void **state)
{
    (void)state;
    size_t size = 8 + 100000001;
    unsigned char *p = calloc(size, 1);
    atm_tensor_set set = { 0 };
    assert_non_null(p);
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)(UINT64_C(100000001) >> (8 * i));
    memcpy(p + 8, "{}", 2);
    assert_int_equal(atm_safetensors_parse(p, size, &set), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "limit"));
    atm_tensor_set_free(&set);
    free(p);
}

/* Exact-size copies, so that a sanitizer sees every read past the end. */
static atm_status parse_copy(const unsigned char *p, size_t n)
{
    unsigned char *copy = malloc(n ? n : 1);
    atm_tensor_set set = { 0 };
    assert_non_null(copy);
    memcpy(copy, p, n);
    atm_status status = parse(&(bytes){ copy, n, n }, &set);
    atm_tensor_set_free(&set);
    free(copy);
    return status;
}

static void refuses_every_truncation(void **state)
{
    (void)state;
    bytes file = { 0 };
    bytes_safetensors(&file, good, 33);
    for (size_t n = 0; n < file.n; n++) assert_int_equal(parse_copy(file.p, n), ATM_E_DATA);
    assert_int_equal(parse_copy(file.p, file.n), ATM_OK);
    bytes_free(&file);
}

static void survives_mutants(void **state)
{
    (void)state;
    enum { MUTANTS = 10000 };
    atm_rng rng = { .seed = 10, .stream = ATM_STREAM_TEST };
    for (uint32_t i = 0; i < MUTANTS; i++) {
        bytes file = { 0 };
        bytes_safetensors(&file, good, 33);
        for (uint32_t k = 0; k <= i % 8; k++) {
            uint32_t where = atm_uint32(rng, 16 * i + 2 * k), what = atm_uint32(rng, 16 * i + 2 * k + 1);
            file.p[where % file.n] = (unsigned char)what;
        }
        atm_status status = parse_copy(file.p, file.n);
        assert_true(status == ATM_OK || status == ATM_E_DATA);
        bytes_free(&file);
    }
}

/* An F32 behind one U8 lies at an odd address: it must come as an aligned copy. */
static void aligns_what_the_file_does_not(void **state)
{
    (void)state;
    static const float expected[2] = { 1.5f, -2.0f };
    bytes file = { 0 };
    atm_tensor_set set = { 0 };
    bytes_safetensors(&file, "{" T("a", "U8", "[1]", "[0,1]") "," T("b", "F32", "[2]", "[1,9]") "}", 1);
    bytes_put(&file, expected, sizeof expected);
    assert_int_equal(parse(&file, &set), ATM_OK);
    const atm_file_tensor *b = atm_tensor_set_find(&set, "b");
    assert_int_equal((uintptr_t)b->data % 4, 0);
    assert_memory_equal(b->data, expected, sizeof expected);
    atm_tensor_set_free(&set);
    bytes_free(&file);
}

static void reads_many_tensors(void **state)
{
    (void)state;
    enum { N = 100000 };
    bytes header = { 0 }, file = { 0 };
    atm_tensor_set set = { 0 };
    for (int i = 0; i < N; i++) {
        char entry[100];
        snprintf(entry, sizeof entry, "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                 i ? "," : "{", i, i, i + 1);
        bytes_text(&header, entry);
    }
    bytes_put(&header, "}", 2);
    bytes_safetensors(&file, (const char *)header.p, N);
    assert_int_equal(parse(&file, &set), ATM_OK);
    assert_int_equal(set.n, N);
    assert_int_equal(*(const unsigned char *)atm_tensor_set_find(&set, "t99999")->data, 99999 % 256);
    atm_tensor_set_free(&set);
    bytes_free(&file);
    bytes_free(&header);
}

/* ------------------------------------------------------------------ writing */

static const unsigned char pattern[64] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18 };
static const atm_text_pair metadata[] = { { "format", "pt" }, { "note", "\"quoted\" \\ \n\x01 \xc3\xa9" } };

static const atm_file_tensor every_dtype[] = {
    { "bool", ATM_BOOL, 1, { 3 }, pattern, 3 },  { "f32", ATM_F32, 2, { 2, 1 }, pattern, 8 },
    { "u8", ATM_U8, 1, { 5 }, pattern, 5 },      { "f64 \"x\"", ATM_F64, 0, { 0 }, pattern, 8 },
    { "f16", ATM_F16, 1, { 3 }, pattern, 6 },    { "bf16", ATM_BF16, 1, { 1 }, pattern, 2 },
    { "i64", ATM_I64, 1, { 1 }, pattern, 8 },    { "i32", ATM_I32, 3, { 1, 2, 1 }, pattern, 8 },
    { "none", ATM_F32, 2, { 0, 7 }, NULL, 0 },
};
enum { EVERY = sizeof every_dtype / sizeof every_dtype[0] };

static void check_written(const char *path)
{
    atm_tensor_file *file;
    assert_int_equal(atm_tensor_file_open(path, &file), ATM_OK);
    assert_int_equal(atm_tensor_file_count(file), EVERY);
    for (int i = 0; i < EVERY; i++) {
        const atm_file_tensor *wanted = &every_dtype[i], *t = atm_tensor_file_find(file, wanted->name);
        assert_non_null(t);
        assert_int_equal(t->dtype, wanted->dtype);
        assert_int_equal(t->rank, wanted->rank);
        assert_memory_equal(t->dim, wanted->dim, sizeof t->dim);
        assert_int_equal(t->bytes, wanted->bytes);
        assert_int_equal((uintptr_t)t->data % atm_dtype_size(t->dtype), 0);
        if (t->bytes) assert_memory_equal(t->data, wanted->data, t->bytes);
    }
    assert_int_equal(atm_tensor_file_metadata_count(file), 2);
    assert_string_equal(atm_tensor_file_metadata_at(file, 0).key, "format");
    assert_string_equal(atm_tensor_file_metadata(file, "note"), metadata[1].value);
    assert_string_equal(atm_tensor_file_format(file), "safetensors");
    assert_string_equal(atm_tensor_file_path(file), path);
    atm_tensor_file_close(file);
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    const char *path = scratch_path("all.safetensors");
    assert_int_equal(atm_safetensors_write(path, every_dtype, EVERY, metadata, 2), ATM_OK);
    check_written(path);
    bytes file = read_bytes(path);
    assert_int_equal(file.p[0] % 8, 0);             /* the data begin 8-aligned */
    bytes_free(&file);
    assert_int_equal(scratch_count(), 1);
}

static void streams_in_any_pieces(void **state)
{
    (void)state;
    const char *path = scratch_path("all.safetensors");
    atm_safetensors_writer *writer;
    assert_int_equal(atm_safetensors_begin(path, every_dtype, EVERY, metadata, 2, &writer), ATM_OK);
    for (int i = 0; i < EVERY; i++)
        for (size_t at = 0; at < every_dtype[i].bytes; at++)
            assert_int_equal(atm_safetensors_append(writer, pattern + at, 1), ATM_OK);
    assert_int_equal(atm_safetensors_append(writer, pattern, 1), ATM_E_BUG);        /* too much */
    assert_int_equal(atm_safetensors_commit(writer), ATM_OK);
    check_written(path);
}

static void writes_an_empty_file(void **state)
{
    (void)state;
    atm_tensor_file *file;
    const char *path = scratch_path("empty.safetensors");
    assert_int_equal(atm_safetensors_write(path, NULL, 0, NULL, 0), ATM_OK);
    assert_int_equal(atm_tensor_file_open(path, &file), ATM_OK);
    assert_int_equal(atm_tensor_file_count(file), 0);
    assert_null(atm_tensor_file_find(file, "x"));
    atm_tensor_file_close(file);
}

static void leaves_nothing_half_written(void **state)
{
    (void)state;
    const char *path = scratch_path("half.safetensors");
    atm_safetensors_writer *writer;
    assert_int_equal(atm_safetensors_begin(path, every_dtype, EVERY, NULL, 0, &writer), ATM_OK);
    assert_int_equal(atm_safetensors_append(writer, pattern, 3), ATM_OK);
    assert_int_equal(atm_safetensors_commit(writer), ATM_E_BUG);                    /* too little */
    assert_int_equal(atm_safetensors_begin(path, every_dtype, EVERY, NULL, 0, &writer), ATM_OK);
    atm_safetensors_abort(writer);
    assert_int_equal(scratch_count(), 0);
}

static void refuses_to_write_what_it_would_not_read(void **state)
{
    (void)state;
    const atm_file_tensor twice[] = { { "a", ATM_U8, 1, { 1 }, pattern, 1 },
                                      { "b", ATM_U8, 1, { 1 }, pattern, 1 },
                                      { "a", ATM_U8, 1, { 1 }, pattern, 1 } };
    const atm_file_tensor reserved = { "__metadata__", ATM_U8, 1, { 1 }, pattern, 1 };
    const atm_file_tensor negative = { "a", ATM_U8, 1, { -1 }, pattern, 1 };
    const atm_file_tensor huge = { "a", ATM_F32, 2, { INT64_MAX, 4 }, pattern, 1 };
    const atm_file_tensor not_utf8 = { "\xff", ATM_U8, 1, { 1 }, pattern, 1 };
    const char *path = scratch_path("x.safetensors");
    assert_int_equal(atm_safetensors_write(path, twice, 3, NULL, 0), ATM_E_BUG);
    assert_int_equal(atm_safetensors_write(path, &reserved, 1, NULL, 0), ATM_E_BUG);
    assert_int_equal(atm_safetensors_write(path, &negative, 1, NULL, 0), ATM_E_BUG);
    assert_int_equal(atm_safetensors_write(path, &huge, 1, NULL, 0), ATM_E_BUG);
    assert_int_equal(atm_safetensors_write(path, &not_utf8, 1, NULL, 0), ATM_E_BUG);
    char *long_name = malloc(ATM_SAFETENSORS_MAX_HEADER);
    assert_non_null(long_name);
    memset(long_name, 'x', ATM_SAFETENSORS_MAX_HEADER);
    long_name[ATM_SAFETENSORS_MAX_HEADER - 1] = '\0';
    const atm_file_tensor above_the_limit = { long_name, ATM_U8, 1, { 1 }, pattern, 1 };
    assert_int_equal(atm_safetensors_write(path, &above_the_limit, 1, NULL, 0), ATM_E_BUG);
    free(long_name);
    assert_int_equal(scratch_count(), 0);
}

static void open_says_what_is_wrong(void **state)
{
    (void)state;
    atm_tensor_file *file;
    assert_int_equal(atm_tensor_file_open(scratch_path("absent"), &file), ATM_E_NOINPUT);
    assert_int_equal(atm_tensor_file_open(scratch_path("."), &file), ATM_E_NOINPUT);
    assert_int_equal(atm_tensor_file_open("/dev/null", &file), ATM_E_NOINPUT);
    write_bytes(scratch_path("empty"), "", 0);
    assert_int_equal(atm_tensor_file_open(scratch_path("empty"), &file), ATM_E_DATA);
    write_bytes(scratch_path("text"), "hello, world, I am text", 23);
    assert_int_equal(atm_tensor_file_open(scratch_path("text"), &file), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "/text: neither"));
}

static void knows_utf8(void **state)
{
    (void)state;
    static const struct { const char *text; bool valid; } c[] = {
        { "", true }, { "a\x7f", true }, { "\xc2\x80", true }, { "\xed\x9f\xbf\xee\x80\x80", true },
        { "\xf4\x8f\xbf\xbf", true }, { "\x80", false }, { "\xc2", false }, { "\xc0\x80", false },
        { "\xe0\x80\x80", false }, { "\xed\xa0\x80", false }, { "\xf4\x90\x80\x80", false },
        { "\xf8\x88\x80\x80\x80", false }, { "\xc2\x41", false },
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++)
        assert_int_equal(atm_utf8_valid(c[i].text, strlen(c[i].text)), c[i].valid);
}

int main(void)
{
#define TEST(name) cmocka_unit_test(name)
#define TEST_IN_SCRATCH(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        TEST(reads_a_good_file), TEST(refuses_bad_files), TEST(refuses_false_lengths),
        TEST(refuses_a_header_above_100_million_bytes), TEST(refuses_every_truncation),
        TEST(survives_mutants), TEST(aligns_what_the_file_does_not), TEST(reads_many_tensors),
        TEST(knows_utf8),
        TEST_IN_SCRATCH(writes_what_it_reads), TEST_IN_SCRATCH(streams_in_any_pieces),
        TEST_IN_SCRATCH(writes_an_empty_file), TEST_IN_SCRATCH(leaves_nothing_half_written),
        TEST_IN_SCRATCH(refuses_to_write_what_it_would_not_read), TEST_IN_SCRATCH(open_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
