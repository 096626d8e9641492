/* test_publish_model.c - random histories of publish against a model: whatever happens to instances, batches and Redis,
 * the last record by offset and the one with the greatest revision are what the articles and facets say.
 *
 * One history: a few ids, some dozens of events (articles and facets in any order, old versions again, touches),
 * batches that overlap, 1 or 4 instances, and at random: crashes, moved partitions, zombies, a Redis that returns to a
 * snapshot (seen or not), an emptied Redis and a rebuild. NM_HISTORIES=n runs n of them (default 480; the figure that
 * the project states needs 10,000), NM_SEED=n begins with the seed n; a failure prints its own.
 *
 * A model that has never seen a mistake proves nothing, so mistakes are made on purpose, each in a process of its own,
 * and each must be seen. */
#include "newsmill/fault.h"
#include "publish/publish_view.h"
#include "publish_fleet.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { HISTORIES = 480, MISTAKEN_HISTORIES = 1000, SEEN = 42 };

static struct nm_script *const scripts[] = {&pb_apply_script, &pb_card_script, &pb_lists_script, &pb_mark_script,
                                            &pb_back_script};
enum { N_SCRIPTS = sizeof scripts / sizeof *scripts };

enum way { LIVE, RACE, HAUNT, REBUILD, N_WAYS }; /* of a history to go */

static size_t n_records, n_again, n_rollbacks, n_rebuilds;

/* ---- one history ---- */

static void feed(struct fleet *fleet, bool races)
{
    static const enum story_kind racing[] = {STORY_ARTICLE, STORY_RELATED};
    int id = (int)story_pick(&fleet->random, STORY_IDS);
    enum story_kind kind = (enum story_kind)story_pick(&fleet->random, STORY_KINDS);
    if (races)
        kind = racing[story_pick(&fleet->random, 2)];
    fleet_feed(fleet, id, kind, 1 + (int)story_pick(&fleet->random, STORY_VERSIONS));
}

/* Something that goes wrong in a life. */
static void disturb(struct fleet *fleet)
{
    int instance = (int)story_pick(&fleet->random, (unsigned)fleet->n_instances);
    switch (story_pick(&fleet->random, 12)) {
    case 0:
    case 1:
    case 2:
        fleet_crash(fleet, instance);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        fleet_move(fleet, (int)story_pick(&fleet->random, FLEET_PARTS), instance, story_pick(&fleet->random, 3) == 0);
        break;
    case 7:
    case 8:
        fleet_notice(fleet, instance);
        break;
    case 9:
    case 10:
        if (!fleet->has_snapshot || story_pick(&fleet->random, 2) == 0) {
            fleet_snapshot(fleet);
        } else {
            fleet_rollback(fleet, story_pick(&fleet->random, 2));
            n_rollbacks++;
        }
        break;
    default:
        if (story_pick(&fleet->random, 4) == 0) {
            fleet_lose_all(fleet);
            n_rebuilds++;
        }
        break;
    }
}

/* Events come while batches run: in a flood, or so slowly that most is at rest between them. */
static void live(struct fleet *fleet)
{
    static const unsigned paces[] = {4, 20, 60};
    int events = 20 + (int)story_pick(&fleet->random, 60);
    unsigned pace = paces[story_pick(&fleet->random, 3)];
    unsigned trouble = story_pick(&fleet->random, 4) ? 1 + story_pick(&fleet->random, 12) : 0; /* in 400 steps */
    for (int after = 0; after < 400; after += events == 0) {
        if (events > 0 && story_pick(&fleet->random, pace) == 0) {
            feed(fleet, false);
            events--;
        }
        if (story_pick(&fleet->random, 400) < trouble)
            disturb(fleet);
        (void)fleet_step(fleet, (int)story_pick(&fleet->random, (unsigned)fleet->n_instances));
    }
}

/* Nothing goes wrong, but leads and members change at the same moment, and nothing comes later that would mend it. */
static void race(struct fleet *fleet)
{
    for (int events = 15 + (int)story_pick(&fleet->random, 25); events > 0; events--)
        feed(fleet, true);
}

