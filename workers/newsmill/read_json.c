/* read_json.c - events of a JSON text: arrays, JSON Feed, JSON-LD, values one after another.
 *
 * json_scan.c finds each event; here it is parsed, so that what is no JSON is refused by its number and everything else
 * goes out on one line with the digits it came with. An event may be a container itself (an array of JSON-LD documents,
 * a JSON Feed that names its version last): it was bounded by max_bytes, so it is taken apart in memory.
 *
 * The nodes of a `@graph` describe a page: its publisher, its logo, its place in a menu. Each has a name and a URL and
 * would pass as an article, so nodes whose every type is known to be something else are left out and counted. */
#include "event.h"
#include "json_scan.h"

#include <string.h>

#define BLOCK_BYTES ((size_t)64 << 10)
#define MARK        "\xEF\xBB\xBF"

struct reading {
    const struct nm_sink *sink;
    struct nm_json_scan scan;
    struct nm_place place;
};

static bool is_other_type(const char *type)
{
    static const char *const others[] = {"Organization",   "NewsMediaOrganization",
                                         "Corporation",    "LocalBusiness",
                                         "Person",         "Brand",
                                         "WebSite",        "WebPage",
                                         "CollectionPage", "ItemPage",
                                         "AboutPage",      "ContactPage",
                                         "ProfilePage",    "SearchResultsPage",
                                         "FAQPage",        "BreadcrumbList",
                                         "ItemList",       "ListItem",
                                         "ImageObject",    "VideoObject",
                                         "AudioObject",    "SearchAction",
                                         "ReadAction",     "EntryPoint",
                                         "Place",          "PostalAddress",
                                         "WebPageElement", "SiteNavigationElement",
                                         "Comment",        "WPHeader",
                                         "WPFooter",       "PropertyValueSpecification"};
    const char *name = strrchr(type, '/'); /* also as a whole IRI */

    name = name ? name + 1 : type;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0)
            return true;
    return false;
}

/* True for a node that says what it is, and that it is no article. */
static bool is_no_article(yyjson_val *node)
{
    yyjson_val *type = yyjson_obj_get(node, "@type"), *name = NULL;
    size_t i = 0, n = 0;

    if (yyjson_is_str(type))
        return is_other_type(yyjson_get_str(type));
    yyjson_arr_foreach(type, i, n, name)
    {
        if (!yyjson_is_str(name) || !is_other_type(yyjson_get_str(name)))
            return false;
    }
    return n > 0;
}

/* The value on one line. A feed's items are copied, to get what the feed says of all of them. */
static enum nm_status write_event(struct reading *reading, yyjson_val *value, const struct nm_feed_facts *facts,
                                  struct nm_error *err)
{
    size_t len = 0;
    char *text = NULL;

    if (facts && yyjson_is_obj(value)) {
        yyjson_mut_doc *copy = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *item = copy ? yyjson_val_mut_copy(copy, value) : NULL;
        if (item && nm_event_add_facts(copy, item, facts))
            text = yyjson_mut_val_write(item, YYJSON_WRITE_NOFLAG, &len);
        yyjson_mut_doc_free(copy);
    } else {
        text = yyjson_val_write(value, YYJSON_WRITE_NOFLAG, &len);
    }
    if (!text)
        return nm_fail(err, NM_FATAL, "out of memory for an event");
    enum nm_status status = reading->sink->take(reading->sink->self, text, len, reading->place, err);
    free(text);
    return status;
}

static enum nm_status write_graph(struct reading *reading, yyjson_val *graph, struct nm_error *err)
{
    yyjson_val *node = NULL;
    size_t i = 0, n = 0, n_skipped = 0;
    enum nm_status status = NM_OK;

    if (yyjson_is_obj(graph))
        return write_event(reading, graph, NULL, err);
    yyjson_arr_foreach(graph, i, n, node)
    {
        if (is_no_article(node))
            n_skipped++;
        else if (status == NM_OK)
            status = write_event(reading, node, NULL, err);
    }
    if (n_skipped)
        reading->sink->skip(reading->sink->self, n_skipped);
    return status;
}

static enum nm_status write_items(struct reading *reading, yyjson_val *feed, struct nm_error *err)
{
    struct nm_feed_facts facts = {.title = yyjson_get_str(yyjson_obj_get(feed, "title")),
                                  .language = yyjson_get_str(yyjson_obj_get(feed, "language"))};
    yyjson_val *item = NULL;
    size_t i = 0, n = 0;
    enum nm_status status = NM_OK;

