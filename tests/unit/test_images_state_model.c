/* test_images_state_model.c - random histories of four instances on the images worker's state, against a plain model.
 *
 * Instances claim due articles, lease URLs, store objects, write results, report facets, and are killed in between; gc
 * and eviction run among them. After each step: a URL has one lease at most; whoever has lost his writes nothing; each
 * change woke every article that shows the URL; an article whose facet is not what the state says, or whose URL is
 * still to be fetched, is due; a cached URL has its object, in Redis and in the store. At rest the last facet of each
 * article says what the state says. NM_SEED=n repeats a run, NM_ROUNDS=n makes it longer. */
#include "images_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { INSTANCES = 4, ARTICLES = 5, URLS = 7, OBJECTS = 4, STEPS = 400 };
#define HOUR  ((int64_t)3600000)
#define now() iw.state.now_ms
#define SLACK 20000 /* real time passes too, and ends leases before the test's clock does */

struct url {
    char token[24]; /* of the last lease; "": its result was written, or it ended */
    int64_t lease_end;
    int state; /* IM_PENDING... */
    unsigned object;
    int64_t next_try; /* FAILED; 0: none */
};
struct article {
    int64_t revision;
    int urls[4]; /* ended by -1 */
    bool known, gone, undelivered;
    int64_t facet;      /* greatest revision that was reported */
    char reported[400]; /* what it says */
};
struct instance {
    int article; /* claimed, -1: none */
    int64_t score;
    int url; /* leased, -1: none */
    char token[24];
    bool put; /* the object is in the store, the result not written */
    unsigned object;
    int64_t since, wait; /* met `deleting` */
};
struct collector {
    int object; /* -1: none */
    enum { MARKED, DELETING, REMOVED } step;
    int64_t limit;
    char token[24];
};
static struct {
    struct url url[URLS];
    struct article article[ARTICLES];
    struct instance instance[INSTANCES];
    struct collector gc;
    bool file[OBJECTS];
    unsigned n_tokens, cached, failed, lost, taken, deleted;
} run;

static unsigned pick(unsigned n)
{
    return state_world_pick(&iw.world, n);
}

static bool shows(const struct article *a, int url)
{
    for (size_t i = 0; a->known && !a->gone && a->urls[i] >= 0; i++)
        if (a->urls[i] == url)
            return true;
    return false;
}

/* What the article's facet has to say now. */
static void truth(const struct article *a, char out[400])
{
    size_t len = 0;
    out[0] = '\0';
    if (a->gone) {
        (void)snprintf(out, 400, "gone");
        return;
    }
    for (size_t i = 0; a->urls[i] >= 0; i++) {
        const struct url *u = &run.url[a->urls[i]];
        len += (size_t)snprintf(out + len, 400 - len, "%d:%d:%d ", a->urls[i], u->state,
                                u->state == IM_CACHED ? (int)u->object : -1);
    }
}

/* A view is what the model says. */
static void check_view(const struct article *a, const struct im_view *view)
{
    size_t n = 0;
    while (!a->gone && a->urls[n] >= 0)
        n++;
    assert_int_equal(view->n_images, n);
    for (size_t i = 0; i < n; i++) {
        const struct url *u = &run.url[a->urls[i]];
        assert_int_equal(view->image[i].state, u->state);
        assert_string_equal(view->image[i].sha256, u->state == IM_CACHED ? iw_sha(u->object) : "");
    }
}

static void check_woken(int url)
{
    for (unsigned id = 0; id < ARTICLES; id++)
        if (shows(&run.article[id], url)) {
            int64_t due = iw_due(id);
            assert_true(due >= 0 && due <= now() && due % 2 == 0);
        }
}

static void check_cached(void)
{
    for (unsigned i = 0; i < URLS; i++) {
        const struct url *u = &run.url[i];
        if (u->state != IM_CACHED)
            continue;
        assert_string_equal(iw_field("", iw_url(i), "sha256"), iw_sha(u->object));
        assert_int_equal(IW_NUMBER("SISMEMBER", iw_key("urls:", iw_sha(u->object)), iw_url(i)), 1);
        assert_string_not_equal(iw_field("o:", iw_sha(u->object), "storedAt"), "");
        assert_string_equal(iw_field("o:", iw_sha(u->object), "deleting"), "");
        assert_true(run.file[u->object]);
    }
}