/* Partitions change hands while one instance after the other stands still in the middle of a batch and goes on, with
 * what it had composed, when all is over for its successor. */
static void haunt(struct fleet *fleet)
{
    unsigned slow = 0;
    for (int events = 10 + (int)story_pick(&fleet->random, 15); events > 0; events--)
        feed(fleet, false);
    for (int step = 0; step < 900; step++) {
        unsigned at = story_pick(&fleet->random, (unsigned)fleet->n_instances);
        if (step % 150 == 0)
            slow = at;
        if (story_pick(&fleet->random, 40) == 0)
            fleet_move(fleet, (int)story_pick(&fleet->random, FLEET_PARTS), (int)at, false);
        if (at != slow || step % 150 < 20 || step % 150 > 130)
            (void)fleet_step(fleet, (int)at);
    }
}

/* Redis is emptied, and processes die again and again while everything is read back. */
static void rebuild(struct fleet *fleet)
{
    for (int events = 15 + (int)story_pick(&fleet->random, 20); events > 0; events--)
        feed(fleet, story_pick(&fleet->random, 2));
    for (int step = 0; step < 1200; step++) {
        int at = (int)story_pick(&fleet->random, (unsigned)fleet->n_instances);
        if (step == 500) {
            fleet_lose_all(fleet);
            n_rebuilds++;
        }
        if (step > 500 && story_pick(&fleet->random, 30) == 0)
            fleet_crash(fleet, at);
        (void)fleet_step(fleet, at);
    }
}

/* ---- the check ---- */

/* What follows after the revision; NULL: not a record of this id. */
static const char *body_of(const struct story *story, const struct fleet_message *message)
{
    char head[96];
    if (!message->value)
        return "";
    int len = snprintf(head, sizeof head, "{\"id\":\"%s\",\"revision\":%" PRId64 ",", story->id[message->id],
                       message->revision);
    return strncmp(message->value, head, (size_t)len) == 0 ? message->value + len : NULL;
}

static bool check_message(const struct story *story, const char *what, const struct fleet_message *message,
                          const char *want)
{
    const char *body = body_of(story, message);
    if (body && strcmp(body, want) == 0)
        return true;
    print_message("%s of %s:\n  %s\nmust be\n  %s\n", what, story->id[message->id], body ? body : message->value, want);
    return false;
}

static bool check_id(const struct fleet *fleet, int id, bool loud)
{
    char want[STORY_TEXT];
    const struct story *story = fleet->story;
    const struct fleet_log *log = &fleet->log[FLEET_RECORDS][fleet_part(story->id[id])];
    const struct fleet_message *last = NULL, *newest = NULL;
    bool expected = story_expected(story, id, want);
    for (size_t i = 0; i < log->n; i++) {
        const struct fleet_message *message = &log->message[i];
        if (message->id != id)
            continue;
        n_records++;
        last = message;
        if (newest && newest->revision == message->revision &&
            (newest->len != message->len ||
             (message->len && memcmp(newest->value, message->value, message->len) != 0))) {
            if (loud)
                print_message("two records of %s with revision %" PRId64 " differ\n", story->id[id], message->revision);
            return false;
        }
        if (!newest || message->revision > newest->revision)
            newest = message;
    }
    if (!last || !expected) {
        if (loud && (last || expected))
            print_message("%s has %s record\n", story->id[id], last ? "an unexpected" : "no");
        return !last && !expected;
    }
    if (!loud)
        return strcmp(body_of(story, last) ? body_of(story, last) : "?", want) == 0 &&
               strcmp(body_of(story, newest) ? body_of(story, newest) : "?", want) == 0;
    return check_message(story, "the last record", last, want) &&
           check_message(story, "the newest record", newest, want);
}

/* Nothing waits any more, and each lead stands in `shown` of what it lists. (A revision without a mark may be left by a
 * process that died before it sent anything; the next composition is then sent, equal or not.) */
