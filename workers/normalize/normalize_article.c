/* normalize_article.c - from a decoded raw event to the facts of an article.
 *
 * What the article stands on (URL, title, dates) must be right, or the event is refused with a code. An extra that is
 * broken (AMP page, image, unknown topic, the provider's domain) is left out: it must not cost the article. A wrong
 * date of change is refused all the same, since it would decide which version of the article wins.
 * No clock and no I/O: the same event, options and registries give the same article. Strings live in the arena; the
 * buffers of nz_rules are used again for every article, so one thread at a time. */
#include "normalize_internal.h"

#include "newsmill/text.h"

#include <string.h>

#define MAX_TITLE_CHARS    1024
#define MAX_PROVIDER_CHARS 256

static enum nm_status no_memory(struct nm_error *err)
{
    return nm_fail(err, NM_FATAL, "out of memory for an article");
}

static enum nm_status keep(struct nm_arena *arena, const char *data, size_t len, struct nz_str *out,
                           struct nm_error *err)
{
    char *copy = nm_arena_copy(arena, data, len);
    if (!copy)
        return no_memory(err);
    *out = (struct nz_str){copy, len};
    return NM_OK;
}

enum nm_status nz_clean(const struct nz_rules *rules, struct nm_arena *arena, struct nz_str in, size_t max_chars,
                        struct nz_str *out, struct nm_error *err)
{
    struct nm_buf *buf = &rules->scratch->text;
    nm_buf_reset(buf);
    enum nm_status status = in.data ? nm_text_clean(in.data, in.len, buf, err) : NM_OK;
    if (status != NM_OK)
        return status;
    if (!nm_buf_ok(buf))
        return no_memory(err);
    size_t len = buf->len > 0 && max_chars > 0 ? nm_text_cut(buf->data, buf->len, max_chars) : buf->len;
    if (len > 0)
        return keep(arena, buf->data, len, out, err);
    *out = (struct nz_str){NULL, 0};
    return NM_OK;
}

/* ---- retractions ---- */

static enum nm_status make_retraction(const struct nz_raw *raw, struct nz_article *article, struct nm_error *err)
{
    if (raw->url.data) {
        struct nm_url url;
        enum nm_status status = nm_url_canonical(raw->url.data, raw->url.len, false, &url, err);
        if (status != NM_OK)
            return status;
        nm_article_id(url.text, url.len, article->id);
        if (raw->id.data && memcmp(raw->id.data, article->id, NM_ID_BYTES - 1) != 0)
            return nm_bad(err, "retraction_target", "url and id name two articles: send one of them");
        return NM_OK;
    }
    if (!raw->id.data || raw->id.len != NM_ID_BYTES - 1)
        return nm_bad(err, "retraction_target", "the retraction names no article: send its url or id");
    memcpy(article->id, raw->id.data, NM_ID_BYTES - 1);
    article->id[NM_ID_BYTES - 1] = '\0';
    return NM_OK;
}

/* ---- URLs ---- */

static enum nm_status make_url(struct nm_arena *arena, const struct nz_raw *raw, struct nm_url *url,
                               struct nz_article *article, struct nm_error *err)
{
    if (!raw->url.data)
        return nm_bad(err, "no_url", "the event has no URL: send the article's address as \"url\"");
    enum nm_status status = nm_url_canonical(raw->url.data, raw->url.len, false, url, err);
    if (status != NM_OK)
        return status;
    nm_article_id(url->text, url->len, article->id);
    article->original_url = raw->url;
    return keep(arena, url->text, url->len, &article->web_url, err);
}

static enum nm_status make_amp(struct nm_arena *arena, const struct nz_raw *raw, struct nz_article *article,
                               struct nm_error *err)
{
    struct nm_url url;
    char cached[NM_AMP_URL_BYTES];
    if (!raw->amp_url.data || nm_url_canonical(raw->amp_url.data, raw->amp_url.len, true, &url, NULL) != NM_OK)
        return NM_OK;
    enum nm_status status = keep(arena, url.text, url.len, &article->amp_url, err);
    if (status == NM_OK && nm_url_amp_cache(&url, cached, NULL) == NM_OK)
        status = keep(arena, cached, strlen(cached), &article->cdn_amp_url, err);
    return status;
}

static bool has_image(const struct nz_article *article, const struct nm_url *url)
{
    for (size_t i = 0; i < article->n_images; i++)
        if (nz_str_equal(article->image[i].url, (struct nz_str){url->text, url->len}))
            return true;
    return false;
}

/* The first valid ones, each once. */
static enum nm_status make_images(const struct nz_rules *rules, struct nm_arena *arena, const struct nz_raw *raw,
                                  struct nz_article *article, struct nm_error *err)
{
    size_t max = (size_t)rules->options->max_images;
    if (raw->n_images == 0 || max == 0)
        return NM_OK;
    article->image = nm_arena_alloc(arena, max * sizeof *article->image);
    if (!article->image)
        return no_memory(err);
    for (size_t i = 0; i < raw->n_images && article->n_images < max; i++) {
        struct nz_image image = raw->image[i];
        struct nm_url url;
        if (nm_url_canonical(image.url.data, image.url.len, true, &url, NULL) != NM_OK || has_image(article, &url))
            continue;
        enum nm_status status = keep(arena, url.text, url.len, &image.url, err);
        if (status != NM_OK)
            return status;
        article->image[article->n_images++] = image;
    }
    return NM_OK;
}

/* ---- texts ---- */

static struct nz_str word_or(struct nz_str given, const char *otherwise)
{
    return given.data ? given : nz_str_of(otherwise);
}

