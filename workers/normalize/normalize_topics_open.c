/* normalize_topics_open.c - reading the registry of topics.
 *
 * Everything that could make an article's topics ambiguous is refused here with its position in the file: ids and
 * names that stand twice (an event may name a topic by either, an article lists names), parents that do not exist or
 * lead in a circle, words in `topics.always` that are no topic. Keywords are folded once, as the texts are, so that
 * case and composition do not matter.
 * The registry does not change after it was opened. */
#include "normalize_topics.h"

#include "newsmill/text.h"

#include <string.h>

#define MAX_TOPICS        10000
#define MAX_KEYWORDS      100000
#define MAX_DEPTH         31 /* so that a topic with its ancestors fits into an article */
#define MAX_NAME_BYTES    256
#define MAX_KEYWORD_BYTES 256

NM_DEFINE_CLEANUP(struct nz_topics, nz_topics_free)

struct loader {
    const char *path;
    const struct nz_node *list;
    struct nz_topics *topics;
    struct nm_buf fold;
    struct nm_error *err;
};

void nz_topics_free(struct nz_topics *topics)
{
    if (!topics)
        return;
    nm_arena_clear(&topics->arena);
    free(topics);
}

static enum nm_status no_memory(const char *path, struct nm_error *err)
{
    return nm_fail(err, NM_FATAL, "out of memory for %s", path);
}

/* ---- names ---- */

static int by_text(const void *a, const void *b)
{
    const struct nz_topic_name *left = a, *right = b;
    size_t shorter = left->text.len < right->text.len ? left->text.len : right->text.len;
    int order = memcmp(left->text.data, right->text.data, shorter);
    if (order != 0)
        return order;
    if (left->text.len != right->text.len)
        return left->text.len < right->text.len ? -1 : 1;
    return (left->topic > right->topic) - (left->topic < right->topic);
}

