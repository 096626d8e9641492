/* test_terms.c - text to terms: each rule by itself, odd input, limits.
 *
 * Terms are shown as one line: text, then "^" capital or "_" lower case where the case of the text tells something,
 * "#" a weak number, "+" a term of the excerpt. tests/integration/test_related_terms.py compares whole titles with the
 * reference. */
#include "terms_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

struct example {
    const char *locale, *title, *excerpt, *want;
};

static void analyse(struct nm_terms *text, const struct nm_terms_source *source, struct nm_buf *line)
{
    struct nm_arena arena = {0};
    struct nm_term *terms = NULL;
    size_t n = 0;
    nm_buf_reset(line);
    assert_int_equal(nm_terms_analyse(text, source, &arena, &terms, &n, NULL), NM_OK);
    for (size_t i = 0; i < n; i++) {
        static const char *const sightings[] = {"", "_", "^"};
        assert_int_equal(strlen(terms[i].text), terms[i].len);
        assert_true(terms[i].len > 0 && terms[i].len < NM_TERM_BYTES);
        nm_buf_addf(line, "%s%s%s%s%s", i ? " " : "", terms[i].text, sightings[terms[i].sighting],
                    terms[i].weak ? "#" : "", terms[i].excerpt ? "+" : "");
    }
    nm_arena_clear(&arena);
}

static struct nm_terms *new_text(size_t n_title, size_t n_excerpt)
{
    struct nm_terms *text = NULL;
    assert_int_equal(nm_terms_new(n_title, n_excerpt, &text, NULL), NM_OK);
    return text;
}

static void check_limited(size_t n_title, size_t n_excerpt, const struct example *examples, size_t n)
{
    struct nm_terms *text = new_text(n_title, n_excerpt);
    struct nm_buf line = {0};
    for (size_t i = 0; i < n; i++) {
        struct nm_terms_source source = {.title = examples[i].title,
                                         .title_len = strlen(examples[i].title),
                                         .excerpt = examples[i].excerpt,
                                         .excerpt_len = examples[i].excerpt ? strlen(examples[i].excerpt) : 0,
                                         .locale = examples[i].locale};
        analyse(text, &source, &line);
        if (strcmp(nm_buf_str(&line), examples[i].want) != 0)
            print_message("title: '%s'\n", examples[i].title);
        assert_string_equal(nm_buf_str(&line), examples[i].want);
    }
    nm_buf_clear(&line);
    nm_terms_free(text);
}

static void check(const struct example *examples, size_t n)
{
    check_limited(40, 24, examples, n);
}

static void words__letters_digits_and_inner_points(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"xx", "", NULL, ""},
        {"xx", "ferry harbour", NULL, "ferry harbour"},
        {"xx", "ferry-harbour/quay", NULL, "ferry harbour quay"},
        {"xx", "b c harbour", NULL, "harbour"},
        {"xx", "u.s. at&t 'quoted' o\u2019neil l\u02bceau", NULL, "us at&t quoted oneil leau"},
        {"xx", "end. .start a..b &c cc& 'dd", NULL, "end start cc dd"},
        {"xx", "harbour's harbour\u2019s b's cc's", NULL, "harbour cc"},
        {"xx", "back\\slash", NULL, "backslash"},
        {"xx", "cafe\u0301 caf\u00e9", NULL, "caf\u00e9"},
        {"xx", "\uff46\uff45\uff52\uff52\uff59", NULL, "ferry"}, /* full width */
        {"xx", "quay\u2026sea", NULL, "quay sea"}, /* an ellipsis is three points to NFKC, and not inner ones */
    };
    check(examples, N(examples));
}

static void words__numbers(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"xx", "7 12 123 1999 2024 1899 19 10.5 19.99", NULL, "12# 123 1999# 2024# 1899 19# 10.5 19.99"},
        {"xx", "12 12th b12 3.x", NULL, "12# 12th b12 3x"},
        {"xx", "\u0661\u0662 \u0661\u0669\u0669\u0669", NULL, "\u0661\u0662# \u0661\u0669\u0669\u0669"},
        {"xx", "\u2460\u2461 \u278a\u278b", NULL, "12# \u278a\u278b#"}, /* circled: some are plain ones to NFKC */
        {"xx", "\u2178\u2178", NULL, "ixix"},                           /* Roman numerals become letters       */
    };
    check(examples, N(examples));
}

