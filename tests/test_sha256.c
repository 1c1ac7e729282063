/* test_sha256.c - the examples of FIPS 180-4 and of NIST's validation set; both
 * implementations agree, however the bytes are cut. */
#include "support/support.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "base/sha256_blocks.h"

static void assert_hash(const char *data, size_t n, const char *expected)
{
    char text[ATM_SHA256_TEXT];
    atm_sha256 h = atm_sha256_begin();
    atm_sha256_add(&h, data, n);
    atm_sha256_text(&h, text);
    assert_string_equal(text, expected);
}

static void hashes_the_published_examples(void **state)
{
    (void)state;
    static const struct { const char *data, *hash; } example[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrst"
          "nopqrstu", "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
    };
    for (size_t i = 0; i < sizeof example / sizeof *example; i++)
        assert_hash(example[i].data, strlen(example[i].data), example[i].hash);
}

static void hashes_a_million_letters(void **state)
{
    (void)state;
    char letters[1000], text[ATM_SHA256_TEXT];
    memset(letters, 'a', sizeof letters);
    atm_sha256 h = atm_sha256_begin();
    for (int i = 0; i < 1000; i++) atm_sha256_add(&h, letters, sizeof letters);
    atm_sha256_text(&h, text);
    assert_string_equal(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Lengths around the padding's edges, in pieces of every size up to 70. */
static void does_not_care_how_the_bytes_come(void **state)
{
    (void)state;
    unsigned char data[200], whole[ATM_SHA256_BYTES], pieces[ATM_SHA256_BYTES];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 7 + 1);
    for (size_t n = 0; n <= sizeof data; n++) {
        atm_sha256 all = atm_sha256_begin();
        atm_sha256_add(&all, data, n);
        atm_sha256_digest(&all, whole);
        for (size_t piece = 1; piece <= 70; piece++) {
            atm_sha256 h = atm_sha256_begin();
            for (size_t at = 0; at < n; at += piece) atm_sha256_add(&h, data + at, at + piece < n ? piece : n - at);
            atm_sha256_digest(&h, pieces);
            assert_memory_equal(pieces, whole, sizeof whole);
        }
    }
}

static void the_fast_path_equals_the_plain_one(void **state)
{
    (void)state;
    enum { BLOCKS = 37 };
    unsigned char data[64 * BLOCKS];
    uint32_t plain[8], best[8];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * i + i / 256);
    for (size_t n = 0; n <= BLOCKS; n++) {
        for (uint32_t i = 0; i < 8; i++) plain[i] = best[i] = i * 0x9e3779b9u + (uint32_t)n;
        atm_sha256_blocks_plain(plain, data, n);
        atm_sha256_best_blocks()(best, data, n);
        assert_memory_equal(best, plain, sizeof plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_the_published_examples), cmocka_unit_test(hashes_a_million_letters),
        cmocka_unit_test(does_not_care_how_the_bytes_come), cmocka_unit_test(the_fast_path_equals_the_plain_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
