/* test_crc32c.c - the checksums that RFC 3720 (appendix B.4) prints, and the usual one. */
#include "support/support.h"

#include <string.h>

#include "base/crc32c.h"

static void known_vectors(void **state)
{
    unsigned char bytes[32];
    (void)state;
    assert_int_equal(atm_crc32c(0, "", 0), 0);
    assert_int_equal(atm_crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(atm_crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(atm_crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    assert_int_equal(atm_crc32c(0, bytes, sizeof bytes), 0x46dd794e);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)(31 - i);
    assert_int_equal(atm_crc32c(0, bytes, sizeof bytes), 0x113fdb5c);
}

static void in_parts(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= 9; cut++)
        assert_int_equal(atm_crc32c(atm_crc32c(0, "123456789", cut), "123456789" + cut, 9 - cut), 0xe3069283);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(known_vectors), cmocka_unit_test(in_parts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
