/* test_normalize_options.c - the option table of normalize: ranges at and one beyond, pointers, names, positions. */
#include "config_internal.h"
#include "normalize_fixture.h"

static const struct nm_option_table tables[] = {{"normalize", normalize_options, NULL}, {NULL, NULL, NULL}};

/* What nm_problems_print() shows for this file; free() it. */
static char *problems_of(const char *text, struct nz_options *out)
{
    char *none[] = {NULL}, *shown = NULL;
    size_t len;
    struct nm_config_input input = {
        .path = "t.yaml", .data = text, .len = strlen(text), .program = "normalize", .tables = tables, .env = none};
    struct nm_config *config = NULL;
    struct nm_problems problems = {0};
    enum nm_status status = nm_config_load_input(&input, &config, &problems, NULL);
    if (status == NM_OK)
        status = nm_config_apply(config, normalize_options, out, &problems, NULL);
    assert_int_equal(status, problems.n > 0 ? NM_CONFIG : NM_OK);
    FILE *file = open_memstream(&shown, &len);
    assert_non_null(file);
    nm_problems_print(&problems, file);
    assert_int_equal(fclose(file), 0);
    nm_problems_clear(&problems);
    nm_config_free(config);
    return shown;
}

static void check(const char *text, const char *want)
{
    struct nz_options options = {0};
    NM_AUTO(free) char *shown = problems_of(text, &options);
    if (strcmp(shown, want) != 0)
        fail_msg("for\n%s\nwanted\n%s\ngot\n%s", text, want, shown);
    nm_options_clear(normalize_options, &options);
}

static void defaults__are_those_of_the_fixture(void **state)
{
    (void)state;
    struct nz_options options = {0}, fixture = fixture_options();
    NM_AUTO(free) char *shown = problems_of("{}", &options);
    assert_string_equal(shown, "");
    assert_true(options.trust_quality && options.built_in_mapping);
    assert_int_equal(options.max_bytes, fixture.max_bytes);
    assert_int_equal(options.max_depth, fixture.max_depth);
    assert_int_equal(options.max_images, fixture.max_images);
    assert_int_equal(options.excerpt_chars, fixture.excerpt_chars);
    assert_int_equal(options.max_future_ms, fixture.max_future_ms);
    assert_int_equal(options.secured_key, fixture.secured_key);
    assert_int_equal(options.mapping.n + options.secured_fields.n + options.secured_keys.n, 0);
    nm_options_clear(normalize_options, &options);
}

static const struct {
    const char *name;
    long long least, most;
} ranges[] = {
    {"normalize.rules", 1, 2147483647},     {"normalize.maxBytes", 1024, 1048576},
    {"normalize.maxDepth", 1, 128},         {"normalize.maxImages", 0, 16},
    {"normalize.excerptChars", 1, 10000},   {"normalize.maxFutureMs", 0, 31536000000},
    {"secured.key", 1, 4294967295},         {"quality.topicPoints", -1000, 1000},
    {"quality.keywordPoints", -1000, 1000}, {"quality.imagePoints", -1000, 1000},
    {"quality.ampPoints", -1000, 1000},     {"quality.featuredPoints", -1000, 1000},
    {"quality.titleFreeChars", 0, 1024},    {"quality.titleStepChars", 1, 1024},
};

static void range__ends_where_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ranges); i++) {
        const struct {
            long long value;
            bool good;
        } cases[] = {
            {ranges[i].least, true}, {ranges[i].least - 1, false}, {ranges[i].most, true}, {ranges[i].most + 1, false}};
        for (size_t k = 0; k < COUNT(cases); k++) {
            char text[100];
            struct nz_options options = {0};
            (void)snprintf(text, sizeof text, "%s: %lld\n", ranges[i].name, cases[k].value);
            NM_AUTO(free) char *shown = problems_of(text, &options);
            if ((*shown == '\0') != cases[k].good)
                fail_msg("%s: %s", text, shown);
            nm_options_clear(normalize_options, &options);
        }
    }
}

static void word__and_locale_of_the_defaults(void **state)
{
    (void)state;
    check("defaults: {category: sport_2, type: A-1, locale: pt-BR}\n", "");
    check("defaults.category: two words\n",
          "t.yaml:1:20: error: defaults.category is not a word: use letters, digits, \"_\" and \"-\" only\n");
    check("defaults.locale: en_GB\n",
          "t.yaml:1:18: error: defaults.locale is not a language tag such as en or pt-BR\n");
    check("defaults.locale: e\n", "t.yaml:1:18: error: defaults.locale is not a language tag such as en or pt-BR\n");
}

static const struct {
    const char *tag;
    bool good;
} locales[] = {
    {"en", true},
    {"en-GB", true},
    {"en_GB", true},
    {"zh-Hant-TW", true},
    {"de-CH-1996", true},
    {"sl-rozaj", true},
    {"es-419", true},
    {"en-a-bbb-x-a-ccc", true},
    {"x-whatever", true},
    {"i-klingon", true},
    {"abcdefgh", true},
    {"en-abcdefgh", true},
    {"", false},
    {"e", false},
    {"x", false},
    {"abcdefghi", false},
    {"en-", false},
    {"-en", false},
    {"en--GB", false},
    {"en-abcdefghi", false},
    {"e1", false},
    {"12", false},
    {"en GB", false},
    {"en-a", false},
    {"en.UTF-8", false},
    {"en-x", false},
    {"Espa\xc3\xb1ol", false},
    {"en-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefg", true}, /* 64 bytes */
    {"en-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh", false},
};

