/* feed_item.c - one item of a feed as JSON, see feed_item.h.
 *
 * The tree is a yyjson document of its own, thrown away with the item. Looking up whether a name is there already is
 * linear, which MAX_ELEMENTS keeps harmless. */
#include "feed_item.h"

#include "newsmill/text.h"

#include <string.h>

#define MAX_ELEMENTS   1024
#define MAX_ATTRIBUTES 64
#define ENTRY_BYTES    8 /* what quotes, colon and comma of a member cost, roughly */

void nm_feed_item_clear(struct nm_feed_item *item)
{
    for (size_t i = 0; i <= NM_FEED_DEPTH; i++)
        nm_buf_clear(&item->frame[i].text);
    yyjson_mut_doc_free(item->doc);
    *item = (struct nm_feed_item){0};
}

void nm_feed_item_begin(struct nm_feed_item *item, size_t max_bytes)
{
    nm_feed_item_clear(item);
    item->max_bytes = max_bytes;
    item->doc = yyjson_mut_doc_new(NULL);
    item->frame[0].object = item->doc ? yyjson_mut_obj(item->doc) : NULL;
    item->oom = !item->frame[0].object;
}

static bool refused(const struct nm_feed_item *item)
{
    return item->why || item->oom;
}

static void spend(struct nm_feed_item *item, size_t n)
{
    if (n > item->max_bytes - item->n_bytes)
        item->why = "longer than maxMessageBytes of this stream";
    else
        item->n_bytes += n;
}

/* The XML parser lets overlong forms pass in CDATA, which no JSON may hold. */
static void check_utf8(struct nm_feed_item *item, const char *text, size_t len)
{
    if (!nm_text_is_utf8(text, len))
        item->why = "text in it is not UTF-8";
}

static struct nm_feed_frame *top(struct nm_feed_item *item)
{
    return &item->frame[item->depth];
}

static void add_escaped(struct nm_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '&')
            nm_buf_adds(out, "&amp;");
        else if (text[i] == '<')
            nm_buf_adds(out, "&lt;");
        else
            nm_buf_addc(out, text[i]);
    }
}

static void add_tag(struct nm_feed_item *item, const char *open, const char *name)
{
    const char *local = strrchr(name, ':');
    struct nm_buf *text = &top(item)->text;

    spend(item, strlen(name) + 3);
    if (item->why)
        return;
    nm_buf_adds(text, open);
    nm_buf_adds(text, local ? local + 1 : name);
    nm_buf_addc(text, '>');
}

/* The first tag inside of a text: what was plain until now becomes markup, too. */
static void turn_to_markup(struct nm_feed_item *item)
{
    struct nm_feed_frame *frame = top(item);
    struct nm_buf plain = frame->text;

    frame->text = (struct nm_buf){0};
    frame->has_markup = true;
    add_escaped(&frame->text, plain.data, plain.len);
    item->oom = item->oom || plain.oom;
    nm_buf_clear(&plain);
}

