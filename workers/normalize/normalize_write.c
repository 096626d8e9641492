/* normalize_write.c - the JSON of article/1.
 *
 * Members in the order of the schema; one without a value is left out, "" is never written. Written with yyjson into
 * the arena; nothing depends on anything but the arguments, so the same article gives the same bytes again.
 * Threads: the buffers of nz_rules, so one at a time. */
#include "normalize_internal.h"

#include "newsmill/article.h"
#include "newsmill/text.h"

#include <stdio.h>
#include <string.h>

#define MAX_SLUG_BYTES 150
#define MAX_PATH_BYTES 180
#define ID_AS_SLUG     12

/* `ok` turns false when memory is gone; the rest of the calls then does nothing of use, and write() says so. */
struct writer {
    yyjson_mut_doc *doc;
    bool ok;
};

static void put_text(struct writer *writer, yyjson_mut_val *object, const char *name, struct nz_str text)
{
    if (text.len > 0)
        writer->ok = yyjson_mut_obj_add_strn(writer->doc, object, name, text.data, text.len) && writer->ok;
}

static void put_number(struct writer *writer, yyjson_mut_val *object, const char *name, int64_t number)
{
    writer->ok = yyjson_mut_obj_add_sint(writer->doc, object, name, number) && writer->ok;
}

static void put(struct writer *writer, yyjson_mut_val *object, const char *name, yyjson_mut_val *val)
{
    writer->ok = val && yyjson_mut_obj_add_val(writer->doc, object, name, val) && writer->ok;
}

static void put_images(struct writer *writer, yyjson_mut_val *object, const struct nz_image *image, size_t n)
{
    if (n == 0)
        return;
    yyjson_mut_val *list = yyjson_mut_arr(writer->doc);
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *entry = yyjson_mut_arr_add_obj(writer->doc, list);
        put_text(writer, entry, "url", image[i].url);
        if (image[i].width > 0)
            put_number(writer, entry, "width", image[i].width);
        if (image[i].height > 0)
            put_number(writer, entry, "height", image[i].height);
    }
    put(writer, object, "images", list);
}

static void put_provider(struct writer *writer, yyjson_mut_val *object, const struct nz_article *article)
{
    yyjson_mut_val *provider = yyjson_mut_obj(writer->doc);
    put_text(writer, provider, "name", article->provider_name);
    put_text(writer, provider, "domain", article->provider_domain);
    if (article->provider)
        put_images(writer, provider, article->provider->image, article->provider->n_images);
    put(writer, object, "provider", provider);
}

static void put_topics(struct writer *writer, yyjson_mut_val *object, const struct nz_article *article)
{
    yyjson_mut_val *list = yyjson_mut_arr(writer->doc);
    for (size_t i = 0; i < article->n_topics; i++)
        writer->ok =
            yyjson_mut_arr_add_strn(writer->doc, list, article->topic[i].data, article->topic[i].len) && writer->ok;
    put(writer, object, "topics", list);
}

static void put_quality(struct writer *writer, yyjson_mut_val *object, const struct nz_article *article)
{
    put_number(writer, object, "quality", article->quality);
    yyjson_mut_val *list = yyjson_mut_arr(writer->doc);
    for (size_t i = 0; i < article->n_parts; i++) {
        yyjson_mut_val *entry = yyjson_mut_arr_add_obj(writer->doc, list);
        put_text(writer, entry, "rule", nz_str_of(article->part[i].rule));
        put_number(writer, entry, "points", article->part[i].points);
    }
    put(writer, object, "qualityParts", list);
}

/* `_news/YYYY-MM-DD-slug.md`; a title without any slug letter gives the first digits of the id. */
static enum nm_status make_path(const struct nz_rules *rules, const struct nz_article *article, int64_t published_ms,
                                char out[MAX_PATH_BYTES + 1], struct nm_error *err)
{
    struct nm_buf *slug = &rules->scratch->text;
    char date[11];
    nm_buf_reset(slug);
    enum nm_status status = nm_text_slug(article->title.data, article->title.len, MAX_SLUG_BYTES, slug, err);
    if (status != NM_OK)
        return status;
    if (nm_buf_ok(slug) && slug->len == 0)
        nm_buf_add(slug, article->id, ID_AS_SLUG);
    if (!nm_buf_ok(slug))
        return nm_fail(err, NM_FATAL, "out of memory for a slug");
    nm_zone_date(rules->zone, published_ms, date);
    (void)snprintf(out, MAX_PATH_BYTES + 1, "_news/%s-%s.md", date, nm_buf_str(slug));
    return NM_OK;
}

