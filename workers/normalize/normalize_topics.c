/* normalize_topics.c - which topics an article has.
 *
 * A topic comes to an article by a keyword in the searched texts, by the event naming it, by topics.always, or as the
 * ancestor of one that is there. The order of the result (deeper first, then as in the file) was fixed when the file
 * was read, so an article only walks that order and picks. What an article needs is taken from its arena and from the
 * buffers of nz_rules, so one thread at a time. */
#include "normalize_topics.h"

#include "newsmill/text.h"

#include <string.h>

#define MAX_RAW_NAME_BYTES 1024 /* a longer name in an event is no topic's */

struct mark {
    bool present;
    uint32_t title_hits; /* keywords of the topic in the title, each as often as it is listed */
};
struct search {
    const struct nz_topics *topics;
    struct mark *mark;   /* one a topic */
    unsigned char *seen; /* one a keyword: found in the title already */
    bool adds;           /* what is found makes the topic present */
};

static void mark_with_ancestors(const struct search *search, uint32_t topic)
{
    while (topic != NZ_NO_TOPIC && !search->mark[topic].present) {
        search->mark[topic].present = true;
        topic = search->topics->item[topic].parent;
    }
}

static void hit_text(void *self, const struct nz_keyword *keyword)
{
    mark_with_ancestors(self, keyword->topic);
}

static void hit_title(void *self, const struct nz_keyword *keyword)
{
    struct search *search = self;
    unsigned char *seen = &search->seen[keyword - search->topics->keywords.item];
    if (*seen)
        return;
    *seen = 1;
    search->mark[keyword->topic].title_hits++;
    if (search->adds)
        mark_with_ancestors(search, keyword->topic);
}

static enum nm_status fold(const struct nz_rules *rules, struct nz_str text, struct nz_str *out, struct nm_error *err)
{
    struct nm_buf *buf = &rules->scratch->fold;
    nm_buf_reset(buf);
    enum nm_status status = text.len > 0 ? nm_text_fold(text.data, text.len, buf, err) : NM_OK;
    if (status == NM_OK && !nm_buf_ok(buf))
        return nm_fail(err, NM_FATAL, "out of memory for a text of %zu bytes", text.len);
    *out = (struct nz_str){nm_buf_str(buf), buf->len};
    return status;
}

static enum nm_status search_in(const struct nz_rules *rules, struct nz_str text, struct search *search,
                                void (*hit)(void *self, const struct nz_keyword *keyword), struct nm_error *err)
{
    struct nz_str folded = {0};
    enum nm_status status = fold(rules, text, &folded, err);
    if (status == NM_OK)
        nz_keywords_find(&search->topics->keywords, folded, hit, search);
    return status;
}

/* The title is always searched, since its keywords count for the quality of whatever topics there are. */
static enum nm_status search_texts(const struct nz_rules *rules, struct nm_arena *arena, const struct nz_raw *raw,
                                   const struct nz_article *article, struct search *search, struct nm_error *err)
{
    const struct nz_topics *topics = search->topics;
    if (topics->keywords.n == 0)
        return NM_OK;
    search->adds = topics->in_title;
    enum nm_status status = search_in(rules, article->title, search, hit_title, err);
    if (status == NM_OK && topics->in_excerpt && article->excerpt.data)
        status = search_in(rules, article->excerpt, search, hit_text, err);
    if (status != NM_OK || !topics->in_content || !raw->content.data)
        return status;
    struct nz_str content = {0};
    status = nz_clean(rules, arena, raw->content, 0, &content, err);
    if (status == NM_OK && content.data)
        status = search_in(rules, content, search, hit_text, err);
    return status;
}

static enum nm_status add_named(const struct nz_rules *rules, const struct nz_raw *raw, struct search *search,
                                struct nm_error *err)
{
    const struct nz_topics *topics = search->topics;
    for (size_t i = 0; i < raw->n_topics && topics->n > 0; i++) {
        if (raw->topic[i].len > MAX_RAW_NAME_BYTES)
            continue;
        uint32_t topic = nz_topic_find(topics->by_id, topics->n, raw->topic[i]);
        struct nz_str folded = {0};
        if (topic == NZ_NO_TOPIC) {
            enum nm_status status = fold(rules, raw->topic[i], &folded, err);
            if (status != NM_OK)
                return status;
            topic = nz_topic_find(topics->by_name, topics->n, folded);
        }
        mark_with_ancestors(search, topic);
    }
    return NM_OK;
}

enum nm_status nz_topics_match(const struct nz_rules *rules, struct nm_arena *arena, const struct nz_raw *raw,
                               struct nz_article *article, long long *keyword_hits, struct nm_error *err)
{
    const struct nz_topics *topics = rules->topics;
    struct search search = {.topics = topics};
    size_t mark_bytes = topics->n * sizeof *search.mark, seen_bytes = topics->keywords.n;
    search.mark = nm_arena_alloc(arena, mark_bytes + 1);
    search.seen = nm_arena_alloc(arena, seen_bytes + 1);
    if (!search.mark || !search.seen)
        return nm_fail(err, NM_FATAL, "out of memory for %u topics", topics->n);
    memset(search.mark, 0, mark_bytes);
    memset(search.seen, 0, seen_bytes);

    enum nm_status status = search_texts(rules, arena, raw, article, &search, err);
    if (status == NM_OK)
        status = add_named(rules, raw, &search, err);
    if (status != NM_OK)
        return status;
    for (size_t i = 0; i < topics->n_always; i++)
        mark_with_ancestors(&search, topics->always[i]);
    *keyword_hits = 0;
    for (uint32_t i = 0; i < topics->n && article->n_topics < NZ_MAX_TOPICS; i++) {
        uint32_t topic = topics->order[i].topic;
        if (!search.mark[topic].present)
            continue;
        article->topic[article->n_topics++] = topics->item[topic].name;
        *keyword_hits += search.mark[topic].title_hits;
    }
    return NM_OK;
}
