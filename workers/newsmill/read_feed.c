/* read_feed.c - events of RSS 2.0, RSS 1.0 (RDF) and Atom feeds.
 *
 * libxml2's push parser calls back for every tag; no tree of the feed is ever built, so a feed may be of any length.
 * Nothing is loaded from elsewhere, and nothing that a document declares takes part: a document type with
 * declarations of its own is refused at its first declaration, so that only the five entities of XML exist.
 * libxml2 compares each attribute of a tag with all others and reads a tag only when it is complete, so QUIET_BYTES
 * without anything to report (a tag, a comment) end the reading. The parser's own limits bound the rest: 256 levels,
 * 10 MB of names.
 *
 * Names are those that the rules for raw events know, whatever prefix the document chose: elements in the item's own
 * namespace have none, those of well-known namespaces have the usual one. */
#include "event.h"
#include "feed_item.h"
#include "newsmill/text.h"

#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <string.h>

#define CHUNK_BYTES 16384
#define QUIET_BYTES 65536
#define NAME_BYTES  256
#define ATOM        "http://www.w3.org/2005/Atom"

enum kind { UNKNOWN, RSS, ATOM_FEED };
enum fact { NO_FACT, TITLE, LANGUAGE };

struct feed {
    const struct nm_sink *sink;
    xmlParserCtxt *parser;
    enum kind kind;
    size_t level, item_level; /* the root is 1; item_level 0: outside of an item  */
    bool in_channel;
    enum fact fact; /* of the feed, which is being read at fact_level */
    size_t fact_level;
    char title[512], language[65], item_uri[NAME_BYTES];
    struct nm_buf text;
    struct nm_feed_item item;
    struct nm_place place;
    size_t quiet_bytes; /* given to the parser since it last reported something */
    enum nm_status status;
    struct nm_error *err;
    char why[300]; /* not "": reading has ended here */
};

static const char *text_of(const xmlChar *text)
{
    return (const char *)text; /* xmlChar is unsigned char; everything from the parser is UTF-8 */
}

static bool same(const xmlChar *a, const char *b)
{
    return a && strcmp(text_of(a), b) == 0;
}

static unsigned long long line_of(const struct feed *feed)
{
    int line = xmlSAX2GetLineNumber(feed->parser);
    return line > 0 ? (unsigned long long)line : 1;
}

static void give_up(struct feed *feed, const char *why, const char *detail)
{
    if (feed->why[0])
        return;
    feed->place = (struct nm_place){.line = line_of(feed)};
    (void)snprintf(feed->why, sizeof feed->why, "%s%.100s", why, detail ? detail : "");
    xmlStopParser(feed->parser);
}

static bool over(const struct feed *feed)
{
    return feed->why[0] || feed->status != NM_OK;
}

/* "prefix:name" into out; false: too long. */
static bool full_name(const struct feed *feed, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                      char out[NAME_BYTES])
{
    static const char *const usual[][2] = {{"http://purl.org/dc/elements/1.1/", "dc"},
                                           {"http://purl.org/dc/terms/", "dcterms"},
                                           {"http://purl.org/rss/1.0/modules/content/", "content"},
                                           {"http://search.yahoo.com/mrss/", "media"},
                                           {"http://search.yahoo.com/mrss", "media"},
                                           {ATOM, "atom"}};
    const char *shown = prefix ? text_of(prefix) : "";

    if (uri && strcmp(text_of(uri), feed->item_uri) == 0)
        shown = "";
    for (size_t i = 0; *shown && i < sizeof usual / sizeof *usual; i++)
        if (same(uri, usual[i][0]))
            shown = usual[i][1];
    return snprintf(out, NAME_BYTES, "%s%s%s", shown, *shown ? ":" : "", text_of(name)) < NAME_BYTES;
}

/* Attributes come as name, prefix, namespace, begin and end of the value. */
static const xmlChar **attribute_at(const xmlChar **attributes, int i)
{
    return attributes + (size_t)i * 5;
}

