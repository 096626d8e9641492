/* normalize_raw.c - one raw event: which members may hold which field, and what happens when they do not.
 *
 * No shape is detected. Each field has a list of JSON pointers, tried in order; the first value that the field can use
 * wins. A value that the field can never use (a number as a title) refuses the event only when no other pointer has a
 * usable one: then the crawler meant something that we would silently lose. A retraction needs nothing but its target
 * and its date of change, so nothing else of it is looked at.
 * Threads: pure functions. */
#include "normalize_internal.h"

#include "newsmill/article.h"
#include "newsmill/url.h"

#include <string.h>
#include <strings.h>

#define MAX_TITLE_BYTES   65536
#define MAX_EXCERPT_BYTES 262144
#define MAX_PRIVATE_BYTES 16384

#define POINTERS(...)     ((const char *const[]){__VA_ARGS__, NULL})
#define AT(member)        offsetof(struct nz_raw, member)

static const char a_string[] = "a string";
static const char a_url[] = "a string with a URL";
static const char a_date[] = "a date as text or epoch number";
static const char a_word[] = "1 to 64 letters, digits, \"_\" or \"-\"";

/* The first two rows are all that a retraction needs: its target and its version. */
#define N_RETRACTION_FIELDS 2
static const struct nz_field fields[] = {
    {"url", a_url, nz_take_link, AT(url), 0,
     POINTERS("/url", "/webUrl", "/originalUrl", "/link", "/external_url", "/mainEntityOfPage", "/@id")},
    {"modifiedDateTime", a_date, nz_take_modified, 0, 0,
     POINTERS("/modifiedDateTime", "/dateModified", "/date_modified", "/updated")},
    {"title", a_string, nz_take_text, AT(title), MAX_TITLE_BYTES, POINTERS("/title", "/headline", "/name")},
    {"excerpt", a_string, nz_take_text, AT(excerpt), MAX_EXCERPT_BYTES,
     POINTERS("/excerpt", "/description", "/summary")},
    {"content", a_string, nz_take_text, AT(content), 0,
     POINTERS("/content", "/articleBody", "/content_html", "/content_text", "/content:encoded")},
    {"publishedDateTime", a_date, nz_take_published, 0, 0,
     POINTERS("/publishedDateTime", "/datePublished", "/date_published", "/pubDate", "/published", "/dc:date")},
    {"images", "URLs or objects with a url", nz_take_images, 0, 0,
     POINTERS("/images", "/image", "/media:content", "/enclosure", "/banner_image", "/thumbnailUrl")},
    {"provider", "an object with name and domain", nz_take_provider, 0, 0,
     POINTERS("/provider", "/publisher", "/source")},
    {"ampUrl", a_url, nz_take_url, AT(amp_url), 0, POINTERS("/ampUrl", "/ampWebUrl", "/amphtml")},
    {"locale", a_word, nz_take_word, AT(locale), 0, POINTERS("/locale", "/inLanguage", "/language", "/dc:language")},
    {"category", a_word, nz_take_word, AT(category), 0, POINTERS("/category")},
    {"type", a_word, nz_take_word, AT(type), 0, POINTERS("/type")},
    {"topics", "an array of names or ids", nz_take_topics, 0, 0, POINTERS("/topics")},
    {"featuredContent", a_string, nz_take_featured, 0, 0, POINTERS("/featuredContent")},
};
static const struct nz_field quality_field = {
    "quality", "a whole number from -1000 to 1000", nz_take_quality, 0, 0, POINTERS("/quality")};

static enum nm_status wrong_type(const char *member, const struct nz_field *field, struct nm_error *err)
{
    if (strcmp(member, field->name) == 0)
        return nm_bad(err, "wrong_type", "\"%s\" has the wrong type: send %s, or leave it out", member, field->wants);
    return nm_bad(err, "wrong_type", "\"%s\" cannot be used as %s: send %s, or leave it out", member, field->name,
                  field->wants);
}