static bool check_rest(struct fleet *fleet, bool loud)
{
    static const char *const source =
        "local wrong = 0\n"
        "for _, key in ipairs(redis.call('KEYS', 't:record:*')) do\n"
        "  local lists, hold, back = unpack(redis.call('HMGET', key, 'lists', 'hold', 'back'))\n"
        "  if hold or back then wrong = wrong + 1 end\n"
        "  for at = 1, #(lists or ''), 32 do\n"
        "    local member = string.sub(lists, at, at + 31)\n"
        "    if redis.call('SISMEMBER', 't:shown:{' .. member .. '}', string.sub(key, 11, 42)) == 0 then\n"
        "      wrong = wrong + 1 end\n"
        "  end\n"
        "end\n"
        "for _, key in ipairs(redis.call('KEYS', 't:due:*')) do wrong = wrong + 1 end\n"
        "return wrong";
    int64_t wrong = nm_reply_int(state_world_run(fleet->world, (const char *const[]){"EVAL", source, "0", NULL}), -1);
    if (wrong && loud)
        print_message("%" PRId64 " things in Redis are not at rest\n", wrong);
    return wrong == 0;
}

static bool history(struct state_world *world, uint64_t seed, enum fleet_mistake mistake, enum way way, bool loud)
{
    static void (*const ways[])(struct fleet * fleet) = {live, race, haunt, rebuild};
    static const char *const expect[] = {"related", "heat", "images"};
    struct story story;
    struct fleet fleet;
    story_init(&story, seed);
    uint64_t random = seed * 0xD1B54A32D192ED03u | 1;
    for (int i = 0; i < 4; i++)
        (void)story_random(&random);
    static const int waits_ms[] = {0, 1, 600000};
    size_t n_expect = way == RACE || story_pick(&random, 2) ? 0 : 1 + story_pick(&random, 3);
    int n_instances = way != LIVE || story_pick(&random, 3) ? FLEET_INSTANCES : 1;
    fleet_open(&fleet, world, &story, n_instances, expect, n_expect, waits_ms[story_pick(&random, 3)]);
    fleet.random = random;
    fleet.mistake = mistake;
    ways[way](&fleet);
    bool good = fleet_settle(&fleet);
    if (!good && loud)
        print_message("it does not come to rest\n");
    for (int id = 0; good && id < STORY_IDS; id++)
        good = check_id(&fleet, id, loud);
    good = good && check_rest(&fleet, loud);
    n_again += fleet.n_again;
    fleet_close(&fleet);
    if (!good && loud)
        print_message("history NM_SEED=%" PRIu64 " is wrong\n", seed);
    return good;
}

static uint64_t first_seed(void)
{
    const char *given = getenv("NM_SEED");
    return given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 100000;
}

static int count_histories(void)
{
    const char *given = getenv("NM_HISTORIES");
    return given ? (int)strtol(given, NULL, 10) : HISTORIES;
}

static void model__random_histories_end_with_the_model(void **state)
{
    (void)state;
    struct state_world world;
    state_world_open(&world, scripts, N_SCRIPTS);
    uint64_t seed = first_seed();
    int n = count_histories(), n_wrong = 0;
    for (int i = 0; i < n && n_wrong < 3; i++)
        n_wrong += !history(&world, seed + (uint64_t)i, FLEET_RIGHT, (enum way)(i % N_WAYS), true);
    print_message("%d histories from NM_SEED=%" PRIu64
                  ": %zu records, %zu went round again, %zu rollbacks, %zu rebuilds\n",
                  n, seed, n_records, n_again, n_rollbacks, n_rebuilds);
    state_world_close(&world);
    assert_int_equal(n_wrong, 0);
}

/* ---- mistakes ---- */

struct mistake {
    const char *name;
    enum way way;  /* in which it is looked for */
    uint64_t seed; /* from which on it was seen soon; NM_SEED does not matter here */
    enum fleet_mistake spoil;
    struct nm_script *script; /* NULL: none; else `from` in its source becomes `to` */
    const char *from, *to;
    const char *control; /* value of NM_CONTROL; chaos build only */
};

