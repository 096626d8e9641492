/* related_event.c - an article of the stream, as far as linking needs it.
 *
 * Articles are written by our own normalize, so a bad one is a bug somewhere; it becomes a dead letter. The document
 * lives in scratch memory; terms and ids are copied out. */
#include "newsmill/article.h"
#include "newsmill/datetime.h"
#include "newsmill/url.h"
#include "related.h"

#include <string.h>

static enum nm_status take_id(const struct nm_item *item, const char *hex, struct rl_article *out, struct nm_error *err)
{
    if (!item->key || item->key_len != RL_HEX || memcmp(item->key, hex, RL_HEX) != 0)
        return nm_bad(err, "wrong_type", "the key of the message is not its \"id\", %s", hex);
    memcpy(out->hex, hex, RL_HEX + 1);
    nm_hex_read(hex, RL_ID, out->id);
    return NM_OK;
}

/* The first 8 bytes of SHA-256 over what decides how an article is linked. */
static enum nm_status take_hash(const struct nm_terms_source *source, const char *date, size_t date_len,
                                struct nm_arena *arena, unsigned char out[RL_HASH], struct nm_error *err)
{
    const char *part[] = {source->title, source->excerpt ? source->excerpt : "", source->locale ? source->locale : "",
                          date};
    size_t len[] = {source->title_len, source->excerpt_len, strlen(part[2]), date_len}, size = 0;
    for (size_t i = 0; i < 4; i++)
        size += len[i] + 1;
    char *all = nm_arena_alloc(arena, size), *at = all;
    if (!all)
        return nm_fail(err, NM_FATAL, "out of memory for the text of an article");
    for (size_t i = 0; i < 4; i++) {
        memcpy(at, part[i], len[i]);
        at[len[i]] = '\0'; /* JSON text may hold it, but then in one part only where it was before */
        at += len[i] + 1;
    }
    nm_digest_raw(all, size, out, RL_HASH);
    return NM_OK;
}

static enum nm_status take_keys(struct rl_article *article, struct nm_arena *arena, struct nm_error *err)
{
    article->key = nm_arena_alloc(arena, (article->n_terms + 1) * sizeof *article->key);
    if (!article->key)
        return nm_fail(err, NM_FATAL, "out of memory for %zu terms", article->n_terms);
    for (size_t i = 0; i < article->n_terms; i++)
        nm_term_key(&article->term[i], article->key[i]);
    return NM_OK;
}

/* NULL without an error: the member is not there. */
static enum nm_status take_text(yyjson_val *root, const char *name, bool required, const char **text, size_t *len,
                                struct nm_error *err)
{
    yyjson_val *value = yyjson_obj_get(root, name);
    if (value ? !yyjson_is_str(value) : required)
        return nm_bad(err, "wrong_type", "\"%s\" is not text", name);
    *text = yyjson_get_str(value);
    *len = yyjson_get_len(value);
    return NM_OK;
}

enum nm_status rl_read(struct nm_terms *text, const struct nm_item *item, struct nm_arena *doc, struct nm_arena *arena,
                       struct rl_article *out, struct nm_error *err)
{
    struct nm_article article;
    struct rl_article mine = {0};
    struct nm_terms_source source = {0};
    const char *date = NULL;
    size_t date_len = 0, locale_len = 0;
    int64_t ms;
    nm_arena_reset(doc);
    enum nm_status status = nm_article_read(item->value, item->value_len, doc, &article, err);
    if (status == NM_OK)
        status = take_id(item, article.id, &mine, err);
    if (status != NM_OK)
        return status;
    mine.revision = article.revision;
    mine.retracted = article.retracted;
    if (mine.retracted) {
        *out = mine;
        return NM_OK;
    }
    yyjson_val *quality = yyjson_obj_get(article.root, "quality");
    if (!yyjson_is_int(quality) || yyjson_get_num(quality) < -1000 || yyjson_get_num(quality) > 1000)
        return nm_bad(err, "wrong_type", "\"quality\" is not a whole number from -1000 to 1000");
    mine.quality = yyjson_get_sint(quality);
    status = take_text(article.root, "title", true, &source.title, &source.title_len, err);
    if (status == NM_OK)
        status = take_text(article.root, "excerpt", false, &source.excerpt, &source.excerpt_len, err);
    if (status == NM_OK)
        status = take_text(article.root, "locale", false, &source.locale, &locale_len, err);
    if (status == NM_OK)
        status = take_text(article.root, "publishedDateTime", true, &date, &date_len, err);
    if (status == NM_OK)
        status = nm_time_parse(date, date_len, &ms, err);
    if (status == NM_OK)
        status = take_hash(&source, date, date_len, doc, mine.hash, err);
    if (status == NM_OK)
        status = nm_terms_analyse(text, &source, arena, &mine.term, &mine.n_terms, err);
    if (status == NM_OK)
        status = take_keys(&mine, arena, err);
    if (status != NM_OK)
        return status;
    mine.at_s = ms / 1000;
    *out = mine;
    return NM_OK;
}

enum nm_status rl_read_facet(const struct nm_item *item, struct nm_arena *doc, bool *out, unsigned char out_id[RL_ID],
                             struct nm_error *err)
{
    nm_arena_reset(doc);
    yyjson_alc alc = nm_arena_alc(doc);
    yyjson_read_err why = {0};
    bool has_key = item->key && nm_is_article_id(item->key, item->key_len);
    yyjson_doc *json = item->value && has_key ? yyjson_read_opts((char *)(uintptr_t)item->value, item->value_len,
                                                                 YYJSON_READ_NOFLAG, &alc, &why)
                                              : NULL;
    if (!json && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return nm_fail(err, NM_FATAL, "out of memory for a facet of %zu bytes", item->value_len);
    if (!json)
        return nm_bad(err, "not_json", "no facet/1 under the id of an article");
    *out = yyjson_equals_str(yyjson_obj_get(yyjson_doc_get_root(json), "facet"), "related");
    if (*out)
        nm_hex_read(item->key, RL_ID, out_id);
    return NM_OK;
}
