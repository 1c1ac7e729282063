/* test_torchfile.c - files of torch.save() (scripts/make_torchfile_fixtures.py), and
 * hostile ones built here. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/philox.h"
#include "io/pickle.h"
#include "io/tensor_file.h"
#include "io/torchfile.h"
#include "io/zip.h"
#include "support/bytes.h"

/* ----------------------------------------------------------- files of PyTorch */

static atm_tensor_file *open_fixture(const char *name)
{
    char path[200];
    atm_tensor_file *file;
    snprintf(path, sizeof path, "torchfile/%s", name);
    if (atm_tensor_file_open(fixture_path(path), &file) != ATM_OK) fail_msg("%s", atm_error());
    return file;
}

static void assert_tensor(const atm_tensor_file *file, const char *name, atm_dtype dtype, int rank,
                          const int64_t *dim, const double *value)
{
    double found[64];
    const atm_file_tensor *t = atm_tensor_file_find(file, name);
    assert_non_null(t);
    assert_int_equal(t->dtype, dtype);
    assert_int_equal(t->rank, rank);
    for (int i = 0; i < rank; i++) assert_int_equal(t->dim[i], dim[i]);
    size_t n = t->bytes / atm_dtype_size(dtype);
    assert_int_equal((uintptr_t)t->data % atm_dtype_size(dtype), 0);
    atm_convert(found, ATM_F64, t->data, dtype, n);
    for (size_t i = 0; i < n; i++)
        if (found[i] != value[i]) fail_msg("%s[%zu] is %g, not %g", name, i, found[i], value[i]);
}

#define TENSOR(name, dtype, rank, dim, ...) \
    assert_tensor(file, name, dtype, rank, (const int64_t[])dim, (const double[]){ __VA_ARGS__ })
#define DIM(...) { __VA_ARGS__ }

static void check_state(const char *name, const char *format)
{
    atm_tensor_file *file = open_fixture(name);
    assert_string_equal(atm_tensor_file_format(file), format);
    assert_int_equal(atm_tensor_file_count(file), 17);
    TENSOR("f32", ATM_F32, 2, DIM(2, 3), 0, 1, 2, 3, 4, 5);
    TENSOR("f64", ATM_F64, 1, DIM(3), 0, 1, 2);
    TENSOR("f16", ATM_F16, 1, DIM(4), 0, 1, 2, 3);
    TENSOR("bf16", ATM_BF16, 1, DIM(4), 0, 1, 2, 3);
    TENSOR("i64", ATM_I64, 2, DIM(2, 2), -1, 0, 1, 2);
    TENSOR("i32", ATM_I32, 1, DIM(3), 0, 1, 2);
    TENSOR("u8", ATM_U8, 1, DIM(5), 0, 1, 2, 3, 4);
    TENSOR("bool", ATM_BOOL, 1, DIM(3), 1, 0, 1);
    TENSOR("scalar", ATM_F32, 0, DIM(0), 7);
    TENSOR("empty", ATM_F32, 2, DIM(0, 3), 0);
    TENSOR("parameter", ATM_F32, 1, DIM(2), 40, 41);
    TENSOR("shared_a", ATM_F32, 1, DIM(5), 100, 101, 102, 103, 104);
    TENSOR("shared_b", ATM_F32, 1, DIM(5), 100, 101, 102, 103, 104);
    TENSOR("shared_tail", ATM_F32, 1, DIM(3), 102, 103, 104);
    TENSOR("transposed", ATM_F32, 2, DIM(6, 4), 0, 6, 12, 18, 1, 7, 13, 19, 2, 8, 14, 20,
           3, 9, 15, 21, 4, 10, 16, 22, 5, 11, 17, 23);
    TENSOR("columns", ATM_F32, 2, DIM(4, 2), 1, 2, 7, 8, 13, 14, 19, 20);
    TENSOR("rows", ATM_F32, 2, DIM(2, 6), 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23);
    atm_tensor_file_close(file);
}

static void reads_zip(void **state) { (void)state; check_state("zip.pt", "torch zip"); }
static void reads_protocol_4(void **state) { (void)state; check_state("zip_protocol4.pt", "torch zip"); }
static void reads_legacy(void **state) { (void)state; check_state("legacy.pt", "torch pickle"); }

