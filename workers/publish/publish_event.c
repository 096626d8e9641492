/* publish_event.c - what comes in, checked as far as composing hangs on it and cut down to what the state keeps.
 *
 * Articles and facets are written by our own workers, so a bad one is a bug somewhere; it becomes a dead letter, and
 * publish lives. What a record does not show (links, parts, bytes, rules) is not kept. */
#include "newsmill/digest.h"
#include "newsmill/url.h"
#include "publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MOST_OF_LIST 256 /* images or related ones in one message */
#define MOST_HEAT    1000000

/* In the order of a record. */
static const char *const article_members[] = {"path",         "category",          "type",        "locale", "title",
                                              "excerpt",      "publishedDateTime", "originalUrl", "webUrl", "ampWebUrl",
                                              "cdnAmpWebUrl", "provider",          "topics",      "quality"};
static const char *const article_image[] = {"url", "width", "height"};
static const char *const facet_image[] = {"url",       "width",      "height", "isCached",
                                          "cachedUrl", "thumbnails", "reason", "nextTry"};

struct reading {
    struct pb_maker *maker;
    const struct nm_item *item;
    yyjson_alc alc;
    yyjson_val *root;
    struct nm_error *err;
};

/* The id of a message must be its key: by the key it found its partition, and by the id its state. */
static enum nm_status take_id(const struct reading *r, struct pb_event *event)
{
    yyjson_val *id = yyjson_obj_get(r->root, "id");
    const char *text = yyjson_get_str(id);
    if (!nm_is_article_id(text ? text : "", yyjson_get_len(id)))
        return nm_bad(r->err, "wrong_type", "\"id\" is not 32 lower-case hex digits");
    if (!r->item->key || r->item->key_len != PB_ID || memcmp(r->item->key, text, PB_ID) != 0)
        return nm_bad(r->err, "wrong_type", "the key of the message is not its \"id\", %s", text);
    memcpy(event->id, text, PB_ID + 1);
    return NM_OK;
}

static bool in_range(yyjson_val *value, int64_t min, int64_t max)
{
    if (!yyjson_is_int(value) || (yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX))
        return false;
    int64_t number = yyjson_get_sint(value);
    return number >= min && number <= max;
}

static bool is_or_absent(yyjson_val *value, bool (*is)(yyjson_val *value))
{
    return !value || is(value);
}

static bool is_pixels(yyjson_val *value)
{
    return in_range(value, 1, 65535);
}
static bool is_text(yyjson_val *value)
{
    return yyjson_is_str(value);
}
static bool is_bool(yyjson_val *value)
{
    return yyjson_is_bool(value);
}
static bool is_list(yyjson_val *value)
{
    return yyjson_is_arr(value);
}

static enum nm_status check_image(const struct reading *r, yyjson_val *image)
{
    if (yyjson_is_str(yyjson_obj_get(image, "url")) && is_or_absent(yyjson_obj_get(image, "width"), is_pixels) &&
        is_or_absent(yyjson_obj_get(image, "height"), is_pixels) &&
        is_or_absent(yyjson_obj_get(image, "isCached"), is_bool) &&
        is_or_absent(yyjson_obj_get(image, "cachedUrl"), is_text) &&
        is_or_absent(yyjson_obj_get(image, "thumbnails"), is_list) &&
        is_or_absent(yyjson_obj_get(image, "reason"), is_text) &&
        is_or_absent(yyjson_obj_get(image, "nextTry"), is_text))
        return NM_OK;
    return nm_bad(r->err, "wrong_type", "\"images\" holds something else than images as messages describe them");
}

static enum nm_status check_length(const struct reading *r, yyjson_val *list, const char *name)
{
    if (!yyjson_is_arr(list))
        return nm_bad(r->err, "wrong_type", "\"%s\" is not an array", name);
    if (yyjson_arr_size(list) > MOST_OF_LIST)
        return nm_bad(r->err, "too_many", "\"%s\" has %zu entries, at most %d are taken", name, yyjson_arr_size(list),
                      MOST_OF_LIST);
    return NM_OK;
}

/* Appends an array of images with these members only. */
static enum nm_status add_images(const struct reading *r, yyjson_val *images, const char *const *members,
                                 size_t n_members)
{
    struct nm_buf *buf = r->maker->scratch;
    enum nm_status status = check_length(r, images, "images");
    size_t i, n;
    yyjson_val *image;
    nm_buf_addc(buf, '[');
    yyjson_arr_foreach(images, i, n, image)
    {
        if (status == NM_OK)
            status = check_image(r, image);
        if (status != NM_OK)
            return status;
        if (i)
            nm_buf_addc(buf, ',');
        size_t at = buf->len;
        for (size_t k = 0; k < n_members; k++)
            pb_add_member(buf, members[k], yyjson_obj_get(image, members[k]), &r->alc);
        if (nm_buf_ok(buf))
            buf->data[at] = '{'; /* in place of the first comma; the url is always there */
        nm_buf_addc(buf, '}');
    }
    nm_buf_addc(buf, ']');
    return status;
}

