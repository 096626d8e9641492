/* normalize_rules.c - what process() needs, opened once: mapping, registries, keys, time zone, buffers, the digest.
 *
 * The hash of an article says whether two events say the same: every member is written with its length in front, so
 * that no two articles have the same serialisation. A retraction has the greatest hash there is, since the hash decides
 * between versions of the same time: what was taken back with the date of the article itself stays out.
 * SHA-256 is looked up in libcrypto once, because a look-up costs more than the digest of an article.
 * The buffers are shared by all articles, so one thread at a time. */
#include "normalize_internal.h"

#include <string.h>

void nz_scratch_free(struct nz_scratch *scratch)
{
    if (!scratch)
        return;
    nm_buf_clear(&scratch->text);
    nm_buf_clear(&scratch->fold);
    nm_arena_clear(&scratch->doc);
    EVP_MD_CTX_free(scratch->digest);
    EVP_MD_free(scratch->sha256);
    free(scratch);
}

struct nz_scratch *nz_scratch_new(void)
{
    struct nz_scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch)
        return NULL;
    scratch->digest = EVP_MD_CTX_new();
    scratch->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (scratch->digest && scratch->sha256)
        return scratch;
    nz_scratch_free(scratch);
    return NULL;
}

void nz_rules_close(struct nz_rules *rules)
{
    nz_mapping_free(rules->mapping);
    nz_secured_free(rules->secured);
    nz_providers_free(rules->providers);
    nz_topics_free(rules->topics);
    nm_zone_close(rules->zone);
    nz_scratch_free(rules->scratch);
    nm_buf_clear(&rules->warnings);
    *rules = (struct nz_rules){0};
}

enum nm_status nz_rules_open(const struct nz_options *options, struct nz_rules *out, struct nm_error *err)
{
    struct nz_rules rules = {.options = options};
    enum nm_status status = nz_mapping_open(options, &rules.mapping, err);
    if (status == NM_OK)
        status = nz_secured_open(options, &rules.secured, &rules.warnings, err);
    if (status == NM_OK)
        status = nz_providers_open(options->providers_file, &rules.providers, err);
    if (status == NM_OK)
        status = nz_topics_open(options->topics_file, options, &rules.topics, err);
    if (status == NM_OK)
        status = nm_zone_open(options->time_zone, &rules.zone, err);
    rules.scratch = status == NM_OK ? nz_scratch_new() : NULL;
    if (status == NM_OK && !rules.scratch)
        status = nm_fail(err, NM_FATAL, "out of memory, or libcrypto has no SHA-256");
    if (status == NM_OK)
        *out = rules;
    else
        nz_rules_close(&rules);
    return status;
}

/* ---- the hash ---- */

static void put_number(struct nm_buf *buf, long long number)
{
    nm_buf_add(buf, &number, sizeof number);
}

/* An absent text differs from every text that is there. */
static void put_text(struct nm_buf *buf, struct nz_str text)
{
    put_number(buf, text.data ? (long long)text.len : -1);
    if (text.len > 0)
        nm_buf_add(buf, text.data, text.len);
}

static void put_images(struct nm_buf *buf, const struct nz_image *image, size_t n)
{
    put_number(buf, (long long)n);
    for (size_t i = 0; i < n; i++) {
        put_text(buf, image[i].url);
        put_number(buf, image[i].width);
        put_number(buf, image[i].height);
    }
}

/* Not in it: id (it follows from web_url), path (from date, zone and title), source time, revision, rules, and the date
 * of an article whose event gave none. Dates count in seconds, as they are written. */
static void serialise(struct nm_buf *buf, const struct nz_article *article)
{
    const struct nz_str text[] = {article->original_url,  article->web_url,        article->amp_url,
                                  article->cdn_amp_url,   article->title,          article->excerpt,
                                  article->category,      article->type,           article->locale,
                                  article->provider_name, article->provider_domain};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        put_text(buf, text[i]);
    put_number(buf, article->dated ? article->published_ms / 1000 : -1);
    put_images(buf, article->provider ? article->provider->image : NULL,
               article->provider ? article->provider->n_images : 0);
    put_number(buf, (long long)article->n_topics);
    for (size_t i = 0; i < article->n_topics; i++)
        put_text(buf, article->topic[i]);
    put_number(buf, article->quality);
    put_number(buf, (long long)article->n_parts);
    for (size_t i = 0; i < article->n_parts; i++) {
        put_text(buf, nz_str_of(article->part[i].rule));
        put_number(buf, article->part[i].points);
    }
    put_images(buf, article->image, article->n_images);
}

/* At the end and only where there is one, so that articles without a secret keep their hash. */
static enum nm_status serialise_secret(const struct nz_rules *rules, struct nm_buf *buf,
                                       const struct nz_article *article, struct nm_error *err)
{
    unsigned char digest[NM_SEAL_DIGEST_BYTES];
    if (!article->secret.data)
        return NM_OK;
    enum nm_status status = nz_secured_digest(rules->secured, article, digest, err);
    if (status == NM_OK)
        nm_buf_add(buf, digest, sizeof digest);
    return status;
}

enum nm_status nz_hash(const struct nz_rules *rules, struct nz_article *article, struct nm_error *err)
{
    struct nz_scratch *scratch = rules->scratch;
    struct nm_buf *buf = &scratch->text;
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (article->retracted) {
        memset(article->hash, 'f', sizeof article->hash - 1);
        article->hash[sizeof article->hash - 1] = '\0';
        return NM_OK;
    }
    nm_buf_reset(buf);
    serialise(buf, article);
    enum nm_status status = serialise_secret(rules, buf, article, err);
    if (status != NM_OK)
        return status;
    if (!nm_buf_ok(buf))
        return nm_fail(err, NM_FATAL, "out of memory for the hash of an article");
    if (EVP_DigestInit_ex(scratch->digest, scratch->sha256, NULL) != 1 ||
        EVP_DigestUpdate(scratch->digest, buf->data, buf->len) != 1 ||
        EVP_DigestFinal_ex(scratch->digest, digest, NULL) != 1)
        return nm_fail(err, NM_FATAL, "libcrypto cannot compute SHA-256");
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < (sizeof article->hash - 1) / 2; i++) {
        article->hash[2 * i] = digits[digest[i] >> 4];
        article->hash[2 * i + 1] = digits[digest[i] & 15];
    }
    article->hash[sizeof article->hash - 1] = '\0';
    return NM_OK;
}
