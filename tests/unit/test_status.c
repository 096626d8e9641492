/* test_status.c - what nm_fail and nm_bad leave in an nm_error. */
#include "newsmill/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void status__fail_fills_and_returns(void **state)
{
    (void)state;
    struct nm_error err;
    memset(&err, 'x', sizeof err);
    assert_int_equal(nm_fail(&err, NM_RETRY, "broker %d is %s", 3, "down"), NM_RETRY);
    assert_int_equal(err.status, NM_RETRY);
    assert_string_equal(err.code, "");
    assert_string_equal(err.msg, "broker 3 is down");
}

static void status__bad_carries_the_code(void **state)
{
    (void)state;
    struct nm_error err;
    assert_int_equal(nm_bad(&err, "url_credentials", "remove %s", "it"), NM_BAD_INPUT);
    assert_int_equal(err.status, NM_BAD_INPUT);
    assert_string_equal(err.code, "url_credentials");
    assert_string_equal(err.msg, "remove it");
}

static void status__null_error_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(nm_fail(NULL, NM_CONFIG, "x"), NM_CONFIG);
    assert_int_equal(nm_bad(NULL, "not_json", "x"), NM_BAD_INPUT);
}

static void status__controls_become_spaces(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"a\nb\tc\rd", "a b c d"},
        {"\x1b[31mred\x7f", " [31mred "},
        {"csi \xc2\x9b"
         "0m",
         "csi   0m"},
        {"no-break\xc2\xa0space, caf\xc3\xa9", "no-break\xc2\xa0space, caf\xc3\xa9"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_error err;
        (void)!nm_fail(&err, NM_FATAL, "%s", cases[i].in);
        assert_string_equal(err.msg, cases[i].want);
    }
}

static void status__long_text_is_cut_before_a_sequence(void **state)
{
    (void)state;
    static const char *const chars[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < sizeof chars / sizeof *chars; i++) {
        for (size_t lead = 0; lead < 4; lead++) {
            char text[1000] = "xxx";
            size_t width = strlen(chars[i]), len = lead;
            while (len + width < sizeof text) {
                memcpy(text + len, chars[i], width);
                len += width;
            }
            text[len] = '\0';
            struct nm_error err;
            (void)!nm_fail(&err, NM_FATAL, "%s", text);
            size_t limit = sizeof err.msg - 1;
            assert_int_equal(strlen(err.msg), lead + (limit - lead) / width * width);
            assert_memory_equal(err.msg, text, strlen(err.msg));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status__fail_fills_and_returns),
        cmocka_unit_test(status__bad_carries_the_code),
        cmocka_unit_test(status__null_error_is_accepted),
        cmocka_unit_test(status__controls_become_spaces),
        cmocka_unit_test(status__long_text_is_cut_before_a_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