/* A training checkpoint: the network's tensors, not the optimizer's. */
static void reads_a_nested_state_dict(void **state)
{
    (void)state;
    atm_tensor_file *file = open_fixture("nested.pt");
    assert_int_equal(atm_tensor_file_count(file), 7);
    TENSOR("state_dict.0.weight", ATM_F32, 2, DIM(1, 2), 1, 2);
    TENSOR("state_dict.0.bias", ATM_F32, 1, DIM(1), 9);
    TENSOR("state_dict.1.num_batches_tracked", ATM_I64, 0, DIM(0), 1);
    atm_tensor_file_close(file);
}

static void refuses_by_name(void **state)
{
    (void)state;
    static const struct { const char *file, *says; } c[] = {
        { "evil.pt", "refuses posix.system" }, { "evil_legacy.pt", "refuses posix.system" },
        { "int16.pt", "refuses torch.ShortStorage" }, { "expanded.pt", "expanded" },
        { "script.pt", "TorchScript" },
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        char path[200];
        atm_tensor_file *file;
        snprintf(path, sizeof path, "torchfile/%s", c[i].file);
        assert_int_equal(atm_tensor_file_open(fixture_path(path), &file), ATM_E_DATA);
        if (!strstr(atm_error(), c[i].says)) fail_msg("\"%s\" does not say \"%s\"", atm_error(), c[i].says);
        assert_non_null(strstr(atm_error(), c[i].file));
    }
    assert_int_not_equal(access("executed", F_OK), 0);
}

/* ------------------------------------------------------------------- pickles */

static const atm_pickle_global allowed[] = {
    { "collections.OrderedDict", ATM_PICKLE_MAKES_DICT }, { "m.call", ATM_PICKLE_CALLABLE },
    { "m.name", ATM_PICKLE_MERE_NAME },
};

static atm_status read_pickle(const void *p, size_t n, atm_arena *arena, atm_pickle *out)
{
    return atm_pickle_read(p, n, allowed, 3, arena, out);
}

static void reads_every_kind_of_value(void **state)
{
    (void)state;
    static const char text[] =
        "\x80\x02}(X\x01\x00\x00\x00" "aK\x05X\x01\x00\x00\x00" "bJ\xff\xff\xff\xffX\x01\x00\x00\x00"
        "cM\x01\x02U\x01" "dG\x3f\xf8\x00\x00\x00\x00\x00\x00U\x01" "eNU\x01" "f\x88U\x01g(K\x01K\x02tU\x01h"
        "](K\x01K\x02" "eU\x01i\x8a\x01\xfeU\x01jcm\ncall\nK\x01\x85RU\x01kK\x09QU\x01lcm\nname\n"
        "U\x01mccollections\nOrderedDict\n)R}bu.tail";
    atm_arena arena = { 0 };
    atm_pickle p;
    if (read_pickle(text, sizeof text - 1, &arena, &p) != ATM_OK) fail_msg("%s", atm_error());
    assert_int_equal(p.bytes, sizeof text - 1 - 4);
    atm_pickle_value **v = p.root->item;
    assert_int_equal(p.root->kind, ATM_PICKLE_DICT);
    assert_int_equal(p.root->n, 26);
    assert_true(atm_pickle_is_text(v[0], "a"));
    assert_int_equal(v[1]->integer, 5);
    assert_int_equal(v[3]->integer, -1);
    assert_int_equal(v[5]->integer, 0x201);
    assert_true(v[7]->real == 1.5);
    assert_int_equal(v[9]->kind, ATM_PICKLE_NONE);
    assert_int_equal(v[11]->integer, 1);
    assert_int_equal(v[13]->kind, ATM_PICKLE_TUPLE);
    assert_int_equal(v[13]->item[1]->integer, 2);
    assert_int_equal(v[15]->kind, ATM_PICKLE_LIST);
    assert_int_equal(v[15]->n, 2);
    assert_int_equal(v[17]->integer, -2);
    assert_int_equal(v[19]->kind, ATM_PICKLE_CALL);
    assert_int_equal(v[19]->global, 1);
    assert_int_equal(v[21]->kind, ATM_PICKLE_PERSISTENT);
    assert_ptr_equal(v[21], p.persistent);
    assert_int_equal(v[23]->global, 2);
    assert_int_equal(v[25]->kind, ATM_PICKLE_DICT);
    atm_arena_free(&arena);
}

#define P(text) text, sizeof text - 1

