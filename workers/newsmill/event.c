/* event.c - what is known of every event, see event.h. */
#include "event.h"

#include "newsmill/url.h"

#include <string.h>

#define MAX_WORD_BYTES 64

static bool is_word(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return len > 0 && len <= MAX_WORD_BYTES && !text[len];
}

static bool add_text(yyjson_mut_doc *doc, yyjson_mut_val *item, const char *name, const char *text)
{
    return yyjson_mut_obj_add_strcpy(doc, item, name, text);
}

bool nm_event_add_facts(yyjson_mut_doc *doc, yyjson_mut_val *item, const struct nm_feed_facts *facts)
{
    static const char *const languages[] = {"locale", "inLanguage", "language", "dc:language"};
    static const char *const sources[] = {"provider", "publisher", "source"};
    bool add_language = facts->language && is_word(facts->language);
    bool add_source = facts->title && *facts->title;

    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
        add_language = add_language && !yyjson_mut_obj_get(item, languages[i]);
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        add_source = add_source && !yyjson_mut_obj_get(item, sources[i]);
    return (!add_language || add_text(doc, item, "language", facts->language)) &&
           (!add_source || add_text(doc, item, "source", facts->title));
}

/* A string, or the one in an object or array that says where a link leads: as normalize takes it, but shorter, since a
 * key that is not the best one costs nothing but its partition. */
static const char *link_text(yyjson_val *value, size_t *len)
{
    static const char *const members[] = {"href", "#text", "url", "@id", "@value"};
    yyjson_val *element = NULL;
    size_t i = 0, n = 0;

    yyjson_arr_foreach(value, i, n, element)
    {
        const char *rel = yyjson_get_str(yyjson_obj_get(element, "rel"));
        if (!rel || strcmp(rel, "alternate") == 0)
            break;
    }
    if (yyjson_is_arr(value))
        value = i < n ? element : NULL;
    for (i = 0; yyjson_is_obj(value) && i < sizeof members / sizeof *members; i++) {
        yyjson_val *member = yyjson_obj_get(value, members[i]);
        if (yyjson_is_str(member))
            value = member;
    }
    *len = yyjson_get_len(value);
    return yyjson_is_str(value) && *len > 0 && *len <= NM_URL_MAX_BYTES ? yyjson_get_str(value) : NULL;
}

const char *nm_event_key(yyjson_doc *doc, size_t *len)
{
    static const char *const names[] = {"url",          "webUrl",           "originalUrl", "link",
                                        "external_url", "mainEntityOfPage", "@id",         "id"};
    yyjson_val *root = yyjson_doc_get_root(doc);

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = link_text(yyjson_obj_get(root, names[i]), len);
        if (text)
            return text;
    }
    *len = 0;
    return NULL;
}
