/* heat_signal.c - a signal of the site: untrusted bytes, checked member by member.
 *
 * Each refusal has its code and says what to send instead. Members that are not known are ignored, as long as no name
 * stands twice. The document lives in scratch memory. */
#include "heat.h"

#include "newsmill/article.h"
#include "newsmill/datetime.h"
#include "newsmill/digest.h"
#include "newsmill/text.h"
#include "newsmill/url.h"

#include <stdio.h>
#include <string.h>

struct reading {
    const struct nm_item *item;
    yyjson_val *root;
    struct hp_event *event;
    struct nm_error *err;
};

static enum nm_status parse(struct reading *r, struct nm_arena *doc)
{
    static const char mark[] = "\xEF\xBB\xBF";
    const char *value = r->item->value;
    size_t len = value ? r->item->value_len : 0;
    yyjson_alc alc = nm_arena_alc(doc);
    yyjson_read_err why = {0};
    if (len > HP_SIGNAL)
        return nm_bad(r->err, "too_big", "the signal has %zu bytes; send at most %d", len, HP_SIGNAL);
    if (len && !nm_text_is_utf8(value, len))
        return nm_bad(r->err, "utf8_invalid", "the signal is not UTF-8; encode it as UTF-8 before sending");
    if (len >= 3 && memcmp(value, mark, 3) == 0) {
        value += 3;
        len -= 3;
    }
    if (len == 0)
        return nm_bad(r->err, "not_json", "the signal is empty; send one JSON object a message");
    /* Without YYJSON_READ_INSITU the text is only read; an unknown member may be a number of any size. */
    yyjson_doc *parsed = yyjson_read_opts((char *)(uintptr_t)value, len, YYJSON_READ_BIGNUM_AS_RAW, &alc, &why);
    if (!parsed && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return nm_fail(r->err, NM_FATAL, "out of memory for a signal of %zu bytes", len);
    if (!parsed)
        return nm_bad(r->err, "not_json", "not JSON at byte %zu: %s; send one JSON object a message", why.pos, why.msg);
    r->root = yyjson_doc_get_root(parsed);
    return yyjson_is_obj(r->root)
               ? NM_OK
               : nm_bad(r->err, "not_object", "the signal is JSON but no object; send one JSON object a message");
}

/* ---- no name twice ---- */

static int by_name(const void *a, const void *b)
{
    yyjson_val *x = *(yyjson_val *const *)a, *y = *(yyjson_val *const *)b;
    if (yyjson_get_len(x) != yyjson_get_len(y))
        return yyjson_get_len(x) < yyjson_get_len(y) ? -1 : 1;
    return memcmp(yyjson_get_str(x), yyjson_get_str(y), yyjson_get_len(x));
}

static enum nm_status twice(struct nm_error *err, yyjson_val *name)
{
    char shown[41];
    size_t n = yyjson_get_len(name) < sizeof shown ? yyjson_get_len(name) : 0;
    memcpy(shown, yyjson_get_str(name), n);
    shown[n] = '\0';
    return nm_bad(err, "duplicate_key", "\"%s\" stands twice in the object; send it once", n ? shown : "a long name");
}

/* Few names, as nearly always: each against those before it. Many are sorted, so that no choice of names is slow. */
static enum nm_status check_names(const struct reading *r, struct nm_arena *doc)
{
    enum { FEW = 16 };
    yyjson_val *few[FEW], *name;
    size_t n = 0, size = yyjson_obj_size(r->root);
    yyjson_val **names = size <= FEW ? few : nm_arena_alloc(doc, size * sizeof(yyjson_val *));
    if (!names)
        return nm_fail(r->err, NM_FATAL, "out of memory for %zu names", size);
    yyjson_obj_iter iter = yyjson_obj_iter_with(r->root);
    while ((name = yyjson_obj_iter_next(&iter))) {
        for (size_t i = 0; size <= FEW && i < n; i++)
            if (by_name(&names[i], &name) == 0)
                return twice(r->err, name);
        names[n++] = name;
    }
    if (size > FEW)
        qsort(names, n, sizeof(yyjson_val *), by_name);
    for (size_t i = 1; size > FEW && i < n; i++)
        if (by_name(&names[i - 1], &names[i]) == 0)
            return twice(r->err, names[i]);
    return NM_OK;
}

/* ---- members ---- */

static enum nm_status take_target(struct reading *r)
{
    yyjson_val *id = yyjson_obj_get(r->root, "id"), *url = yyjson_obj_get(r->root, "url");
    struct nm_url canonical;
    if (!id == !url)
        return nm_bad(r->err, "signal_target", "the signal has %s \"id\" %s \"url\"; send exactly one of them",
                      id ? "both" : "neither", id ? "and" : "nor");
    if (id) {
        if (!yyjson_is_str(id) || !nm_is_article_id(yyjson_get_str(id), yyjson_get_len(id)))
            return nm_bad(r->err, "signal_target",
                          "\"id\" is not 32 lower-case hex digits; send the article's id or url");
        memcpy(r->event->id, yyjson_get_str(id), HP_ID + 1);
        return NM_OK;
    }
    if (!yyjson_is_str(url))
        return nm_bad(r->err, "wrong_type", "\"url\" is not text; send the article's URL");
    enum nm_status status = nm_url_canonical(yyjson_get_str(url), yyjson_get_len(url), false, &canonical, r->err);
    if (status == NM_OK)
        nm_article_id(canonical.text, canonical.len, r->event->id);
    return status;
}

static enum nm_status take_kind(struct reading *r)
{
    yyjson_val *kind = yyjson_obj_get(r->root, "kind");
    for (size_t i = 0; i < HP_KINDS; i++)
        if (yyjson_equals_str(kind, hp_default_kinds[i].name)) {
            r->event->kind = hp_default_kinds[i].letter;
            return NM_OK;
        }
    return nm_bad(r->err, "signal_kind", "\"kind\" is %s; send click, share, comment, mention or view",
                  kind ? "another" : "missing");
}

static enum nm_status take_count(struct reading *r)
{
    yyjson_val *count = yyjson_obj_get(r->root, "count");
    double number = !count ? 1 : yyjson_is_num(count) ? yyjson_get_num(count) : 0;
    if (!(number >= 1 && number <= HP_COUNT) || number != (double)(int64_t)number)
        return nm_bad(r->err, "signal_count", "\"count\" is not a whole number from 1 to %d; leave it out for 1",
                      HP_COUNT);
    r->event->count = (int64_t)number;
    return NM_OK;
}

static enum nm_status take_time(struct reading *r, int64_t now_ms)
{
    yyjson_val *at = yyjson_obj_get(r->root, "at");
    int64_t kafka_ms = r->item->timestamp_ms > 0 ? r->item->timestamp_ms : now_ms, ms = kafka_ms;
    enum nm_status status = NM_OK;
    if (yyjson_is_str(at))
        status = nm_time_parse(yyjson_get_str(at), yyjson_get_len(at), &ms, r->err);
    else if (yyjson_is_num(at))
        status = nm_time_from_number(yyjson_get_num(at), &ms, r->err);
    else if (yyjson_is_raw(at))
        status =
            nm_bad(r->err, "date_invalid", "\"at\" is no point in time; send ISO 8601, or seconds or ms since 1970");
    else if (at)
        status = nm_bad(r->err, "wrong_type", "\"at\" is neither text nor a number; send ISO 8601, or leave it out");
    if (status != NM_OK)
        return status;
    int64_t limit_ms = (kafka_ms < now_ms ? kafka_ms : now_ms) + HP_AHEAD_MS;
    if (ms > limit_ms)
        return nm_bad(r->err, "date_future",
                      "%s is more than 5 minutes ahead of the clock; set the sender's clock, or leave it out",
                      at ? "\"at\"" : "the message's timestamp");
    r->event->at_s = ms / 1000;
    return NM_OK;
}

/* NULL out: absent. */
static enum nm_status short_text(const struct reading *r, const char *name, yyjson_val **out)
{
    yyjson_val *value = yyjson_obj_get(r->root, name);
    if (value && (!yyjson_is_str(value) || yyjson_get_len(value) == 0))
        return nm_bad(r->err, "wrong_type", "\"%s\" is not a text of at least 1 byte; leave it out where there is none",
                      name);
    if (yyjson_get_len(value) > HP_SOURCE)
        return nm_bad(r->err, "too_big", "\"%s\" has %zu bytes; send at most %d", name, yyjson_get_len(value),
                      HP_SOURCE);
    *out = value;
    return NM_OK;
}

static enum nm_status take_source(struct reading *r)
{
    yyjson_val *source = NULL, *id = NULL;
    enum nm_status status = short_text(r, "source", &source);
    if (status == NM_OK)
        status = short_text(r, "signalId", &id);
    if (status != NM_OK)
        return status;
    r->event->source = source ? yyjson_get_str(source) : "site";
    r->event->source_len = source ? yyjson_get_len(source) : 4;
    r->event->has_hash = id != NULL;
    if (!id)
        return NM_OK;
    nm_digest_raw(yyjson_get_str(id), yyjson_get_len(id), r->event->hash, HP_HASH);
    return NM_OK;
}

enum nm_status hp_read_signal(const struct nm_item *item, int64_t now_ms, struct nm_arena *doc, struct hp_event *out,
                              struct nm_error *err)
{
    struct hp_event event = {.type = HP_SIGNAL_EVENT};
    struct reading r = {.item = item, .event = &event, .err = err};
    nm_arena_reset(doc);
    enum nm_status status = parse(&r, doc);
    if (status == NM_OK)
        status = check_names(&r, doc);
    if (status == NM_OK)
        status = take_target(&r);
    if (status == NM_OK)
        status = take_kind(&r);
    if (status == NM_OK)
        status = take_count(&r);
    if (status == NM_OK)
        status = take_time(&r, now_ms);
    if (status == NM_OK)
        status = take_source(&r);
    if (status == NM_OK)
        *out = event;
    return status;
}