static void refuses_bad_pickles(void **state)
{
    (void)state;
    static const struct { const char *p; size_t n; const char *says; } c[] = {
        { P("\x80\x02" "cos\nsystem\nX\x02\x00\x00\x00lsR."), "refuses os.system" },
        { P("\x80\x04\x8c\x08" "builtins\x8c\x04" "eval\x93."), "refuses builtins.eval" },
        { P("\x80\x02" "c\x1b[2Jm\nx\n."), "refuses ?[2Jm.x" },
        { P("\x80\x02" "cm\ncallx\n."), "refuses m.callx" },
        { P("\x80\x02" "cmcall\n\n."), "refuses mcall." },
        { P("\x80\x02" "cm\nname\n)R."), "refuses to call m.name" },
        { P("\x80\x02" "ccollections\nOrderedDict\nK\x01\x85R."), "with 1 arguments" },
        { P("\x80\x02" "cm\ncall\nK\x01R."), "call of no function" },
        { P("\x80\x02K\x01)R."), "call of no function" },
        { P("\x80\x04K\x01K\x02\x93."), "a name that is no text" },
        { P("\x80\x02ios\nsystem\n."), "opcode 0x69" },
        { P("\x80\x02(o."), "opcode 0x6f" },
        { P("\x80\x02\x82\x01."), "opcode 0x82" },
        { P("\x80\x02P1\n."), "opcode 0x50" },
        { P("\x80\x01N."), "protocol" },
        { P("\x80\x06N."), "protocol" },
        { P("\x80\x02"), "truncated" },
        { P("\x80\x02N"), "truncated" },
        { P("\x80\x02X\xff\xff\xff\xffx."), "truncated" },
        { P("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffx."), "truncated" },
        { P("\x80\x02\x8b\xff\xff\xff\x7fx."), "truncated" },
        { P("\x80\x02" "cos"), "truncated" },
        { P("\x80\x02."), "empty stack" },
        { P("\x80\x02(."), "empty stack" },
        { P("\x80\x02" "0."), "empty stack" },
        { P("\x80\x02\x85."), "empty stack" },
        { P("\x80\x02(\x85."), "empty stack" },
        { P("\x80\x02(Q."), "empty stack" },
        { P("\x80\x02R."), "empty stack" },
        { P("\x80\x02Nb."), "empty stack" },
        { P("\x80\x02NNb."), "state of no object" },
        { P("\x80\x02t."), "no mark" },
        { P("\x80\x02" "1."), "no mark" },
        { P("\x80\x02Na."), "no list or dict" },
        { P("\x80\x02NNa."), "no list or dict" },
        { P("\x80\x02}Na."), "no list or dict" },
        { P("\x80\x02(NNs."), "no list or dict" },
        { P("\x80\x02(Ne."), "no list or dict" },
        { P("\x80\x02}(Nu."), "a key without value" },
        { P("\x80\x02(Nd."), "a key without value" },
        { P("\x80\x02Nq\x05."), "gap" },
        { P("\x80\x02Nr\xff\xff\xff\xff."), "gap" },
        { P("\x80\x02q\x00."), "empty stack" },
        { P("\x80\x02(q\x00."), "empty stack" },
        { P("\x80\x02h\x00."), "memo" },
        { P("\x80\x02j\xff\xff\xff\xff."), "memo" },
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        atm_arena arena = { 0 };
        atm_pickle out;
        assert_int_equal(read_pickle(c[i].p, c[i].n, &arena, &out), ATM_E_DATA);
        if (!strstr(atm_error(), c[i].says)) fail_msg("case %zu: %s (not: %s)", i, atm_error(), c[i].says);
        atm_arena_free(&arena);
    }
}

/* A million lists one inside the other: nothing here recurses. */
static void survives_nesting(void **state)
{
    (void)state;
    enum { DEPTH = 1000000 };
    bytes b = { 0 };
    atm_arena arena = { 0 };
    atm_pickle out;
    for (int i = 0; i < DEPTH; i++) bytes_text(&b, "]");
    for (int i = 1; i < DEPTH; i++) bytes_text(&b, "a");
    bytes_text(&b, ".");
    assert_int_equal(read_pickle(b.p, b.n, &arena, &out), ATM_OK);
    atm_arena_free(&arena);
    bytes_free(&b);
}

