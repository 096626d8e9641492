/* test_tool_instances.c - announcements as `newsmill ps` reads them: good ones, old ones, and whatever else may stand
 * under those keys. */
#include "newsmill/announce.h"
#include "newsmill/instances.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>

#define MEMBER "publish:aa"
#define REST                                                                                                           \
    "\"version\":\"0.1.0\",\"instance\":\"aa\",\"host\":\"box\",\"pid\":42,\"admin\":\"127.0.0.1:1\","                 \
    "\"startedAt\":\"2031-04-12T06:00:00Z\""
#define GOOD(ready, partitions)                                                                                        \
    "{\"worker\":\"publish\"," REST ",\"ready\":" ready ",\"partitions\":" partitions ",\"lag\":7}"

static struct nm_instance read_one(const char *json, int64_t left_ms)
{
    struct nm_instance item = {0};
    assert_int_equal(nm_instance_read(MEMBER, strlen(MEMBER), json, json ? strlen(json) : 0, left_ms, &item, NULL),
                     NM_OK);
    return item;
}

static void assert_text(void (*make)(const struct nm_instance *, struct nm_buf *), const struct nm_instance *item,
                        const char *want)
{
    struct nm_buf out = {0};
    make(item, &out);
    assert_string_equal(nm_buf_str(&out), want);
    nm_buf_clear(&out);
}

static void read__states(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int64_t left_ms;
        const char *want;
        int64_t age_ms;
    } cases[] = {
        {GOOD("true", "[]"), NM_ANNOUNCE_MS, "ready", 0},
        {GOOD("true", "[]"), NM_ANNOUNCE_MS - 2 * NM_ANNOUNCE_EVERY_MS, "ready", 2 * NM_ANNOUNCE_EVERY_MS},
        {GOOD("true", "[]"), NM_ANNOUNCE_MS - 2 * NM_ANNOUNCE_EVERY_MS - 1, "silent 10s", 10001},
        {GOOD("false", "[]"), 1, "silent 14s", 14999},
        {GOOD("false", "[]"), 12000, "not ready", 3000},
        {GOOD("true", "[]"), -1, "ready", -1},       /* somebody took the expiry away */
        {GOOD("true", "[]"), 86400000, "ready", -1}, /* or gave it another one        */
        {NULL, -2, "gone", -1},
        {"", 12000, "broken", 3000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_instance item = read_one(cases[i].json, cases[i].left_ms);
        assert_text(nm_instance_state_text, &item, cases[i].want);
        assert_int_equal(item.age_ms, cases[i].age_ms);
        assert_string_equal(item.worker, "publish");
        assert_string_equal(item.id, "aa");
        nm_instance_clear(&item);
    }
}

static void read__takes_every_member(void **state)
{
    (void)state;
    struct nm_instance item = read_one(GOOD("true", "[]"), 15000);
    assert_string_equal(item.version, "0.1.0");
    assert_string_equal(item.host, "box");
    assert_string_equal(item.admin, "127.0.0.1:1");
    assert_int_equal(item.pid, 42);
    assert_int_equal(item.lag, 7);
    assert_int_equal(item.started_ms, 1933740000000);
    nm_instance_clear(&item);
}

static const char *const broken[] = {
    "",
    "null",
    "7",
    "[]",
    "{}",
    "{",
    "\xff\xfe",
    "{\"a\":1,\"a\":2}",
    "{\"worker\":\"publish\"," REST ",\"ready\":true,\"partitions\":[]}", /* no lag */
    "{\"worker\":\"publish\"," REST ",\"partitions\":[],\"lag\":7}",      /* no ready */
    "{\"worker\":\"publish\"," REST ",\"ready\":true,\"lag\":7}",         /* no partitions */
    "{\"worker\":\"publish\"," REST ",\"ready\":1,\"partitions\":[],\"lag\":7}",
    "{\"worker\":\"publish\"," REST ",\"ready\":true,\"partitions\":[],\"lag\":7.5}",
    "{\"worker\":\"publish\"," REST ",\"ready\":true,\"partitions\":[],\"lag\":99999999999999999999}",
    "{\"version\":null,\"host\":\"b\",\"pid\":1,\"admin\":\"\",\"startedAt\":\"2031-04-12T06:00:00Z\",\"ready\":true,"
    "\"partitions\":[],\"lag\":7}",
    "{\"version\":\"1\",\"host\":\"b\",\"pid\":1,\"admin\":\"\",\"startedAt\":\"soon\",\"ready\":true,\"partitions\":[]"
    ","
    "\"lag\":7}",
    GOOD("true", "7"),
    GOOD("true", "[7]"),
    GOOD("true", "[[]]"),
    GOOD("true", "[{\"stream\":\"raw\"}]"),
    GOOD("true", "[{\"stream\":7,\"partitions\":[]}]"),
    GOOD("true", "[{\"stream\":\"raw\",\"partitions\":[-1]}]"),
    GOOD("true", "[{\"stream\":\"raw\",\"partitions\":[\"1\"]}]"),
    GOOD("true", "[{\"stream\":\"raw\",\"partitions\":[2147483648]}]"),
    GOOD("true", "[]") " trailing",
};

