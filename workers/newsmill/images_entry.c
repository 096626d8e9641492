/* images_entry.c - what the images worker keeps of URLs, objects and articles in Redis, read for people; see images.h.
 *
 * The URL itself stands nowhere but in what its articles say of it, so it is looked for there, and believed only where
 * it has the hash that was asked for. */
#include "images.h"

#include "message.h"
#include "newsmill/digest.h"

#include <string.h>

enum kind { TEXT, NUMBER, TIME };

struct field {
    const char *name;
    enum kind kind;
};

static const struct field entry_fields[] = {
    {"state", TEXT},    {"reason", TEXT},  {"nextTry", TIME},      {"never", NUMBER},     {"policy", TEXT},
    {"tries", NUMBER},  {"retryAt", TIME}, {"rounds", NUMBER},     {"type", TEXT},        {"width", NUMBER},
    {"height", NUMBER}, {"bytes", NUMBER}, {"rawWidth", NUMBER},   {"rawHeight", NUMBER}, {"orientation", NUMBER},
    {"sha256", TEXT},   {"etag", TEXT},    {"lastModified", TEXT}, {"fetchedAt", TIME},   {"expiresAt", TIME},
    {"lastUsed", TIME}, {"dying", TIME},   {"full", NUMBER},
};
static const struct field object_fields[] = {
    {"type", TEXT}, {"bytes", NUMBER}, {"storedAt", TIME}, {"dying", TIME}, {"deleting", TIME}, {"thumbs", TEXT},
};
#define N(array) (sizeof(array) / sizeof *(array))
enum { STATE = 0, REASON = 1, MOST_TEXT = 2000 };

static void ask(struct nm_images *images, const char *key, const struct field *field, size_t n)
{
    (void)nm_pipe_command(&images->pipe, 2 + n);
    nm_pipe_str(&images->pipe, "HMGET");
    nm_pipe_str(&images->pipe, key);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(&images->pipe, field[i].name);
}

void nm_images_ask_entry(struct nm_images *images, const char *hash)
{
    char key[256];
    nm_images_key(images, "", hash, key);
    ask(images, key, entry_fields, N(entry_fields));
}

void nm_images_ask_object(struct nm_images *images, const char *sha256)
{
    char key[256];
    nm_images_key(images, "o:", sha256, key);
    ask(images, key, object_fields, N(object_fields));
}

bool nm_images_is_known(const struct nm_reply *fields)
{
    for (size_t i = 0; fields->type == NM_REPLY_ARRAY && i < fields->len; i++)
        if (nm_reply_at(fields, i)->type == NM_REPLY_STR)
            return true;
    return false;
}

const char *nm_images_state(const struct nm_reply *fields)
{
    const struct nm_reply *state = nm_reply_at(fields, STATE);
    if (state->type == NM_REPLY_STR && strcmp(state->str, "cached") == 0)
        return "cached";
    return state->type == NM_REPLY_STR && strcmp(state->str, "failed") == 0 ? "failed" : "pending";
}

const struct nm_reply *nm_images_reason(const struct nm_reply *fields)
{
    return nm_reply_at(fields, REASON);
}

/* NULL: not there, or not of its kind. */
static json_t *value_of(const struct nm_reply *reply, enum kind kind)
{
    char time[21];
    int64_t number = nm_reply_int(reply, INT64_MIN);
    if (reply->type != NM_REPLY_STR)
        return NULL;
    if (kind == TEXT)
        return reply->len <= MOST_TEXT ? json_stringn(reply->str, reply->len) : NULL;
    if (number == INT64_MIN)
        return NULL;
    if (kind == NUMBER)
        return json_integer(number);
    nm_time_text(number, time);
    return time[0] ? json_string(time) : NULL;
}

static json_t *to_json(const struct nm_reply *fields, const struct field *field, size_t n)
{
    json_t *out = json_object();
    for (size_t i = 0; out && i < n; i++) {
        json_t *value = value_of(nm_reply_at(fields, i), field[i].kind);
        if (value)
            (void)json_object_set_new(out, field[i].name, value);
    }
    return out;
}

