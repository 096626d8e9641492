/* test_publish_batch.c - whole batches of the real worker on a real Redis, one after the other: what is sent, what is
 * not, to whom, and what becomes a dead letter. What happens when batches and instances overlap is
 * test_publish_model.c's matter. */
#include "publish/publish_view.h"
#include "runtime_internal.h"
#include "state_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID_A "136ab291632faf53215323ed8744d7a4"
#define ID_B "236ab291632faf53215323ed8744d7a4"
#define ID_C "336ab291632faf53215323ed8744d7a4"

enum { ITEMS = 8 };

extern const struct nm_worker publish_worker;

static struct state_world world;
static struct publish publish;
static struct nm_settings settings;
static struct nm_deps deps;
static struct nm_metrics *metrics;

static struct {
    struct nm_batch batch;
    struct nm_item item[ITEMS];
    _Alignas(16) char data[ITEMS][2048]; /* at least item_size */
    struct nm_pipe pipe[2];
    struct nm_arena arena;
} run;

static int open_world(void **state)
{
    (void)state;
    static char ns[] = "t";
    struct nm_error err = {0};
    state_world_open(&world, publish_worker.scripts, publish_worker.n_scripts);
    settings = (struct nm_settings){.ns = ns, .keep_days = 400, .max_related = 20};
    settings.stream[NM_RECORDS].max_message_bytes = 2097152;
    publish.options = (struct pb_options){.min_quality = 70, .wait_ms = 2000};
    if (nm_metrics_new("publish", &metrics, &err) != NM_OK)
        return -1;
    deps = (struct nm_deps){
        .metrics = metrics, .settings = &settings, .clock = &nm_wall_clock, .instance = "00000000000000aa"};
    assert_true(sizeof run.data[0] >= publish_worker.item_size);
    return publish_worker.init(&publish, &deps, &err) == NM_OK ? 0 : -1;
}

static void forget(void)
{
    nm_pipe_clear(&run.pipe[0]);
    nm_pipe_clear(&run.pipe[1]);
    nm_arena_clear(&run.arena);
    free(run.batch.output);
    memset(&run, 0, sizeof run);
    run.batch = (struct nm_batch){.item = run.item, .pipe = &run.pipe[0], .replies = &run.pipe[1], .arena = &run.arena};
}

static int close_world(void **state)
{
    (void)state;
    forget();
    publish_worker.fini(&publish);
    nm_metrics_free(metrics);
    state_world_close(&world);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    state_world_flush(&world);
    forget();
    return 0;
}

static struct nm_item *add(enum nm_stream stream, const char *id, const char *value)
{
    size_t i = run.batch.n_items++;
    assert_true(i < ITEMS);
    run.item[i] = (struct nm_item){.stream = stream,
                                   .key = id,
                                   .key_len = strlen(id),
                                   .value = value,
                                   .value_len = value ? strlen(value) : 0,
                                   .data = run.data[i]};
    return &run.item[i];
}

static struct nm_item *add_due(const char *id, int64_t score)
{
    struct nm_item *item = add(NM_NORMALIZED, id, NULL);
    item->set = &pb_due;
    item->score = score;
    item->offset = -1;
    return item;
}

static void steps(enum nm_status (*step)(void *ctx, struct nm_batch *batch, struct nm_error *err))
{
    struct nm_error err = {0};
    nm_pipe_reset(run.batch.replies);
    for (run.batch.step = 0; run.batch.step < 8; run.batch.step++) {
        nm_pipe_reset(run.batch.pipe);
        if (step(&publish, &run.batch, &err) != NM_OK)
            fail_msg("%s", err.msg);
        if (run.batch.pipe->n_commands == 0)
            return;
        if (nm_redis_exec(world.redis, run.batch.pipe, &err) != NM_OK)
            fail_msg("%s", err.msg);
        struct nm_pipe *answered = run.batch.pipe;
        run.batch.pipe = run.batch.replies;
        run.batch.replies = answered;
    }
    fail_msg("no end of steps");
}

static void process(void)
{
    steps(publish_worker.process);
}

/* What the batch sends: "R<first digit of the id>" for a record, "X" for a tombstone, "T" for a touch. */
static void assert_sent(const char *want)
{
    char got[64] = "";
    for (size_t i = 0; i < run.batch.n_outputs; i++) {
        const struct nm_output *output = &run.batch.output[i];
        char word[4] = {output->stream == NM_FACETS ? 'T' : output->value ? 'R' : 'X', output->key[0], ' ', '\0'};
        strncat(got, word, sizeof got - strlen(got) - 1);
        assert_int_equal(output->revision == 0, output->stream == NM_FACETS);
    }
    assert_string_equal(got, want);
}

