/* test_base.c - errors, log, arena, checked sizes, element types. */
#include "support/support.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/dtype.h"
#include "base/log.h"
#include "base/size.h"
#include "base/status.h"

/* ------------------------------------------------------------------ errors */

static atm_status fails(void) { return atm_fail(ATM_E_DATA, "x is %d, y is %d", 3, 4); }
static atm_status relays(void) { TRY_RETURN(fails()); return ATM_OK; }

static atm_status cleans_up(int *cleaned)
{
    atm_status status = ATM_OK;
    TRY(relays());
    *cleaned = -1;
done:
    ++*cleaned;
    return status;
}

static void *fail_elsewhere(void *arg)
{
    (void)arg;
    atm_fail(ATM_E_IO, "another thread's message");
    return NULL;
}

static void test_errors(void **state)
{
    int cleaned = 0;
    pthread_t thread;
    (void)state;
    assert_int_equal(cleans_up(&cleaned), ATM_E_DATA);
    assert_int_equal(cleaned, 1);
    assert_string_equal(atm_error(), "x is 3, y is 4");
    assert_int_equal(atm_fail_in(ATM_E_DATA, "file %s", "a.bin"), ATM_E_DATA);
    assert_string_equal(atm_error(), "file a.bin: x is 3, y is 4");
    atm_fail(ATM_E_CONFIG, "again: %s", atm_error());
    assert_string_equal(atm_error(), "again: file a.bin: x is 3, y is 4");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(atm_error(), "again: file a.bin: x is 3, y is 4");
    atm_clear_error();
    assert_string_equal(atm_error(), "");
}

static void test_long_message_is_cut(void **state)
{
    static char longer[20000];
    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    atm_fail(ATM_E_DATA, "%s", longer);
    assert_in_range(strlen(atm_error()), 1000, sizeof longer - 2);
    atm_fail_in(ATM_E_DATA, "%s", longer);
    assert_true(strlen(atm_error()) < sizeof longer);
}

/* ------------------------------------------------------------------ log */

typedef struct { int calls; atm_log_level level; char text[64]; } heard;

static void hear(atm_log_level level, const char *text, void *user)
{
    heard *h = user;
    h->calls++;
    h->level = level;
    snprintf(h->text, sizeof h->text, "%s", text);
}

static void test_log(void **state)
{
    heard h = { 0 };
    (void)state;
    atm_log(ATM_LOG_ERROR, "nobody listens");
    atm_log_to(hear, &h);
    atm_log(ATM_LOG_WARNING, "%d of %d", 1, 2);
    assert_int_equal(h.calls, 1);
    assert_int_equal(h.level, ATM_LOG_WARNING);
    assert_string_equal(h.text, "1 of 2");
    atm_log_to(NULL, NULL);
    atm_log(ATM_LOG_ERROR, "nobody listens");
    assert_int_equal(h.calls, 1);
}

/* ------------------------------------------------------------------ arena */

static void test_arena(void **state)
{
    static const size_t sizes[] = { 1, 63, 64, 65, 4096, 65536, 65537, 1 << 20, 3 };
    enum { N = sizeof sizes / sizeof *sizes };
    atm_arena arena = { 0 };
    unsigned char *p[N];
    (void)state;
    for (int i = 0; i < N; i++) {
        p[i] = atm_arena_alloc(&arena, sizes[i], 1);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 64, 0);
        for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(p[i][k], 0);
        memset(p[i], i + 1, sizes[i]);
    }
    for (int i = 0; i < N; i++)
        for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(p[i][k], i + 1);
    assert_string_equal(atm_arena_strdup(&arena, "text"), "text");
    assert_string_equal(atm_arena_printf(&arena, "%s.%d", "block", 7), "block.7");
    assert_null(atm_arena_alloc(&arena, SIZE_MAX / 2, 3));
    assert_null(atm_arena_alloc(&arena, SIZE_MAX, 1));
    assert_true(arena.bytes > 1 << 20);
    atm_arena_free(&arena);
    assert_null(arena.chunk);
    assert_int_equal(arena.bytes, 0);
}