static void bounds_the_values(void **state)
{
    (void)state;
    bytes b = { .p = malloc(6000000), .n = 6000000 };
    atm_arena arena = { 0 };
    atm_pickle out;
    assert_non_null(b.p);
    memset(b.p, ']', b.n);
    assert_int_equal(read_pickle(b.p, b.n, &arena, &out), ATM_E_DATA);
    assert_non_null(strstr(atm_error(), "4 million"));
    atm_arena_free(&arena);
    bytes_free(&b);
}

/* ----------------------------------------------------------------- hostile zips */

typedef struct { const char *name, *data; size_t n; unsigned method; uint64_t lie; } entry;

static void put_local(bytes *b, const entry *e)
{
    bytes_text(b, "PK\3\4");
    bytes_little(b, 0, 22);
    bytes_little(b, strlen(e->name), 2);
    bytes_little(b, 0, 2);
    bytes_text(b, e->name);
    bytes_put(b, e->data, e->n);
}

/* Sizes and place in a zip64 field, as torch writes them for large files. */
static void put_central(bytes *b, const entry *e, uint64_t at, bool zip64)
{
    uint64_t size = e->lie ? e->lie : e->n, shown = zip64 ? 0xffffffff : size;
    bytes_text(b, "PK\1\2");
    bytes_little(b, 0, 6);
    bytes_little(b, e->method, 2);
    bytes_little(b, 0, 8);
    bytes_little(b, shown, 4);
    bytes_little(b, shown, 4);
    bytes_little(b, strlen(e->name), 2);
    bytes_little(b, zip64 ? 28 : 0, 2);
    bytes_little(b, 0, 10);
    bytes_little(b, zip64 ? 0xffffffff : at, 4);
    bytes_text(b, e->name);
    if (!zip64) return;
    bytes_little(b, 1, 2);
    bytes_little(b, 24, 2);
    bytes_little(b, size, 8);
    bytes_little(b, size, 8);
    bytes_little(b, at, 8);
}

static void put_end(bytes *b, uint64_t n, uint64_t at, bool zip64)
{
    uint64_t size = b->n - at, end = b->n;
    if (zip64) {
        bytes_text(b, "PK\6\6");
        bytes_little(b, 44, 8);
        bytes_little(b, 0, 20);
        bytes_little(b, n, 8);
        bytes_little(b, size, 8);
        bytes_little(b, at, 8);
        bytes_text(b, "PK\6\7");
        bytes_little(b, 0, 4);
        bytes_little(b, end, 8);
        bytes_little(b, 1, 4);
    }
    bytes_text(b, "PK\5\6");
    bytes_little(b, 0, 4);
    bytes_little(b, zip64 ? 0xffff : n, 2);
    bytes_little(b, zip64 ? 0xffff : n, 2);
    bytes_little(b, zip64 ? 0xffffffff : size, 4);
    bytes_little(b, zip64 ? 0xffffffff : at, 4);
    bytes_little(b, 0, 2);
}

static bytes make_zip(const entry *e, size_t n, bool zip64)
{
    bytes b = { 0 };
    uint64_t at[16];
    for (size_t i = 0; i < n; i++) {
        at[i] = b.n;
        put_local(&b, &e[i]);
    }
    uint64_t directory = b.n;
    for (size_t i = 0; i < n; i++) put_central(&b, &e[i], at[i], zip64);
    put_end(&b, n, directory, zip64);
    return b;
}

static const entry two[] = { { "r/b", "hello", 5, 0, 0 }, { "r/a", "", 0, 0, 0 } };

static void reads_zip64(void **state)
{
    (void)state;
    for (int zip64 = 0; zip64 < 2; zip64++) {
        bytes b = make_zip(two, 2, zip64);
        atm_arena arena = { 0 };
        atm_zip zip;
        if (atm_zip_read(b.p, b.n, &arena, &zip) != ATM_OK) fail_msg("%s", atm_error());
        assert_int_equal(zip.n, 2);
        assert_string_equal(zip.entry[0].name, "r/a");
        assert_memory_equal(atm_zip_find(&zip, "r/b")->data, "hello", 5);
        assert_null(atm_zip_find(&zip, "r/c"));
        atm_arena_free(&arena);
        bytes_free(&b);
    }
}

