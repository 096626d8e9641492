/* test_tool_source.c - bytes of files: gzip in every cut, damaged, endless; lines; what a file seems to be. */
#include "load_world.h"
#include "newsmill/format.h"
#include "newsmill/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

static const size_t blocks[] = {1, 2, 3, 7, 64, 0};

/* Everything that the source gives, in reads of `cap` bytes. */
static enum nm_status read_all(struct nm_source *source, size_t cap, struct nm_buf *out, struct nm_error *err)
{
    char buf[4096];
    size_t n = 1;
    enum nm_status status = NM_OK;

    nm_buf_reset(out);
    while (status == NM_OK && n > 0) {
        status = nm_source_read(source, buf, cap, &n, err);
        if (status == NM_OK)
            nm_buf_add(out, buf, n);
    }
    return status;
}

static void check_read(const struct nm_buf *data, size_t block, size_t cap, const char *want)
{
    int fd = -1;
    struct nm_source *source = load_world_source(data->data, data->len, block, &fd);
    struct nm_buf out = {0};

    assert_int_equal(read_all(source, cap, &out, NULL), NM_OK);
    assert_string_equal(nm_buf_str(&out), want);
    assert_int_equal(nm_source_taken(source), data->len);
    assert_false(nm_source_stopped(source));
    nm_buf_clear(&out);
    nm_source_close(source);
    (void)close(fd);
}

static void source__plain_and_gzip_are_the_same_in_every_cut(void **state)
{
    static const char text[] = "one\ntwo two two two two two\nthree";
    struct nm_buf plain = {0}, packed = {0};

    (void)state;
    nm_buf_adds(&plain, text);
    load_world_gzip(text, 8, &packed); /* three members, one of them empty, and padding */
    load_world_gzip("", 0, &packed);
    load_world_gzip(text + 8, strlen(text) - 8, &packed);
    nm_buf_add(&packed, "\0\0\0\0\0", 5);
    for (size_t i = 0; i < N(blocks); i++) {
        for (size_t cap = 1; cap <= 4096; cap *= 8) {
            check_read(&plain, blocks[i], cap, text);
            check_read(&packed, blocks[i], cap, text);
        }
    }
    nm_buf_clear(&plain);
    nm_buf_clear(&packed);
}

static void source__damaged_gzip_is_refused_after_its_good_part(void **state)
{
    static const char text[] = "events events events";
    static const struct {
        size_t cut;       /* bytes taken from the end                */
        const char *more; /* bytes that follow in their place        */
        const char *why;
    } cases[] = {{1, "", "end too early"},    {8, "", "end too early"},      {12, "", "end too early"},
                 {8, "abcdefgh", "damaged"},  {0, "junk", "something else"}, {0, "\x1F\x8C", "damaged"},
                 {0, "\x1F", "end too early"}};

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        for (size_t b = 0; b < N(blocks); b++) {
            struct nm_buf packed = {0}, out = {0};
            struct nm_error err = {0};
            int fd = -1;
            load_world_gzip(text, strlen(text), &packed);
            packed.len -= cases[i].cut;
            nm_buf_adds(&packed, cases[i].more);
            struct nm_source *source = load_world_source(packed.data, packed.len, blocks[b], &fd);
            assert_int_equal(read_all(source, 4096, &out, &err), NM_BAD_INPUT);
            assert_non_null(strstr(err.msg, cases[i].why));
            if (cases[i].cut < 8) /* nothing vouches for what a wrong checksum belongs to */
                assert_string_equal(nm_buf_str(&out), text);
            nm_source_close(source);
            (void)close(fd);
            nm_buf_clear(&packed);
            nm_buf_clear(&out);
        }
    }
}

static void source__bomb_is_refused_before_it_costs_much(void **state)
{
    struct nm_buf zeros = {0}, packed = {0};
    char block[65536] = {0};
    struct nm_error err = {0};
    unsigned long long n_read = 0;
    size_t n = 1;
    int fd = -1;
    enum nm_status status = NM_OK;

    (void)state;
    for (int i = 0; i < 64; i++)
        nm_buf_add(&zeros, block, sizeof block);
    for (int i = 0; i < 50; i++) /* 200 MiB in 204 KiB */
        load_world_gzip(zeros.data, zeros.len, &packed);
    struct nm_source *source = load_world_source(packed.data, packed.len, 0, &fd);
    while (status == NM_OK && n > 0) {
        status = nm_source_read(source, block, sizeof block, &n, &err);
        n_read += n;
    }
    assert_int_equal(status, NM_BAD_INPUT);
    assert_non_null(strstr(err.msg, "expands more than 500 times"));
    assert_true(n_read < (80ULL << 20));
    nm_source_close(source);
    (void)close(fd);
    nm_buf_clear(&zeros);
    nm_buf_clear(&packed);
}

