/* explain_streams.c - the newest article, facets and dead letters of an id, as they lie on the streams.
 *
 * Kafka finds nothing by key, so the partition of the key is read: its last FEW messages, and where what is wanted is
 * not among them, its last MANY. Of each message only the key is looked at, and what is kept is one of each kind, so
 * memory is small whatever the stream holds. */
#include "consume.h"
#include "explain.h"
#include "message.h"
#include "newsmill/clock.h"
#include "plain.h"
#include "tool.h"

#include <inttypes.h>
#include <string.h>

#define FEW          20000
#define MANY         2000000
#define DEAD         100000 /* dead letters of each partition */
#define MOST_LETTERS 10
#define POLL_MS      100
#define TELL_MS      2000

const char *const nm_facet_names[NM_N_FACETS] = {"images", "related", "heat"};

struct search {
    struct nm_explain *explain;
    struct nm_url *url;
    const char *stream;
    enum nm_status (*take)(struct search *search, const rd_kafka_message_t *message, struct nm_error *err);
    bool cut; /* the stream is longer than what was read */
};

static void tell(const struct search *search, const struct nm_consume *consume)
{
    int64_t done = 0, all = 0;
    for (size_t i = 0; i < consume->n_spans; i++) {
        done += consume->span[i].next - consume->span[i].from;
        all += consume->span[i].end - consume->span[i].from;
    }
    (void)fprintf(stderr, "newsmill: looking through %s: %" PRId64 " of %" PRId64 " messages\n", search->stream, done,
                  all);
}

static enum nm_status read_plan(const struct nm_settings *settings, const struct nm_plan *plan, struct search *search,
                                struct nm_error *err)
{
    NM_AUTO(nm_consume_close) struct nm_consume *consume = NULL;
    enum nm_status status = nm_consume_open(settings, plan, &consume, err);
    int64_t told_ms = nm_boottime_ms();

    search->cut = false;
    for (size_t i = 0; status == NM_OK && i < consume->n_spans; i++)
        search->cut = search->cut || consume->span[i].from > consume->span[i].oldest;
    while (status == NM_OK && !nm_consume_over(consume) && !nm_tool_stopped()) {
        rd_kafka_message_t *message = NULL;
        status = nm_consume_next(consume, POLL_MS, &message, err);
        if (nm_boottime_ms() - told_ms >= TELL_MS) {
            tell(search, consume);
            told_ms = nm_boottime_ms();
        }
        if (!message)
            continue;
        status = search->take(search, message, err);
        rd_kafka_message_destroy(message);
    }
    if (status == NM_OK && nm_tool_stopped())
        return nm_fail(err, NM_FATAL, "stopped");
    return status;
}

static bool is_key(const struct search *search, const rd_kafka_message_t *message)
{
    return message->key && message->key_len == NM_ID_BYTES - 1 &&
           memcmp(message->key, search->explain->id, NM_ID_BYTES - 1) == 0;
}

/* Of equal revisions the later message. */
static void keep(struct nm_found *found, json_t *root, const rd_kafka_message_t *message)
{
    const json_t *revision = json_object_get(root, "revision");

    if (!json_is_integer(revision) || (found->root && json_integer_value(revision) < found->revision)) {
        json_decref(root);
        return;
    }
    json_decref(found->root);
    found->root = root;
    found->revision = json_integer_value(revision);
    (void)nm_kafka_header(message, "nm-schema", found->schema, sizeof found->schema);
}

static enum nm_status take_article(struct search *search, const rd_kafka_message_t *message, struct nm_error *err)
{
    (void)err;
    if (is_key(search, message) && message->payload)
        keep(&search->explain->article, json_loadb(message->payload, message->len, 0, NULL), message);
    return NM_OK;
}

static enum nm_status take_facet(struct search *search, const rd_kafka_message_t *message, struct nm_error *err)
{
    (void)err;
    if (!is_key(search, message) || !message->payload)
        return NM_OK;
    json_t *root = json_loadb(message->payload, message->len, 0, NULL);
    const char *name = json_string_value(json_object_get(root, "facet"));
    for (size_t i = 0; i < NM_N_FACETS; i++) {
        if (name && strcmp(name, nm_facet_names[i]) == 0) {
            keep(&search->explain->facet[i], root, message);
            return NM_OK;
        }
    }
    json_decref(root);
    return NM_OK;
}