/* No due entry is lost. */
static void check_due(void)
{
    char says[400];
    for (unsigned id = 0; id < ARTICLES; id++) {
        const struct article *a = &run.article[id];
        if (!a->known || a->gone)
            continue;
        bool work = false;
        for (size_t i = 0; a->urls[i] >= 0; i++) {
            const struct url *u = &run.url[a->urls[i]];
            work |= u->state == IM_PENDING || (u->state == IM_FAILED && u->next_try > 0);
        }
        truth(a, says);
        if (work || (!a->undelivered && strcmp(says, a->reported) != 0))
            assert_true(iw_due(id) >= 0);
    }
}

/* The facet reaches Kafka; the greatest revision wins there. */
static void report(unsigned id, const struct im_view *view, int64_t claimed)
{
    struct article *a = &run.article[id];
    assert_true(view->revision > 0);
    if (view->revision >= a->facet) {
        a->facet = view->revision;
        truth(a, a->reported);
    }
    if (pick(8)) /* else killed before it is noted */
        (void)iw_sent(id, view, claimed);
}

static void article_comes(void)
{
    unsigned id = pick(ARTICLES);
    struct article *a = &run.article[id];
    unsigned way = pick(6);
    struct im_view view;
    if (way == 0 && a->known) {
        a->gone = true;
        view = iw_retract(id, ++a->revision);
        assert_int_equal(view.how, IM_HOW_retracted);
    } else if (way < 3 && a->known) {
        assert_int_equal(iw_article(id, a->revision - 1, IW_URLS(0)).how, IM_HOW_stale);
        view = a->gone ? iw_retract(id, a->revision) : iw_article(id, a->revision, a->urls);
        assert_int_equal(view.how, IM_HOW_again);
    } else {
        unsigned n = pick(4);
        for (unsigned i = 0; i < n; i++)
            a->urls[i] = (int)pick(URLS);
        a->urls[n] = -1;
        a->gone = false;
        a->known = true;
        a->revision += 2;
        view = iw_article(id, a->revision, a->urls);
        assert_int_equal(view.how, IM_HOW_article);
    }
    check_view(a, &view);
    a->undelivered = pick(6) == 0; /* killed before the report: it comes again */
    if (!a->undelivered)
        report(id, &view, -1);
}

static void redeliver(unsigned id)
{
    struct article *a = &run.article[id];
    struct im_view view = a->gone ? iw_retract(id, a->revision) : iw_article(id, a->revision, a->urls);
    a->undelivered = false;
    report(id, &view, -1);
}

static void claim(struct instance *me)
{
    unsigned id = pick(ARTICLES);
    int64_t due = iw_due(id);
    if (due < 0 || due > now() || me->article >= 0)
        return;
    if (pick(8) == 0)
        assert_int_equal(iw_claim(id, due + 2).how, IM_HOW_moved);
    struct im_view view = iw_claim(id, due);
    if (view.how == IM_HOW_gone)
        return;
    assert_int_equal(view.how, IM_HOW_claimed);
    check_view(&run.article[id], &view);
    me->article = (int)id;
    me->score = view.score;
}

static void lease(struct instance *me, unsigned i)
{
    if (me->url >= 0)
        return;
    struct url *u = &run.url[i];
    (void)snprintf(me->token, sizeof me->token, "token-%u", run.n_tokens++);
    struct im_answer answer = iw_lease(i, me->token);
    bool held = *u->token && u->lease_end > now();
    if (answer.how == IM_HOW_taken) {
        assert_false(held && u->lease_end > now() + SLACK); /* never two at once */
        memcpy(u->token, me->token, sizeof u->token);
        u->lease_end = now() + iw.state.options.lease_ms;
        me->url = (int)i;
        me->put = false;
        me->since = me->wait = 0;
        run.taken++;
    } else {
        assert_true(held || answer.how == IM_HOW_done);
    }
}

static void put(struct instance *me)
{
    if (me->put || now() < me->wait)
        return;
    me->object = me->since ? me->object : pick(OBJECTS);
    struct im_answer answer = IW_ASK(im_object(&iw.state, &iw.world.pipe, iw_sha(me->object)));
    if (answer.how == IM_HOW_deleting && answer.value > now()) {
        me->since = answer.since_ms;
        me->wait = answer.value;
        return;
    }
    me->since = answer.how == IM_HOW_deleting ? answer.since_ms : 0;
    run.file[me->object] = true;
    me->put = true;
}