/* The parser leaves "&" in attributes as "&#38;", for a second pass that only a tree needs. */
static void add_attribute(struct feed *feed, const char *name, const char *value, size_t len)
{
    static const char again[] = "&#38;";
    struct nm_buf text = {0};

    for (const char *end = value + len; value < end;) {
        bool escaped = (size_t)(end - value) >= strlen(again) && memcmp(value, again, strlen(again)) == 0;
        nm_buf_addc(&text, *value);
        value += escaped ? strlen(again) : 1;
    }
    feed->item.oom = feed->item.oom || !nm_buf_ok(&text);
    if (nm_buf_ok(&text))
        nm_feed_item_attribute(&feed->item, name, text.len ? text.data : "", text.len);
    nm_buf_clear(&text);
}

static void item_element(struct feed *feed, const char *name, int n, const xmlChar **attributes)
{
    char attribute_name[NAME_BYTES];

    nm_feed_item_start(&feed->item, name);
    for (int i = 0; i < n; i++) {
        const xmlChar **at = attribute_at(attributes, i);
        if (full_name(feed, at[0], at[1], at[2], attribute_name))
            add_attribute(feed, attribute_name, text_of(at[3]), (size_t)(at[4] - at[3]));
    }
}

/* The value of xml:lang into the language of the feed, where it has none yet. */
static void note_language(struct feed *feed, int n, const xmlChar **attributes)
{
    for (int i = 0; i < n && !feed->language[0]; i++) {
        const xmlChar **at = attribute_at(attributes, i);
        size_t len = (size_t)(at[4] - at[3]);
        if (same(at[0], "lang") && same(at[1], "xml") && len < sizeof feed->language) {
            memcpy(feed->language, at[3], len);
            feed->language[len] = '\0';
        }
    }
}

static void begin_item(struct feed *feed, const xmlChar *uri)
{
    feed->item_level = feed->level;
    feed->place = (struct nm_place){line_of(feed), feed->place.item + 1};
    feed->item_uri[0] = '\0';
    if (uri && strlen(text_of(uri)) < sizeof feed->item_uri)
        memcpy(feed->item_uri, uri, strlen(text_of(uri)) + 1);
    nm_feed_item_begin(&feed->item, feed->sink->max_bytes);
}

static void begin_root(struct feed *feed, const xmlChar *name, const xmlChar *uri)
{
    if (same(name, "rss") || same(name, "RDF"))
        feed->kind = RSS;
    else if (same(name, "feed") || (same(name, "entry") && same(uri, ATOM)))
        feed->kind = ATOM_FEED;
    else
        give_up(feed, "neither rss, RDF nor feed, but ", text_of(name));
    if (same(name, "entry"))
        begin_item(feed, uri);
}

static void begin_fact(struct feed *feed, const xmlChar *name, const xmlChar *prefix)
{
    if (same(name, "title") && !prefix && !feed->title[0])
        feed->fact = TITLE;
    else if (same(name, "language") && (!prefix || same(prefix, "dc")) && !feed->language[0])
        feed->fact = LANGUAGE;
    feed->fact_level = feed->level;
    nm_buf_reset(&feed->text);
}

/* An element outside of items: only a few say something. */
static void feed_element(struct feed *feed, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    bool rss = feed->kind == RSS;

    if (feed->level == 1) {
        begin_root(feed, name, uri);
    } else if (rss && feed->level <= 3 && same(name, "item")) {
        begin_item(feed, uri);
    } else if (!rss && feed->level == 2 && same(name, "entry")) {
        begin_item(feed, uri);
    } else if (rss && feed->level == 2) {
        feed->in_channel = same(name, "channel");
    } else if (feed->fact == NO_FACT && feed->level == (rss ? 3 : 2) && (!rss || feed->in_channel)) {
        begin_fact(feed, name, prefix);
    }
}

/* NOLINTNEXTLINE(readability-function-size): libxml2 names the parameters */
static void on_start(void *self, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_namespaces,
                     const xmlChar **namespaces, int n_attributes, int n_defaulted, const xmlChar **attributes)
{
    struct feed *feed = self;
    char shown[NAME_BYTES];

    (void)n_namespaces;
    (void)namespaces;
    (void)n_defaulted; /* there are none without a DTD */
    feed->quiet_bytes = 0;
    feed->level++;
    if (over(feed))
        return;
    if (!feed->item_level) {
        if (feed->level == 1)
            note_language(feed, n_attributes, attributes);
        feed_element(feed, name, prefix, uri); /* last: where it gives up, the parser forgets the attributes */
        return;
    }
    if (full_name(feed, name, prefix, uri, shown))
        item_element(feed, shown, n_attributes, attributes);
    else if (!feed->item.why)
        feed->item.why = "an element in it has too long a name";
}

