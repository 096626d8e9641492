/* test_log.c - lines on stderr: the members, the escaping, the bound, the behaviour when nobody reads.
 *
 * Each test points file descriptor 2 at a pipe or a file of its own and puts the old one back before it checks, so
 * that a failing check is still seen. */
#include "newsmill/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_LINE 4096

struct capture {
    int old_fd, read_fd;
    char text[4 * MAX_LINE];
    size_t len;
};

static void capture_start(struct capture *c)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    c->old_fd = dup(STDERR_FILENO);
    assert_true(c->old_fd >= 0);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    (void)close(fds[1]);
    c->read_fd = fds[0];
}

static void capture_stop(struct capture *c)
{
    (void)dup2(c->old_fd, STDERR_FILENO);
    (void)close(c->old_fd);
    c->len = 0;
    ssize_t n;
    while ((n = read(c->read_fd, c->text + c->len, sizeof c->text - 1 - c->len)) > 0)
        c->len += (size_t)n;
    c->text[c->len] = '\0';
    (void)close(c->read_fd);
}

/* The one line that was written, as JSON; release with json_decref(). */
static json_t *one_object(const struct capture *c)
{
    assert_true(c->len > 0 && c->len <= MAX_LINE);
    assert_ptr_equal(strchr(c->text, '\n'), c->text + c->len - 1);
    json_error_t error;
    json_t *line = json_loadb(c->text, c->len, 0, &error);
    if (!line)
        fail_msg("not JSON: %s in %s", error.text, c->text);
    return line;
}

static const char *member(json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    assert_non_null(text);
    return text;
}

static void json__members_are_in_order(void **state)
{
    (void)state;
    struct capture c;
    nm_log_setup("normalize", "info", true);
    struct nm_where where = {.id = "00ff", .stream = "articles.raw", .partition = 3, .offset = 1234567890123};
    capture_start(&c);
    nm_log_at(NM_WARN, "dead", &where, "no %s in %d bytes", "title", 7);
    capture_stop(&c);
    json_t *line = one_object(&c);
    static const char *const names[] = {"time", "level",  "worker",    "event", "msg",
                                        "id",   "stream", "partition", "offset"};
    size_t i = 0;
    const char *name;
    json_t *value;
    json_object_foreach(line, name, value) assert_string_equal(name, names[i++]);
    assert_int_equal(i, 9);
    assert_string_equal(member(line, "level"), "warn");
    assert_string_equal(member(line, "worker"), "normalize");
    assert_string_equal(member(line, "event"), "dead");
    assert_string_equal(member(line, "msg"), "no title in 7 bytes");
    assert_string_equal(member(line, "id"), "00ff");
    assert_int_equal(json_integer_value(json_object_get(line, "partition")), 3);
    assert_int_equal(json_integer_value(json_object_get(line, "offset")), 1234567890123);
    regex_t utc;
    assert_int_equal(
        regcomp(&utc, "^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$", REG_EXTENDED), 0);
    assert_int_equal(regexec(&utc, member(line, "time"), 0, NULL, 0), 0);
    regfree(&utc);
    json_decref(line);
}

static void json__unknown_members_are_left_out(void **state)
{
    (void)state;
    struct capture c;
    nm_log_setup("normalize", "info", true);
    struct nm_where where = {.partition = -1, .offset = -1};
    capture_start(&c);
    nm_log_at(NM_INFO, "started", &where, "up");
    capture_stop(&c);
    json_t *line = one_object(&c);
    assert_int_equal(json_object_size(line), 5);
    json_decref(line);
}

/* What untrusted text turns into: in JSON after parsing, and in a line of text. */
static const struct {
    const char *in, *json, *text;
} escapes[] = {
    {"plain \xc3\xa4 \xf0\x9f\x98\x80", "plain \xc3\xa4 \xf0\x9f\x98\x80", "plain \xc3\xa4 \xf0\x9f\x98\x80"},
    {"a\"b\\c", "a\"b\\c", "a\"b\\\\c"},
    {"two\nlines\tand\rmore", "two\nlines\tand\rmore", "two\\nlines\\tand\\u000dmore"},
    {"\x1b[31mred", "\x1b[31mred", "\\u001b[31mred"},
    {"\x7f \xc2\x85", "\x7f \xc2\x85", "\\u007f \\u0085"},
    {"line\xe2\x80\xa8sep \xe2\x80\xaeturned", "line\xe2\x80\xa8sep \xe2\x80\xaeturned",
     "line\\u2028sep \\u202eturned"},
    {"bad \xff byte", "bad \xef\xbf\xbd byte", "bad \xef\xbf\xbd byte"},
    {"half \xe2\x82", "half \xef\xbf\xbd\xef\xbf\xbd", "half \xef\xbf\xbd\xef\xbf\xbd"},
    {"overlong \xc0\xaf", "overlong \xef\xbf\xbd\xef\xbf\xbd", "overlong \xef\xbf\xbd\xef\xbf\xbd"},
    {"surrogate \xed\xa0\x80", "surrogate \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
     "surrogate \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xd8\x9c\xe2\x81\xa7x", "\xd8\x9c\xe2\x81\xa7x", "\\u061c\\u2067x"},
    {"", "", ""},
};

static void json__untrusted_text_is_escaped(void **state)
{
    (void)state;
    nm_log_setup("w", "info", true);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        struct capture c;
        struct nm_where where = {.id = escapes[i].in, .stream = escapes[i].in, .partition = -1, .offset = -1};
        capture_start(&c);
        nm_log_at(NM_INFO, "e", &where, "%s", escapes[i].in);
        capture_stop(&c);
        json_t *line = one_object(&c);
        assert_string_equal(member(line, "msg"), escapes[i].json);
        assert_string_equal(member(line, "id"), escapes[i].json);
        assert_string_equal(member(line, "stream"), escapes[i].json);
        for (const char *p = c.text; p[1]; p++)
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
        json_decref(line);
    }
}

