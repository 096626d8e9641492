/* test_log_repeats.c - lines that repeat: the table with a clock of the test's own, then the lines on stderr, from one
 * thread and from several. */
#include "log_internal.h"
#include "newsmill/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the table ---- */

struct table {
    struct nm_repeats repeats;
    struct nm_repeat out;
    int64_t now_ms;
};

static bool say(struct table *t, const char *event, const char *text)
{
    struct nm_saying saying = {.level = NM_WARN, .event = event, .text = text, .len = strlen(text)};
    return nm_repeats_new(&t->repeats, &saying, t->now_ms, &t->out);
}

static bool say_again(struct table *t, const char *event, const char *text)
{
    struct nm_saying saying = {
        .level = NM_WARN, .event = event, .text = text, .len = strlen(text), .any_numbers = true};
    return nm_repeats_new(&t->repeats, &saying, t->now_ms, &t->out);
}

static bool say_at(struct table *t, const struct nm_where *where)
{
    struct nm_saying saying = {.level = NM_INFO, .event = "e", .text = "x", .len = 1, .where = where};
    return nm_repeats_new(&t->repeats, &saying, t->now_ms, &t->out);
}

static bool due(struct table *t)
{
    return nm_repeats_due(&t->repeats, t->now_ms, &t->out);
}

static void table__first_is_written_and_repeats_are_counted(void **state)
{
    (void)state;
    struct table t = {.now_ms = 5000};
    assert_true(say(&t, "retry", "Redis is away"));
    for (int i = 0; i < 7; i++)
        assert_false(say(&t, "retry", "Redis is away"));
    t.now_ms += NM_REPEAT_MS - 1;
    assert_false(due(&t));
    assert_false(say(&t, "retry", "Redis is away"));
    t.now_ms++;
    assert_true(due(&t));
    assert_int_equal(t.out.n, 8);
    assert_int_equal(t.out.level, NM_WARN);
    assert_string_equal(t.out.event, "retry");
    assert_string_equal(t.out.text, "Redis is away");
    assert_false(due(&t));
}

static void table__other_messages_are_no_repeats(void **state)
{
    (void)state;
    struct table t = {0};
    assert_true(say(&t, "retry", "a"));
    assert_true(say(&t, "retry", "b"));
    assert_true(say(&t, "other", "a"));
    struct nm_saying error = {.level = NM_ERROR, .event = "retry", .text = "a", .len = 1};
    assert_true(nm_repeats_new(&t.repeats, &error, 0, &t.out));
    assert_true(say(&t, "retry", ""));
    assert_false(say(&t, "retry", "a"));
    assert_false(say(&t, "retry", ""));
}

static void table__endless_repetition_is_one_line_a_window(void **state)
{
    (void)state;
    struct table t = {0};
    uint64_t n_written = 0, n_told = 0;
    for (int i = 0; i < 1000; i++) { /* ten a second for 100 s */
        t.now_ms = 100LL * i;
        while (due(&t)) {
            n_told += t.out.n;
            n_written++;
        }
        n_written += say(&t, "retry", "away");
    }
    while (nm_repeats_due(&t.repeats, INT64_MAX, &t.out)) {
        n_told += t.out.n;
        n_written++;
    }
    assert_int_equal(n_told, 999);
    assert_in_range(n_written, 10, 12);
}

static void table__a_quiet_window_ends_the_matter(void **state)
{
    (void)state;
    struct table t = {0};
    assert_true(say(&t, "e", "x"));
    t.now_ms = NM_REPEAT_MS;
    assert_false(due(&t));
    assert_true(say(&t, "e", "x"));
    assert_false(say(&t, "e", "x"));
    t.now_ms += NM_REPEAT_MS;
    assert_true(due(&t));
    assert_int_equal(t.out.n, 1);
    t.now_ms += NM_REPEAT_MS;
    assert_false(due(&t));
    assert_true(say(&t, "e", "x"));
}

static void table__flood_of_different_lines_makes_room(void **state)
{
    (void)state;
    struct table t = {0};
    uint64_t n_told = 0;
    assert_true(say(&t, "e", "oldest"));
    assert_false(say(&t, "e", "oldest"));
    for (int i = 0; i < 3 * NM_REPEAT_SLOTS; i++) {
        char text[16];
        t.now_ms = i + 1;
        (void)snprintf(text, sizeof text, "%d", i);
        assert_true(say(&t, "e", text));
        n_told += t.out.n;
        if (i < NM_REPEAT_SLOTS - 1)
            assert_int_equal(n_told, 0);
    }
    assert_int_equal(n_told, 1); /* what was displaced is told all the same */
    assert_true(say(&t, "e", "oldest"));
}