    yyjson_arr_foreach(yyjson_obj_get(feed, "items"), i, n, item)
    {
        if (status == NM_OK)
            status = write_event(reading, item, &facts, err);
    }
    return status;
}

static enum nm_status take_apart(struct reading *reading, yyjson_val *root, struct nm_error *err)
{
    const struct nm_json_scan *scan = &reading->scan;
    yyjson_val *graph = yyjson_obj_get(root, "@graph");
    const char *version = yyjson_get_str(yyjson_obj_get(root, "version"));
    bool in_graph = scan->emptied && !scan->is_feed;

    if (graph)
        return write_graph(reading, graph, err);
    if (version && strstr(version, "//jsonfeed.org/version/") && yyjson_is_arr(yyjson_obj_get(root, "items")))
        return write_items(reading, root, err);
    if (in_graph && is_no_article(root)) {
        reading->sink->skip(reading->sink->self, 1);
        return NM_OK;
    }
    struct nm_feed_facts facts = {.title = scan->title, .language = scan->language};
    return write_event(reading, root, scan->emptied && scan->is_feed ? &facts : NULL, err);
}

static enum nm_status take_event(struct reading *reading, struct nm_error *err)
{
    struct nm_json_scan *scan = &reading->scan;
    yyjson_read_err why = {0};
    char text[160];

    if (!nm_buf_ok(&scan->value))
        return nm_fail(err, NM_FATAL, "out of memory for an event");
    yyjson_doc *doc = yyjson_read_opts(scan->value.data, scan->value.len, YYJSON_READ_NUMBER_AS_RAW, NULL, &why);
    if (doc) {
        enum nm_status status = take_apart(reading, yyjson_doc_get_root(doc), err);
        yyjson_doc_free(doc);
        return status;
    }
    if (why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return nm_fail(err, NM_FATAL, "out of memory for an event");
    (void)snprintf(text, sizeof text, "not JSON: %s, %zu bytes behind its beginning", why.msg, why.pos);
    reading->sink->refuse(reading->sink->self, reading->place, text);
    return NM_OK;
}

static enum nm_status take_found(struct reading *reading, enum nm_json_found what, struct nm_error *err)
{
    const struct nm_sink *sink = reading->sink;
    char text[160];

    reading->place = (struct nm_place){reading->scan.value_line, reading->scan.item};
    switch (what) {
    case NM_JSON_EVENT:
        return take_event(reading, err);
    case NM_JSON_TOO_LONG:
        sink->refuse(sink->self, reading->place, "longer than maxMessageBytes of this stream");
        return NM_OK;
    case NM_JSON_BROKEN:
        reading->place.line = reading->scan.line;
        (void)snprintf(text, sizeof text, "%s behind item %llu; nothing more of this file is read", reading->scan.why,
                       reading->scan.item);
        reading->place.item = 0;
        sink->refuse(sink->self, reading->place, text);
        return NM_OK;
    case NM_JSON_NOTHING:
        break;
    }
    return NM_OK;
}

static enum nm_status read_text(struct reading *reading, struct nm_source *source, char *block, struct nm_error *err)
{
    enum nm_json_found what = NM_JSON_NOTHING;
    const char *mark = NULL;
    size_t n = 0;
    enum nm_status status = nm_source_peek(source, strlen(MARK), &mark, &n, err);

    if (status == NM_OK && n >= strlen(MARK) && memcmp(mark, MARK, strlen(MARK)) == 0)
        status = nm_source_read(source, block, strlen(MARK), &n, err);
    while (status == NM_OK && what != NM_JSON_BROKEN) {
        status = nm_source_read(source, block, BLOCK_BYTES, &n, err);
        if (status != NM_OK || n == 0)
            break;
        for (const char *at = block; status == NM_OK && what != NM_JSON_BROKEN && at < block + n;) {
            what = nm_json_scan_next(&reading->scan, &at, block + n);
            status = take_found(reading, what, err);
        }
    }
    if (status != NM_OK || what == NM_JSON_BROKEN || nm_source_stopped(source))
        return status;
    return take_found(reading, nm_json_scan_end(&reading->scan), err);
}

enum nm_status nm_read_json(struct nm_source *source, const struct nm_sink *sink, struct nm_error *err)
{
    struct reading reading = {.sink = sink};
    char *block = malloc(BLOCK_BYTES);

    if (!block)
        return nm_fail(err, NM_FATAL, "out of memory");
    nm_json_scan_init(&reading.scan, sink->max_bytes);
    enum nm_status status = read_text(&reading, source, block, err);
    nm_json_scan_clear(&reading.scan);
    free(block);
    return status;
}