static void words__scripts_without_spaces(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"ja", "\u6771\u4eac\u3067", NULL, "\u6771\u4eac \u4eac\u3067"},
        {"ja", "\u6771", NULL, "\u6771"},
        {"zh", "\u6771 \u4eac", NULL, "\u6771 \u4eac"},
        {"zh", "\u6771ferry\u4eac", NULL, "\u6771 ferry \u4eac"},
        {"ja", "\uff76\uff9e\uff76", NULL, "\u30ac\u30ab"}, /* half width, with a voice mark */
        {"th", "\u0e01\u0e31\u0e02\u0e04", NULL, "\u0e01\u0e31\u0e02 \u0e02\u0e04"},
        {"th", "\u0e51\u0e52\u0e53", NULL, "\u0e51\u0e52# \u0e52\u0e53#"},
        {"ko", "\ub274\uc2a4 \u1112\u1161\u11ab", NULL, "\ub274\uc2a4 \ud55c"},
        {"ko", "\uac00\u11a7", NULL, "\uac00\u11a7"}, /* utf8proc alone would lose the second */
        {"he", "\u202e\u05e9\u05dc\u05d5\u05dd\u202c \u200f\u05e2\u05d5\u05dc\u05dd", NULL,
         "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd"},
    };
    check(examples, N(examples));
}

static void words__lower_case_is_one_to_one(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"xx", "ferry \u0130ZM\u0130R", NULL, "ferry_ izmir^"},
        {"xx", "ferry \u039f\u0394\u039f\u03a3", NULL, "ferry_ \u03bf\u03b4\u03bf\u03c3^"},
        {"xx", "ferry STRA\u1e9eE", NULL, "ferry_ stra\u00dfe^"},
    };
    check(examples, N(examples));
}

static void english__stop_words(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"en", "what the ferry says about us and u.s. trade", NULL, "ferri us trade"},
        {"en", "it's she\u2019s let's don't harbour", NULL, "harbour"},
        {"en", "monday video: latest updates", NULL, ""},
        {"de", "the video", NULL, "the video"},
        {NULL, "the ferries", NULL, "ferri"},
    };
    check(examples, N(examples));
}

static void english__stop_words_are_all_found(void **state)
{
    (void)state;
    size_t n = 0;
    for (; nm_terms_stop_words[n][0]; n++) {
        assert_true(nm_terms_is_stop_word(nm_terms_stop_words[n]));
        assert_true(strlen(nm_terms_stop_words[n]) <= NM_TERMS_STOP_CHARS);
    }
    assert_int_equal(n, 238);
    static const char *const others[] = {"", "a", "aa", "ferry", "abou", "aboutt", "zz", "yourselve", "\xff"};
    for (size_t i = 0; i < N(others); i++)
        assert_false(nm_terms_is_stop_word(others[i]));
}

static void english__wire_prefixes(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"en", "update 2-ferry runs", NULL, "ferri run"},
        {"en", "UPDATE 2-Ferry runs", NULL, "ferri_ run_"},
        {"en", "  Breaking: URGENT - Timeline\u2014 ferry", NULL, "ferri_"},
        {"en", "[Quay TV] Photos: ferry", NULL, "ferri_"},
        {"en", "[Quay TV] ferry", NULL, "quay_ tv^ ferri_"},
        {"en", "[a bracket of 24 letters.] photos: ferry", NULL, "ferri"},
        {"en", "[a bracket of 25 letters..] photos: ferry", NULL, "bracket 25# letter ferri"},
        {"en", "[] timeline: ferry", NULL, "timelin ferri"},
        {"en", "timeline of a ferry", NULL, "timelin ferri"},
        {"en", "timeline-", NULL, ""},
        {"en", "timeline", NULL, "timelin"},
        {"en", "t\u0131mel\u0130ne \u0662 : ferry", NULL, "ferri_"},
        {"de", "Timeline: ferry", NULL, "timelin_ ferry_"},
    };
    check(examples, N(examples));
}

static void names__capitals(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"xx", "ferry harbour", NULL, "ferry harbour"},
        {"xx", "Ferry harbour", NULL, "ferry_ harbour_"},
        {"xx", "FErry harbour", NULL, "ferry^ harbour_"},
        {"xx", "ferry Quay ePost", NULL, "ferry_ quay^ epost_"},
        {"xx", "quay ferry in Quay", NULL, "quay^ ferry_ in_"},
        {"xx", "Ferry Harbour Quay", NULL, "ferry_ harbour^ quay^"},
        {"xx", "Ferry Harbour Quay Sea", NULL, "ferry harbour quay sea"},
        {"xx", "FERRY HARBOUR QUAY SEA", NULL, "ferry harbour quay sea"},
        /* 3 of 5 are 60 %, and not more */
        {"xx", "Ferry Harbour Quay Sea isle sand", NULL, "ferry_ harbour^ quay^ sea^ isle_ sand_"},
        {"xx", "Ferry Harbour Quay Sea Isle sand", NULL, "ferry harbour quay sea isle sand"},
        {"en", "The Ferry", NULL, "ferri^"},                       /* the first token was a stop word */
        {"xx", "ferry \U0001f150", NULL, "ferry_"},                /* a symbol that is upper case */
        {"xx", "\u1f88\u03b1 \u1f88\u03b1", NULL, "\u1f80\u03b1"}, /* title case is not upper case */
    };
    check(examples, N(examples));
}