static enum nm_status take_field(struct nz_taker *taker, yyjson_val *root, const struct nz_field *field,
                                 struct nz_raw *raw)
{
    const char *wrong = NULL;
    for (const char *const *pointer = field->pointers; *pointer; pointer++) {
        yyjson_val *val = yyjson_ptr_get(root, *pointer);
        enum nz_found found = val ? field->take(taker, val, field, raw) : NZ_ABSENT;
        if (found == NZ_USABLE)
            return NM_OK;
        if (found == NZ_FAILED)
            return taker->status;
        if (found == NZ_WRONG && !wrong)
            wrong = *pointer + 1; /* without its slash */
    }
    return wrong ? wrong_type(wrong, field, taker->err) : NM_OK;
}

/* Private members are not passed on; what cannot be the object that it should be is refused all the same, so that a
 * crawler learns of it now and not when the sealing of private fields is switched on. */
static enum nm_status check_private(struct nm_arena *arena, yyjson_val *val, size_t event_bytes, struct nm_error *err)
{
    if (!val || yyjson_is_null(val))
        return NM_OK;
    if (!yyjson_is_obj(val))
        return nm_bad(err, "wrong_type", "\"private\" has the wrong type: send an object, or leave it out");
    if (event_bytes <= MAX_PRIVATE_BYTES)
        return NM_OK;
    yyjson_alc alc = nm_arena_alc(arena);
    yyjson_write_err why = {0};
    size_t len = 0;
    if (!yyjson_val_write_opts(val, YYJSON_WRITE_NOFLAG, &alc, &len, &why))
        return nm_fail(err, NM_FATAL, "\"private\" cannot be measured: %s", why.msg);
    if (len > MAX_PRIVATE_BYTES)
        return nm_bad(err, "wrong_type", "\"private\" has %zu bytes; send at most %d", len, MAX_PRIVATE_BYTES);
    return NM_OK;
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

static enum nm_status take_target(struct nz_taker *taker, yyjson_val *root, struct nz_raw *raw)
{
    enum nm_status status = take_id(root, raw, taker->err);
    for (size_t i = 0; status == NM_OK && i < N_RETRACTION_FIELDS; i++)
        status = take_field(taker, root, &fields[i], raw);
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

static enum nm_status take_event(const struct nz_options *options, struct nz_taker *taker, yyjson_val *root,
                                 struct nz_raw *raw)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        enum nm_status status = take_field(taker, root, &fields[i], raw);
        if (status != NM_OK)
            return status;
    }
    return options->trust_quality ? take_field(taker, root, &quality_field, raw) : NM_OK;
}

enum nm_status nz_raw_decode(const struct nz_options *options, struct nm_arena *arena, const char *key, size_t key_len,
                             const char *value, size_t len, struct nz_raw *out, struct nm_error *err)
{
    struct nz_raw raw = {0};
    struct nz_taker taker = {.arena = arena, .err = err};
    yyjson_val *root = NULL;
    enum nm_status status = NM_OK;
    if (!value || len == 0) {
        status = take_key(key, key_len, &raw, err);
    } else {
        status = nz_json_open(options, arena, value, len, &root, err);
        if (status == NM_OK)
            status = nz_json_keys(arena, root, err);
    }
    yyjson_val *retracted = status == NM_OK ? yyjson_obj_get(root, "retracted") : NULL;
    if (retracted && !yyjson_is_null(retracted) && !yyjson_is_bool(retracted))
        return nm_bad(err, "wrong_type", "\"retracted\" has the wrong type: send true, or leave it out");
    if (status == NM_OK && root) {
        raw.retracted = yyjson_is_true(retracted);
        status = raw.retracted ? take_target(&taker, root, &raw) : take_event(options, &taker, root, &raw);
    }
    if (status == NM_OK && root && !raw.retracted)
        status = check_private(arena, yyjson_obj_get(root, "private"), len, err);
    if (status == NM_OK)
        *out = raw;
    return status;
}