json_t *nm_images_entry_json(const struct nm_reply *fields)
{
    json_t *out = to_json(fields, entry_fields, N(entry_fields));
    if (out)
        (void)json_object_set_new(out, "state", json_string(nm_images_state(fields)));
    return out;
}

static json_t *thumbs_json(const struct nm_reply *text)
{
    struct im_thumb_file file[IM_THUMBS];
    size_t n = 0;
    if (text->type != NM_REPLY_STR || !im_thumbs_text_read(text->str, file, &n))
        return NULL;
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(out,
                                    json_pack("{s:i, s:i, s:i, s:s, s:s}", "edge", (int)file[i].edge, "width",
                                              (int)file[i].width, "height", (int)file[i].height, "type",
                                              file[i].webp ? "image/webp" : "image/jpeg", "sha256", file[i].sha256));
    return out;
}

json_t *nm_images_object_json(const struct nm_reply *fields)
{
    json_t *out = to_json(fields, object_fields, N(object_fields));
    json_t *thumbs = thumbs_json(nm_reply_at(fields, N(object_fields) - 1));
    if (out && thumbs) /* else the text as it is */
        (void)json_object_set_new(out, "thumbs", thumbs);
    return out;
}

/* ---- articles ---- */

void nm_images_ask_article(struct nm_images *images, const char *id)
{
    char key[256], number[12];
    nm_images_key(images, "a:", id, key);
    (void)nm_pipe_command(&images->pipe, 2 + NM_IMAGES_ARTICLE_FIELDS);
    nm_pipe_str(&images->pipe, "HMGET");
    nm_pipe_str(&images->pipe, key);
    nm_pipe_str(&images->pipe, "rev");
    nm_pipe_str(&images->pipe, "gone");
    for (int i = 1; i <= IM_MAX_IMAGES; i++) {
        (void)snprintf(number, sizeof number, "%d", i);
        nm_pipe_str(&images->pipe, number);
    }
}

bool nm_images_listed(const struct nm_reply *fields, size_t i, struct nm_images_listed *out)
{
    const struct nm_reply *text = nm_reply_at(fields, 2 + i);
    const char *space = text->type == NM_REPLY_STR ? strchr(text->str, ' ') : NULL;
    size_t len = space ? (size_t)(space - text->str) : 0;
    struct im_listed_text listed;
    if (len == 0 || len >= IM_URL_HASH_BYTES)
        return false;
    *out = (struct nm_images_listed){.url = {.text = ""}};
    memcpy(out->hash, text->str, len);
    if (!im_listed_read(space + 1, text->len - len - 1, &listed))
        return true;
    out->reason = listed.reason;
    if (listed.reason != IM_NONE)
        (void)im_url_show(listed.url, listed.url_len, out->shown);
    else if (!im_listed_url(&listed, out->hash, &out->url))
        out->url.text[0] = '\0';
    return true;
}

void nm_images_url_of(const struct nm_reply *fields, const char *hash, struct nm_images_listed *out)
{
    for (size_t i = 0; i < IM_MAX_IMAGES; i++)
        if (nm_images_listed(fields, i, out) && out->url.text[0] && strcmp(out->hash, hash) == 0)
            return;
    out->url.text[0] = '\0';
}

bool nm_images_member_id(const struct nm_reply *member, char out[NM_ID_BYTES])
{
    const char *colon = member->type == NM_REPLY_STR ? strchr(member->str, ':') : NULL;
    size_t at = colon ? (size_t)(colon - member->str) + 1 : 0;
    if (!colon || at > member->len || !nm_is_article_id(colon + 1, member->len - at))
        return false;
    memcpy(out, colon + 1, NM_ID_BYTES - 1);
    out[NM_ID_BYTES - 1] = '\0';
    return true;
}

bool nm_images_is_hash(const char *text)
{
    return im_is_hash(text, strlen(text));
}