static void refuses_bad_zips(void **state)
{
    (void)state;
    static const struct { entry e[2]; const char *says; } c[] = {
        { { { "a", "x", 1, 0, 1 << 20 }, { "b", "", 0, 0, 0 } }, "a lies outside" },
        { { { "a", "x", 1, 0, UINT64_MAX - 8 }, { "b", "", 0, 0, 0 } }, "outside" },
        { { { "a", "x", 1, 0, 0 }, { "a", "y", 1, 0, 0 } }, "a is there twice" },
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        bytes b = make_zip(c[i].e, 2, true);
        atm_arena arena = { 0 };
        atm_zip zip;
        assert_int_equal(atm_zip_read(b.p, b.n, &arena, &zip), ATM_E_DATA);
        if (!strstr(atm_error(), c[i].says)) fail_msg("\"%s\" does not say \"%s\"", atm_error(), c[i].says);
        atm_arena_free(&arena);
        bytes_free(&b);
    }
}

/* ------------------------------------------------------------- hostile states */

/* {"x": _rebuild_tensor_v2(storage, offset, size, stride, False, None)}; the zip holds
 * 8 bytes under the key "0". */
#define HEAD "\x80\x02}U\x01x" "ctorch._utils\n_rebuild_tensor_v2\n(("
#define ID(type, key, numel) "U\x07storage" "ctorch\n" type "\nU\x01" key "U\x03" "cpu" numel "tQ"
#define TAIL "\x89NtRs."
#define TENSOR_OF(id, view) HEAD id view TAIL
#define FLOAT2 ID("FloatStorage", "0", "K\x02")
#define VIEW2 "K\x00K\x02\x85K\x01\x85"                 /* offset 0, size (2,), stride (1,) */
#define ONES9 "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t"
#define BIG "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"  /* 2^63 - 1 */

static void refuses_bad_states(void **state)
{
    (void)state;
    static const struct { const char *p; size_t n; const char *says; } c[] = {
        { P(TENSOR_OF(FLOAT2, VIEW2)), NULL },
        { P("\x80\x02}."), NULL },
        { P(TENSOR_OF(ID("FloatStorage", "0", "K\x03"), VIEW2)), "too short" },
        { P(TENSOR_OF(ID("FloatStorage", "1", "K\x02"), VIEW2)), "missing" },
        { P(TENSOR_OF(ID("FloatStorage", "0", "J\xff\xff\xff\xff"), VIEW2)), "id is broken" },
        { P(TENSOR_OF(ID("DoubleStorage", "0", BIG), VIEW2)), "too big" },
        { P(TENSOR_OF(FLOAT2, "K\x01K\x02\x85K\x01\x85")), "outside its storage" },
        { P(TENSOR_OF(FLOAT2, "K\x00K\x02\x85K\x02\x85")), "outside its storage" },
        { P(TENSOR_OF(FLOAT2, "K\x00K\x03\x85K\x00\x85")), "expanded" },
        { P(TENSOR_OF(FLOAT2, "K\x00K\x02\x85K\x01K\x01\x86")), "shape is broken" },
        { P(TENSOR_OF(FLOAT2, "K\x00J\xff\xff\xff\xff\x85K\x01\x85")), "shape is broken" },
        { P(TENSOR_OF(FLOAT2, "K\x00K\x02K\x01")), "shape is broken" },
        { P(TENSOR_OF(FLOAT2, "K\x00" ONES9 ONES9)), "shape is broken" },
        { P(TENSOR_OF(FLOAT2, "K\x00" BIG "K\x02\x86K\x00K\x00\x86")), "expanded" },
        { P(TENSOR_OF(FLOAT2, "K\x00" BIG BIG "\x86K\x00K\x00\x86")), "outside its storage" },
        { P(TENSOR_OF(FLOAT2, "K\x00" BIG "\x85" BIG "\x85")), "outside its storage" },
        { P(HEAD FLOAT2 VIEW2 "\x89N}U\x04" "conj\x88stRs."), "lazy negative or conjugate" },
        { P(TENSOR_OF("K\x01tQ", VIEW2)), "no storage" },
        { P(TENSOR_OF("0K\x01", VIEW2)), "without storage" },
        { P("\x80\x02]."), "no dict" },
        { P("\x80\x02}q\x00U\x01xh\x00s."), "twice" },                              /* contains itself */
        { P("\x80\x02}(U\x01x}q\x00U\x01yh\x00u."), "twice" },
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        const entry e[] = { { "r/data.pkl", c[i].p, c[i].n, 0, 0 },
                            { "r/data/0", "\0\0\0\0\0\0\x80\x3f", 8, 0, 0 } };
        bytes b = make_zip(e, 2, false);
        atm_tensor_set set = { 0 };
        atm_status status = atm_torch_zip_parse(b.p, b.n, &set);
        if (status != (c[i].says ? ATM_E_DATA : ATM_OK) || (c[i].says && !strstr(atm_error(), c[i].says)))
            fail_msg("case %zu: %d %s (not: %s)", i, status, atm_error(), c[i].says);
        atm_tensor_set_free(&set);
        bytes_free(&b);
    }
}