/* Processes, checks what is sent, reports, and makes room for the next batch. */
static void whole(const char *want)
{
    process();
    assert_sent(want);
    steps(publish_worker.reported);
    for (size_t i = 0; i < run.batch.n_items; i++)
        assert_false(run.item[i].again);
    forget();
}

static const char *article(const char *id, int revision, const char *title)
{
    static char text[ITEMS][2048];
    static unsigned n;
    char *out = text[n++ % ITEMS];
    (void)snprintf(out, sizeof text[0],
                   "{\"id\":\"%s\",\"revision\":%d,\"sourceTime\":0,\"title\":\"%s\",\"publishedDateTime\":"
                   "\"2031-04-12T05:30:00Z\",\"quality\":80}",
                   id, revision, title);
    return out;
}

#define STORY_OF_A                                                                                                     \
    "{\"id\":\"" ID_A "\",\"facet\":\"related\",\"revision\":9,\"data\":{\"story\":{\"id\":\"" ID_A                    \
    "\",\"lead\":\"" ID_A "\",\"size\":3},\"related\":[{\"id\":\"" ID_B "\"},{\"id\":\"" ID_C "\"}]}}"
#define HEAT_OF_A  "{\"id\":\"" ID_A "\",\"facet\":\"heat\",\"revision\":9,\"data\":{\"heat\":126}}"
#define TOUCH_OF_A "{\"id\":\"" ID_A "\",\"facet\":\"touch\"}"

/* ---- one id ---- */

static void batch__last_of_several_items_of_one_id_composes(void **state)
{
    (void)state;
    (void)add(NM_FACETS, ID_A, HEAT_OF_A);
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "first"));
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 101, "second"));
    (void)add(NM_FACETS, ID_A, TOUCH_OF_A);
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 99, "stale"));
    process();
    assert_sent("R1 ");
    assert_non_null(strstr(run.batch.output[0].value, "\"title\":\"second\""));
    assert_non_null(strstr(run.batch.output[0].value, "\"heat\":126"));
    assert_ptr_equal(run.batch.output[0].item, &run.item[3]);
    assert_int_equal(run.item[4].verdict, NM_STALE);
    steps(publish_worker.reported);
    forget();
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 101, "second")); /* the mark counts for the last of them, too */
    (void)add(NM_FACETS, ID_A, TOUCH_OF_A);
    (void)add(NM_FACETS, ID_A, HEAT_OF_A);
    whole("");
}

static void batch__equal_record_is_not_sent_again_unless_marks_do_not_count(void **state)
{
    (void)state;
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "t"));
    whole("R1 ");
    for (int i = 0; i < 3; i++) {
        (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "t"));
        whole("");
        (void)add(NM_NORMALIZED, ID_A, article(ID_A, 101, "t")); /* newer, and it looks the same */
        whole("");
    }
    add(NM_NORMALIZED, ID_A, article(ID_A, 101, "t"))->resend = true;
    whole("R1 ");
    add(NM_FACETS, ID_A, TOUCH_OF_A)->catching_up = true;
    whole("R1 ");
    add(NM_FACETS, ID_A, TOUCH_OF_A)->resend = true; /* not the last of its id */
    (void)add(NM_FACETS, ID_A, TOUCH_OF_A);
    whole("R1 ");
    (void)add(NM_FACETS, ID_A, TOUCH_OF_A);
    whole("");
}

static void batch__unreported_record_is_sent_again(void **state)
{
    (void)state;
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "A"));
    whole("R1 ");
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 101, "B"));
    process();
    assert_sent("R1 ");
    forget(); /* it died; B may be on the stream */
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 102, "A"));
    whole("R1 ");
}

static void batch__old_news_goes_round_again(void **state)
{
    (void)state;
    static const char *const meddle[] = {"HSET", "t:record:{" ID_A "}", "rev", "5000000000000000", NULL};
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "A"));
    process();
    assert_sent("R1 ");
    (void)state_world_run(&world, meddle);
    (void)state_world_run(&world, (const char *const[]){"HDEL", meddle[1], "by", NULL});
    steps(publish_worker.reported);
    assert_true(run.item[0].again);
    run.item[0].again = false;
    run.item[0].verdict = NM_UNSET;
    run.batch.n_outputs = 0;
    process();
    assert_sent("R1 ");
    assert_int_equal(run.batch.output[0].revision, 5000000000000001);
    steps(publish_worker.reported);
    assert_false(run.item[0].again);
    assert_string_equal(state_world_field(&world, meddle[1], "srev"), "5000000000000001");
}

