/* test_heat_model.c - random histories of one article on heat's scripts in a real Redis, against a plain recomputation.
 *
 * Articles, retractions, related facets and signals come in any order, late, several times, again after a crash; what
 * the scripts reply is delivered later, or lost with the process, so that the event comes again; marks and timers run
 * between. At rest the delivered facet of the greatest revision must say what the inputs say at this moment, whatever
 * the order was. NM_SEED=n runs the same histories again; NM_ROUNDS=n runs more. */
#include "heat/heat.h"
#include "state_world.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID "136ab291632faf53215323ed8744d7a4"

enum { EVENTS = 120, PARTITIONS = 3, PENDING = 6 };

struct input {
    struct hp_event event;
    struct nm_item item;
    unsigned name; /* number of its signalId; 0: none */
    bool counted;  /* in the recomputation, until a retraction drops it */
    bool applied, done;
};
struct pending { /* a reply on its way to the stream */
    struct hp_view view;
    struct input *input; /* NULL: a timer */
    int64_t score;
};

static struct state_world world;
static struct nm_settings settings;
static struct hp_state state_of_heat;
static struct hp_kind kind[HP_KINDS];
static struct hp_options options;

static struct {
    struct input input[EVENTS];
    size_t n;
    struct pending pending[PENDING];
    size_t n_pending;
    bool due_in_flight;
    struct hp_view newest; /* of what was delivered */
    int64_t offset[PARTITIONS];
    int64_t article, story; /* newest revisions that were applied */
    const struct input *last_article, *last_story;
    int64_t latest_s;
} run;

static unsigned pick(unsigned n)
{
    return state_world_pick(&world, n);
}

static int64_t now_s(void)
{
    return nm_reply_int(nm_reply_at(state_world_run(&world, (const char *const[]){"TIME", NULL}), 0), 0);
}

static const char *due_key(void)
{
    static char key[100];
    nm_set_key(&settings, &hp_due, nm_partition_of(ID, HP_ID, 4), key, sizeof key);
    return key;
}

static int64_t due_ms(void)
{
    return nm_reply_int(state_world_run(&world, (const char *const[]){"ZSCORE", due_key(), ID, NULL}), -1);
}

/* ---- the recomputation ---- */

static int64_t step_of(int64_t time_s)
{
    return time_s - time_s % (options.step_ms / 1000);
}

static int64_t leaves(const struct hp_kind *of, int64_t at_s)
{
    int64_t step = options.step_ms / 1000, time = step_of(at_s) + of->window_s;
    return (time + step - 1) / step * step;
}

static int64_t engagement_at(int64_t at, int64_t *next)
{
    static const char *const sources[] = {"a", "b"};
    int64_t total = 0;
    *next = 0;
    for (size_t k = 0; k < HP_KINDS; k++)
        for (size_t s = 0; s < 2; s++) {
            int64_t sum = 0;
            for (size_t i = 0; i < run.n; i++) {
                const struct input *in = &run.input[i];
                if (!in->counted || in->event.kind != kind[k].letter || *in->event.source != *sources[s])
                    continue;
                int64_t over = leaves(&kind[k], in->event.at_s);
                if (over <= at)
                    continue;
                sum += in->event.count;
                *next = *next == 0 || over < *next ? over : *next;
            }
            total += kind[k].weight * (sum < kind[k].cap ? sum : kind[k].cap);
        }
    return (total + 500) / 1000;
}

static int64_t heat_of(int64_t points, int64_t age_s)
{
    volatile double base = 2; /* pow() as Redis calls it, not exp2() */
    double value = (double)points;
    if (options.half_life_ms && age_s > 0)
        value = value * pow(base, (double)-age_s / ((double)options.half_life_ms / 1000));
    value = floor(value + 0.5);
    return value < 0 ? 0 : value > 1000000 ? 1000000 : (int64_t)value;
}

static bool is_lead(void)
{
    return !run.last_story || run.last_story->event.gone || run.last_story->event.leads;
}

static int64_t points_at(int64_t at, int64_t *next)
{
    int64_t size = run.last_story && !run.last_story->event.gone ? run.last_story->event.size : 1;
    return run.last_article->event.quality + options.per_related * (size - 1) + engagement_at(at, next);
}

static void check_next(int64_t at, int64_t points, int64_t heat, int64_t next)
{
    int64_t step = options.step_ms / 1000, published = step_of(run.last_article->event.published_s);
    if (heat == 0)
        next = 0;
    for (int64_t time = at + step; heat && options.half_life_ms && (next == 0 || time < next); time += step)
        if (heat_of(points, time - published) != heat)
            next = time;
    assert_int_equal(due_ms(), next ? next * 1000 : -1);
}