static void excerpt__comes_second(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"xx", "ferry", "harbour ferry 12 harbour", "ferry harbour+ 12#+"},
        {"xx", "ferry quay", "then Ferry and in Harbour", "ferry quay then_+ and_+ in_+ harbour^+"},
        {"xx", "Ferry quay", "ferry harbour", "ferry_ quay_ harbour+"},
        {"xx", "Ferry quay", "then Quay and in Harbour", "ferry_ quay_ then_+ and_+ in_+ harbour^+"},
        {"xx", "", "ferry", "ferry+"},
        {"en", "ferry", "UPDATE 2 - ferries sank", "ferri sank_+"},
        {"en", "ferry", "update 2 - ferries sank", "ferri sank+"},
    };
    check(examples, N(examples));
    static const struct example limited[] = {
        {"xx", "aa bb cc dd", "bb cc dd ee", "aa bb cc+ dd+"},
        {"xx", "aa bb cc Aa Bb", NULL, "aa^ bb^"}, /* capitals behind the last term kept */
        {"xx", "aa bb", "Cc dd ee Dd", "aa bb cc_+ dd^+"},
    };
    check_limited(2, 2, limited, N(limited));
    static const struct example none[] = {{"xx", "aa bb", "cc dd", "aa bb"}};
    check_limited(2, 0, none, N(none));
}

static void stems__by_locale(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"en-GB", "running ferries", NULL, "run ferri"},
        {"EN_us", "running ferries", NULL, "run ferri"},
        {"xx", "running ferries", NULL, "running ferries"},
        {"", "running ferries", NULL, "running ferries"},
        {"eng", "running ferries", NULL, "running ferries"},
        {"e", "running ferries", NULL, "running ferries"},
        {"de-AT", "stra\u00dfen", NULL, "strass"},
        {"pt_br", "governos", NULL, "govern"},
        {"ru", "\u043d\u043e\u0432\u043e\u0441\u0442\u0438", NULL, "\u043d\u043e\u0432\u043e\u0441\u0442"},
        {"en", "\u6771\u4eac running", NULL, "\u6771\u4eac run"},
    };
    check(examples, N(examples));
}

static void stems__every_language_has_one(void **state)
{
    (void)state;
    static const char locales[][3] = {"ar", "da", "de", "el", "en", "es", "fi", "fr", "hu", "it",
                                      "nb", "nl", "nn", "no", "pt", "ro", "ru", "sv", "tr"};
    assert_int_equal(N(locales), NM_TERMS_LANGUAGES);
    for (size_t i = 0; i < N(locales); i++) {
        struct example example = {locales[i], "12", NULL, "12#"};
        assert_int_equal(nm_terms_language(locales[i]), (int)i);
        check(&example, 1);
    }
}

/* As many bytes as `unit` gives in 64 KB, as title and as excerpt; the terms go into line. */
static void analyse_repeated(const char *locale, const char *unit, size_t limit, struct nm_buf *line)
{
    struct nm_terms *text = new_text(limit, limit);
    struct nm_buf bytes = {0};
    while (bytes.len < 65536)
        nm_buf_adds(&bytes, unit);
    struct nm_terms_source source = {bytes.data, bytes.len, bytes.data, bytes.len, locale};
    analyse(text, &source, line);
    nm_buf_clear(&bytes);
    nm_terms_free(text);
}