static void put_members(struct writer *writer, yyjson_mut_val *root, const struct nz_article *article)
{
    put_text(writer, root, "originalUrl", article->original_url);
    put_text(writer, root, "webUrl", article->web_url);
    put_text(writer, root, "ampWebUrl", article->amp_url);
    put_text(writer, root, "cdnAmpWebUrl", article->cdn_amp_url);
    put_provider(writer, root, article);
    put_topics(writer, root, article);
    put_quality(writer, root, article);
    put_images(writer, root, article->image, article->n_images);
}

static enum nm_status finish(struct writer *writer, const yyjson_alc *alc, struct nm_arena *arena, struct nz_str *out,
                             struct nm_error *err)
{
    size_t len = 0;
    yyjson_write_err why = {.msg = "out of memory"};
    char *text = writer->ok ? yyjson_mut_write_opts(writer->doc, YYJSON_WRITE_NOFLAG, alc, &len, &why) : NULL;
    char *kept = text ? nm_arena_copy(arena, text, len) : NULL;
    if (!kept)
        return nm_fail(err, NM_FATAL, "an article cannot be written: %s", text ? "out of memory" : why.msg);
    *out = (struct nz_str){kept, len};
    return NM_OK;
}

enum nm_status nz_article_write(const struct nz_rules *rules, struct nm_arena *arena, const struct nz_article *article,
                                int64_t revision, int64_t source_time_ms, int64_t published_ms, struct nz_str *out,
                                struct nm_error *err)
{
    nm_arena_reset(&rules->scratch->doc);
    yyjson_alc alc = nm_arena_alc(&rules->scratch->doc);
    struct writer writer = {.doc = yyjson_mut_doc_new(&alc)};
    yyjson_mut_val *root = writer.doc ? yyjson_mut_obj(writer.doc) : NULL;
    if (!root)
        return nm_fail(err, NM_FATAL, "out of memory for an article");
    writer.ok = true;
    yyjson_mut_doc_set_root(writer.doc, root);
    put_text(&writer, root, "id", nz_str_of(article->id));
    put_number(&writer, root, "revision", revision);
    put_number(&writer, root, "sourceTime", source_time_ms);
    if (article->retracted) {
        writer.ok = yyjson_mut_obj_add_true(writer.doc, root, "retracted") && writer.ok;
        return finish(&writer, &alc, arena, out, err);
    }

    char path[MAX_PATH_BYTES + 1], published[NM_TIME_TEXT_BYTES];
    published_ms = published_ms < 0 ? 0 : published_ms > NZ_LAST_MS ? NZ_LAST_MS : published_ms;
    enum nm_status status = make_path(rules, article, published_ms, path, err);
    if (status != NM_OK)
        return status;
    nm_time_format(published_ms, published);
    put_text(&writer, root, "path", nz_str_of(path));
    put_text(&writer, root, "category", article->category);
    put_text(&writer, root, "type", article->type);
    put_text(&writer, root, "locale", article->locale);
    put_text(&writer, root, "title", article->title);
    put_text(&writer, root, "excerpt", article->excerpt);
    put_text(&writer, root, "publishedDateTime", nz_str_of(published));
    put_members(&writer, root, article);
    if (article->secret.data) {
        struct nz_str sealed = {0};
        status = nz_secured_seal(rules->secured, arena, article, &sealed, err);
        if (status != NM_OK)
            return status;
        put_text(&writer, root, "secured", sealed);
    }
    put_number(&writer, root, "rules", rules->options->rules);
    return finish(&writer, &alc, arena, out, err);
}