static void check_end(void)
{
    if (!run.last_article) {
        assert_int_equal(run.newest.revision, 0);
        assert_int_equal(due_ms(), -1);
        return;
    }
    assert_true(run.newest.revision > 0);
    if (run.last_article->event.gone) {
        assert_int_equal(run.newest.emit, HP_TOMBSTONE);
        assert_int_equal(due_ms(), -1);
        return;
    }
    assert_int_equal(run.newest.emit, HP_FACET);
    if (!is_lead()) {
        assert_int_equal(run.newest.heat, -1);
        assert_int_equal(due_ms(), -1);
        return;
    }
    int64_t now = now_s(), at = step_of(now > run.latest_s ? now : run.latest_s), next;
    int64_t points = points_at(at, &next);
    int64_t heat = heat_of(points, at - step_of(run.last_article->event.published_s));
    assert_int_equal(run.newest.heat, heat);
    assert_int_equal(run.newest.quality, run.last_article->event.quality);
    if (heat > 0) /* a cold article has no timer, so its parts stay as they were */
        assert_int_equal(run.newest.quality + run.newest.related + run.newest.engagement, points);
    check_next(at, points, heat, next);
}

/* ---- one step of a history ---- */

static struct hp_view ask(const struct nm_item *item, const struct hp_event *event)
{
    struct nm_error err = {0};
    struct hp_view view = {0};
    nm_pipe_reset(&world.pipe);
    (void)hp_apply(&state_of_heat, &world.pipe, item, event);
    if (nm_redis_exec(world.redis, &world.pipe, &err) != NM_OK)
        fail_msg("%s", err.msg);
    assert_true(hp_view_read(nm_pipe_reply(&world.pipe, 0), &view));
    return view;
}

static void mark(const struct pending *p)
{
    struct nm_error err = {0};
    nm_pipe_reset(&world.pipe);
    hp_mark(&state_of_heat, &world.pipe, ID, &p->view, p->input ? -1 : p->score);
    if (nm_redis_exec(world.redis, &world.pipe, &err) != NM_OK)
        fail_msg("%s", err.msg);
}

/* What the runtime does behind a timer. */
static void clear_due(int64_t score)
{
    if (due_ms() == score)
        (void)state_world_run(&world, (const char *const[]){"ZREM", due_key(), ID, NULL});
}

/* The recomputation's view of an event that is applied for the first time. */
static void note(struct input *in)
{
    const struct hp_event *e = &in->event;
    if (in->applied)
        return;
    in->applied = true;
    if (e->type == HP_ARTICLE && e->revision > run.article) {
        run.article = e->revision;
        run.last_article = in;
        for (size_t i = 0; e->gone && i < run.n; i++)
            run.input[i].counted = false;
        if (!e->gone && e->published_s > run.latest_s)
            run.latest_s = e->published_s;
    }
    if (e->type == HP_STORY && e->revision > run.story) {
        run.story = e->revision;
        run.last_story = in;
    }
    if (e->type != HP_SIGNAL_EVENT || (run.last_article && run.last_article->event.gone))
        return;
    for (size_t i = 0; in->name && i < run.n; i++)
        if (run.input[i].counted && run.input[i].name == in->name)
            return;
    in->counted = true;
    run.latest_s = e->at_s > run.latest_s ? e->at_s : run.latest_s;
}

/* One reply reaches the stream, or the process dies: before that, or before its mark and position are written. Then an
 * event comes again; a timer is still where it was. */
static void deliver(size_t at, bool dies)
{
    struct pending p = run.pending[at];
    run.pending[at] = run.pending[--run.n_pending];
    bool sends = p.view.emit != HP_SILENT;
    if (!p.input)
        run.due_in_flight = false;
    if (dies && pick(2))
        return;
    if (sends && p.view.revision >= run.newest.revision)
        run.newest = p.view;
    if (dies)
        return;
    if (sends)
        mark(&p);
    if (p.input)
        p.input->done = true;
    else
        clear_due(p.score);
}

static void take(struct pending p)
{
    if (run.n_pending == PENDING)
        deliver(pick(PENDING), false);
    run.pending[run.n_pending++] = p;
}

static void apply(struct input *in)
{
    struct hp_event *e = &in->event;
    if (!in->applied && e->type == HP_SIGNAL_EVENT) {
        in->item.partition = (int32_t)pick(PARTITIONS);
        in->item.offset = run.offset[in->item.partition]++;
    }
    note(in);
    in->item.resend = pick(8) == 0;
    take((struct pending){.view = ask(&in->item, e), .input = in});
}

/* True: there was a timer whose time has come. */
static bool run_timer(void)
{
    int64_t score = due_ms();
    if (run.due_in_flight || score < 0 || score > now_s() * 1000)
        return false;
    struct hp_event event = {.type = HP_DUE, .id = ID};
    struct nm_item item = {.set = &hp_due, .score = score};
    run.due_in_flight = true;
    take((struct pending){.view = ask(&item, &event), .score = score});
    return true;
}

static void step(struct input *in)
{
    apply(in);
    if (run.n_pending && pick(2))
        deliver(pick((unsigned)run.n_pending), pick(4) == 0);
    if (pick(4) == 0)
        (void)run_timer();
    if (pick(4) == 0)
        apply(&run.input[pick((unsigned)(in - run.input) + 1)]); /* comes again, with or without a reason */
}