static void locale__is_a_well_formed_tag(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(locales); i++)
        if (nz_is_locale(locales[i].tag, strlen(locales[i].tag)) != locales[i].good)
            fail_msg("'%s'", locales[i].tag);
}

static const struct {
    const char *pointer;
    bool good;
} pointers[] = {
    {"/a", true},
    {"/", true},
    {"//", true},
    {"/a~0~1", true},
    {"/a b", true},
    {"/%41", true},
    {"", false},
    {"a", false},
    {"a/b", false},
    {"#/a", false},
    {"/a~", false},
    {"/a~2", false},
    {"/~/a", false},
    {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", true},
    {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", false},
};

static void pointer__is_one_of_rfc_6901_and_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pointers); i++)
        if (nz_is_pointer(pointers[i].pointer) != pointers[i].good)
            fail_msg("'%s'", pointers[i].pointer);
    char text[130];
    memset(text, 'a', sizeof text);
    text[0] = '/';
    text[128] = '\0';
    assert_true(nz_is_pointer(text));
    text[128] = 'a';
    text[129] = '\0';
    assert_false(nz_is_pointer(text));
}

#define NOT_A_POINTER                                                                                                  \
    "which is not a JSON pointer such as /a/b: it starts with \"/\", \"~\" is written ~0 and \"/\" in a name ~1, at "  \
    "most 16 names and 128 bytes\n"

static void mapping__problems_have_a_position(void **state)
{
    (void)state;
    check("normalize:\n  mapping:\n    title: [/headline, \"/a~1b\"]\n    url: [/u]\n", "");
    check("normalize:\n  mapping:\n    headline: [/h]\n",
          "t.yaml:3:5: error: unknown member 'headline' of normalize.mapping; expected one of url, title, excerpt, "
          "content, publishedDateTime, modifiedDateTime, images, provider, ampUrl, locale, category, type, topics, "
          "featuredContent, quality, private, retracted\n");
    check("normalize:\n  mapping:\n    publishedDatetime: [/d]\n",
          "t.yaml:3:5: error: unknown member 'publishedDatetime' of normalize.mapping; did you mean "
          "'publishedDateTime'?\n");
    check("normalize:\n  mapping:\n    image: [/i]\n",
          "t.yaml:3:5: error: unknown member 'image' of normalize.mapping; did you mean 'images'?\n");
    check("normalize:\n  mapping:\n    title: [/ok, headline]\n",
          "t.yaml:3:18: error: normalize.mapping.title has 'headline', " NOT_A_POINTER);
    check("normalize:\n  mapping:\n    title: [/a~b]\n",
          "t.yaml:3:13: error: normalize.mapping.title has '/a~b', " NOT_A_POINTER);
    check("normalize.mapping.title: [/1, /2, /3, /4, /5, /6, /7, /8, /9, /10, /11, /12, /13, /14, /15, /16]\n", "");
    check("normalize.mapping.title: [/1, /2, /3, /4, /5, /6, /7, /8, /9, /10, /11, /12, /13, /14, /15, /16, /17]\n",
          "t.yaml:1:26: error: normalize.mapping.title has 17 entries, not 1 to 16\n");
    check("normalize.builtInMaping: false\n",
          "t.yaml:1:1: error: unknown option 'normalize.builtInMaping'; did you mean 'normalize.builtInMapping'?\n");
}

static void secured__problems_have_a_position(void **state)
{
    (void)state;
    check("secured: {fields: [/private/editor, /private, /private/a/b], key: 2, keys: {2: {file: k}, 1: {env: K}}}\n",
          "");
    check("secured.fields: [/editor]\n", "t.yaml:1:18: error: secured.fields has '/editor', which is not a JSON "
                                         "pointer into /private, such as /private/editor\n");
    check("secured.fields: [/privateer]\n", "t.yaml:1:18: error: secured.fields has '/privateer', which is not a JSON "
                                            "pointer into /private, such as /private/editor\n");
    check("secured.keys: {1: {key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=}}\n",
          "t.yaml:1:20: error: unknown member 'key' of secured.keys.1; expected one of file, env\n");
    check("secured.keys: {1: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=}\n",
          "t.yaml:1:19: error: secured.keys.1 is a single value; expected a mapping such as {file: ...}\n");
    check("secured.keys: {0: {env: K}}\n",
          "t.yaml:1:20: error: '0' in secured.keys is not a whole number within 1..4294967295\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults__are_those_of_the_fixture),    cmocka_unit_test(range__ends_where_the_table_says),
        cmocka_unit_test(word__and_locale_of_the_defaults),      cmocka_unit_test(locale__is_a_well_formed_tag),
        cmocka_unit_test(pointer__is_one_of_rfc_6901_and_short), cmocka_unit_test(mapping__problems_have_a_position),
        cmocka_unit_test(secured__problems_have_a_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