static bool is_for_people(const char *name)
{
    static const char *const names[] = {"title", "description", "summary", "content", "content:encoded"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

void nm_feed_item_start(struct nm_feed_item *item, const char *name)
{
    if (refused(item))
        return;
    struct nm_feed_frame *parent = top(item);
    if (parent->for_people) {
        if (!parent->has_markup)
            turn_to_markup(item);
        parent->markup++;
        add_tag(item, "<", name);
        return;
    }
    spend(item, strlen(name) + ENTRY_BYTES);
    check_utf8(item, name, strlen(name));
    if (++item->n_elements > MAX_ELEMENTS)
        item->why = "more than 1,024 elements in it";
    else if (item->depth == NM_FEED_DEPTH)
        item->why = "its elements are nested deeper than 16";
    if (refused(item))
        return;
    struct nm_feed_frame *frame = &item->frame[++item->depth];
    nm_buf_reset(&frame->text);
    frame->name = yyjson_mut_strcpy(item->doc, name);
    frame->object = yyjson_mut_obj(item->doc);
    frame->for_people = is_for_people(name);
    frame->markup = 0;
    frame->has_markup = false;
    item->oom = item->oom || !frame->name || !frame->object;
}

void nm_feed_item_attribute(struct nm_feed_item *item, const char *name, const char *value, size_t len)
{
    struct nm_feed_frame *frame = top(item);

    if (refused(item) || frame->markup > 0)
        return;
    spend(item, strlen(name) + len + ENTRY_BYTES);
    check_utf8(item, name, strlen(name));
    check_utf8(item, value, len);
    if (yyjson_mut_obj_size(frame->object) >= MAX_ATTRIBUTES)
        item->why = "an element in it has more than 64 attributes";
    if (refused(item))
        return;
    yyjson_mut_val *key = yyjson_mut_strcpy(item->doc, name), *text = yyjson_mut_strncpy(item->doc, value, len);
    item->oom = item->oom || !key || !text || !yyjson_mut_obj_add(frame->object, key, text);
}

void nm_feed_item_text(struct nm_feed_item *item, const char *text, size_t len)
{
    struct nm_feed_frame *frame = top(item);

    if (refused(item) || item->depth == 0)
        return; /* between the elements of an item there is nothing but white space */
    spend(item, len);
    if (refused(item))
        return;
    if (frame->has_markup)
        add_escaped(&frame->text, text, len);
    else
        nm_buf_add(&frame->text, text, len);
}

/* Adds a member; one of a name that is there already makes an array of both. */
static bool add_member(yyjson_mut_doc *doc, yyjson_mut_val *object, yyjson_mut_val *name, yyjson_mut_val *value)
{
    yyjson_mut_val *known = yyjson_mut_obj_getn(object, yyjson_mut_get_str(name), yyjson_mut_get_len(name));

    if (!known)
        return yyjson_mut_obj_add(object, name, value);
    if (yyjson_mut_is_arr(known))
        return yyjson_mut_arr_append(known, value);
    yyjson_mut_val *first = yyjson_mut_val_mut_copy(doc, known); /* the value in the object becomes the array */
    return first && yyjson_mut_set_arr(known) && yyjson_mut_arr_append(known, first) &&
           yyjson_mut_arr_append(known, value);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static yyjson_mut_val *trimmed(yyjson_mut_doc *doc, const struct nm_buf *text)
{
    size_t from = 0, end = text->len;

    while (from < end && is_space(text->data[from]))
        from++;
    while (end > from && is_space(text->data[end - 1]))
        end--;
    return yyjson_mut_strncpy(doc, end > from ? text->data + from : "", end - from);
}

static void close_frame(struct nm_feed_item *item)
{
    struct nm_feed_frame *frame = top(item);
    yyjson_mut_val *text = nm_buf_ok(&frame->text) ? trimmed(item->doc, &frame->text) : NULL;
    yyjson_mut_val *value = frame->object;

    item->depth--;
    if (!text) {
        item->oom = true;
        return;
    }
    bool has_text = yyjson_mut_get_len(text) > 0;
    if (yyjson_mut_obj_size(value) == 0) {
        if (!has_text)
            return;
        value = text;
    } else if (has_text) {
        yyjson_mut_val *name = yyjson_mut_str(item->doc, "#text");
        item->oom = !name || !yyjson_mut_obj_insert(value, name, text, 0);
    }
    if (!item->oom)
        item->oom = !add_member(item->doc, top(item)->object, frame->name, value);
}

void nm_feed_item_end(struct nm_feed_item *item, const char *name)
{
    struct nm_feed_frame *frame = top(item);

    if (refused(item) || item->depth == 0)
        return;
    if (frame->markup > 0) {
        frame->markup--;
        add_tag(item, "</", name);
        return;
    }
    check_utf8(item, frame->text.len ? frame->text.data : "", frame->text.len);
    if (!item->why)
        close_frame(item);
}

enum nm_status nm_feed_item_finish(struct nm_feed_item *item, const struct nm_feed_facts *facts, char **text,
                                   size_t *len, const char **why, struct nm_error *err)
{
    char *written = NULL;

    if (!item->oom && item->why) {
        *why = item->why;
        return NM_OK;
    }
    if (!item->oom && nm_event_add_facts(item->doc, item->frame[0].object, facts))
        written = yyjson_mut_val_write(item->frame[0].object, YYJSON_WRITE_NOFLAG, len);
    if (!written)
        return nm_fail(err, NM_FATAL, "out of memory for an item");
    *text = written;
    *why = NULL;
    return NM_OK;
}