static void on_text(void *self, const xmlChar *text, int len)
{
    struct feed *feed = self;
    size_t n = (size_t)len;

    feed->quiet_bytes = 0;
    if (over(feed))
        return;
    if (feed->item_level)
        nm_feed_item_text(&feed->item, text_of(text), n);
    else if (feed->fact != NO_FACT && feed->level == feed->fact_level && feed->text.len + n < sizeof feed->title)
        nm_buf_add(&feed->text, text, n);
}

static void end_item(struct feed *feed)
{
    struct nm_feed_facts facts = {.title = feed->title, .language = feed->language};
    const struct nm_sink *sink = feed->sink;
    const char *why = NULL;
    char *text = NULL;
    size_t len = 0;

    feed->status = nm_feed_item_finish(&feed->item, &facts, &text, &len, &why, feed->err);
    nm_feed_item_clear(&feed->item);
    feed->item_level = 0;
    if (feed->status == NM_OK && why)
        sink->refuse(sink->self, feed->place, why);
    else if (feed->status == NM_OK)
        feed->status = sink->take(sink->self, text, len, feed->place, feed->err);
    free(text);
    if (feed->status != NM_OK)
        xmlStopParser(feed->parser);
}

static void end_fact(struct feed *feed)
{
    char *out = feed->fact == TITLE ? feed->title : feed->language;
    size_t size = feed->fact == TITLE ? sizeof feed->title : sizeof feed->language;
    size_t from = strspn(nm_buf_str(&feed->text), " \t\r\n");
    size_t len = feed->text.len - (from < feed->text.len ? from : feed->text.len);

    while (len > 0 && strchr(" \t\r\n", feed->text.data[from + len - 1]))
        len--;
    if (len > 0 && len < size && nm_text_is_utf8(feed->text.data + from, len)) {
        memcpy(out, feed->text.data + from, len);
        out[len] = '\0';
    }
    feed->fact = NO_FACT;
}

static void on_end(void *self, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct feed *feed = self;
    char shown[NAME_BYTES];

    feed->quiet_bytes = 0;
    if (!over(feed)) {
        if (feed->item_level == feed->level)
            end_item(feed);
        else if (feed->item_level && full_name(feed, name, prefix, uri, shown))
            nm_feed_item_end(&feed->item, shown);
        else if (feed->fact != NO_FACT && feed->fact_level == feed->level)
            end_fact(feed);
    }
    feed->level--;
}

static void on_comment(void *self, const xmlChar *text)
{
    struct feed *feed = self;
    (void)text;
    feed->quiet_bytes = 0;
}

static void on_instruction(void *self, const xmlChar *target, const xmlChar *data)
{
    (void)data;
    on_comment(self, target);
}

static void refuse_declaration(struct feed *feed)
{
    give_up(feed, "its document type declares entities or elements, which is not read", "");
}

/* NOLINTBEGIN(readability-non-const-parameter): libxml2 names the parameters */
static void on_entity(void *self, const xmlChar *name, int type, const xmlChar *public_id, const xmlChar *system_id,
                      xmlChar *content)
{
    (void)name;
    (void)type;
    (void)public_id;
    (void)system_id;
    (void)content;
    refuse_declaration(self);
}
/* NOLINTEND(readability-non-const-parameter) */

static void on_attribute_declaration(void *self, const xmlChar *element, const xmlChar *name, int type, int def,
                                     const xmlChar *value, xmlEnumerationPtr tree)
{
    (void)element;
    (void)name;
    (void)type;
    (void)def;
    (void)value;
    xmlFreeEnumeration(tree); /* this callback owns it */
    refuse_declaration(self);
}