static void text__untrusted_text_stays_on_one_line(void **state)
{
    (void)state;
    nm_log_setup("w", "info", false);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        struct capture c;
        struct nm_where where = {.id = escapes[i].in, .partition = 2, .offset = -1};
        capture_start(&c);
        nm_log_at(NM_ERROR, "some.event", &where, "%s", escapes[i].in);
        capture_stop(&c);
        char want[512];
        (void)snprintf(want, sizeof want, "Z error w some.event: %s id=%s partition=2\n", escapes[i].text,
                       escapes[i].text);
        assert_true(c.len > 23);
        assert_string_equal(c.text + 23, want);
    }
}

/* Long text of one, two, six (escaped) bytes a character, shifted so that the cut falls everywhere. */
static void bound__long_lines_are_cut_and_marked(void **state)
{
    (void)state;
    static const char *const units[] = {"x", "\xc3\xa4", "\x01", "\xf0\x9f\x98\x80", "\xff", "\"", "\xe2\x80\xa8"};
    static char text[20000];
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        for (size_t shift = 0; shift < 12; shift++) {
            size_t len = strlen(units[u]), at = shift;
            memset(text, 'y', shift);
            for (; at + len < sizeof text; at += len)
                memcpy(text + at, units[u], len);
            text[at] = '\0';
            struct capture c;
            struct nm_where where = {.id = text, .stream = text, .partition = INT32_MAX, .offset = INT64_MAX};
            nm_log_setup("w", "info", true);
            capture_start(&c);
            nm_log_at(NM_INFO, "e", &where, "%s", text);
            capture_stop(&c);
            json_t *line = one_object(&c);
            const char *msg = member(line, "msg");
            assert_string_equal(msg + strlen(msg) - 5, "[cut]");
            assert_true(strlen(msg) > 500);
            assert_int_equal(json_integer_value(json_object_get(line, "offset")), INT64_MAX);
            if (*units[u] != '\xff')
                assert_null(strstr(msg, "\xef\xbf\xbd"));
            json_decref(line);
        }
    }
}

static void level__lower_ones_are_silent(void **state)
{
    (void)state;
    static const char *const words[] = {"debug", "info", "warn", "error"};
    for (int want = NM_DEBUG; want <= NM_ERROR; want++) {
        nm_log_setup("w", words[want], true);
        for (int level = NM_DEBUG; level <= NM_ERROR; level++) {
            struct capture c;
            capture_start(&c);
            nm_log((enum nm_log_level)level, "e", "m");
            capture_stop(&c);
            assert_int_equal(c.len > 0, level >= want);
            assert_int_equal(nm_log_enabled((enum nm_log_level)level), level >= want);
        }
    }
}

static void write__full_pipe_drops_the_line_and_does_not_block(void **state)
{
    (void)state;
    int fds[2], old = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    nm_log_setup("w", "info", true);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    for (int i = 0; i < 5000; i++) /* far more than a pipe holds: without dropping, this test never ends */
        nm_log(NM_INFO, "e", "%d %0500d", i, 0);
    (void)dup2(old, STDERR_FILENO);
    (void)close(fds[1]);
    char chunk[4096], last = 0;
    ssize_t n;
    size_t total = 0;
    while ((n = read(fds[0], chunk, sizeof chunk)) > 0) {
        total += (size_t)n;
        last = chunk[n - 1];
    }
    (void)close(fds[0]);
    (void)close(old);
    assert_true(total > 4096);
    assert_int_equal(last, '\n');
}

static void write__no_reader_and_closed_descriptor_are_survived(void **state)
{
    (void)state;
    int fds[2], old = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    (void)close(fds[1]);
    (void)close(fds[0]);
    nm_log(NM_ERROR, "e", "to nobody"); /* SIGPIPE would end the test */
    int read_only = open("/dev/null", O_RDONLY);
    assert_true(dup2(read_only, STDERR_FILENO) >= 0);
    (void)close(read_only);
    errno = EDOM;
    nm_log(NM_ERROR, "e", "write(2) fails");
    int errno_after = errno;
    (void)close(STDERR_FILENO);
    nm_log(NM_ERROR, "e", "to nothing");
    assert_true(dup2(old, STDERR_FILENO) >= 0);
    (void)close(old);
    assert_int_equal(errno_after, EDOM);
}

static void write__goes_to_a_file_too(void **state)
{
    (void)state;
    char path[] = "/tmp/nm_test_log_XXXXXX";
    int file = mkstemp(path), old = dup(STDERR_FILENO);
    assert_true(file >= 0);
    nm_log_setup("w", "info", true);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    nm_log(NM_INFO, "e", "one");
    nm_log(NM_INFO, "e", "two");
    (void)dup2(old, STDERR_FILENO);
    (void)close(old);
    char text[512] = "";
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    (void)close(file);
    (void)unlink(path);
    assert_true(n > 0);
    assert_non_null(strstr(text, "\"msg\":\"one\"}\n{"));
    assert_non_null(strstr(text, "\"msg\":\"two\"}\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json__members_are_in_order),
        cmocka_unit_test(json__unknown_members_are_left_out),
        cmocka_unit_test(json__untrusted_text_is_escaped),
        cmocka_unit_test(text__untrusted_text_stays_on_one_line),
        cmocka_unit_test(bound__long_lines_are_cut_and_marked),
        cmocka_unit_test(level__lower_ones_are_silent),
        cmocka_unit_test(write__full_pipe_drops_the_line_and_does_not_block),
        cmocka_unit_test(write__no_reader_and_closed_descriptor_are_survived),
        cmocka_unit_test(write__goes_to_a_file_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