/* The same event a hundred thousand times, which is the most that honest files pack. */
static void source__repeated_events_are_no_bomb(void **state)
{
    struct nm_buf events = {0}, packed = {0}, out = {0};
    int fd = -1;

    (void)state;
    for (int i = 0; i < 100000; i++)
        nm_buf_addf(&events, "{\"url\": \"https://a.example/%d\", \"title\": \"%0900d\"}\n", i, 7);
    load_world_gzip(events.data, events.len, &packed);
    assert_true(events.len / packed.len > 50 && events.len > (64 << 20));
    struct nm_source *source = load_world_source(packed.data, packed.len, 0, &fd);
    assert_int_equal(read_all(source, 4096, &out, NULL), NM_OK);
    assert_int_equal(out.len, events.len);
    nm_source_close(source);
    (void)close(fd);
    nm_buf_clear(&events);
    nm_buf_clear(&packed);
    nm_buf_clear(&out);
}

static void source__peek_takes_nothing(void **state)
{
    static const char text[] = "0123456789abcdefghij";
    struct nm_buf out = {0};

    (void)state;
    for (size_t b = 0; b < N(blocks); b++) {
        const char *data = NULL;
        size_t n = 0;
        int fd = -1;
        struct nm_source *source = load_world_source(text, strlen(text), blocks[b], &fd);
        assert_int_equal(nm_source_peek(source, 1, &data, &n, NULL), NM_OK);
        assert_true(n >= 1 && data[0] == '0');
        assert_int_equal(nm_source_peek(source, 12, &data, &n, NULL), NM_OK);
        assert_true(n >= 12 && memcmp(data, text, 12) == 0);
        assert_int_equal(nm_source_peek(source, 1000, &data, &n, NULL), NM_OK);
        assert_int_equal(n, strlen(text));
        assert_int_equal(read_all(source, 3, &out, NULL), NM_OK);
        assert_string_equal(nm_buf_str(&out), text);
        assert_int_equal(nm_source_peek(source, 1, &data, &n, NULL), NM_OK);
        assert_int_equal(n, 0);
        nm_source_close(source);
        (void)close(fd);
    }
    nm_buf_clear(&out);
}

static bool say_no(void *opaque)
{
    size_t *left = opaque;
    return (*left)-- > 1;
}

/* A pipe that stays silent: the caller is asked and ends the reading. */
static void source__silent_pipe_asks_whether_to_go_on(void **state)
{
    int ends[2];
    size_t left = 3, n = 9;
    char buf[8];
    struct nm_source *source = NULL;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    struct nm_source_options options = {.fd = ends[0], .idle = say_no, .opaque = &left};
    assert_int_equal(nm_source_open(&options, &source, NULL), NM_OK);
    assert_int_equal(nm_source_read(source, buf, sizeof buf, &n, NULL), NM_OK);
    assert_int_equal(n, 0);
    assert_true(nm_source_stopped(source));
    nm_source_close(source);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void lines__every_ending_and_length(void **state)
{
    static const struct {
        const char *text, *events, *said;
    } cases[] = {
        {"", "", ""},
        {"a", "a\n", ""},
        {"a\nb\n", "a\nb\n", ""},
        {"a\r\n\r\n  \t\n\nb", "a\nb\n", ""},
        {"\xEF\xBB\xBF{}\n\xEF\xBB\xBFx", "{}\n\xEF\xBB\xBFx\n", ""},
        {"12345678\n123456789\n1", "12345678\n1\n", "2:0 not loaded: longer than maxMessageBytes of this stream\n"},
        {"12345678\r\n", "12345678\n", ""},
        {"\xEF\xBB\xBF"
         "12345678",
         "12345678\n", ""},
        {"1234567890123456789012345678901234567890", "",
         "1:0 not loaded: longer than maxMessageBytes of this stream\n"},
        {"1234567890123456789012345678901234567890\n\n1", "1\n",
         "1:0 not loaded: longer than maxMessageBytes of this stream\n"},
    };
    struct load_world world = {.max_bytes = 8};

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        for (size_t b = 0; b < N(blocks); b++) {
            world.block = blocks[b];
            load_world_read(&world, nm_read_lines, cases[i].text, strlen(cases[i].text));
            assert_int_equal(world.status, NM_OK);
            assert_string_equal(nm_buf_str(&world.events), cases[i].events);
            assert_string_equal(nm_buf_str(&world.said), cases[i].said);
        }
    }
    load_world_clear(&world);
}