static void extend(struct instance *me, bool goes_on)
{
    struct url *u = &run.url[me->url];
    bool mine = strcmp(u->token, me->token) == 0;
    struct im_answer answer =
        IW_ASK(im_extend(&iw.state, &iw.world.pipe, iw_url((unsigned)me->url), me->token, goes_on));
    assert_int_equal(answer.how, mine ? IM_HOW_ok : IM_HOW_lost);
    if (mine && goes_on)
        u->lease_end = now() + iw.state.options.lease_ms;
    else if (mine)
        u->token[0] = '\0';
    if (!mine || !goes_on)
        me->url = -1;
}

static void write_cached(struct instance *me)
{
    int i = me->url;
    struct url *u = &run.url[i];
    struct im_result result = {.outcome = IM_RESULT_CACHED,
                               .sha256 = iw_sha(me->object),
                               .type = "image/png",
                               .thumbs = "",
                               .etag = "",
                               .last_modified = "",
                               .fresh_ms = -1,
                               .put_again_ms = me->since};
    bool mine = strcmp(u->token, me->token) == 0;
    struct im_answer answer =
        IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url((unsigned)i), me->token, pick(1000000), &result));
    me->put = false;
    if (!mine) {
        assert_int_equal(answer.how, IM_HOW_lost);
        me->url = -1;
        run.lost++;
    } else if (answer.how == IM_HOW_late) {
        assert_true(u->lease_end <= now() + SLACK);
        extend(me, true);
    } else if (answer.how == IM_HOW_deleting) {
        me->since = answer.since_ms;
        me->wait = answer.value;
    } else {
        assert_int_equal(answer.how, IM_HOW_cached);
        bool changed = u->state != IM_CACHED || u->object != me->object;
        *u = (struct url){.state = IM_CACHED, .object = me->object};
        me->url = -1;
        run.cached++;
        if (changed)
            check_woken(i);
    }
}

static void write_failed(struct instance *me)
{
    static const enum im_reason reasons[] = {IM_timeout_total, IM_decode_fail, IM_blocked_addr, IM_store_io,
                                             IM_url_port};
    int i = me->url;
    struct url *u = &run.url[i];
    bool mine = strcmp(u->token, me->token) == 0;
    struct im_answer answer = iw_failed((unsigned)i, me->token, reasons[pick(5)], 0);
    me->url = -1;
    if (!mine) {
        assert_int_equal(answer.how, IM_HOW_lost);
        run.lost++;
        return;
    }
    u->token[0] = '\0';
    if (answer.how == IM_HOW_failed) {
        *u = (struct url){.state = IM_FAILED, .next_try = answer.value};
        check_woken(i);
        run.failed++;
    } else {
        assert_true(answer.how == IM_HOW_again || answer.how == IM_HOW_ours || answer.how == IM_HOW_stays);
        assert_true(answer.how != IM_HOW_stays || u->state == IM_CACHED);
    }
}

static void finish(struct instance *me)
{
    if (me->article < 0)
        return;
    unsigned id = (unsigned)me->article;
    struct im_view view = iw_claim(id, me->score);
    me->article = -1;
    if (view.how != IM_HOW_claimed)
        return; /* somebody set it anew, or another owner has it */
    check_view(&run.article[id], &view);
    if (view.on_its_way || (view.reported && pick(2)))
        (void)iw_sent(id, &view, view.score);
    else
        report(id, &view, view.score);
}

static void give_up(unsigned object, bool evicted)
{
    for (int i = 0; i < URLS; i++)
        if (run.url[i].state == IM_CACHED && run.url[i].object == object) {
            run.url[i].state = evicted ? IM_FAILED : IM_PENDING;
            run.url[i].next_try = 0;
            check_woken(i);
        }
}

static void lose(void)
{
    unsigned object = pick(OBJECTS);
    if (run.gc.object == (int)object)
        return; /* whether it is there is what that gc decides */
    run.file[object] = false;
    assert_int_equal(IW_ASK(im_lost(&iw.state, &iw.world.pipe, iw_sha(object))).how, IM_HOW_ok);
    give_up(object, false);
    for (size_t i = 0; i < INSTANCES; i++)
        if (run.instance[i].object == object)
            run.instance[i].put = false; /* the scrubber took that file too */
}

