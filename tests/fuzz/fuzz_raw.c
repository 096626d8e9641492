/* fuzz_raw.c - any bytes as a raw event, through decoding, cleaning, sealing and writing.
 *
 * An input is refused with a code, or it becomes an article of which is checked: the JSON is valid and reads as
 * article/1; the parts add up to the quality; bounds hold; no member is ""; the same event gives the same bytes; what
 * was sealed opens, is JSON, and is the same when it is sent again; and the article sent as an event has the same id.
 * Each input is taken with the built-in pointers, and with pointers of an option file before them. Short inputs are
 * taken as the key of an empty value too.
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

static struct nz_options options[2]; /* [1]: with a mapping */
static struct nz_rules both[2];
static const struct nz_rules *rules;
static struct nm_arena arena;
static struct nm_seal *seal;

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

static void open_mapped(void)
{
    static char title[] = "title", url[] = "url", images[] = "images", private[] = "private", locale[] = "locale";
    static char a[] = "/m/t", b[] = "/a~1b/0/~0", c[] = "/link/1/href", d[] = "/m", e[] = "/media:thumbnail",
                f[] = "/x";
    static char *to_title[] = {a, b}, *to_url[] = {c, f}, *to_images[] = {d, e}, *to_private[] = {d},
                *to_locale[] = {f};
    static struct nm_list list[] = {{title, {to_title, 2}},
                                    {url, {to_url, 2}},
                                    {images, {to_images, 2}},
                                    {private, {to_private, 1}},
                                    {locale, {to_locale, 1}}};
    static char whole[] = "/private";
    static char *fields[] = {whole};
    options[1] = options[0];
    options[1].mapping = (struct nm_lists){list, 5};
    options[1].secured_fields = (struct nm_strings){fields, 1};
    require(nz_rules_open(&options[1], &both[1], NULL) == NM_OK, "the mapping");
}

static void open_keys(void)
{
    static char one[] = "1.env", name[] = "NM_FUZZ_KEY", a[] = "/private/a", b[] = "/private/editor",
                c[] = "/private/b/c";
    static struct nm_pair pair[] = {{one, name}};
    static char *fields[] = {b, c, a};
    require(setenv(name, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1) == 0, "a variable");
    options[0].secured_keys = (struct nm_pairs){pair, 1};
    options[0].secured_key = 1;
    options[0].secured_fields = (struct nm_strings){fields, 3};
    require(nm_seal_load("secured.keys", &options[0].secured_keys, 1, &seal, NULL, NULL) == NM_OK, "the keys");
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
    options[0] = (struct nz_options){.category = news,
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
                                     .built_in_mapping = true,
                                     .profile = reference,
                                     .q_topic = 2,
                                     .q_keyword = 15,
                                     .q_image = 20,
                                     .q_amp = 20,
                                     .q_featured = 900,
                                     .q_title_free = 20,
                                     .q_title_step = 2};
    open_keys();
    require(nz_rules_open(&options[0], &both[0], NULL) == NM_OK, "the registries");
    open_mapped();
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
    enum nm_status status = nz_raw_decode(rules, &arena, key, key_len, value, len, &raw, &err);
    if (status == NM_OK)
        status = nz_article_make(rules, &arena, &raw, NOW_MS - 5, NOW_MS, out, &err);
    require(status == NM_OK || (status == NM_BAD_INPUT && err.code[0] && err.msg[0]), "a status with its reason");
    return status;
}

static struct nz_str text_of(const struct nz_article *article)
{
    struct nz_str out = {0};
    require(nz_article_write(rules, &arena, article, 42, article->source_time_ms,
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

/* What was sealed opens, and says the same when it comes as the private object of an event. */
static void check_secured(const struct nz_article *article, yyjson_val *sealed)
{
    require((sealed != NULL) == (article->secret.data != NULL), "sealed where there is something to seal");
    if (!sealed)
        return;
    struct nm_buf plain = {0}, event = {0};
    require(nm_seal_open(seal, article->id, yyjson_get_str(sealed), yyjson_get_len(sealed), &plain, NULL) == NM_OK,
            "what was sealed opens");
    require(nz_str_equal((struct nz_str){plain.data, plain.len}, article->secret), "and is what it was");
    nm_buf_addf(&event, "{\"url\":\"https://x.example/\",\"title\":\"t\",\"private\":%s}", nm_buf_str(&plain));
    struct nz_raw raw = {0};
    enum nm_status status = nz_raw_decode(rules, &arena, NULL, 0, event.data, event.len, &raw, NULL);
    require(status == NM_BAD_INPUT || nz_str_equal(raw.secret, article->secret), "and seals to the same again");
    nm_buf_clear(&plain);
    nm_buf_clear(&event);
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
    check_secured(article, yyjson_obj_get(read.root, "secured"));
    require(yyjson_get_len(yyjson_obj_get(read.root, "path")) <= 180, "the path is short");
    require(yyjson_arr_size(yyjson_obj_get(read.root, "topics")) <= NZ_MAX_TOPICS, "few topics");
    require(yyjson_arr_size(yyjson_obj_get(read.root, "images")) <= 4, "few images");
    struct nz_article again;
    require(make(NULL, 0, text.data, text.len, &again) != NM_OK || strcmp(again.id, article->id) == 0,
            "the article as an event has the same id");
}

static void take(const char *text, size_t size)
{
    struct nz_article article, again;
    nm_arena_reset(&arena);
    if (make(NULL, 0, text, size, &article) == NM_OK) {
        check_article(&article);
        require(make(NULL, 0, text, size, &again) == NM_OK, "an event is taken twice");
        struct nz_str a = text_of(&article), b = text_of(&again);
        require(nz_str_equal(a, b) && strcmp(article.hash, again.hash) == 0, "the same event gives the same bytes");
    }
    if (size > 0 && size < 200 && make(text, size, NULL, 0, &article) == NM_OK)
        check_article(&article);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int i = 0; i < 2; i++) {
        rules = &both[i];
        take((const char *)data, size);
    }
    return 0;
}