/* Everything comes again until it is through; at first the process still dies now and then. */
static void rest(void)
{
    unsigned deaths = 3;
    for (bool again = true; again;) {
        again = false;
        while (run.n_pending) {
            bool dies = deaths > 0 && pick(3) == 0;
            deaths -= dies;
            again = again || dies;
            deliver(0, dies);
        }
        for (size_t i = 0; i < run.n; i++)
            if (!run.input[i].done) {
                apply(&run.input[i]);
                again = true;
            }
        again = run_timer() || again;
    }
}

/* ---- histories ---- */

static void make_signal(struct hp_event *e, struct input *in, int64_t now, unsigned span_s)
{
    e->type = HP_SIGNAL_EVENT;
    e->kind = kind[pick(HP_KINDS)].letter;
    e->source = pick(3) ? "a" : "b";
    e->source_len = 1;
    e->count = 1 + pick(pick(8) ? 5 : 2000);
    e->at_s = now + 299 - pick(span_s);
    if (pick(3))
        return;
    in->name = 1 + (unsigned)run.n;
    e->has_hash = true;
    memcpy(e->hash, (unsigned char[HP_HASH]){(unsigned char)(run.n * 7), (unsigned char)run.n, 3}, HP_HASH);
}

static void make_input(int64_t now, unsigned span_s, bool retracts)
{
    struct input *in = &run.input[run.n];
    struct hp_event *e = &in->event;
    memcpy(e->id, ID, sizeof e->id);
    unsigned what = pick(20);
    e->revision = 1 + pick(50);
    if (what == 0) {
        e->type = HP_ARTICLE;
        e->gone = retracts && pick(3) == 0;
        e->quality = (int64_t)pick(150) - 20;
        e->published_s = now - pick(span_s);
    } else if (what == 1) {
        e->type = HP_STORY;
        e->gone = pick(6) == 0;
        e->leads = pick(4) != 0;
        e->size = 1 + pick(6);
    } else if (what == 2 && run.n) { /* sent twice by the site: another offset, nothing else */
        *in = run.input[pick((unsigned)run.n)];
    } else
        make_signal(e, in, now, span_s);
    run.n++;
}

/* Two versions of one revision say the same. */
static void agree(void)
{
    for (size_t i = 0; i < run.n; i++)
        for (size_t k = 0; k < i; k++)
            if (run.input[i].event.type == run.input[k].event.type && run.input[i].event.type != HP_SIGNAL_EVENT &&
                run.input[i].event.revision == run.input[k].event.revision)
                run.input[i].event = run.input[k].event;
}

static void open_options(unsigned which)
{
    static struct nm_pair pair[2][4] = {{{"click.windowMs", "86400000"},
                                         {"click.capPerSource", "20"},
                                         {"view.weight", "0.125"},
                                         {"share.windowMs", "7000000"}},
                                        {{"click.windowMs", "600000"},
                                         {"mention.weight", "1.7"},
                                         {"view.windowMs", "500000"},
                                         {"comment.windowMs", "61000"}}};
    static const int64_t half_life_ms[] = {0, 21600000, 1800000};
    struct nm_error err = {0};
    options = (struct hp_options){.per_related = 10,
                                  .max_waiting = 1000,
                                  .step_ms = which % 2 ? 300000 : 900000,
                                  .half_life_ms = half_life_ms[which % 3],
                                  .kinds = {.item = pair[which % 2], .n = 4}};
    settings.stream[NM_NORMALIZED].partitions = 4;
    if (hp_kinds_read(&options, kind, &err) != NM_OK ||
        hp_state_open(&state_of_heat, &options, &settings, &err) != NM_OK)
        fail_msg("%s", err.msg);
}

static struct nm_script *const scripts[] = {&hp_article_script, &hp_story_script, &hp_signal_script, &hp_due_script,
                                            &hp_mark_script};

static void history__at_rest_the_newest_facet_is_what_the_inputs_say(void **state)
{
    (void)state;
    const char *given = getenv("NM_ROUNDS");
    struct nm_error err = {0};
    unsigned rounds = given ? (unsigned)strtoul(given, NULL, 10) : 60;
    for (unsigned round = 0; round < rounds; round++) {
        state_world_flush(&world);
        memset(&run, 0, sizeof run);
        open_options(round % 6);
        if (nm_redis_load(world.redis, scripts, sizeof scripts / sizeof *scripts, &err) != NM_OK)
            fail_msg("%s", err.msg);
        int64_t now = now_s();
        size_t n = 5 + pick(EVENTS - 5);
        for (size_t i = 0; i < n; i++)
            make_input(now, round % 4 ? 300000 : 4000, round % 3 == 0);
        agree();
        for (size_t i = 0; i < n; i++)
            step(&run.input[i]);
        rest();
        check_end();
    }
}

static int open_world(void **state)
{
    (void)state;
    static char ns[] = "t";
    settings = (struct nm_settings){.ns = ns, .keep_days = 400};
    open_options(0);
    state_world_open(&world, scripts, sizeof scripts / sizeof *scripts);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    state_world_close(&world);
    hp_state_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(history__at_rest_the_newest_facet_is_what_the_inputs_say)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