static void format__is_told_by_content(void **state)
{
    static const struct {
        const char *text;
        enum nm_format format;
    } cases[] = {
        {"", NM_FORMAT_NDJSON},
        {"\n \n", NM_FORMAT_NDJSON},
        {"{\"url\": \"a\"}\n{\"url\": \"b\"}\n", NM_FORMAT_NDJSON},
        {"{\"url\": \"a\"}", NM_FORMAT_NDJSON},
        {"{\"url\": \"a\"\n{\"url\": \"b\"}\n", NM_FORMAT_NDJSON}, /* a broken line */
        {"{\"url\": 'a'}\n{\"url\": \"b\"}\n", NM_FORMAT_NDJSON},
        {"not json\n{}", NM_FORMAT_NDJSON},
        {"--- a", NM_FORMAT_NDJSON},
        {"-", NM_FORMAT_NDJSON},
        {"{\n  \"url\": \"a\"\n}", NM_FORMAT_JSON},
        {"{\"url\": \"a\",\n\"n\": 1}", NM_FORMAT_JSON},
        {" \n[{\"url\": \"a\"}]", NM_FORMAT_JSON},
        {"{\"version\": \"https://jsonfeed.org/version/1.1\", \"items\": []}", NM_FORMAT_JSON},
        {"{\"items\": [], \"n\": 1}\n", NM_FORMAT_NDJSON},
        {"{\"@graph\": []}\n", NM_FORMAT_JSON},
        {"\xEF\xBB\xBF<?xml version='1.0'?>", NM_FORMAT_RSS},
        {"\n <rss>", NM_FORMAT_RSS},
        {"\xFF\xFE<", NM_FORMAT_RSS},
        {"---\ntitle: x\n---\n", NM_FORMAT_FRONT_MATTER},
        {"\xEF\xBB\xBF---\r\ntitle: x", NM_FORMAT_FRONT_MATTER},
        {"---", NM_FORMAT_FRONT_MATTER},
    };

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        for (size_t b = 0; b < N(blocks); b++) {
            enum nm_format format = NM_N_FORMATS;
            int fd = -1;
            struct nm_source *source = load_world_source(cases[i].text, strlen(cases[i].text), blocks[b], &fd);
            assert_int_equal(nm_format_detect(source, &format, NULL), NM_OK);
            if (format != cases[i].format)
                fail_msg("'%s' is %s", cases[i].text, nm_format_word(format));
            nm_source_close(source);
            (void)close(fd);
        }
    }
}

/* A pipe that goes on for ever must not be waited for. */
static void format__is_told_by_the_first_line(void **state)
{
    static const char *const enough[] = {"{\"url\": \"a\"}\n", "[1", "<rss>", "---\n", "not json"};
    enum nm_format format;

    (void)state;
    for (size_t i = 0; i < N(enough); i++)
        assert_int_equal(nm_format_of(enough[i], strlen(enough[i]) > 3 ? strlen(enough[i]) : 3, false, &format), true);
    assert_false(nm_format_of("{\"url\": \"a\"", 11, false, &format));
    assert_false(nm_format_of("{\"url\": \"a\",\n ", 14, false, &format));
}

static void format__other_packings_are_named(void **state)
{
    static const char *const packed[] = {"BZh9....", "\3757zXZ...", "\x28\xB5\x2F\xFD...", "PK\x03\x04....",
                                         "\x04\x22\x4D\x18..."};
    struct nm_buf twice = {0};
    struct nm_error err = {0};
    enum nm_format format;
    int fd = -1;

    (void)state;
    for (size_t i = 0; i < N(packed); i++) {
        struct nm_source *source = load_world_source(packed[i], strlen(packed[i]), 0, &fd);
        assert_int_equal(nm_format_detect(source, &format, &err), NM_BAD_INPUT);
        assert_non_null(strstr(err.msg, "is packed with "));
        nm_source_close(source);
        (void)close(fd);
    }
    struct nm_buf once = {0};
    load_world_gzip("{}", 2, &once);
    load_world_gzip(once.data, once.len, &twice);
    struct nm_source *source = load_world_source(twice.data, twice.len, 0, &fd);
    assert_int_equal(nm_format_detect(source, &format, &err), NM_BAD_INPUT);
    assert_non_null(strstr(err.msg, "packed twice"));
    nm_source_close(source);
    (void)close(fd);
    nm_buf_clear(&once);
    nm_buf_clear(&twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source__plain_and_gzip_are_the_same_in_every_cut),
        cmocka_unit_test(source__damaged_gzip_is_refused_after_its_good_part),
        cmocka_unit_test(source__bomb_is_refused_before_it_costs_much),
        cmocka_unit_test(source__repeated_events_are_no_bomb),
        cmocka_unit_test(source__peek_takes_nothing),
        cmocka_unit_test(source__silent_pipe_asks_whether_to_go_on),
        cmocka_unit_test(lines__every_ending_and_length),
        cmocka_unit_test(format__is_told_by_content),
        cmocka_unit_test(format__is_told_by_the_first_line),
        cmocka_unit_test(format__other_packings_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