static enum nm_status read_article(const struct reading *r, struct pb_event *event)
{
    struct nm_article article;
    struct nm_buf *buf = r->maker->scratch;
    enum nm_status status = nm_article_read(r->item->value, r->item->value_len, r->maker->doc, &article, r->err);
    if (status != NM_OK)
        return status;
    struct reading inner = *r;
    inner.root = article.root;
    event->kind = PB_ARTICLE;
    event->revision = article.revision;
    status = take_id(&inner, event);
    if (status != NM_OK || article.retracted)
        return status;
    yyjson_obj_iter iter = yyjson_obj_iter_with(article.root);
    for (size_t i = 0; i < sizeof article_members / sizeof *article_members; i++)
        pb_add_member(buf, article_members[i], yyjson_obj_iter_get(&iter, article_members[i]), &r->alc);
    yyjson_val *images = yyjson_obj_iter_get(&iter, "images");
    if (images) {
        nm_buf_adds(buf, ",\"images\":");
        status = add_images(&inner, images, article_image, sizeof article_image / sizeof *article_image);
    }
    if (status != NM_OK)
        return status;
    pb_add_member(buf, "secured", yyjson_obj_iter_get(&iter, "secured"), &r->alc);
    if (buf->len == 0)
        nm_buf_addc(buf, ' ');
    if (nm_buf_ok(buf))
        buf->data[0] = '{';
    nm_buf_addc(buf, '}');
    return pb_keep(buf, 0, r->maker->arena, &event->data, r->err);
}

/* ---- facets ---- */

static enum nm_status read_images(const struct reading *r, yyjson_val *data)
{
    return add_images(r, yyjson_obj_get(data, "images"), facet_image, sizeof facet_image / sizeof *facet_image);
}

static bool is_id(yyjson_val *value)
{
    return yyjson_is_str(value) && nm_is_article_id(yyjson_get_str(value), yyjson_get_len(value));
}

/* The other members, each once, then the story. */
static enum nm_status read_related(const struct reading *r, const char *id, yyjson_val *data)
{
    struct nm_buf *buf = r->maker->scratch;
    yyjson_val *story = yyjson_obj_get(data, "story"), *list = yyjson_obj_get(data, "related"), *entry;
    yyjson_val *name = yyjson_obj_get(story, "id"), *lead = yyjson_obj_get(story, "lead");
    if (!is_id(name) || !is_id(lead) || !in_range(yyjson_obj_get(story, "size"), 1, INT32_MAX))
        return nm_bad(r->err, "wrong_type",
                      "\"story\" needs \"id\" and \"lead\" (article ids) and \"size\" (1 or more)");
    enum nm_status status = check_length(r, list, "related");
    bool is_lead = memcmp(yyjson_get_str(lead), id, PB_ID) == 0;
    size_t i, n;
    yyjson_arr_foreach(list, i, n, entry)
    {
        yyjson_val *other = yyjson_obj_get(entry, "id");
        if (status == NM_OK && !is_id(other))
            status = nm_bad(r->err, "wrong_type", "\"related\" holds something else than objects with an article's id");
        if (status != NM_OK)
            return status;
        bool known = memcmp(yyjson_get_str(other), id, PB_ID) == 0 || buf->len >= (size_t)PB_MAX_RELATED * PB_ID;
        for (size_t at = 0; !known && at < buf->len; at += PB_ID)
            known = memcmp(buf->data + at, yyjson_get_str(other), PB_ID) == 0;
        if (is_lead && !known)
            nm_buf_add(buf, yyjson_get_str(other), PB_ID);
    }
    nm_buf_addf(buf, "{\"id\":\"%s\",\"lead\":\"%s\",\"size\":%" PRId64 "}", yyjson_get_str(name), yyjson_get_str(lead),
                yyjson_get_sint(yyjson_obj_get(story, "size")));
    return status;
}

static enum nm_status read_heat(const struct reading *r, yyjson_val *data)
{
    yyjson_val *heat = yyjson_obj_get(data, "heat");
    if (!in_range(heat, -1, MOST_HEAT))
        return nm_bad(r->err, "wrong_type", "\"heat\" is not a whole number from -1 to %d", MOST_HEAT);
    nm_buf_addf(r->maker->scratch, "%" PRId64, yyjson_get_sint(heat));
    return NM_OK;
}

static enum nm_status read_data(const struct reading *r, struct pb_event *event)
{
    yyjson_val *data = yyjson_obj_get(r->root, "data");
    enum nm_status status = NM_OK;
    if (yyjson_is_null(data))
        return NM_OK; /* a retracted article's */
    if (!yyjson_is_obj(data))
        return nm_bad(r->err, "wrong_type", "\"data\" is neither an object nor null");
    if (event->kind == PB_IMAGES)
        status = read_images(r, data);
    else if (event->kind == PB_RELATED)
        status = read_related(r, event->id, data);
    else
        status = read_heat(r, data);
    return status == NM_OK ? pb_keep(r->maker->scratch, 0, r->maker->arena, &event->data, r->err) : status;
}

