/* test_article.c - reading article/1, and yyjson on an arena. */
#include "newsmill/article.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef"

static const struct {
    const char *value, *code; /* code NULL: it is an article */
    int64_t revision, source_time;
    bool retracted;
} cases[] = {
    {"{\"id\":\"" ID "\",\"revision\":7,\"sourceTime\":5,\"title\":\"T\"}", NULL, 7, 5, false},
    {"{\"id\":\"" ID "\",\"revision\":9007199254740991,\"sourceTime\":0,\"retracted\":true}", NULL, 9007199254740991, 0,
     true},
    {"{\"id\":\"" ID "\",\"revision\":7,\"sourceTime\":5,\"retracted\":false,\"new\":[1]}", NULL, 7, 5, false},
    {"", "not_json", 0, 0, false},
    {"{\"id\":", "not_json", 0, 0, false},
    {"[]", "not_object", 0, 0, false},
    {"{}", "wrong_type", 0, 0, false},
    {"{\"id\":7,\"revision\":7,\"sourceTime\":5}", "wrong_type", 0, 0, false},
    {"{\"id\":\"0123\",\"revision\":7,\"sourceTime\":5}", "wrong_type", 0, 0, false},
    {"{\"id\":\"0123456789ABCDEF0123456789abcdef\",\"revision\":7,\"sourceTime\":5}", "wrong_type", 0, 0, false},
    {"{\"id\":\"" ID "\",\"sourceTime\":5}", "wrong_type", 0, 0, false},
    {"{\"id\":\"" ID "\",\"revision\":0,\"sourceTime\":5}", "wrong_type", 0, 0, false},
    {"{\"id\":\"" ID "\",\"revision\":-7,\"sourceTime\":5}", "wrong_type", 0, 0, false},
    {"{\"id\":\"" ID "\",\"revision\":7.5,\"sourceTime\":5}", "wrong_type", 0, 0, false},
    {"{\"id\":\"" ID "\",\"revision\":9007199254740992,\"sourceTime\":5}", "wrong_type", 0, 0, false},
    {"{\"id\":\"" ID "\",\"revision\":7}", "wrong_type", 0, 0, false},
    {"{\"id\":\"" ID "\",\"revision\":7,\"sourceTime\":\"5\"}", "wrong_type", 0, 0, false},
    {"{\"id\":\"" ID "\",\"revision\":7,\"sourceTime\":5,\"retracted\":\"yes\"}", "wrong_type", 0, 0, false},
};

static void read__each_value_gives_its_article_or_code(void **state)
{
    (void)state;
    struct nm_arena arena = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_error err = {0};
        struct nm_article article = {.revision = -1};
        enum nm_status status = nm_article_read(cases[i].value, strlen(cases[i].value), &arena, &article, &err);
        assert_int_equal(status, cases[i].code ? NM_BAD_INPUT : NM_OK);
        assert_string_equal(err.code, cases[i].code ? cases[i].code : "");
        if (cases[i].code) {
            assert_int_equal(article.revision, -1); /* untouched */
            continue;
        }
        assert_string_equal(article.id, ID);
        assert_int_equal(article.revision, cases[i].revision);
        assert_int_equal(article.source_time, cases[i].source_time);
        assert_int_equal(article.retracted, cases[i].retracted);
        assert_true(yyjson_is_obj(article.root));
    }
    nm_arena_clear(&arena);
}

static void read__tombstone_is_refused(void **state)
{
    (void)state;
    struct nm_arena arena = {0};
    struct nm_article article;
    struct nm_error err = {0};
    assert_int_equal(nm_article_read(NULL, 0, &arena, &article, &err), NM_BAD_INPUT);
    assert_string_equal(err.code, "not_json");
    nm_arena_clear(&arena);
}

/* The value is not NUL-terminated, and what follows it is not looked at. */
static void read__ends_at_the_length(void **state)
{
    (void)state;
    static const char text[] = "{\"id\":\"" ID "\",\"revision\":7,\"sourceTime\":5}garbage";
    struct nm_arena arena = {0};
    struct nm_article article;
    assert_int_equal(nm_article_read(text, sizeof text - 1 - 7, &arena, &article, NULL), NM_OK);
    assert_int_equal(nm_article_read(text, sizeof text - 1, &arena, &article, NULL), NM_BAD_INPUT);
    nm_arena_clear(&arena);
}

static void alc__grows_with_content_and_shrinks_in_place(void **state)
{
    (void)state;
    struct nm_arena arena = {0};
    yyjson_alc alc = nm_arena_alc(&arena);
    char *piece = alc.malloc(alc.ctx, 16);
    assert_non_null(piece);
    for (int i = 0; i < 16; i++)
        piece[i] = "0123456789abcdef"[i];
    char *grown = alc.realloc(alc.ctx, piece, 16, 100000);
    assert_non_null(grown);
    assert_memory_equal(grown, "0123456789abcdef", 16);
    assert_ptr_equal(alc.realloc(alc.ctx, grown, 100000, 10), grown);
    alc.free(alc.ctx, grown);
    assert_memory_equal(grown, "0123456789abcdef", 16);
    nm_arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read__each_value_gives_its_article_or_code),
        cmocka_unit_test(read__tombstone_is_refused),
        cmocka_unit_test(read__ends_at_the_length),
        cmocka_unit_test(alc__grows_with_content_and_shrinks_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
