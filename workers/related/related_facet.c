/* related_facet.c - the facet of an article as bytes: the same view gives the same bytes. */
#include "related.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINK_BYTES = RL_ID + 4 };

static bool is_text(const struct nm_reply *reply, size_t len)
{
    return reply->type == NM_REPLY_STR && reply->len == len;
}

static bool is_list(const struct nm_reply *reply)
{
    return reply->type == NM_REPLY_STR && reply->len % LINK_BYTES == 0;
}

bool rl_view_read(const struct nm_reply *reply, struct rl_view *out)
{
    const struct nm_reply *id = nm_reply_at(reply, 0), *story = nm_reply_at(reply, 1), *lead = nm_reply_at(reply, 2);
    const struct nm_reply *links = nm_reply_at(reply, 5), *shown = nm_reply_at(reply, 6);
    struct rl_view view = {
        .id = id->str, .story = story->str, .lead = lead->str, .links = links->str, .shown = shown->str};
    view.size = nm_reply_int(nm_reply_at(reply, 3), -1);
    view.revision = nm_reply_int(nm_reply_at(reply, 4), 0);
    view.gone = story->len == 0;
    if (!is_text(id, RL_ID) || view.revision <= 0 || view.size < 0 || !is_list(links) || !is_list(shown))
        return false;
    if (!view.gone && (!is_text(story, RL_ID) || !is_text(lead, RL_ID)))
        return false;
    view.n_links = links->len / LINK_BYTES;
    view.n_shown = shown->len / LINK_BYTES;
    *out = view;
    return true;
}

/* Four decimals, without zeros at the end. */
static void add_score(struct nm_buf *buf, const char *bytes)
{
    float score;
    char text[] = "0.0000";
    size_t len = sizeof text - 1;
    memcpy(&score, bytes, sizeof score); /* little-endian in Redis; see rl_place() */
    int left = score > 0 && score < 1 ? (int)((double)score * 10000 + 0.5) : score >= 1 ? 10000 : 0;
    for (size_t i = len - 1; i > 1; i--, left /= 10)
        text[i] = (char)('0' + left % 10);
    text[0] = (char)('0' + left);
    while (len > 1 && text[len - 1] == '0')
        len--;
    nm_buf_add(buf, text, text[len - 1] == '.' ? len - 1 : len);
}

/* Without nm_buf_addf(): lists are most of what is written. */
static void add_list(struct nm_buf *buf, const char *name, const char *list, size_t n)
{
    static const char begin[] = "{\"id\":\"", middle[] = "\",\"score\":";
    nm_buf_adds(buf, name);
    for (size_t i = 0; i < n; i++) {
        char hex[RL_HEX + 1];
        nm_hex_write(list + i * LINK_BYTES, RL_ID, hex);
        if (i)
            nm_buf_addc(buf, ',');
        nm_buf_add(buf, begin, sizeof begin - 1);
        nm_buf_add(buf, hex, RL_HEX);
        nm_buf_add(buf, middle, sizeof middle - 1);
        add_score(buf, list + i * LINK_BYTES + RL_ID);
        nm_buf_addc(buf, '}');
    }
    nm_buf_addc(buf, ']');
}

enum nm_status rl_facet(const struct rl_view *view, struct nm_buf *scratch, struct nm_arena *arena, const char **text,
                        size_t *len, struct nm_error *err)
{
    char id[RL_HEX + 1], story[RL_HEX + 1], lead[RL_HEX + 1];
    nm_hex_write(view->id, RL_ID, id);
    nm_buf_reset(scratch);
    nm_buf_addf(scratch, "{\"id\":\"%s\",\"facet\":\"related\",\"revision\":%" PRId64 ",\"data\":", id, view->revision);
    if (view->gone) {
        nm_buf_adds(scratch, "null}");
    } else {
        nm_hex_write(view->story, RL_ID, story);
        nm_hex_write(view->lead, RL_ID, lead);
        nm_buf_addf(scratch, "{\"story\":{\"id\":\"%s\",\"lead\":\"%s\",\"size\":%" PRId64 "},", story, lead,
                    view->size);
        add_list(scratch, "\"related\":[", view->shown, view->n_shown);
        add_list(scratch, ",\"links\":[", view->links, view->n_links);
        nm_buf_adds(scratch, "}}");
    }
    char *copy = nm_buf_ok(scratch) ? nm_arena_copy(arena, nm_buf_str(scratch), scratch->len) : NULL;
    if (!copy)
        return nm_fail(err, NM_FATAL, "out of memory for the facet of %s", id);
    *text = copy;
    *len = scratch->len;
    return NM_OK;
}