/* gc's first step: users that are none are taken out, and nobody else. */
static void leave_members(unsigned object)
{
    char user[64];
    for (unsigned i = 0; i < URLS * ARTICLES; i++) {
        unsigned url = i / ARTICLES, id = i % ARTICLES;
        if (run.url[url].state != IM_CACHED || run.url[url].object != object)
            continue;
        (void)snprintf(user, sizeof user, "%d:%s", nm_partition_of(iw_id(id), IM_ID, iw.state.partitions), iw_id(id));
        struct im_answer answer = IW_ASK(im_member(&iw.state, &iw.world.pipe, iw_url(url), user));
        assert_int_equal(answer.how == IM_HOW_used, shows(&run.article[id], (int)url));
    }
}

static void mark(unsigned object)
{
    leave_members(object);
    struct im_answer answer;
    if (pick(3)) {
        answer = IW_ASK(im_mark(&iw.state, &iw.world.pipe, iw_sha(object)));
    } else {
        answer = IW_ASK(im_evict(&iw.state, &iw.world.pipe, iw_sha(object)));
        if (answer.how == IM_HOW_ok)
            give_up(object, true);
    }
    if (answer.how == IM_HOW_ok || answer.how == IM_HOW_dying)
        run.gc = (struct collector){.object = (int)object, .step = MARKED};
}

/* The entries of an object that is being deleted: nobody's pictures. */
static void forget(unsigned object)
{
    for (unsigned i = 0; i < URLS * ARTICLES; i++)
        if (run.url[i / ARTICLES].state == IM_CACHED && run.url[i / ARTICLES].object == object)
            assert_false(shows(&run.article[i % ARTICLES], (int)(i / ARTICLES)));
    for (unsigned i = 0; i < URLS; i++)
        if (run.url[i].state == IM_CACHED && run.url[i].object == object)
            run.url[i] = (struct url){0};
}

static void collect(void)
{
    struct collector *gc = &run.gc;
    if (gc->object < 0) {
        for (unsigned i = 0, first = pick(OBJECTS); gc->object < 0 && i < OBJECTS; i++)
            mark((first + i) % OBJECTS);
        return;
    }
    unsigned object = (unsigned)gc->object;
    if (gc->step == MARKED) {
        (void)snprintf(gc->token, sizeof gc->token, "gc-%u", run.n_tokens++);
        struct im_answer answer = IW_ASK(im_deleting(&iw.state, &iw.world.pipe, iw_sha(object), gc->token));
        gc->limit = answer.value;
        if (answer.how == IM_HOW_ok)
            gc->step = DELETING;
        else if (answer.how != IM_HOW_dying)
            gc->object = -1;
        if (answer.how == IM_HOW_ok)
            forget(object);
    } else if (gc->step == DELETING) {
        if (now() < gc->limit) {
            run.file[object] = false;
            gc->step = REMOVED;
        } else {
            gc->object = -1; /* too late: not at all */
        }
    } else {
        struct im_answer answer = IW_ASK(im_deleted(&iw.state, &iw.world.pipe, iw_sha(object), gc->token));
        if (answer.how == IM_HOW_lost)
            give_up(object, false);
        gc->object = -1;
        run.deleted++;
    }
}

static void advance(void)
{
    static const int64_t most[] = {100, 20000, 80000, HOUR / 2, 8 * HOUR};
    int64_t ms = 1 + pick((unsigned)most[pick(4) ? pick(3) : 3 + pick(2)]);
    if (run.gc.object >= 0 && run.gc.step == MARKED && pick(2))
        ms = iw.state.options.grace_ms;
    /* While a put waits for its result, or a gc between two steps, only what the rules allow passes. */
    for (size_t i = 0; i < INSTANCES; i++)
        if (run.instance[i].put && ms > iw.state.options.grace_ms / 8)
            ms = iw.state.options.grace_ms / 8;
    iw_advance(ms);
}