static void batch__rejected_record_gets_no_mark(void **state)
{
    (void)state;
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "A"));
    process();
    run.item[0].verdict = NM_REJECTED; /* by the runtime: too large for the stream */
    steps(publish_worker.reported);
    assert_string_equal(state_world_field(&world, "t:record:{" ID_A "}", "srev"), "");
}

static void batch__bad_ones_are_dead_and_the_rest_goes_on(void **state)
{
    (void)state;
    (void)add(NM_FACETS, ID_A, "{no json");
    (void)add(NM_NORMALIZED, ID_B, article(ID_B, 100, "B"));
    (void)add(NM_NORMALIZED, ID_C, article(ID_A, 100, "not under its key"));
    process();
    assert_sent("R2 ");
    assert_int_equal(run.item[0].verdict, NM_REJECTED);
    assert_string_equal(run.item[0].dead->code, "not_json");
    assert_int_equal(run.item[2].verdict, NM_REJECTED);
    assert_string_equal(run.item[2].dead->code, "wrong_type");
    forget();
    (void)add(NM_FACETS, ID_A, "[]");
    process();
    assert_sent("");
    assert_int_equal(run.item[0].verdict, NM_REJECTED);
}

/* ---- leads and members ---- */

static void touch__member_tells_its_lead_when_its_card_changes(void **state)
{
    (void)state;
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "A"));
    (void)add(NM_FACETS, ID_A, STORY_OF_A);
    whole("R1 "); /* its members are not there yet */
    (void)add(NM_NORMALIZED, ID_B, article(ID_B, 100, "B"));
    (void)add(NM_NORMALIZED, ID_C, article(ID_C, 100, "C"));
    whole("R2 T1 R3 "); /* one touch a lead and batch */
    (void)add(NM_FACETS, ID_A, TOUCH_OF_A);
    process();
    assert_sent("R1 ");
    const char *b = strstr(run.batch.output[0].value, "\"title\":\"B\"");
    const char *c = strstr(run.batch.output[0].value, "\"title\":\"C\"");
    assert_true(b && c && c < b); /* equal but for the id */
    steps(publish_worker.reported);
    forget();
    (void)add(NM_NORMALIZED, ID_B, article(ID_B, 101, "B")); /* as it was */
    whole("");
    (void)add(NM_NORMALIZED, ID_B, "{\"id\":\"" ID_B "\",\"revision\":102,\"sourceTime\":0,\"retracted\":true}");
    whole("X2 T1 ");
    (void)add(NM_FACETS, ID_A, TOUCH_OF_A);
    process();
    assert_sent("R1 ");
    assert_null(strstr(run.batch.output[0].value, "\"title\":\"B\""));
}

static void touch__is_sent_again_where_it_was_not_reported(void **state)
{
    (void)state;
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "A"));
    (void)add(NM_FACETS, ID_A, STORY_OF_A);
    (void)add(NM_NORMALIZED, ID_B, article(ID_B, 100, "B"));
    process();
    forget();
    (void)add(NM_NORMALIZED, ID_B, article(ID_B, 100, "B"));
    whole("R2 T1 ");
    (void)add(NM_NORMALIZED, ID_B, article(ID_B, 100, "B"));
    whole("");
}

static void touch__nobody_is_told_after_a_lead_is_gone(void **state)
{
    (void)state;
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "A"));
    (void)add(NM_FACETS, ID_A, STORY_OF_A);
    whole("R1 ");
    (void)add(NM_NORMALIZED, ID_A, "{\"id\":\"" ID_A "\",\"revision\":101,\"sourceTime\":0,\"retracted\":true}");
    whole("X1 ");
    (void)add(NM_NORMALIZED, ID_B, article(ID_B, 100, "B"));
    whole("R2 ");
    assert_string_equal(state_world_field(&world, "t:record:{" ID_A "}", "lists"), "");
}

/* ---- due entries, sizes, records read back ---- */

static void due__composes_what_waited(void **state)
{
    (void)state;
    publish.expect[0] = 'r';
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "A"));
    whole("");
    (void)add_due(ID_A, 5);
    (void)add_due("no id of ours", 5);
    whole("R1 ");
    (void)add_due(ID_A, 5);
    whole("");
    publish.expect[0] = '\0';
}