static enum nm_status make_texts(const struct nz_rules *rules, struct nm_arena *arena, const struct nz_raw *raw,
                                 struct nz_article *article, struct nm_error *err)
{
    const struct nz_options *options = rules->options;
    enum nm_status status = nz_clean(rules, arena, raw->title, MAX_TITLE_CHARS, &article->title, err);
    if (status == NM_OK && !article->title.data)
        return nm_bad(err, "no_title",
                      raw->title.data ? "nothing is left of the title without its markup: send a text as \"title\""
                                      : "the event has no title: send the article's headline as \"title\"");
    if (status == NM_OK)
        status = nz_clean(rules, arena, raw->excerpt, (size_t)options->excerpt_chars, &article->excerpt, err);
    article->category = word_or(raw->category, options->category);
    article->type = word_or(raw->type, options->type);
    article->locale = word_or(raw->locale, options->locale);
    return status;
}

/* ---- dates ---- */

struct moment {
    const char *name;
    struct nz_str text;
    double number;
    int64_t latest_ms;
};

static enum nm_status make_date(const struct moment *moment, bool *given, int64_t *out_ms, struct nm_error *err)
{
    struct nm_error why = {0};
    int64_t ms = 0;
    enum nm_status status = NM_OK;
    *given = moment->text.data || moment->number != 0;
    if (!*given)
        return NM_OK;
    if (moment->number != 0)
        status = nm_time_from_number(moment->number, &ms, &why);
    else
        status = nm_time_parse(moment->text.data, moment->text.len, &ms, &why);
    if (status == NM_BAD_INPUT)
        return nm_bad(err, "date_invalid", "%s: %s", moment->name, why.msg);
    if (status != NM_OK)
        return nm_fail(err, status, "%s", why.msg);
    if (ms > moment->latest_ms)
        return nm_bad(err, "date_future",
                      "%s is too far in the future: correct the date or raise "
                      "normalize.maxFutureMs",
                      moment->name);
    *out_ms = ms;
    return NM_OK;
}

/* A Kafka timestamp is whatever the producer wrote; as a time of an article it lies between 1970 and 9999. */
static int64_t within_calendar(int64_t ms)
{
    return ms < 0 ? 0 : ms > NZ_LAST_MS ? NZ_LAST_MS : ms;
}

static enum nm_status make_dates(const struct nz_rules *rules, const struct nz_raw *raw, int64_t kafka_ms,
                                 int64_t now_ms, struct nz_article *article, struct nm_error *err)
{
    int64_t latest_ms = now_ms + rules->options->max_future_ms;
    struct moment published = {"publishedDateTime", raw->published, raw->published_number, latest_ms};
    struct moment modified = {"modifiedDateTime", raw->modified, raw->modified_number, latest_ms};
    bool changed = false;
    article->source_time_ms = within_calendar(kafka_ms);
    enum nm_status status = make_date(&published, &article->dated, &article->published_ms, err);
    if (status == NM_OK)
        status = make_date(&modified, &changed, &article->source_time_ms, err);
    return status;
}

/* ---- provider ---- */

/* A listed provider speaks for itself. Of another one the event's domain is believed, else the registrable part of the
 * article's host stands for it. */
static enum nm_status make_provider(const struct nz_rules *rules, struct nm_arena *arena, const struct nz_raw *raw,
                                    const struct nm_url *url, struct nz_article *article, struct nm_error *err)
{
    char given[NM_HOST_BYTES];
    struct nz_str domain = raw->provider_domain;
    bool named = domain.data && nm_host_canonical(domain.data, domain.len, given, NULL) == NM_OK;
    const char *host = named ? given : url->host;
    article->provider = nz_providers_find(rules->providers, host);
    if (article->provider) {
        article->provider_name = nz_str_of(article->provider->name);
        article->provider_domain = nz_str_of(article->provider->domain);
        return NM_OK;
    }
    if (!named)
        host = nm_host_registrable(host);
    enum nm_status status = keep(arena, host, strlen(host), &article->provider_domain, err);
    if (status == NM_OK)
        status = nz_clean(rules, arena, raw->provider_name, MAX_PROVIDER_CHARS, &article->provider_name, err);
    if (!article->provider_name.data)
        article->provider_name = article->provider_domain;
    return status;
}

static enum nm_status make_article(const struct nz_rules *rules, struct nm_arena *arena, const struct nz_raw *raw,
                                   struct nz_article *article, struct nm_error *err)
{
    struct nm_url url;
    long long keyword_hits = 0;
    enum nm_status status = make_url(arena, raw, &url, article, err);
    if (status == NM_OK)
        status = make_texts(rules, arena, raw, article, err);
    if (status == NM_OK)
        status = make_amp(arena, raw, article, err);
    if (status == NM_OK)
        status = make_images(rules, arena, raw, article, err);
    if (status == NM_OK)
        status = make_provider(rules, arena, raw, &url, article, err);
    if (status == NM_OK)
        status = nz_topics_match(rules, arena, raw, article, &keyword_hits, err);
    if (status == NM_OK)
        nz_quality(rules->options, raw, keyword_hits, article);
    return status;
}

enum nm_status nz_article_make(const struct nz_rules *rules, struct nm_arena *arena, const struct nz_raw *raw,
                               int64_t kafka_ms, int64_t now_ms, struct nz_article *out, struct nm_error *err)
{
    struct nz_article article = {.retracted = raw->retracted, .secret = raw->secret};
    enum nm_status status = make_dates(rules, raw, kafka_ms, now_ms, &article, err);
    if (status == NM_OK)
        status = raw->retracted ? make_retraction(raw, &article, err) : make_article(rules, arena, raw, &article, err);
    if (status == NM_OK)
        status = nz_hash(rules, &article, err);
    if (status == NM_OK)
        *out = article;
    return status;
}