/* ------------------------------------------------------------------ sizes */

static void test_sizes(void **state)
{
    size_t n = 42;
    const int64_t wraps[] = { 4194305, 4194305, 1048576, 4 };       /* 4 modulo 2^64 in a careless loader */
    const int64_t negative[] = { 2, -1, 3 }, fine[] = { 2, 3, 5 }, empty[] = { 7, 0, 5 };
    (void)state;
    assert_true(atm_mul_size(1u << 31, 1u << 31, &n));
    assert_true(n == (size_t)1 << 62);
    assert_false(atm_mul_size(SIZE_MAX, 2, &n));
    assert_false(atm_add_size(SIZE_MAX, 1, &n));
    assert_true(n == (size_t)1 << 62);                              /* untouched by failure */
    assert_true(atm_add_size(SIZE_MAX - 1, 1, &n));
    assert_true(n == SIZE_MAX);
    assert_false(atm_round_up_size(SIZE_MAX - 5, 64, &n));
    assert_true(atm_round_up_size(65, 64, &n) && n == 128);
    assert_true(atm_round_up_size(64, 64, &n) && n == 64);
    assert_true(atm_round_up_size(0, 64, &n) && n == 0);
    assert_false(atm_shape_size(wraps, 4, &n));
    assert_false(atm_shape_size(negative, 3, &n));
    assert_true(atm_shape_size(fine, 3, &n) && n == 30);
    assert_true(atm_shape_size(empty, 3, &n) && n == 0);
    assert_true(atm_shape_size(fine, 0, &n) && n == 1);
}

/* ------------------------------------------------------------------ element types */

/* The value of a small float with `e` exponent bits and `m` fraction bits, by definition. */
static double by_definition(unsigned bits, int e, int m)
{
    int bias = (1 << (e - 1)) - 1, exponent = (int)(bits >> m) & ((1 << e) - 1);
    double fraction = (double)(bits & ((1u << m) - 1)) / (double)(1u << m);
    double sign = bits >> (e + m) & 1u ? -1 : 1;
    if (exponent == (1 << e) - 1) return fraction != 0 ? NAN : sign * INFINITY;
    return exponent ? sign * (1 + fraction) * pow(2, exponent - bias) : sign * fraction * pow(2, 1 - bias);
}

typedef struct { float (*widen)(uint16_t); uint16_t (*narrow)(float); int e, m; } small_float;

static float bf16(uint16_t x) { return atm_bf16_to_f32(x); }

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void check_value(const small_float *t, unsigned bits)
{
    float x = t->widen((uint16_t)bits);
    double expected = by_definition(bits, t->e, t->m);
    if (isnan(expected)) {
        assert_true(isnan(x));
        assert_true(isnan(t->widen(t->narrow(x))));
        return;
    }
    assert_true(x == expected && !signbit(x) == !signbit(expected));
    assert_int_equal(t->narrow(x), bits);
}

/* Between two neighbours, and half-way: the even one.  These are all the
 * places where rounding decides; bits + 1 may be infinity, which takes the
 * place of the next power of two. */
static void check_rounding(const small_float *t, unsigned bits)
{
    double low = by_definition(bits, t->e, t->m);
    double step = low - by_definition(bits ? bits - 1 : 1, t->e, t->m);
    double high = bits & ((1u << t->m) - 1) ? low + step : by_definition(bits + 1, t->e, t->m);
    if (isinf(high)) high = 2 * pow(2, (1 << (t->e - 1)) - 1);
    float middle = (float)((low + high) / 2);
    unsigned even = bits % 2 ? bits + 1 : bits;
    assert_true(isinf(middle) || middle == (low + high) / 2);
    assert_int_equal(t->narrow(middle), even);
    assert_int_equal(t->narrow(-middle), even | 0x8000u);
    if (isinf(middle)) return;
    assert_int_equal(t->narrow(nextafterf(middle, 0)), bits);
    assert_int_equal(t->narrow(nextafterf(middle, INFINITY)), bits + 1);
}