static enum nm_status read_facet(struct reading *r, struct pb_event *event)
{
    static const struct {
        const char *name;
        enum pb_kind kind;
    } facets[] = {{"images", PB_IMAGES}, {"related", PB_RELATED}, {"heat", PB_HEAT}, {"touch", PB_TOUCH}};
    enum nm_status status = pb_parse(r->item->value, r->item->value_len, "a facet/1", r->maker->doc, &r->root, r->err);
    if (status == NM_OK)
        status = take_id(r, event);
    if (status != NM_OK)
        return status;
    yyjson_val *name = yyjson_obj_get(r->root, "facet"), *revision = yyjson_obj_get(r->root, "revision");
    size_t i = 0;
    while (i < sizeof facets / sizeof *facets && !yyjson_equals_str(name, facets[i].name))
        i++;
    if (i == sizeof facets / sizeof *facets)
        return nm_bad(r->err, "wrong_type", "\"facet\" is not images, related, heat or touch");
    event->kind = facets[i].kind;
    if (event->kind == PB_TOUCH)
        return NM_OK;
    if (!in_range(revision, 1, ((int64_t)1 << 53) - 1))
        return nm_bad(r->err, "wrong_type", "\"revision\" is not a whole number from 1 to 2^53-1");
    event->revision = yyjson_get_sint(revision);
    return read_data(r, event);
}

/* ---- records, read back ---- */

/* Facets without which this record would not look as it does. */
static void find_awaited(yyjson_val *record, char awaits[4])
{
    size_t n = 0, i, k;
    yyjson_val *image, *story = yyjson_obj_get(record, "story"), *heat = yyjson_obj_get(record, "heat");
    bool cached = false;
    yyjson_arr_foreach(yyjson_obj_get(record, "images"), i, k, image)
    {
        cached = cached || yyjson_is_true(yyjson_obj_get(image, "isCached")) || yyjson_obj_get(image, "reason");
    }
    bool lead = !story ||
                yyjson_equals_strn(yyjson_obj_get(story, "lead"), yyjson_get_str(yyjson_obj_get(record, "id")), PB_ID);
    if (cached)
        awaits[n++] = PB_IMAGES;
    if (story)
        awaits[n++] = PB_RELATED;
    if (lead && !yyjson_equals(heat, yyjson_obj_get(record, "quality")))
        awaits[n++] = PB_HEAT;
    awaits[n] = '\0';
}

static enum nm_status read_record(struct reading *r, struct pb_event *event)
{
    const struct nm_item *item = r->item;
    event->kind = PB_BACK;
    if (!item->value) {
        if (!item->key || !nm_is_article_id(item->key, item->key_len) || item->revision <= 0)
            return nm_bad(r->err, "wrong_type", "a tombstone needs an article id as key and the header nm-revision");
        memcpy(event->id, item->key, PB_ID);
        event->revision = item->revision;
        memset(event->hash, '0', PB_ID);
        return NM_OK;
    }
    enum nm_status status = pb_parse(item->value, item->value_len, "a record/1", r->maker->doc, &r->root, r->err);
    if (status == NM_OK)
        status = take_id(r, event);
    if (status != NM_OK)
        return status;
    yyjson_val *revision = yyjson_obj_get(r->root, "revision");
    char head[96];
    int len = 0;
    if (in_range(revision, 1, ((int64_t)1 << 53) - 1)) {
        event->revision = yyjson_get_sint(revision);
        len = snprintf(head, sizeof head, "{\"id\":\"%s\",\"revision\":%" PRId64 ",", event->id, event->revision);
    }
    if (len == 0 || item->value_len < (size_t)len || memcmp(item->value, head, (size_t)len) != 0)
        return nm_bad(r->err, "wrong_type", "a record/1 begins with \"id\" and \"revision\", without spaces");
    nm_digest(item->value + len, item->value_len - (size_t)len, event->hash);
    find_awaited(r->root, event->awaits);
    return NM_OK;
}

enum nm_status pb_read(struct pb_maker *maker, const struct nm_item *item, struct pb_event *out, struct nm_error *err)
{
    struct reading r = {.maker = maker, .item = item, .alc = nm_arena_alc(maker->doc), .err = err};
    struct pb_event event = {.data = {.s = "", .len = 0}};
    enum nm_status status;
    nm_buf_reset(maker->scratch);
    nm_arena_reset(maker->doc);
    if (item->stream == NM_NORMALIZED)
        status = read_article(&r, &event);
    else if (item->stream == NM_FACETS)
        status = read_facet(&r, &event);
    else
        status = read_record(&r, &event);
    if (status == NM_OK)
        *out = event;
    return status;
}