static void wants_one_stored_little_endian_state(void **state)
{
    (void)state;
    static const struct { entry e[2]; const char *says; } c[] = {
        { { { "r/x", "", 0, 0, 0 }, { "y", "", 0, 0, 0 } }, "without data.pkl" },
        { { { "r/data.pkl", "}.", 2, 0, 0 }, { "s/data.pkl", "}.", 2, 0, 0 } }, "two data.pkl" },
        { { { "r/data.pkl", "}.", 2, 0, 0 }, { "r/byteorder", "big", 3, 0, 0 } }, "not little-endian" },
        { { { "r/data.pkl", "}.", 2, 8, 0 }, { "y", "", 0, 0, 0 } }, "data.pkl is compressed" },
        { { { "r/data.pkl", "}.", 2, 8, 0 }, { "r/constants.pkl", "", 0, 0, 0 } }, "TorchScript" },
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        bytes b = make_zip(c[i].e, 2, false);
        atm_tensor_set set = { 0 };
        assert_int_equal(atm_torch_zip_parse(b.p, b.n, &set), ATM_E_DATA);
        if (!strstr(atm_error(), c[i].says)) fail_msg("\"%s\" does not say \"%s\"", atm_error(), c[i].says);
        atm_tensor_set_free(&set);
        bytes_free(&b);
    }
}

/* ------------------------------------------------- hostile files before 1.6 */

#define MAGIC "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define VERSION "\x80\x02M\xe9\x03."
#define LITTLE "\x80\x02}U\x0dlittle_endian\x88s."
#define PREAMBLE MAGIC VERSION LITTLE
#define KEYS "\x80\x02]U\x01" "0a."
/* numel, then 1 2 3 4 */
#define DATA4 "\x04\0\0\0\0\0\0\0" "\0\0\x80\x3f" "\0\0\0\x40" "\0\0\x40\x40" "\0\0\x80\x40"
#define FLOAT4(view) "U\x07storage" "ctorch\nFloatStorage\nU\x01" "0U\x03" "cpuK\x04" view "tQ"
#define PIECE(offset, numel) "U\x01v" offset numel "\x87"

static void reads_views_of_storages(void **state)
{
    (void)state;
    static const char file[] = PREAMBLE
        TENSOR_OF(FLOAT4(PIECE("K\x01", "K\x03")), "K\x01K\x02\x85K\x01\x85") KEYS DATA4;
    atm_tensor_set set = { 0 };
    if (atm_torch_legacy_parse(file, sizeof file - 1, &set) != ATM_OK) fail_msg("%s", atm_error());
    assert_int_equal(atm_tensor_set_seal(&set), ATM_OK);
    assert_int_equal(set.n, 1);
    assert_true(((const float *)set.tensor[0].data)[0] == 3 && ((const float *)set.tensor[0].data)[1] == 4);
    atm_tensor_set_free(&set);
}

