/* store_s3_xml.c - what an S3 server says in XML; see store_s3.h.
 *
 * The answer is at most IM_S3_XML_BYTES long, and libxml2 keeps its own limits (depth, no HUGE). A document type is
 * refused: no server has one, and entities live there. Keys are held to the order and the prefix that were asked for,
 * so that a server that says the same page again and again cannot keep anybody busy. */
#include "store_s3.h"

#include "newsmill/datetime.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <string.h>

/* NULL: not XML, or nothing we want to see. */
static xmlDoc *parse(const char *xml, size_t len)
{
    if (len == 0 || len > IM_S3_XML_BYTES)
        return NULL;
    xmlDoc *doc = xmlReadMemory(xml, (int)len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (doc && (doc->intSubset || doc->extSubset)) {
        xmlFreeDoc(doc);
        return NULL;
    }
    return doc;
}

static bool is_called(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

/* The text of the first child called `name`; false: none, or it does not fit. */
static bool text_of(const xmlNode *node, const char *name, char *out, size_t size)
{
    for (xmlNode *child = node->children; child; child = child->next)
        if (is_called(child, name)) {
            xmlChar *text = xmlNodeGetContent(child);
            size_t len = text ? strlen((const char *)text) : size;
            if (len < size)
                memcpy(out, text, len + 1);
            xmlFree(text);
            return len < size;
        }
    return false;
}

void im_s3_error_code(const char *xml, size_t len, char out[IM_S3_CODE_BYTES])
{
    char code[IM_S3_CODE_BYTES] = "";
    xmlDoc *doc = parse(xml, len);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    if (!root || !is_called(root, "Error") || !text_of(root, "Code", code, sizeof code) ||
        strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.") != strlen(code))
        code[0] = '\0';
    memcpy(out, code, sizeof code);
    xmlFreeDoc(doc);
}

static bool read_size(const char *text, int64_t *out)
{
    int64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > (INT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (*text - '0');
    }
    *out = value;
    return true;
}

static enum nm_status read_contents(const xmlNode *node, const char *prefix, struct im_page *page, struct nm_error *err)
{
    char key[IM_S3_KEY_BYTES], size[24], when[64];
    struct im_name parts;
    struct im_entry entry = {0};
    int64_t changed_ms = 0;
    size_t n = strlen(prefix);
    if (!text_of(node, "Key", key, sizeof key) || strncmp(key, prefix, n) != 0)
        return nm_bad(err, "list_key", "a key of the list does not begin with what was asked for");
    const char *name = key + n;
    if (strlen(name) >= sizeof page->cursor || strcmp(name, page->cursor) <= 0)
        return nm_bad(err, "list_order", "the keys of the list are not in order behind the last one");
    (void)snprintf(page->cursor, sizeof page->cursor, "%s", name);
    if (!im_name_read(name, strlen(name), &parts)) {
        page->n_foreign++;
        return NM_OK;
    }
    if (page->n == page->max)
        return nm_bad(err, "list_long", "the list has more keys than were asked for");
    if (!text_of(node, "Size", size, sizeof size) || !read_size(size, &entry.bytes))
        return nm_bad(err, "list_size", "a key of the list has no size");
    if (!text_of(node, "LastModified", when, sizeof when) ||
        nm_time_parse(when, strlen(when), &changed_ms, NULL) != NM_OK)
        return nm_bad(err, "list_time", "a key of the list has no time");
    (void)snprintf(entry.name, sizeof entry.name, "%s", name);
    entry.changed_s = changed_ms / 1000;
    page->entry[page->n++] = entry;
    return NM_OK;
}

/* The children of the list, NULL: it is none. */
static const xmlNode *list_of(const xmlDoc *doc, bool *more)
{
    char word[8];
    const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    if (!root || !is_called(root, "ListBucketResult") || !text_of(root, "IsTruncated", word, sizeof word))
        return NULL;
    *more = strcmp(word, "true") == 0;
    return *more || strcmp(word, "false") == 0 ? root->children : NULL;
}

enum nm_status im_s3_list_read(const char *xml, size_t len, const char *prefix, struct im_page *page,
                               struct nm_error *err)
{
    struct im_page fresh = {.entry = page->entry, .max = page->max};
    memcpy(fresh.cursor, page->cursor, sizeof fresh.cursor);
    xmlDoc *doc = parse(xml, len);
    const xmlNode *node = list_of(doc, &fresh.more);
    enum nm_status status = node ? NM_OK : nm_bad(err, "list_form", "the answer is no list of keys");
    for (; node && status == NM_OK; node = node->next)
        if (is_called(node, "Contents"))
            status = read_contents(node, prefix, &fresh, err);
    xmlFreeDoc(doc);
    if (status == NM_OK && fresh.more && fresh.n + fresh.n_foreign == 0)
        status = nm_bad(err, "list_empty", "the list has no key and says that more follow");
    if (status == NM_OK)
        *page = fresh;
    return status;
}