static void hostile__repeats(void **state)
{
    (void)state;
    static const struct {
        const char *unit, *want;
    } cases[] = {
        {"harbour ", "harbour"},
        {"\U0001f600", ""},
        {"quay\n12 ", "quay 12#"},
        {"x", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
        {"\u0301\u0327", ""},
        {"'", ""},
        {"[", ""},
        {"\u6771", "\u6771\u6771"},
        {"\u202e\u05d0\u05d1\u200f ", "\u05d0\u05d1"},
        {"\xff", ""},
        {"ferry \xc3", "ferry"},
        {"\xed\xa0\x80", ""},
        {"\U0001d400", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa^"},
        {"\ufdfa", "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064a\u0647 "
                   "\u0648\u0633\u0644\u0645\u0635\u0644\u0649 \u0648\u0633\u0644\u0645"},
    };
    struct nm_buf line = {0};
    for (size_t i = 0; i < N(cases); i++) {
        analyse_repeated("xx", cases[i].unit, 40, &line);
        assert_string_equal(nm_buf_str(&line), cases[i].want);
    }
    nm_buf_clear(&line);
}

/* One base with thousands of marks: its term is cut; the marks are in order as if sorted by insertion. */
static void hostile__marks(void **state)
{
    (void)state;
    struct nm_terms *text = new_text(40, 24);
    struct nm_buf bytes = {0}, line = {0};
    for (int dense = 0; dense < 2; dense++) {
        nm_buf_reset(&bytes);
        nm_buf_adds(&bytes, dense ? "\u6771" : "b");
        for (int i = 0; i < 2000; i++)
            nm_buf_adds(&bytes, i % 2 ? "\u0327" : "\u0345"); /* classes 202 and 240 */
        struct nm_terms_source source = {bytes.data, bytes.len, NULL, 0, "xx"};
        analyse(text, &source, &line);
        size_t base = dense ? 3 : 1;
        assert_int_equal(line.len, base + 31 * 2);
        for (size_t i = 0; i < 31; i++)
            assert_memory_equal(line.data + base + 2 * i, "\u0327", 2);
    }
    nm_buf_clear(&bytes);
    nm_buf_clear(&line);
    nm_terms_free(text);
}

static void limits__bytes_that_are_read(void **state)
{
    (void)state;
    struct nm_terms *text = new_text(40, 24);
    struct nm_buf title = {0}, excerpt = {0}, line = {0};
    while (title.len < NM_TERMS_TITLE_BYTES - 1)
        nm_buf_adds(&title, " ");
    nm_buf_adds(&title, "\u00e9\u00e9 lost");
    while (excerpt.len < NM_TERMS_EXCERPT_BYTES - 5)
        nm_buf_adds(&excerpt, " ");
    nm_buf_adds(&excerpt, "ferry lost");
    struct nm_terms_source source = {title.data, title.len, excerpt.data, excerpt.len, "xx"};
    analyse(text, &source, &line);
    assert_string_equal(nm_buf_str(&line), "ferry+"); /* half of a character is none */
    nm_buf_clear(&title);
    nm_buf_clear(&excerpt);
    nm_buf_clear(&line);
    nm_terms_free(text);
}

static void limits__most_terms(void **state)
{
    (void)state;
    struct nm_terms *text = new_text(NM_TERMS_MAX, NM_TERMS_MAX);
    struct nm_buf bytes = {0}, line = {0};
    for (int i = 0; i < 700; i++)
        nm_buf_addf(&bytes, "q%d ", i);
    struct nm_terms_source source = {bytes.data, bytes.len, bytes.data, bytes.len, "xx"};
    analyse(text, &source, &line);
    assert_non_null(strstr(nm_buf_str(&line), " q63 q64+ "));
    assert_non_null(strstr(nm_buf_str(&line), " q127+"));
    assert_null(strstr(nm_buf_str(&line), "q128"));
    nm_buf_clear(&bytes);
    nm_buf_clear(&line);
    nm_terms_free(text);
}

/* Every character between two letters, so both ways: that of characters known to be in normal form, and the other. */
static void chars__normal_form_agrees_with_utf8proc(void **state)
{
    (void)state;
    struct nm_terms_chars chars;
    nm_terms_chars_init(&chars);
    for (int32_t code = 1; code < 0x30000; code++) {
        char in[16] = "a";
        if (code == '\\' || (code >= 0xd800 && code < 0xe000) || code == 0x2018 || code == 0x2019 || code == 0x2bc ||
            code == 0x149 || code == 0xff07 || code == 0xfe68 || code == 0xff3c)
            continue;
        size_t len = 1 + (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)in + 1);
        in[len++] = 'o';
        utf8proc_uint8_t *want = utf8proc_NFKC((const utf8proc_uint8_t *)in);
        assert_int_equal(nm_terms_chars_read(&chars, in, len, NULL), NM_OK);
        size_t at = 0;
        for (size_t i = 0; i < chars.n; i++) {
            utf8proc_uint8_t bytes[4];
            size_t n = (size_t)utf8proc_encode_char(chars.code[i], bytes);
            assert_memory_equal(bytes, want + at, n);
            at += n;
        }
        assert_int_equal(want[at], 0);
        free(want);
    }
    nm_terms_chars_clear(&chars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words__letters_digits_and_inner_points),
        cmocka_unit_test(words__numbers),
        cmocka_unit_test(words__scripts_without_spaces),
        cmocka_unit_test(words__lower_case_is_one_to_one),
        cmocka_unit_test(english__stop_words),
        cmocka_unit_test(english__stop_words_are_all_found),
        cmocka_unit_test(english__wire_prefixes),
        cmocka_unit_test(names__capitals),
        cmocka_unit_test(excerpt__comes_second),
        cmocka_unit_test(stems__by_locale),
        cmocka_unit_test(stems__every_language_has_one),
        cmocka_unit_test(hostile__repeats),
        cmocka_unit_test(hostile__marks),
        cmocka_unit_test(limits__bytes_that_are_read),
        cmocka_unit_test(limits__most_terms),
        cmocka_unit_test(chars__normal_form_agrees_with_utf8proc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