static void on_element_declaration(void *self, const xmlChar *name, int type, xmlElementContentPtr content)
{
    (void)name;
    (void)type;
    (void)content;
    refuse_declaration(self);
}

/* Where a document type stands that names a DTD, the parser only warns of entities that it does not know. */
static void on_reference(void *self, const xmlChar *name)
{
    give_up(self, "an entity that XML does not have: ", text_of(name));
}

static void on_message(void *self, const char *format, ...)
{
    (void)self; /* the parser keeps its last error, which is shown when it ends the reading */
    (void)format;
}

static void init_handler(xmlSAXHandler *handler)
{
    memset(handler, 0, sizeof *handler);
    handler->initialized = XML_SAX2_MAGIC;
    handler->startElementNs = on_start;
    handler->endElementNs = on_end;
    handler->characters = on_text;
    handler->ignorableWhitespace = on_text;
    handler->cdataBlock = on_text;
    handler->comment = on_comment;
    handler->processingInstruction = on_instruction;
    handler->reference = on_reference;
    handler->entityDecl = on_entity;
    handler->attributeDecl = on_attribute_declaration;
    handler->elementDecl = on_element_declaration;
    handler->error = on_message;
    handler->fatalError = on_message;
    handler->warning = on_message;
}

static void note_parser_error(struct feed *feed)
{
    const xmlError *error = xmlCtxtGetLastError(feed->parser);
    const char *message = error && error->message ? error->message : "the XML ends too early";

    if (over(feed))
        return;
    if (error && error->code == XML_ERR_DOCUMENT_END && feed->level > 0) /* the parser calls that extra content */
        message = "the XML ends too early";
    feed->place = (struct nm_place){.line = error && error->line > 0 ? (unsigned long long)error->line : 1};
    (void)snprintf(feed->why, sizeof feed->why, "no XML: %.*s", (int)strcspn(message, "\n"), message);
}

static void parse(struct feed *feed, const char *data, size_t n, bool last)
{
    feed->quiet_bytes += n;
    (void)xmlParseChunk(feed->parser, data, (int)n, last); /* its result counts mere warnings, too */
    if (!feed->parser->wellFormed)
        note_parser_error(feed);
    else if (feed->quiet_bytes > QUIET_BYTES)
        give_up(feed, "a tag or a comment of more than 64 KiB", "");
}

static enum nm_status read_all(struct feed *feed, struct nm_source *source, struct nm_error *err)
{
    char chunk[CHUNK_BYTES], why[400];
    enum nm_status status = NM_OK;
    size_t n = 1;

    while (status == NM_OK && n > 0 && !over(feed)) {
        status = nm_source_read(source, chunk, sizeof chunk, &n, err);
        if (status == NM_OK && !nm_source_stopped(source))
            parse(feed, chunk, n, n == 0);
    }
    if (status != NM_OK || feed->status != NM_OK)
        return status != NM_OK ? status : feed->status;
    if (feed->why[0] && !nm_source_stopped(source)) {
        (void)snprintf(why, sizeof why, "%s; nothing more of this file is read", feed->why);
        feed->place.item = 0;
        feed->sink->refuse(feed->sink->self, feed->place, why);
    }
    return NM_OK;
}

enum nm_status nm_read_feed(struct nm_source *source, const struct nm_sink *sink, struct nm_error *err)
{
    struct feed *feed = calloc(1, sizeof *feed);
    xmlSAXHandler handler;
    enum nm_status status = NM_OK;

    init_handler(&handler);
    if (feed) {
        feed->sink = sink;
        feed->err = err;
        feed->parser = xmlCreatePushParserCtxt(&handler, feed, NULL, 0, NULL);
    }
    if (feed && feed->parser) {
        (void)xmlCtxtUseOptions(feed->parser, XML_PARSE_NONET);
        status = read_all(feed, source, err);
        if (feed->parser->myDoc)
            xmlFreeDoc(feed->parser->myDoc);
        xmlFreeParserCtxt(feed->parser);
    } else {
        status = nm_fail(err, NM_FATAL, "out of memory");
    }
    if (feed) {
        nm_feed_item_clear(&feed->item);
        nm_buf_clear(&feed->text);
    }
    free(feed);
    return status;
}