static void read__what_is_no_announcement_is_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct nm_instance item = read_one(broken[i], 15000);
        if (item.state != NM_INSTANCE_BROKEN || item.root || item.version)
            fail_msg("not broken: %s", broken[i]);
        assert_text(nm_instance_assignment, &item, "-");
        assert_text(nm_instance_json, &item,
                    "{\"worker\":\"publish\",\"instance\":\"aa\",\"state\":\"broken\",\"ageMs\":0}\n");
        nm_instance_clear(&item);
    }
}

static void read__too_long_or_deep_is_broken(void **state)
{
    (void)state;
    static char text[NM_ANNOUNCE_BYTES + 2];
    static const char good[] = GOOD("true", "[]");
    memset(text, ' ', sizeof text - 1);
    memcpy(text, good, sizeof good - 1);
    text[sizeof text - 1] = '\0';
    struct nm_instance item = read_one(text, 15000);
    assert_int_equal(item.state, NM_INSTANCE_BROKEN);
    nm_instance_clear(&item);
    text[sizeof text - 2] = '\0';
    item = read_one(text, 15000);
    assert_int_equal(item.state, NM_INSTANCE_READY);
    nm_instance_clear(&item);
    memset(text, '[', NM_ANNOUNCE_BYTES);
    item = read_one(text, 15000);
    assert_int_equal(item.state, NM_INSTANCE_BROKEN);
    nm_instance_clear(&item);
}

static void read__names(void **state)
{
    (void)state;
    static const struct {
        const char *member, *worker, *id;
    } cases[] = {{"publish:aa", "publish", "aa"}, {"a:b:c", "a:b", "c"}, {"x", "x", ""}, {"", "", ""}, {":", "", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_instance item = {0};
        assert_int_equal(nm_instance_read(cases[i].member, strlen(cases[i].member), NULL, 0, -2, &item, NULL), NM_OK);
        assert_string_equal(item.worker, cases[i].worker);
        assert_string_equal(item.id, cases[i].id);
        nm_instance_clear(&item);
    }
}

static void assignment__is_shown_as_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *json, *want;
    } cases[] = {
        {GOOD("true", "[]"), "-"},
        {GOOD("true", "[{\"stream\":\"raw\",\"partitions\":[]}]"), "-"},
        {GOOD("true", "[{\"stream\":\"raw\",\"partitions\":[0]}]"), "raw 0"},
        {GOOD("true", "[{\"stream\":\"raw\",\"partitions\":[0,1,2,3,7,9,10]}]"), "raw 0-3,7,9-10"},
        {GOOD("true", "[{\"stream\":\"raw\",\"partitions\":[]},{\"stream\":\"facets\",\"partitions\":[5,4,4]},"
                      "{\"stream\":\"records\",\"partitions\":[2147483646,2147483647]}]"),
         "facets 5,4,4; records 2147483646-2147483647"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_instance item = read_one(cases[i].json, 15000);
        assert_text(nm_instance_assignment, &item, cases[i].want);
        nm_instance_clear(&item);
    }
}

static void json__has_what_was_announced_and_nothing_else(void **state)
{
    (void)state;
    struct nm_instance item =
        read_one("{\"worker\":\"other\",\"secret\":\"x\"," REST
                 ",\"ready\":true,\"partitions\":[{\"stream\":\"r\xe2\x80\xae\",\"partitions\":[1]}],\"lag\":0}",
                 14000);
    assert_text(nm_instance_json, &item,
                "{\"worker\":\"publish\",\"instance\":\"aa\",\"state\":\"ready\",\"ageMs\":1000,\"version\":\"0.1.0\","
                "\"host\":\"box\",\"pid\":42,\"admin\":\"127.0.0.1:1\",\"startedAt\":\"2031-04-12T06:00:00Z\","
                "\"ready\":true,\"partitions\":[{\"stream\":\"r\\u202e\",\"partitions\":[1]}],\"lag\":0}\n");
    nm_instance_clear(&item);
}

static void order__by_worker_then_age(void **state)
{
    (void)state;
    struct nm_instance items[4] = {{0}};
    static const char *const members[] = {"publish:dd", "publish:aa", "normalize:zz", "publish:bb"};
    static const char *const json[] = {NULL, GOOD("true", "[]"), GOOD("true", "[]"),
                                       "{\"version\":\"1\",\"host\":\"b\",\"pid\":1,\"admin\":\"\",\"startedAt\":"
                                       "\"2030-01-01T00:00:00Z\",\"ready\":true,\"partitions\":[],\"lag\":7}"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(nm_instance_read(members[i], strlen(members[i]), json[i], json[i] ? strlen(json[i]) : 0, 15000,
                                          &items[i], NULL),
                         NM_OK);
    qsort(items, 4, sizeof *items, nm_instance_compare);
    static const char *const want[] = {"zz", "bb", "aa", "dd"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(items[i].id, want[i]);
        nm_instance_clear(&items[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read__states),
        cmocka_unit_test(read__takes_every_member),
        cmocka_unit_test(read__what_is_no_announcement_is_broken),
        cmocka_unit_test(read__too_long_or_deep_is_broken),
        cmocka_unit_test(read__names),
        cmocka_unit_test(assignment__is_shown_as_ranges),
        cmocka_unit_test(json__has_what_was_announced_and_nothing_else),
        cmocka_unit_test(order__by_worker_then_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