static void step(void)
{
    struct instance *me = &run.instance[pick(INSTANCES)];
    switch ("acclloooofxkggt"[pick(15)]) {
    case 'a':
        article_comes();
        break;
    case 'c':
        claim(me);
        break;
    case 'l':
        for (unsigned i = 0, first = pick(URLS); i < URLS; i++)
            lease(me, (first + i) % URLS);
        break;
    case 'o': /* one step on to an object */
        if (me->url >= 0)
            me->put ? write_cached(me) : put(me);
        break;
    case 'f':
        if (me->url >= 0)
            pick(3) ? write_failed(me) : extend(me, pick(2));
        break;
    case 'x':
        finish(me);
        break;
    case 'k':
        if (pick(4) == 0)
            *me = (struct instance){.article = -1, .url = -1}; /* killed */
        else if (pick(2))
            lose();
        break;
    case 'g':
        collect();
        break;
    default:
        advance();
    }
    check_cached();
    check_due();
}

/* All that a due article needs: fetches what nobody else does, reports the facet. */
static void work_off(unsigned id, int64_t due)
{
    struct instance me = {.article = -1, .url = -1};
    struct im_view view = iw_claim(id, due);
    me.article = view.how == IM_HOW_claimed ? (int)id : -1;
    me.score = view.score;
    for (size_t i = 0; me.article >= 0 && run.article[id].urls[i] >= 0; i++) {
        me.url = -1;
        lease(&me, (unsigned)run.article[id].urls[i]);
        if (me.url >= 0)
            put(&me);
        if (me.url >= 0 && me.put)
            write_cached(&me);
    }
    finish(&me);
}

/* One instance works off what is due until nothing is left to do at any time. */
static void rest(void)
{
    for (unsigned id = 0; id < ARTICLES; id++)
        if (run.article[id].known && run.article[id].undelivered)
            redeliver(id);
    for (size_t i = 0; i < INSTANCES; i++)
        run.instance[i] = (struct instance){.article = -1, .url = -1};
    bool idle = false;
    for (int turn = 0; !idle; turn++) {
        assert_true(turn < 400);
        if (turn % 8 == 7)
            collect();
        idle = true;
        int64_t next = INT64_MAX;
        for (unsigned id = 0; id < ARTICLES; id++) {
            int64_t due = iw_due(id);
            idle &= due < 0;
            if (due > now())
                next = due < next ? due : next;
            else if (due >= 0)
                work_off(id, due);
        }
        if (next != INT64_MAX)
            iw_advance(next - now());
        check_cached();
        check_due();
    }
}

static void check_rest(void)
{
    char says[400];
    for (unsigned id = 0; id < ARTICLES; id++) {
        const struct article *a = &run.article[id];
        if (!a->known)
            continue;
        truth(a, says);
        assert_string_equal(a->reported, says);
        for (size_t i = 0; !a->gone && a->urls[i] >= 0; i++)
            assert_int_not_equal(run.url[a->urls[i]].state, IM_PENDING);
    }
}

static void history__of_four_instances_keeps_every_promise(void **state)
{
    (void)state;
    const char *given = getenv("NM_ROUNDS");
    unsigned rounds = given ? (unsigned)strtoul(given, NULL, 10) : 15;
    struct im_state_options options;
    im_state_defaults(&options);
    options.tries = 2;
    options.lease_ms = 3 * SLACK;
    options.rounds = 4;
    options.fresh_ms = options.fresh_min_ms = HOUR / 4;
    options.idle_ms = 3 * HOUR;
    options.touch_ms = HOUR / 4;
    unsigned total[5] = {0};
    for (unsigned round = 0; round < rounds; round++) {
        (void)iw_fresh(NULL);
        iw_options(&options);
        memset(&run, 0, sizeof run);
        for (size_t i = 0; i < INSTANCES; i++)
            run.instance[i] = (struct instance){.article = -1, .url = -1};
        run.gc.object = -1;
        for (int i = 0; i < STEPS; i++)
            step();
        rest();
        check_rest();
        const unsigned n[] = {run.taken, run.cached, run.failed, run.lost, run.deleted};
        for (size_t i = 0; i < 5; i++)
            total[i] += n[i];
    }
    print_message("%u leases, %u cached, %u failed, %u results too late, %u objects collected\n", total[0], total[1],
                  total[2], total[3], total[4]);
    for (size_t i = 0; i < 4 && rounds >= 15; i++)
        assert_true(total[i] > 0); /* what never happened was not tested */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(history__of_four_instances_keeps_every_promise)};
    return cmocka_run_group_tests(tests, iw_open, iw_close);
}