uint32_t nz_topic_find(const struct nz_topic_name *names, uint32_t n, struct nz_str text)
{
    uint32_t low = 0, high = n;
    const struct nz_topic_name key = {text, 0}; /* sorts before every equal text */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (by_text(&names[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && nz_str_equal(names[low].text, text) ? names[low].topic : NZ_NO_TOPIC;
}

static enum nm_status sort_names(const struct loader *loader, struct nz_topic_name *names, const char *member)
{
    qsort(names, loader->topics->n, sizeof *names, by_text);
    for (uint32_t i = 1; i < loader->topics->n; i++) {
        if (!nz_str_equal(names[i - 1].text, names[i].text))
            continue;
        const struct nz_node *later = &loader->list->child[names[i].topic];
        return nz_registry_fail(loader->path, nz_registry_member(later, member), loader->err,
                                "%s \"%.60s\" stands twice", member, nz_registry_member(later, member)->text);
    }
    return NM_OK;
}

static enum nm_status copy(const struct loader *loader, const char *data, size_t len, struct nz_str *out)
{
    out->data = nm_arena_copy(&loader->topics->arena, data, len);
    out->len = len;
    return out->data ? NM_OK : no_memory(loader->path, loader->err);
}

/* Folded, with white space as nm_text_clean() leaves it in a text: single spaces, none around. */
static enum nm_status fold(struct loader *loader, const struct nz_node *node, struct nz_str *out)
{
    nm_buf_reset(&loader->fold);
    enum nm_status status = nm_text_fold(node->text, strlen(node->text), &loader->fold, loader->err);
    if (status != NM_OK)
        return status;
    if (!nm_buf_ok(&loader->fold))
        return no_memory(loader->path, loader->err);
    char *text = loader->fold.data;
    size_t len = 0;
    for (size_t i = 0; i < loader->fold.len; i++)
        if (text[i] != ' ' || (len > 0 && text[len - 1] != ' '))
            text[len++] = text[i];
    while (len > 0 && text[len - 1] == ' ')
        len--;
    if (len == 0)
        return nz_registry_fail(loader->path, node, loader->err, "\"%s\" holds no word",
                                node->name ? node->name : "a keyword");
    return copy(loader, text, len, out);
}

/* ---- entries ---- */

static enum nm_status read_entry(struct loader *loader, uint32_t at)
{
    static const char *const names[] = {"id", "name", "parent", "keywords", NULL};
    const struct nz_node *node = &loader->list->child[at];
    struct nz_topics *topics = loader->topics;
    struct nz_topic *topic = &topics->item[at];
    const char *id = NULL, *name = NULL;
    enum nm_status status = nz_registry_members(loader->path, node, "a topic", names, loader->err);
    if (status == NM_OK)
        status = nz_registry_text(loader->path, node, "id", MAX_NAME_BYTES, &id, loader->err);
    if (status == NM_OK)
        status = nz_registry_text(loader->path, node, "name", MAX_NAME_BYTES, &name, loader->err);
    if (status == NM_OK)
        status = copy(loader, id, strlen(id), &topic->id);
    if (status == NM_OK)
        status = copy(loader, name, strlen(name), &topic->name);
    if (status == NM_OK)
        status = fold(loader, nz_registry_member(node, "name"), &topics->by_name[at].text);
    topic->parent = NZ_NO_TOPIC;
    topics->by_id[at] = (struct nz_topic_name){topic->id, at};
    topics->by_name[at].topic = at;
    return status;
}

static enum nm_status count_keywords(const struct loader *loader, const struct nz_node *topic, size_t *total)
{
    const struct nz_node *list = nz_registry_member(topic, "keywords");
    if (!list)
        return NM_OK;
    if (list->kind != NZ_LIST)
        return nz_registry_fail(loader->path, list, loader->err, "\"keywords\" is a list of words");
    *total += list->n;
    if (*total > MAX_KEYWORDS)
        return nz_registry_fail(loader->path, list, loader->err, "more than %d keywords", MAX_KEYWORDS);
    return NM_OK;
}

static enum nm_status read_keywords(struct loader *loader, uint32_t at)
{
    struct nz_keywords *keywords = &loader->topics->keywords;
    const struct nz_node *list = nz_registry_member(&loader->list->child[at], "keywords");
    for (size_t i = 0; list && i < list->n; i++) {
        const struct nz_node *node = &list->child[i];
        struct nz_str word = {0};
        enum nm_status status = nz_registry_check_text(loader->path, node, "keyword", MAX_KEYWORD_BYTES, loader->err);
        if (status == NM_OK)
            status = fold(loader, node, &word);
        if (status != NM_OK)
            return status;
        keywords->item[keywords->n++] = (struct nz_keyword){word.data, word.len, at};
    }
    return NM_OK;
}

static enum nm_status read_all_keywords(struct loader *loader)
{
    struct nz_topics *topics = loader->topics;
    size_t total = 0;
    enum nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < topics->n; i++)
        status = count_keywords(loader, &loader->list->child[i], &total);
    if (status != NM_OK)
        return status;
    topics->keywords.item = nm_arena_alloc(&topics->arena, (total + 1) * sizeof *topics->keywords.item);
    if (!topics->keywords.item)
        return no_memory(loader->path, loader->err);
    for (uint32_t i = 0; status == NM_OK && i < topics->n; i++)
        status = read_keywords(loader, i);
    return status;
}

/* ---- the tree ---- */

static enum nm_status find_parent(const struct loader *loader, uint32_t at)
{
    struct nz_topics *topics = loader->topics;
    const struct nz_node *node = nz_registry_member(&loader->list->child[at], "parent");
    if (!node)
        return NM_OK;
    enum nm_status status = nz_registry_check_text(loader->path, node, "parent", MAX_NAME_BYTES, loader->err);
    if (status != NM_OK)
        return status;
    topics->item[at].parent = nz_topic_find(topics->by_id, topics->n, nz_str_of(node->text));
    if (topics->item[at].parent == NZ_NO_TOPIC)
        return nz_registry_fail(loader->path, node, loader->err, "parent \"%.60s\" is not the id of a topic",
                                node->text);
    return NM_OK;
}

static enum nm_status measure_depth(const struct loader *loader, uint32_t at)
{
    struct nz_topics *topics = loader->topics;
    uint32_t depth = 0;
    for (uint32_t up = topics->item[at].parent; up != NZ_NO_TOPIC; up = topics->item[up].parent) {
        const struct nz_node *node = nz_registry_member(&loader->list->child[at], "parent");
        if (up == at)
            return nz_registry_fail(loader->path, node, loader->err, "the parents of \"%.60s\" lead back to it",
                                    topics->item[at].id.data);
        if (++depth > MAX_DEPTH)
            return nz_registry_fail(loader->path, node, loader->err,
                                    "\"%.60s\" has more than %d ancestors, or a circle", topics->item[at].id.data,
                                    MAX_DEPTH);
    }
    topics->item[at].depth = depth;
    topics->order[at] = (struct nz_topic_place){depth, at};
    return NM_OK;
}

static int by_depth(const void *a, const void *b)
{
    const struct nz_topic_place *left = a, *right = b;
    if (left->depth != right->depth)
        return left->depth > right->depth ? -1 : 1;
    return (left->topic > right->topic) - (left->topic < right->topic);
}

static enum nm_status build_tree(struct loader *loader)
{
    struct nz_topics *topics = loader->topics;
    enum nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < topics->n; i++)
        status = find_parent(loader, i);
    for (uint32_t i = 0; status == NM_OK && i < topics->n; i++)
        status = measure_depth(loader, i);
    if (status == NM_OK)
        qsort(topics->order, topics->n, sizeof *topics->order, by_depth);
    return status;
}

static enum nm_status load(struct loader *loader)
{
    struct nz_topics *topics = loader->topics;
    size_t n = loader->list->n, room = n + 1;
    topics->n = (uint32_t)n;
    topics->item = nm_arena_alloc(&topics->arena, room * sizeof *topics->item);
    topics->by_id = nm_arena_alloc(&topics->arena, room * sizeof *topics->by_id);
    topics->by_name = nm_arena_alloc(&topics->arena, room * sizeof *topics->by_name);
    topics->order = nm_arena_alloc(&topics->arena, room * sizeof *topics->order);
    if (!topics->item || !topics->by_id || !topics->by_name || !topics->order)
        return no_memory(loader->path, loader->err);
    enum nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < topics->n; i++)
        status = read_entry(loader, i);
    if (status == NM_OK)
        status = sort_names(loader, topics->by_id, "id");
    if (status == NM_OK)
        status = sort_names(loader, topics->by_name, "name");
    if (status == NM_OK)
        status = build_tree(loader);
    if (status == NM_OK)
        status = read_all_keywords(loader);
    return status;
}