/* By its header, its key, or what its key as a URL stands for. */
static bool is_letter(const struct search *search, const rd_kafka_message_t *message)
{
    const struct nm_explain *explain = search->explain;
    const char *key = message->key;
    char id[NM_ID_BYTES];

    if (nm_kafka_header(message, "nm-id", id, sizeof id) > 0 && explain->has_id && strcmp(id, explain->id) == 0)
        return true;
    if (!key)
        return false;
    if (message->key_len == strlen(explain->asked) && memcmp(key, explain->asked, message->key_len) == 0)
        return true;
    if (!explain->has_id || nm_url_canonical(key, message->key_len, false, search->url, NULL) != NM_OK)
        return is_key(search, message);
    nm_article_id(search->url->text, search->url->len, id);
    return strcmp(id, explain->id) == 0;
}

static json_t *header_text(const rd_kafka_message_t *message, const char *name)
{
    char text[512];
    struct nm_buf plain = {0};

    if (nm_kafka_header(message, name, text, sizeof text) < 0)
        return NULL;
    (void)nm_plain_line(text, strlen(text), sizeof text, &plain);
    json_t *value = json_stringn(plain.data ? plain.data : "", plain.len);
    nm_buf_clear(&plain);
    return value;
}

static int64_t time_of(const json_t *letter)
{
    return json_integer_value(json_object_get(letter, "timestamp"));
}

/* Sorted in, newest last; the oldest goes when there are too many. */
static enum nm_status take_letter(struct search *search, const rd_kafka_message_t *message, struct nm_error *err)
{
    json_t *letters = search->explain->letters;
    char position[48];

    if (!is_letter(search, message))
        return NM_OK;
    (void)snprintf(position, sizeof position, "%d:%" PRId64, (int)message->partition, message->offset);
    json_t *letter =
        json_pack("{s:s, s:o*, s:o*, s:o*, s:o*, s:I}", "position", position, "code", header_text(message, "nm-code"),
                  "message", header_text(message, "nm-message"), "worker", header_text(message, "nm-worker"), "stream",
                  header_text(message, "nm-stream"), "timestamp", (json_int_t)nm_message_time_ms(message));
    size_t at = json_array_size(letters);
    while (letter && at > 0 && time_of(json_array_get(letters, at - 1)) > time_of(letter))
        at--;
    if (json_array_insert_new(letters, at, letter) != 0)
        return nm_fail(err, NM_FATAL, "out of memory");
    if (json_array_size(letters) > MOST_LETTERS)
        (void)json_array_remove(letters, 0);
    return NM_OK;
}

static bool has_all_facets(const struct nm_explain *explain)
{
    for (size_t i = 0; i < NM_N_FACETS; i++)
        if (!explain->facet[i].root && explain->self.part_revision[NM_PART_IMAGES + i] >= 0)
            return false;
    return explain->facet[NM_FACET_RELATED].root != NULL || explain->self.part_revision[NM_PART_ARTICLE] >= 0;
}

static bool has_article(const struct nm_explain *explain)
{
    return explain->article.root != NULL;
}

static enum nm_status search_key(const struct nm_settings *settings, enum nm_stream stream, struct search *search,
                                 bool (*enough)(const struct nm_explain *), struct nm_error *err)
{
    struct nm_plan plan = {.topic = settings->stream[stream].name,
                           .from = NM_FROM_LAST,
                           .last = FEW,
                           .key = search->explain->id,
                           .to_end = true};
    search->stream = plan.topic;
    enum nm_status status = read_plan(settings, &plan, search, err);
    if (status != NM_OK || !search->cut || enough(search->explain))
        return status;
    plan.last = MANY;
    status = read_plan(settings, &plan, search, err);
    if (status == NM_OK && search->cut && !enough(search->explain) && search->explain->notes) {
        char text[200];
        (void)snprintf(text, sizeof text, "of %.60s only the newest %d messages of the partition were read", plan.topic,
                       MANY);
        (void)json_array_append_new(search->explain->notes, json_string(text));
    }
    return status;
}

enum nm_status nm_explain_streams(const struct nm_settings *settings, struct nm_explain *explain, struct nm_error *err)
{
    struct search search = {.explain = explain, .take = take_article, .url = malloc(sizeof *search.url)};
    struct nm_plan dead = {.topic = settings->stream[NM_DEAD].name, .from = NM_FROM_LAST, .last = DEAD, .to_end = true};
    enum nm_status status = NM_OK;

    explain->letters = json_array();
    if (!search.url || !explain->letters)
        status = nm_fail(err, NM_FATAL, "out of memory");
    if (status == NM_OK && explain->has_id)
        status = search_key(settings, NM_NORMALIZED, &search, has_article, err);
    search.take = take_facet;
    if (status == NM_OK && explain->has_id)
        status = search_key(settings, NM_FACETS, &search, has_all_facets, err);
    search.take = take_letter;
    search.stream = dead.topic;
    if (status == NM_OK)
        status = read_plan(settings, &dead, &search, err);
    free(search.url);
    return status;
}
