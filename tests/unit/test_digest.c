/* test_digest.c - names for contents, and bytes as hex digits. */
#include "newsmill/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* SHA-256 of "abc": FIPS 180-2, appendix B.1. */
static const unsigned char abc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                      0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                      0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};

static void digest__is_the_beginning_of_sha256(void **state)
{
    (void)state;
    unsigned char raw[33];
    char hex[NM_DIGEST_BYTES];
    for (size_t n = 0; n <= sizeof abc; n++) {
        memset(raw, 0x55, sizeof raw);
        nm_digest_raw("abc", 3, raw, n);
        assert_memory_equal(raw, abc, n);
        assert_int_equal(raw[n], 0x55);
    }
    nm_digest("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223");
}

static void hex__goes_there_and_back(void **state)
{
    (void)state;
    unsigned char all[256], back[256];
    char hex[2 * sizeof all + 1];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)i;
    nm_hex_write(all, sizeof all, hex);
    assert_int_equal(strlen(hex), 2 * sizeof all);
    assert_memory_equal(hex + 2 * 0x9f, "9fa0", 4);
    nm_hex_read(hex, sizeof back, back);
    assert_memory_equal(back, all, sizeof all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest__is_the_beginning_of_sha256),
        cmocka_unit_test(hex__goes_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