static enum nm_status load_file(const char *path, struct nz_topics *topics, struct nm_error *err)
{
    struct nm_arena scratch = {0};
    struct nz_node *list = NULL;
    enum nm_status status = nz_registry_read(path, MAX_TOPICS, &scratch, &list, err);
    if (status == NM_OK) {
        struct loader loader = {.path = path, .list = list, .topics = topics, .err = err};
        status = load(&loader);
        nm_buf_clear(&loader.fold);
    }
    nm_arena_clear(&scratch);
    return status;
}

static enum nm_status take_always(struct nz_topics *topics, const struct nm_strings *always, struct nm_error *err)
{
    topics->always = nm_arena_alloc(&topics->arena, (always->n + 1) * sizeof *topics->always);
    if (!topics->always)
        return no_memory("topics.always", err);
    for (size_t i = 0; i < always->n; i++) {
        topics->always[i] = nz_topic_find(topics->by_id, topics->n, nz_str_of(always->item[i]));
        if (topics->always[i] == NZ_NO_TOPIC)
            return nm_fail(err, NM_CONFIG, "topics.always: \"%.60s\" is not the id of a topic in topics.file",
                           always->item[i]);
    }
    topics->n_always = always->n;
    return NM_OK;
}

static bool contains(const struct nm_strings *list, const char *word)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->item[i], word) == 0)
            return true;
    return false;
}

enum nm_status nz_topics_open(const char *path, const struct nz_options *options, struct nz_topics **out,
                              struct nm_error *err)
{
    NM_AUTO(nz_topics_free) struct nz_topics *topics = calloc(1, sizeof *topics);
    if (!topics)
        return no_memory(path, err);
    topics->in_title = contains(&options->search_in, "title");
    topics->in_excerpt = contains(&options->search_in, "excerpt");
    topics->in_content = contains(&options->search_in, "content");
    topics->keywords.prefix = strcmp(options->match, "prefix") == 0;
    enum nm_status status = *path ? load_file(path, topics, err) : NM_OK;
    if (status == NM_OK)
        status = take_always(topics, &options->always, err);
    if (status != NM_OK)
        return status;
    nz_keywords_index(&topics->keywords);
    *out = topics;
    topics = NULL;
    return NM_OK;
}