static void table__long_messages_differ_behind_what_is_kept(void **state)
{
    (void)state;
    struct table t = {0};
    char a[3 * NM_REPEAT_TEXT], b[3 * NM_REPEAT_TEXT];
    memset(a, 'x', sizeof a);
    memset(b, 'x', sizeof b);
    a[sizeof a - 1] = b[sizeof b - 1] = '\0';
    b[sizeof b - 2] = 'y';
    assert_true(say(&t, "e", a));
    assert_true(say(&t, "e", b));
    assert_false(say(&t, "e", a));
    assert_false(say(&t, "e", b));
}

static void table__the_last_place_is_told(void **state)
{
    (void)state;
    struct table t = {0};
    char id[200];
    memset(id, 'f', sizeof id);
    id[sizeof id - 1] = '\0';
    struct nm_where first = {.id = "00", .stream = "facets", .partition = 2, .offset = 10};
    struct nm_where other = {.id = "00", .stream = "facets", .partition = 3, .offset = 10};
    struct nm_where last = {.id = id, .stream = "facets", .partition = 2, .offset = 20};
    assert_true(say_at(&t, &first));
    assert_false(say_at(&t, &last));
    assert_true(say_at(&t, &other)); /* another partition */
    t.now_ms = NM_REPEAT_MS;
    assert_true(due(&t));
    assert_string_equal(t.out.stream, "facets");
    assert_int_equal(strlen(t.out.id), sizeof t.out.id - 1);
    assert_int_equal(t.out.partition, 2);
    assert_int_equal(t.out.offset, 20);
}

static void table__numbers_do_not_matter_where_the_caller_says_so(void **state)
{
    (void)state;
    struct table t = {0};
    assert_true(say_again(&t, "retry", "no answer within 300 ms (1 in a row)"));
    assert_false(say_again(&t, "retry", "no answer within 300 ms (2 in a row)"));
    assert_false(say_again(&t, "retry", "no answer within 15 ms (1024 in a row)"));
    assert_true(say_again(&t, "retry", "no answer within 300 s (3 in a row)"));
    assert_true(say_again(&t, "other", "no answer within 300 ms (3 in a row)"));
    assert_true(say(&t, "retry", "no answer within 300 ms (1 in a row)")); /* numbers matter to this one */
    assert_true(say(&t, "retry", "no answer within 300 ms (2 in a row)"));
    assert_false(say(&t, "retry", "no answer within 300 ms (2 in a row)"));
    assert_true(say_again(&t, "digits", "1"));
    assert_false(say_again(&t, "digits", ""));
    t.now_ms = NM_REPEAT_MS;
    assert_true(due(&t));
    assert_int_equal(t.out.n, 2);
    assert_string_equal(t.out.text, "no answer within 15 ms (1024 in a row)"); /* the last one's numbers */
}

/* Longer ones than are kept: the whole counts, digits aside. */
static void table__numbers_of_long_messages(void **state)
{
    (void)state;
    struct table t = {0};
    char text[NM_REPEAT_TEXT + 100];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_true(say_again(&t, "e", text));
    text[3] = '7';
    text[sizeof text - 2] = '8';
    assert_true(say_again(&t, "e", text)); /* two letters less */
    text[3] = '5';
    text[sizeof text - 2] = '6';
    assert_false(say_again(&t, "e", text));
    text[sizeof text - 2] = 'y';
    assert_true(say_again(&t, "e", text));
}

/* ---- the lines ---- */

struct capture {
    int old_fd;
    FILE *file;
};

static struct capture capture_start(void)
{
    struct capture c = {.old_fd = dup(STDERR_FILENO), .file = tmpfile()};
    assert_non_null(c.file);
    assert_true(fcntl(fileno(c.file), F_SETFL, O_APPEND) == 0);
    assert_true(dup2(fileno(c.file), STDERR_FILENO) >= 0);
    return c;
}

/* Every line as an element; release with json_decref(). */
static json_t *capture_stop(struct capture *c)
{
    char text[8192];
    json_t *lines = json_array();
    (void)dup2(c->old_fd, STDERR_FILENO);
    (void)close(c->old_fd);
    rewind(c->file);
    while (fgets(text, sizeof text, c->file)) {
        json_t *line = json_loads(text, 0, NULL);
        if (!line)
            fail_msg("not JSON: %s", text);
        (void)json_array_append_new(lines, line);
    }
    (void)fclose(c->file);
    return lines;
}

static const char *msg_of(json_t *lines, size_t i)
{
    return json_string_value(json_object_get(json_array_get(lines, i), "msg"));
}

static json_int_t number_of(json_t *lines, size_t i, const char *name)
{
    return json_integer_value(json_object_get(json_array_get(lines, i), name));
}

