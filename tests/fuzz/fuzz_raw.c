/* fuzz_raw.c - any bytes as a raw event, through decoding, cleaning and writing.
 *
 * An input is refused with a code, or it becomes an article of which is checked: the JSON is valid and reads as
 * article/1; the parts add up to the quality; bounds hold; no member is ""; the same event gives the same bytes; and
 * the article sent as an event has the same id. Short inputs are taken as the key of an empty value too.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_raw tests/fuzz/corpus/raw */
#include "normalize/normalize_internal.h"

#include "newsmill/article.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW_MS 1933740142000

int LLVMFuzzerInitialize(int *argc, char ***argv); // NOLINT(readability-non-const-parameter)
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nz_options options;
static struct nz_rules rules;
static struct nm_arena arena;

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

static char *new_file(const char *content)
{
    char path[] = "/tmp/nm_fuzz_XXXXXX";
    int file = mkstemp(path);
    require(file >= 0 && write(file, content, strlen(content)) == (ssize_t)strlen(content), "a temporary file");
    (void)close(file);
    return strdup(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) // NOLINT(readability-non-const-parameter): given by libFuzzer
{
    (void)argc;
    (void)argv;
    static char news[] = "news", article[] = "article", en[] = "en", utc[] = "UTC", word[] = "word",
                reference[] = "reference";
    static char title[] = "title", excerpt[] = "excerpt", content[] = "content", rail[] = "rail";
    static char *parts[] = {title, excerpt, content}, *always[] = {rail};
    char *providers = new_file("- {domain: lantern.example, name: Lantern, weight: 30, images: [{url: /l.png}]}\n");
    char *topics = new_file("- {id: rail, name: Rail, parent: way, keywords: [train, night train, \xc3\xa9, \"1\"]}\n"
                            "- {id: way, name: Ways, keywords: [a, b, \"<\"]}\n");
    options = (struct nz_options){.category = news,
                                  .type = article,
                                  .locale = en,
                                  .time_zone = utc,
                                  .providers_file = providers,
                                  .topics_file = topics,
                                  .search_in = {parts, 3},
                                  .match = word,
                                  .always = {always, 1},
                                  .rules = 1,
                                  .max_bytes = 1048576,
                                  .max_depth = 32,
                                  .excerpt_chars = 60,
                                  .max_future_ms = 86400000,
                                  .max_images = 4,
                                  .trust_quality = true,
                                  .profile = reference,
                                  .q_topic = 2,
                                  .q_keyword = 15,
                                  .q_image = 20,
                                  .q_amp = 20,
                                  .q_featured = 900,
                                  .q_title_free = 20,
                                  .q_title_step = 2};
    require(nz_rules_open(&options, &rules, NULL) == NM_OK, "the registries");
    (void)unlink(providers);
    (void)unlink(topics);
    free(providers);
    free(topics);
    return 0;
}

static enum nm_status make(const char *key, size_t key_len, const char *value, size_t len, struct nz_article *out)
{
    struct nm_error err = {0};
    struct nz_raw raw;
    enum nm_status status = nz_raw_decode(&options, &arena, key, key_len, value, len, &raw, &err);
    if (status == NM_OK)
        status = nz_article_make(&rules, &arena, &raw, NOW_MS - 5, NOW_MS, out, &err);
    require(status == NM_OK || (status == NM_BAD_INPUT && err.code[0] && err.msg[0]), "a status with its reason");
    return status;
}

static struct nz_str text_of(const struct nz_article *article)
{
    struct nz_str out = {0};
    require(nz_article_write(&rules, &arena, article, 42, article->source_time_ms,
                             article->dated ? article->published_ms : NOW_MS, &out, NULL) == NM_OK,
            "an article can be written");
    return out;
}

static void check_values(yyjson_val *val)
{
    require(!yyjson_is_str(val) || yyjson_get_len(val) > 0, "no member is empty text");
    require(!yyjson_is_null(val), "no member is null");
    if (yyjson_is_obj(val)) {
        yyjson_obj_iter iter = yyjson_obj_iter_with(val);
        for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter));)
            check_values(yyjson_obj_iter_get_val(key));
    } else if (yyjson_is_arr(val)) {
        yyjson_arr_iter iter = yyjson_arr_iter_with(val);
        for (yyjson_val *element; (element = yyjson_arr_iter_next(&iter));)
            check_values(element);
    }
}

static void check_quality(yyjson_val *root)
{
    int64_t sum = 0, quality = yyjson_get_sint(yyjson_obj_get(root, "quality"));
    yyjson_arr_iter iter = yyjson_arr_iter_with(yyjson_obj_get(root, "qualityParts"));
    for (yyjson_val *part; (part = yyjson_arr_iter_next(&iter));)
        sum += yyjson_get_sint(yyjson_obj_get(part, "points"));
    require(sum == quality, "the parts add up to the quality");
    require(quality >= -1000 && quality <= 1000, "the quality is in its range");
}

static void check_article(const struct nz_article *article)
{
    struct nz_str text = text_of(article);
    struct nm_article read;
    require(nm_article_read(text.data, text.len, &arena, &read, NULL) == NM_OK, "it reads as article/1");
    require(strcmp(read.id, article->id) == 0 && read.retracted == article->retracted, "id and retraction");
    require(strlen(article->hash) == 32, "the hash");
    check_values(read.root);
    if (read.retracted)
        return;
    check_quality(read.root);
    require(yyjson_get_len(yyjson_obj_get(read.root, "path")) <= 180, "the path is short");
    require(yyjson_arr_size(yyjson_obj_get(read.root, "topics")) <= NZ_MAX_TOPICS, "few topics");
    require(yyjson_arr_size(yyjson_obj_get(read.root, "images")) <= 4, "few images");
    struct nz_article again;
    require(make(NULL, 0, text.data, text.len, &again) != NM_OK || strcmp(again.id, article->id) == 0,
            "the article as an event has the same id");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nz_article article, again;
    const char *text = (const char *)data;
    nm_arena_reset(&arena);
    if (make(NULL, 0, text, size, &article) == NM_OK) {
        check_article(&article);
        require(make(NULL, 0, text, size, &again) == NM_OK, "an event is taken twice");
        struct nz_str a = text_of(&article), b = text_of(&again);
        require(nz_str_equal(a, b) && strcmp(article.hash, again.hash) == 0, "the same event gives the same bytes");
    }
    if (size > 0 && size < 200 && make(text, size, NULL, 0, &article) == NM_OK)
        check_article(&article);
    return 0;
}
