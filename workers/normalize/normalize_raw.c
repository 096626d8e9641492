/* normalize_raw.c - one raw event: its fields, and what happens when a member does not hold what it should.
 *
 * No shape is detected. Each field has a list of JSON pointers (normalize_mapping.c), tried in order; the first value
 * that the field can use wins. A value that the field can never use (a number as a title) refuses the event only when
 * no other pointer has a usable one: then the crawler meant something that we would silently lose. A retraction needs
 * nothing but its target and its date of change, so nothing else of it is looked at. Threads: pure functions. */
#include "normalize_internal.h"

#include "newsmill/article.h"
#include "newsmill/url.h"

#include <string.h>
#include <strings.h>

#define MAX_PRIVATE_BYTES 16384

static enum nm_status wrong_type(const char *member, const struct nz_field *field, struct nm_error *err)
{
    if (strcmp(member, field->name) == 0)
        return nm_bad(err, "wrong_type", "\"%s\" has the wrong type: send %s, or leave it out", member, field->wants);
    return nm_bad(err, "wrong_type", "\"%s\" cannot be used as %s: send %s, or leave it out", member, field->name,
                  field->wants);
}

static enum nm_status take_field(struct nz_taker *taker, yyjson_val *root, const struct nz_route *route,
                                 struct nz_raw *raw)
{
    const char *wrong = NULL;
    for (size_t i = 0; i < route->n; i++) {
        const struct nz_pointer *pointer = &route->pointer[i];
        yyjson_val *val = NULL;
        enum nm_status status = nz_pointer_find(pointer, taker->arena, root, &val, taker->err);
        if (status != NM_OK)
            return status;
        taker->own = pointer->own;
        enum nz_found found = val ? route->field->take(taker, val, route->field, raw) : NZ_ABSENT;
        if (found == NZ_USABLE)
            return NM_OK;
        if (found == NZ_FAILED)
            return taker->status;
        if (found == NZ_WRONG && !wrong)
            wrong = pointer->n == 1 ? pointer->step[0].name : pointer->text;
    }
    return wrong ? wrong_type(wrong, route->field, taker->err) : NM_OK;
}

/* What cannot be the object that it should be is refused also where nothing of it is sealed, so that a crawler learns
 * of it now and not when sealing is switched on. */
static enum nm_status check_private(struct nm_arena *arena, yyjson_val *val, size_t event_bytes, struct nm_error *err)
{
    if (event_bytes <= MAX_PRIVATE_BYTES)
        return NM_OK;
    yyjson_alc alc = nm_arena_alc(arena);
    yyjson_write_err why = {0};
    size_t len = 0;
    if (!yyjson_val_write_opts(val, YYJSON_WRITE_NOFLAG, &alc, &len, &why))
        return nm_fail(err, NM_FATAL, "\"private\" cannot be measured: %s", why.msg);
    if (len > MAX_PRIVATE_BYTES)
        return nm_bad(err, "too_big", "the private object has %zu bytes; send at most %d", len, MAX_PRIVATE_BYTES);
    return NM_OK;
}

static enum nm_status take_private(const struct nz_rules *rules, struct nz_taker *taker, size_t event_bytes,
                                   struct nz_raw *raw)
{
    if (!raw->private_object)
        return NM_OK;
    enum nm_status status = check_private(taker->arena, raw->private_object, event_bytes, taker->err);
    if (status == NM_OK && rules->secured)
        status = nz_secured_plain(rules->secured, taker->arena, raw->private_object, &raw->secret, taker->err);
    return status;
}

static enum nm_status take_id(yyjson_val *root, struct nz_raw *raw, struct nm_error *err)
{
    yyjson_val *id = yyjson_obj_get(root, "id");
    if (!id || yyjson_is_null(id) || (yyjson_is_str(id) && yyjson_get_len(id) == 0))
        return NM_OK;
    if (!yyjson_is_str(id))
        return nm_bad(err, "wrong_type", "\"id\" has the wrong type: send the article's id as a string");
    if (!nm_is_article_id(yyjson_get_str(id), yyjson_get_len(id)))
        return nm_bad(err, "retraction_target", "\"id\" is not 32 lower-case hex digits: send the article's id or url");
    raw->id = (struct nz_str){yyjson_get_str(id), yyjson_get_len(id)};
    return NM_OK;
}

static enum nm_status take_target(const struct nz_route *route, struct nz_taker *taker, yyjson_val *root,
                                  struct nz_raw *raw)
{
    enum nm_status status = take_id(root, raw, taker->err);
    for (size_t i = NZ_URL; status == NM_OK && i < NZ_TITLE; i++)
        status = take_field(taker, root, &route[i], raw);
    if (status == NM_OK && !raw->id.data && !raw->url.data)
        return nm_bad(taker->err, "retraction_target", "the retraction names no article: send its url or id");
    return status;
}

/* An empty value: the key is the article's id or URL. */
static enum nm_status take_key(const char *key, size_t key_len, struct nz_raw *raw, struct nm_error *err)
{
    struct nz_str text = nz_trim((struct nz_str){key, key ? key_len : 0});
    raw->retracted = true;
    bool given = text.data != NULL;
    if (given && nm_is_article_id(text.data, text.len))
        raw->id = text;
    else if (given && text.len > 6 &&
             (strncasecmp(text.data, "http:", 5) == 0 || strncasecmp(text.data, "https:", 6) == 0))
        raw->url = text;
    else
        return nm_bad(err, "retraction_target",
                      "an empty value retracts an article, but its key is neither a URL nor an id: send it as the key");
    return NM_OK;
}

/* An untrusted quality is not even looked at. */
static enum nm_status take_event(const struct nz_rules *rules, struct nz_taker *taker, yyjson_val *root,
                                 struct nz_raw *raw)
{
    size_t n = rules->options->trust_quality ? NZ_N_FIELDS : NZ_QUALITY;
    enum nm_status status = NM_OK;
    for (size_t i = NZ_URL; status == NM_OK && i < n; i++)
        status = take_field(taker, root, &rules->mapping->route[i], raw);
    return status;
}

static enum nm_status decode_value(const struct nz_rules *rules, struct nz_taker *taker, const char *value, size_t len,
                                   struct nz_raw *raw)
{
    const struct nz_route *route = rules->mapping->route;
    yyjson_val *root = NULL;
    enum nm_status status = nz_json_open(rules->options, taker->arena, value, len, &root, taker->err);
    if (status == NM_OK)
        status = nz_json_keys(taker->arena, root, taker->err);
    if (status == NM_OK)
        status = take_field(taker, root, &route[NZ_RETRACTED], raw);
    if (status == NM_OK)
        status = raw->retracted ? take_target(route, taker, root, raw) : take_event(rules, taker, root, raw);
    return status == NM_OK ? take_private(rules, taker, len, raw) : status;
}

enum nm_status nz_raw_decode(const struct nz_rules *rules, struct nm_arena *arena, const char *key, size_t key_len,
                             const char *value, size_t len, struct nz_raw *out, struct nm_error *err)
{
    struct nz_raw raw = {0};
    struct nz_taker taker = {.arena = arena, .err = err};
    enum nm_status status =
        value && len > 0 ? decode_value(rules, &taker, value, len, &raw) : take_key(key, key_len, &raw, err);
    if (status == NM_OK)
        *out = raw;
    return status;
}