static void assert_dropped(int n)
{
    struct nm_buf page = {0};
    char line[60];
    nm_metrics_render(metrics, &page);
    (void)snprintf(line, sizeof line, "\nnewsmill_related_dropped_total %d\n", n);
    assert_non_null(strstr(nm_buf_str(&page), line));
    nm_buf_clear(&page);
}

static void size__related_ones_are_cut_and_too_large_a_due_record_is_kept_back(void **state)
{
    (void)state;
    size_t room = publish.room;
    (void)add(NM_NORMALIZED, ID_A, article(ID_A, 100, "A"));
    (void)add(NM_FACETS, ID_A, STORY_OF_A);
    (void)add(NM_NORMALIZED, ID_B, article(ID_B, 100, "B"));
    (void)add(NM_NORMALIZED, ID_C, article(ID_C, 100, "C"));
    whole("R1 R2 T1 R3 ");
    (void)add(NM_FACETS, ID_A, TOUCH_OF_A);
    process();
    assert_sent("R1 ");
    publish.room = run.batch.output[0].len - 1;
    forget();
    (void)add(NM_FACETS, ID_A, TOUCH_OF_A);
    process();
    assert_sent("R1 ");
    assert_true(run.batch.output[0].len <= publish.room);
    assert_non_null(strstr(run.batch.output[0].value, "\"title\":\"C\""));
    assert_null(strstr(run.batch.output[0].value, "\"title\":\"B\""));
    assert_dropped(1);
    forget();
    publish.room = 100;
    (void)add_due(ID_A, 5);
    whole("");
    assert_dropped(1); /* what was kept back left nothing out */
    publish.room = room;
}

static void back__equal_record_is_not_sent_another_is(void **state)
{
    (void)state;
    char record[2][2048];
    for (int i = 0; i < 2; i++) {
        const char *id = i ? ID_B : ID_A;
        (void)add(NM_NORMALIZED, id, article(id, 100, "t"));
        process();
        (void)snprintf(record[i], sizeof record[i], "%.*s", (int)run.batch.output[0].len, run.batch.output[0].value);
        forget();
    }
    state_world_flush(&world); /* all is lost */
    (void)add(NM_RECORDS, ID_A, record[0]);
    (void)add(NM_RECORDS, ID_B, record[1]);
    add(NM_RECORDS, ID_C, NULL)->revision = 5000;
    whole("");
    add(NM_NORMALIZED, ID_A, article(ID_A, 99, "older"))->catching_up = true;
    add(NM_NORMALIZED, ID_A, article(ID_A, 100, "t"))->catching_up = true;
    add(NM_NORMALIZED, ID_B, article(ID_B, 101, "newer"))->catching_up = true;
    add(NM_NORMALIZED, ID_C, article(ID_C, 90, "before its retraction"))->catching_up = true;
    whole("");
    add_due(ID_A, 5)->catching_up = true;
    whole("");
    (void)add_due(ID_A, 5);
    (void)add_due(ID_B, 5);
    whole("R2 ");
    (void)add(NM_NORMALIZED, ID_C, "{\"id\":\"" ID_C "\",\"revision\":95,\"sourceTime\":0,\"retracted\":true}");
    whole("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(batch__last_of_several_items_of_one_id_composes, fresh),
        cmocka_unit_test_setup(batch__equal_record_is_not_sent_again_unless_marks_do_not_count, fresh),
        cmocka_unit_test_setup(batch__unreported_record_is_sent_again, fresh),
        cmocka_unit_test_setup(batch__old_news_goes_round_again, fresh),
        cmocka_unit_test_setup(batch__rejected_record_gets_no_mark, fresh),
        cmocka_unit_test_setup(batch__bad_ones_are_dead_and_the_rest_goes_on, fresh),
        cmocka_unit_test_setup(touch__member_tells_its_lead_when_its_card_changes, fresh),
        cmocka_unit_test_setup(touch__is_sent_again_where_it_was_not_reported, fresh),
        cmocka_unit_test_setup(touch__nobody_is_told_after_a_lead_is_gone, fresh),
        cmocka_unit_test_setup(due__composes_what_waited, fresh),
        cmocka_unit_test_setup(size__related_ones_are_cut_and_too_large_a_due_record_is_kept_back, fresh),
        cmocka_unit_test_setup(back__equal_record_is_not_sent_another_is, fresh),
    };
    return cmocka_run_group_tests_name("publish_batch", tests, open_world, close_world);
}
