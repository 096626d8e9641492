/* heat_event.c - articles and related facets, as far as heat looks at them.
 *
 * They are written by our own workers, so a bad one is a bug somewhere; it becomes a dead letter. Most facets are not
 * related ones, heat's own among them: they are known by their first bytes, as all of our workers write them. */
#include "heat.h"

#include "newsmill/article.h"
#include "newsmill/datetime.h"
#include "newsmill/url.h"

#include <string.h>

static bool in_range(yyjson_val *value, int64_t min, int64_t max)
{
    if (!yyjson_is_int(value) || (yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX))
        return false;
    int64_t number = yyjson_get_sint(value);
    return number >= min && number <= max;
}

static bool is_id(yyjson_val *value)
{
    return yyjson_is_str(value) && nm_is_article_id(yyjson_get_str(value), yyjson_get_len(value));
}

static enum nm_status take_id(const struct nm_item *item, const char *id, struct hp_event *event, struct nm_error *err)
{
    if (!item->key || item->key_len != HP_ID || memcmp(item->key, id, HP_ID) != 0)
        return nm_bad(err, "wrong_type", "the key of the message is not its \"id\", %s", id);
    memcpy(event->id, id, HP_ID + 1);
    return NM_OK;
}

static enum nm_status read_article(const struct nm_item *item, struct nm_arena *doc, struct hp_event *event,
                                   struct nm_error *err)
{
    struct nm_article article;
    enum nm_status status = nm_article_read(item->value, item->value_len, doc, &article, err);
    if (status == NM_OK)
        status = take_id(item, article.id, event, err);
    if (status != NM_OK)
        return status;
    event->type = HP_ARTICLE;
    event->revision = article.revision;
    event->gone = article.retracted;
    if (event->gone)
        return NM_OK;
    yyjson_val *quality = yyjson_obj_get(article.root, "quality");
    yyjson_val *published = yyjson_obj_get(article.root, "publishedDateTime");
    int64_t ms = 0;
    if (!in_range(quality, -1000, 1000))
        return nm_bad(err, "wrong_type", "\"quality\" is not a whole number from -1000 to 1000");
    if (!yyjson_is_str(published))
        return nm_bad(err, "wrong_type", "\"publishedDateTime\" is not text");
    status = nm_time_parse(yyjson_get_str(published), yyjson_get_len(published), &ms, err);
    event->quality = yyjson_get_sint(quality);
    event->published_s = ms / 1000;
    return status;
}

/* True where the first bytes say that it is another facet than `related`. */
static bool is_other(const struct nm_item *item)
{
    static const char before[] = "{\"id\":\"", between[] = "\",\"facet\":\"", related[] = "related\"";
    size_t at = sizeof before - 1 + HP_ID, name = at + sizeof between - 1;
    return item->value && item->value_len > name + sizeof related &&
           memcmp(item->value, before, sizeof before - 1) == 0 &&
           memcmp(item->value + at, between, sizeof between - 1) == 0 &&
           memcmp(item->value + name, related, sizeof related - 1) != 0;
}

static enum nm_status parse(const struct nm_item *item, struct nm_arena *doc, yyjson_val **root, struct nm_error *err)
{
    yyjson_alc alc = nm_arena_alc(doc);
    yyjson_read_err why = {0};
    if (!item->value || item->value_len == 0)
        return nm_bad(err, "not_json", "the value is empty; a facet/1 was expected");
    /* Without YYJSON_READ_INSITU the text is only read. */
    yyjson_doc *parsed =
        yyjson_read_opts((char *)(uintptr_t)item->value, item->value_len, YYJSON_READ_NOFLAG, &alc, &why);
    if (!parsed && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return nm_fail(err, NM_FATAL, "out of memory for a facet of %zu bytes", item->value_len);
    if (!parsed)
        return nm_bad(err, "not_json", "not JSON at byte %zu: %s", why.pos, why.msg);
    *root = yyjson_doc_get_root(parsed);
    return yyjson_is_obj(*root) ? NM_OK : nm_bad(err, "not_object", "a facet/1 is a JSON object");
}

static enum nm_status read_story(yyjson_val *root, struct hp_event *event, struct nm_error *err)
{
    yyjson_val *revision = yyjson_obj_get(root, "revision"), *data = yyjson_obj_get(root, "data");
    if (!in_range(revision, 1, ((int64_t)1 << 53) - 1))
        return nm_bad(err, "wrong_type", "\"revision\" is not a whole number from 1 to 2^53-1");
    event->type = HP_STORY;
    event->revision = yyjson_get_sint(revision);
    event->gone = yyjson_is_null(data);
    if (event->gone)
        return NM_OK;
    yyjson_val *story = yyjson_obj_get(data, "story"), *lead = yyjson_obj_get(story, "lead");
    yyjson_val *size = yyjson_obj_get(story, "size");
    if (!is_id(lead) || !in_range(size, 1, INT32_MAX))
        return nm_bad(err, "wrong_type", "\"story\" needs \"lead\" (an article id) and \"size\" (1 or more)");
    event->size = yyjson_get_sint(size);
    event->leads = memcmp(yyjson_get_str(lead), event->id, HP_ID) == 0;
    return NM_OK;
}

static enum nm_status read_facet(const struct nm_item *item, struct nm_arena *doc, struct hp_event *event,
                                 struct nm_error *err)
{
    yyjson_val *root = NULL;
    if (is_other(item))
        return NM_OK;
    enum nm_status status = parse(item, doc, &root, err);
    if (status != NM_OK || !yyjson_equals_str(yyjson_obj_get(root, "facet"), "related"))
        return status;
    yyjson_val *id = yyjson_obj_get(root, "id");
    if (!is_id(id))
        return nm_bad(err, "wrong_type", "\"id\" is not 32 lower-case hex digits");
    status = take_id(item, yyjson_get_str(id), event, err);
    return status == NM_OK ? read_story(root, event, err) : status;
}

enum nm_status hp_read(const struct nm_item *item, struct nm_arena *doc, struct hp_event *out, struct nm_error *err)
{
    struct hp_event event = {.type = HP_NOTHING};
    nm_arena_reset(doc);
    enum nm_status status =
        item->stream == NM_NORMALIZED ? read_article(item, doc, &event, err) : read_facet(item, doc, &event, err);
    if (status == NM_OK)
        *out = event;
    return status;
}
