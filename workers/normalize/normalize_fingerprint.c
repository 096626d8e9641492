/* normalize_fingerprint.c - which rules a number of normalize.rules stands for.
 *
 * Everything that changes the bytes of an article, apart from the event and the keys, is written as one canonical text
 * a part, and the digests of the parts make the fingerprint: "rules/1 defaults=<32 hex digits> topics=... ". So a
 * refusal can say which part changed. Comments, the order of providers and keywords, and other things that mean nothing
 * are not in it; the order of topics of one depth is, since it orders the topics of an article. Limits that only decide
 * whether an event is accepted are not in it either. A change of our own code that gives the same event other bytes
 * changes FORMAT. Threads: pure functions. */
#include "normalize_topics.h"

#include "newsmill/digest.h"

#include <string.h>

#define FORMAT "rules/1"

/* With its length in front, so that no two lists of texts give the same bytes. */
static void put_text(struct nm_buf *buf, const char *text)
{
    nm_buf_addf(buf, "%zu:%s,", strlen(text), text);
}

static void put_str(struct nm_buf *buf, struct nz_str text)
{
    nm_buf_addf(buf, "%zu:", text.len);
    nm_buf_add(buf, text.data, text.len);
    nm_buf_addc(buf, ',');
}

static void describe_defaults(const struct nz_rules *rules, struct nm_buf *buf)
{
    const struct nz_options *options = rules->options;
    put_text(buf, options->category);
    put_text(buf, options->type);
    put_text(buf, options->locale);
    put_text(buf, options->time_zone);
}

static void describe_topics(const struct nz_rules *rules, struct nm_buf *buf)
{
    const struct nz_topics *topics = rules->topics;
    nm_buf_addf(buf, "in %d %d %d prefix %d\n", topics->in_title, topics->in_excerpt, topics->in_content,
                topics->keywords.prefix);
    for (uint32_t i = 0; i < topics->n; i++) {
        uint32_t at = topics->order[i].topic;
        const struct nz_topic *topic = &topics->item[at];
        bool always = false;
        for (size_t k = 0; k < topics->n_always; k++)
            always |= topics->always[k] == at;
        put_str(buf, topic->id);
        put_str(buf, topic->name);
        put_str(buf, topic->parent == NZ_NO_TOPIC ? (struct nz_str){"", 0} : topics->item[topic->parent].id);
        nm_buf_addf(buf, "%d\n", always);
    }
    for (size_t i = 0; i < topics->keywords.n; i++) {
        const struct nz_keyword *keyword = &topics->keywords.item[i];
        put_str(buf, (struct nz_str){keyword->word, keyword->len});
        put_str(buf, topics->item[keyword->topic].id);
    }
}

static void describe_providers(const struct nz_rules *rules, struct nm_buf *buf)
{
    size_t n = 0;
    const struct nz_provider *provider = nz_providers_list(rules->providers, &n);
    for (size_t i = 0; i < n; i++) {
        put_text(buf, provider[i].domain);
        put_text(buf, provider[i].name);
        nm_buf_addf(buf, "%d", provider[i].weight);
        for (size_t k = 0; k < provider[i].n_images; k++) {
            put_str(buf, provider[i].image[k].url);
            nm_buf_addf(buf, "%d %d", provider[i].image[k].width, provider[i].image[k].height);
        }
        nm_buf_addc(buf, '\n');
    }
}

static void describe_mapping(const struct nz_rules *rules, struct nm_buf *buf)
{
    for (size_t i = 0; i < NZ_N_FIELDS; i++) {
        const struct nz_route *route = &rules->mapping->route[i];
        put_text(buf, route->field->name);
        for (size_t k = 0; k < route->n; k++)
            put_text(buf, route->pointer[k].text);
        nm_buf_addc(buf, '\n');
    }
}

static void describe_normalize(const struct nz_rules *rules, struct nm_buf *buf)
{
    const struct nz_options *options = rules->options;
    nm_buf_addf(buf, "%d %lld %lld", options->trust_quality, options->excerpt_chars, options->max_images);
}

static void describe_quality(const struct nz_rules *rules, struct nm_buf *buf)
{
    const struct nz_options *o = rules->options;
    put_text(buf, o->profile);
    nm_buf_addf(buf, "%lld %lld %lld %lld %lld %lld %lld", o->q_topic, o->q_keyword, o->q_image, o->q_amp,
                o->q_featured, o->q_title_free, o->q_title_step);
}

static void describe_secured(const struct nz_rules *rules, struct nm_buf *buf)
{
    nz_secured_describe(rules->secured, buf);
}

static const struct {
    const char *name; /* as in the option file */
    void (*describe)(const struct nz_rules *rules, struct nm_buf *buf);
} parts[] = {
    {"defaults", describe_defaults},         {"topics", describe_topics},       {"providers", describe_providers},
    {"normalize.mapping", describe_mapping}, {"normalize", describe_normalize}, {"quality", describe_quality},
    {"secured.fields", describe_secured},
};
#define N_PARTS (sizeof parts / sizeof *parts)

enum nm_status nz_fingerprint(const struct nz_rules *rules, struct nm_buf *out, struct nm_error *err)
{
    struct nm_buf part = {0};
    bool good = true;
    nm_buf_adds(out, FORMAT);
    for (size_t i = 0; i < N_PARTS; i++) {
        char digest[NM_DIGEST_BYTES];
        nm_buf_reset(&part);
        parts[i].describe(rules, &part);
        good = good && nm_buf_ok(&part);
        nm_digest(nm_buf_str(&part), part.len, digest);
        nm_buf_addf(out, " %s=%s", parts[i].name, digest);
    }
    good = good && nm_buf_ok(out);
    nm_buf_clear(&part);
    return good ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for the fingerprint of the rules");
}

/* The words of a fingerprint that `other` does not have, too. */
void nz_fingerprint_difference(const char *ours, const char *other, char *out, size_t size)
{
    struct nm_buf buf = {0};
    for (const char *word = ours; *word; word += strspn(word, " ")) {
        size_t len = strcspn(word, " "), name = strcspn(word, "=");
        bool same = false;
        for (const char *p = other; *p && !same; p += strspn(p, " ")) {
            size_t n = strcspn(p, " ");
            same = n == len && memcmp(p, word, n) == 0;
            p += n;
        }
        if (!same)
            nm_buf_addf(&buf, "%s%.*s", buf.len ? ", " : "", name < len ? (int)name : 8,
                        name < len ? word : "newsmill");
        word += len;
    }
    (void)snprintf(out, size, "%s", nm_buf_str(&buf));
    nm_buf_clear(&buf);
}