static void lines__again_with_other_numbers_folds(void **state)
{
    (void)state;
    nm_log_setup("publish", "info", true);
    struct capture c = capture_start();
    for (int i = 1; i <= 50; i++)
        nm_log_again(NM_WARN, "retry", "Redis is away (%d in a row)", i);
    nm_log_again(NM_DEBUG, "retry", "below the level");
    nm_log_flush();
    json_t *lines = capture_stop(&c);
    assert_int_equal(json_array_size(lines), 2);
    assert_string_equal(msg_of(lines, 0), "Redis is away (1 in a row)");
    assert_string_equal(msg_of(lines, 1), "Redis is away (50 in a row)");
    assert_int_equal(number_of(lines, 1, "repeats"), 49);
    json_decref(lines);
}

static void lines__repeats_follow_with_their_number(void **state)
{
    (void)state;
    nm_log_setup("normalize", "info", true);
    struct capture c = capture_start();
    for (int i = 0; i < 5; i++) {
        struct nm_where where = {.stream = "raw", .partition = 3, .offset = 100 + i};
        nm_log_at(NM_WARN, "retry", &where, "Redis at %s is \"away\"", "127.0.0.1:6379");
        nm_log(NM_DEBUG, "retry", "below the level");
    }
    nm_log_tick(); /* nothing is over yet */
    nm_log(NM_INFO, "once", "x");
    nm_log_flush();
    nm_log_flush();
    json_t *lines = capture_stop(&c);
    assert_int_equal(json_array_size(lines), 3);
    assert_string_equal(msg_of(lines, 0), "Redis at 127.0.0.1:6379 is \"away\"");
    assert_null(json_object_get(json_array_get(lines, 0), "repeats"));
    assert_int_equal(number_of(lines, 0, "offset"), 100);
    assert_string_equal(msg_of(lines, 1), "x");
    assert_string_equal(msg_of(lines, 2), "Redis at 127.0.0.1:6379 is \"away\"");
    assert_int_equal(number_of(lines, 2, "repeats"), 4);
    assert_int_equal(number_of(lines, 2, "offset"), 104);
    assert_int_equal(number_of(lines, 2, "partition"), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(lines, 2), "level")), "warn");
    json_decref(lines);
}

static void lines__a_long_repeat_is_cut_and_marked(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    nm_log_setup("normalize", "info", true);
    struct capture c = capture_start();
    for (int i = 0; i < 2; i++)
        nm_log(NM_WARN, "e", "%s", text);
    nm_log_flush();
    json_t *lines = capture_stop(&c);
    assert_int_equal(json_array_size(lines), 2);
    assert_int_equal(strlen(msg_of(lines, 0)), sizeof text - 1);
    assert_int_equal(strlen(msg_of(lines, 1)), NM_REPEAT_TEXT - 1 + strlen("[cut]"));
    assert_int_equal(number_of(lines, 1, "repeats"), 1);
    json_decref(lines);
}

#define THREADS  4
#define MESSAGES 10
#define ROUNDS   3000

static void *chatter(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS * MESSAGES; i++) {
        nm_log(NM_WARN, "chat", "message %d", i % MESSAGES);
        nm_log_tick();
    }
    return NULL;
}

/* Whatever the order: each message has one first line, and the repeats add up. */
static void threads__nothing_is_lost(void **state)
{
    (void)state;
    nm_log_setup("normalize", "info", true);
    struct capture c = capture_start();
    pthread_t thread[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, chatter, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(thread[i], NULL);
    nm_log_flush();
    json_t *lines = capture_stop(&c);
    json_int_t n_first = 0, n_repeats = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        json_int_t n = number_of(lines, i, "repeats");
        n_first += n == 0;
        n_repeats += n;
    }
    json_decref(lines);
    assert_int_equal(n_first, MESSAGES);
    assert_int_equal(n_first + n_repeats, THREADS * ROUNDS * MESSAGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table__first_is_written_and_repeats_are_counted),
        cmocka_unit_test(table__other_messages_are_no_repeats),
        cmocka_unit_test(table__endless_repetition_is_one_line_a_window),
        cmocka_unit_test(table__a_quiet_window_ends_the_matter),
        cmocka_unit_test(table__flood_of_different_lines_makes_room),
        cmocka_unit_test(table__long_messages_differ_behind_what_is_kept),
        cmocka_unit_test(table__the_last_place_is_told),
        cmocka_unit_test(table__numbers_do_not_matter_where_the_caller_says_so),
        cmocka_unit_test(table__numbers_of_long_messages),
        cmocka_unit_test(lines__repeats_follow_with_their_number),
        cmocka_unit_test(lines__again_with_other_numbers_folds),
        cmocka_unit_test(lines__a_long_repeat_is_cut_and_marked),
        cmocka_unit_test(threads__nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