static void refuses_bad_legacy_files(void **state)
{
    (void)state;
#define GOOD TENSOR_OF(FLOAT4("N"), VIEW2)
#define VIEWED(piece) PREAMBLE TENSOR_OF(FLOAT4(piece), VIEW2) KEYS DATA4
    static const struct { const char *p; size_t n; const char *says; } c[] = {
        { P(PREAMBLE GOOD KEYS DATA4), NULL },
        { P("\x80\x02K\x01."), "not of torch.save()" },
        { P(MAGIC "\x80\x02K\x07."), "version" },
        { P(MAGIC VERSION "\x80\x02}U\x0dlittle_endian\x89s."), "not little-endian" },
        { P(MAGIC VERSION "\x80\x02]."), "not little-endian" },
        { P(PREAMBLE GOOD "\x80\x02}." DATA4), "no list of storages" },
        { P(PREAMBLE GOOD "\x80\x02]K\x01" "a." DATA4), "lists a storage" },
        { P(PREAMBLE GOOD "\x80\x02]U\x01xa." DATA4), "lists a storage" },
        { P(PREAMBLE GOOD "\x80\x02](U\x01" "0U\x01" "0e." DATA4), "lists a storage" },
        { P(PREAMBLE GOOD "\x80\x02]."), "a storage is missing" },
        { P(PREAMBLE GOOD KEYS "\x05\0\0\0\0\0\0\0" "1234567890123456"), "truncated, or not as announced" },
        { P(PREAMBLE GOOD KEYS "\x04\0\0\0\0\0\0\0" "12345678901234"), "truncated, or not as announced" },
        { P(PREAMBLE GOOD KEYS "\x04\0\0"), "truncated" },
        { P(VIEWED(PIECE("K\x05", "K\x00"))), "view is outside" },
        { P(VIEWED(PIECE("K\x01", "K\x04"))), "view is outside" },
        { P(VIEWED(PIECE("J\xff\xff\xff\xff", "K\x04"))), "view is broken" },
        { P(VIEWED("K\x01")), "view is broken" },
        { P(VIEWED(PIECE("K\x01", "K\x01"))), "outside its storage" },
    };
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        atm_tensor_set set = { 0 };
        atm_status status = atm_torch_legacy_parse(c[i].p, c[i].n, &set);
        if (status != (c[i].says ? ATM_E_DATA : ATM_OK) || (c[i].says && !strstr(atm_error(), c[i].says)))
            fail_msg("case %zu: %d %s (not: %s)", i, status, atm_error(), c[i].says);
        atm_tensor_set_free(&set);
    }
}

/* --------------------------------------------------- mutants, truncated files */

static atm_status parse_copy(const bytes *file, size_t n)
{
    unsigned char *copy = malloc(n ? n : 1);
    atm_tensor_set set = { 0 };
    assert_non_null(copy);
    memcpy(copy, file->p, n);
    bool zip = file->p[0] == 'P';
    atm_status status = zip ? atm_torch_zip_parse(copy, n, &set) : atm_torch_legacy_parse(copy, n, &set);
    if (status == ATM_OK) status = atm_tensor_set_seal(&set);
    atm_tensor_set_free(&set);
    free(copy);
    return status;
}

static void survives(const char *name)
{
    enum { MUTANTS = 5000 };
    atm_rng rng = { .seed = 11, .stream = ATM_STREAM_TEST };
    bytes file = read_bytes(fixture_path(name));
    for (size_t n = 0; n < file.n; n++) assert_int_equal(parse_copy(&file, n), ATM_E_DATA);
    for (uint32_t i = 0; i < MUTANTS; i++) {
        unsigned char before[4];
        size_t where[4];
        for (uint32_t k = 0; k < 4; k++) {
            where[k] = 2 + atm_uint32(rng, 8 * i + k) % (file.n - 2);
            before[k] = file.p[where[k]];
            file.p[where[k]] = (unsigned char)atm_uint32(rng, 8 * i + 4 + k);
        }
        atm_status status = parse_copy(&file, file.n);
        assert_true(status == ATM_OK || status == ATM_E_DATA);
        for (int k = 3; k >= 0; k--) file.p[where[k]] = before[k];
    }
    assert_int_equal(parse_copy(&file, file.n), ATM_OK);
    bytes_free(&file);
}

static void survives_zip_mutants(void **state) { (void)state; survives("torchfile/zip.pt"); }
static void survives_legacy_mutants(void **state) { (void)state; survives("torchfile/legacy.pt"); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_zip),
        cmocka_unit_test(reads_protocol_4),
        cmocka_unit_test(reads_legacy),
        cmocka_unit_test(reads_a_nested_state_dict),
        cmocka_unit_test(refuses_by_name),
        cmocka_unit_test(reads_every_kind_of_value),
        cmocka_unit_test(refuses_bad_pickles),
        cmocka_unit_test(survives_nesting),
        cmocka_unit_test(bounds_the_values),
        cmocka_unit_test(reads_zip64),
        cmocka_unit_test(refuses_bad_zips),
        cmocka_unit_test(refuses_bad_states),
        cmocka_unit_test(wants_one_stored_little_endian_state),
        cmocka_unit_test(reads_views_of_storages),
        cmocka_unit_test(refuses_bad_legacy_files),
        cmocka_unit_test(survives_zip_mutants),
        cmocka_unit_test(survives_legacy_mutants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