static void check_small_float(const small_float *t)
{
    unsigned infinity = ((1u << t->e) - 1) << t->m;
    for (unsigned bits = 0; bits < 65536; bits++) check_value(t, bits);
    for (unsigned bits = 0; bits < infinity; bits++) check_rounding(t, bits);
    assert_int_equal(t->narrow(INFINITY), infinity);
    assert_int_equal(t->narrow(-INFINITY), infinity | 0x8000u);
    assert_int_equal(bits_of(t->widen(t->narrow(-0.0f))), 0x80000000u);
}

static void test_f16(void **state)
{
    (void)state;
    check_small_float(&(small_float){ atm_f16_to_f32, atm_f32_to_f16, 5, 10 });
}

static void test_bf16(void **state)
{
    (void)state;
    check_small_float(&(small_float){ bf16, atm_f32_to_bf16, 8, 7 });
}

/* Every type to every type: small integers survive exactly. */
static void test_convert(void **state)
{
    enum { N = 101 };
    double from[N], back[N];
    uint64_t a[N], b[N];
    (void)state;
    for (int i = 0; i < N; i++) from[i] = i;
    for (int s = 0; s < ATM_DTYPE_COUNT; s++)
        for (int t = 0; t < ATM_DTYPE_COUNT; t++) {
            atm_convert(a, (atm_dtype)s, from, ATM_F64, N);
            atm_convert(b, (atm_dtype)t, a, (atm_dtype)s, N);
            atm_convert(back, ATM_F64, b, (atm_dtype)t, N);
            assert_memory_equal(from, back, sizeof from);
        }
}

static void test_convert_details(void **state)
{
    const double x[] = { -1.9, 1.9, 1.0 / 3 };
    const int64_t large = INT64_C(1) << 40;
    int32_t i[3];
    float f[3];
    double d;
    (void)state;
    atm_convert(i, ATM_I32, x, ATM_F64, 3);
    assert_int_equal(i[0], -1);
    assert_int_equal(i[1], 1);
    atm_convert(f, ATM_F32, x, ATM_F64, 3);
    assert_true(f[2] == (float)(1.0 / 3));
    atm_convert(&d, ATM_F64, &large, ATM_I64, 1);
    assert_true(d == 0x1p40);
}

static void test_dtype_names(void **state)
{
    static const struct { const char *name; size_t size; int is_float; } expected[ATM_DTYPE_COUNT] = {
        [ATM_F32] = { "F32", 4, 1 }, [ATM_F64] = { "F64", 8, 1 }, [ATM_F16] = { "F16", 2, 1 },
        [ATM_BF16] = { "BF16", 2, 1 }, [ATM_I64] = { "I64", 8, 0 }, [ATM_I32] = { "I32", 4, 0 },
        [ATM_U8] = { "U8", 1, 0 }, [ATM_BOOL] = { "BOOL", 1, 0 },
    };
    (void)state;
    for (int t = 0; t < ATM_DTYPE_COUNT; t++) {
        assert_string_equal(atm_dtype_name((atm_dtype)t), expected[t].name);
        assert_int_equal(atm_dtype_size((atm_dtype)t), expected[t].size);
        assert_int_equal(atm_dtype_is_float((atm_dtype)t), expected[t].is_float);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors), cmocka_unit_test(test_long_message_is_cut), cmocka_unit_test(test_log),
        cmocka_unit_test(test_arena), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_f16), cmocka_unit_test(test_bf16), cmocka_unit_test(test_convert),
        cmocka_unit_test(test_convert_details), cmocka_unit_test(test_dtype_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