static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at) {
        (void)fprintf(stderr, "'%s' is not in the script\n", from);
        _exit(2);
    }
    size_t size = strlen(text) + strlen(to) + 1;
    char *copy = malloc(size);
    (void)snprintf(copy, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return copy;
}

/* In a child: SEEN as soon as a history is wrong. Anything else is a failure, also of a script that is no Lua. */
static int run_mistaken(const struct mistake *mistake)
{
    struct state_world world;
    if (mistake->control)
        (void)setenv("NM_CONTROL", mistake->control, 1);
    if (mistake->script)
        mistake->script->source = replaced(mistake->script->source, mistake->from, mistake->to);
    state_world_open(&world, scripts, N_SCRIPTS);
    int seen = 0;
    for (int i = 0; i < MISTAKEN_HISTORIES && !seen; i++) {
        seen = !history(&world, mistake->seed + (uint64_t)i, mistake->spoil, mistake->way, false);
        if (seen)
            print_message("mistake '%s' is seen after %d histories\n", mistake->name, i + 1);
    }
    state_world_close(&world);
    return seen ? SEEN : 0;
}

static void check_seen(const struct mistake *mistake)
{
    int status;
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int code = run_mistaken(mistake);
        (void)fflush(NULL);
        _exit(code);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != SEEN)
        fail_msg("the model does not see the mistake '%s' (status %d)", mistake->name, status);
}

static void model__mistakes_are_seen(void **state)
{
    (void)state;
    static const struct mistake mistakes[] = {
        {.name = "touches are not sent", .seed = 300000, .way = RACE, .spoil = FLEET_NO_TOUCH},
        {.name = "members are read before the lead is in shown",
         .seed = 300020,
         .way = RACE,
         .spoil = FLEET_LISTS_LAST},
        {.name = "leads are read before the card is written", .seed = 300095, .way = RACE, .spoil = FLEET_CARD_LAST},
        {.name = "a mark is set whatever the revision is",
         .seed = 300155,
         .way = HAUNT,
         .script = &pb_mark_script,
         .from = "if h[1] == ARGV[1] then",
         .to = "if true then ARGV[1] = h[1] or ARGV[1]"},
        {.name = "a mark survives a composition that was not reported",
         .seed = 300280,
         .script = &pb_apply_script,
         .from = "trusted and h[7]",
         .to = "h[7]"},
        {.name = "no second look after a newer revision of the same instance, whoever came between",
         .seed = 300790,
         .way = HAUNT,
         .script = &pb_mark_script,
         .from = "and tonumber(string.sub(h[2], 17)) <= mine",
         .to = ""},
        {.name = "a card whose leads were not told is forgotten",
         .way = REBUILD,
         .seed = 300000,
         .script = &pb_card_script,
         .from = "redis.call('HSET', KEYS[1], 'untold', ARGV[1])",
         .to = ""},
        {.name = "an equal article again takes no revision",
         .seed = 300010,
         .script = &pb_apply_script,
         .from = "if go then\n",
         .to = "if go and not (at and redis.call('HGET', KEYS[1], kind) == h[at] and rev ~= '0') then\n"},
        {.name = "a released hold forgets its due entry",
         .seed = 300000,
         .script = &pb_apply_script,
         .from = "if due then redis.call('ZADD'",
         .to = "if due and back then redis.call('ZADD'"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        check_seen(&mistakes[i]);
}

static void model__lead_composed_by_anyone_is_seen(void **state)
{
    (void)state;
#ifdef NM_CHAOS
    static const struct mistake mistake = {
        .name = "a lead is composed by anyone", .way = RACE, .control = "lead_by_anyone"};
    check_seen(&mistake);
#else
    skip(); /* the control is in the chaos build only */
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model__mistakes_are_seen), /* first: forks before servers run */
        cmocka_unit_test(model__lead_composed_by_anyone_is_seen),
        cmocka_unit_test(model__random_histories_end_with_the_model),
    };
    return cmocka_run_group_tests_name("publish_model", tests, NULL, NULL);
}
