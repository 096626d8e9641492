/* test_normalize_topics.c - the registry of topics, keywords in texts, and the order of an article's topics. */
#include "normalize_fixture.h"

#include "newsmill/text.h"

static const char registry[] =
    "- {id: ferries, name: Ferries, parent: transport, keywords: [ferry, ferries, car ferry]}\n"
    "- {id: transport, name: Transport, keywords: [tram]}\n"
    "- id: harbours\n"
    "  name: H\xc3\xa4"
    "fen\n"
    "  parent: transport\n"
    "  keywords: [Harbour, HARBOUR, \"quay  side\"]\n"
    "- {id: steam, name: Steam ferries, parent: ferries, keywords: [paddle steamer]}\n"
    "- {id: code, name: Code, parent: null, keywords: [C++, .net, \"\xe6\x9c\x88\xe9\x9d\xa2\"]}\n"
    "- {id: local, name: Local}\n";

struct fixture {
    char *path;
    struct nz_options options;
    struct nz_rules rules;
    struct nm_arena arena;
};

static void setup(struct fixture *f, const char *content, const char *const *search_in, const char *match,
                  const char *const *always)
{
    static char *parts[4], *ids[4];
    memset(f, 0, sizeof *f);
    f->path = fixture_file(".yaml", content);
    f->options = fixture_options();
    f->options.topics_file = f->path;
    f->options.search_in = (struct nm_strings){parts, 0};
    f->options.always = (struct nm_strings){ids, 0};
    for (; search_in[f->options.search_in.n]; f->options.search_in.n++)
        parts[f->options.search_in.n] = strdup(search_in[f->options.search_in.n]);
    for (; always[f->options.always.n]; f->options.always.n++)
        ids[f->options.always.n] = strdup(always[f->options.always.n]);
    f->options.match = strdup(match);
    struct nm_error err = {0};
    if (nz_rules_open(&f->options, &f->rules, &err) != NM_OK)
        fail_msg("%s", err.msg);
}

static void teardown(struct fixture *f)
{
    nz_rules_close(&f->rules);
    nm_arena_clear(&f->arena);
    for (size_t i = 0; i < f->options.search_in.n; i++)
        free(f->options.search_in.item[i]);
    for (size_t i = 0; i < f->options.always.n; i++)
        free(f->options.always.item[i]);
    free(f->options.match);
    fixture_unlink(f->path);
}

/* The topics as "A, B", then the keyword hits in the title. */
static char *match(struct fixture *f, const char *title, const char *excerpt, const char *content,
                   const char *const *named)
{
    static char out[4096];
    struct nz_str name[NZ_MAX_IN];
    struct nz_raw raw = {.topic = name};
    struct nz_article article = {.title = nz_str_of(title)};
    long long hits = -1;
    for (; named && named[raw.n_topics]; raw.n_topics++)
        name[raw.n_topics] = nz_str_of(named[raw.n_topics]);
    if (excerpt)
        article.excerpt = nz_str_of(excerpt);
    if (content)
        raw.content = nz_str_of(content);
    assert_int_equal(nz_topics_match(&f->rules, &f->arena, &raw, &article, &hits, NULL), NM_OK);
    size_t len = 0;
    for (size_t i = 0; i < article.n_topics; i++)
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%.*s", i ? ", " : "", (int)article.topic[i].len,
                                article.topic[i].data);
    (void)snprintf(out + len, sizeof out - len, " %lld", hits);
    return out;
}

static const char *const title_only[] = {"title", NULL};
static const char *const title_excerpt[] = {"title", "excerpt", NULL};
static const char *const content_only[] = {"content", NULL};
static const char *const none[] = {NULL};

static const struct {
    const char *const *search_in;
    const char *match, *title, *excerpt, *content, *want;
} cases[] = {
    {title_excerpt, "word", "A ferry", NULL, NULL, "Ferries, Transport 1"},
    {title_excerpt, "word", "A FERRY, a ferry!", NULL, NULL, "Ferries, Transport 1"},
    {title_excerpt, "word", "The car ferry", NULL, NULL, "Ferries, Transport 2"},
    {title_excerpt, "word", "Ferryman", NULL, NULL, " 0"},
    {title_excerpt, "prefix", "Ferryman", NULL, NULL, "Ferries, Transport 1"},
    {title_excerpt, "prefix", "Wferry", NULL, NULL, " 0"},
    {title_excerpt, "word", "Nothing", "by tram", NULL, "Transport 0"},
    {title_only, "word", "Nothing", "by tram", NULL, " 0"},
    {title_excerpt, "word", "harbour", NULL, NULL,
     "H\xc3\xa4"
     "fen, Transport 2"},
    {title_excerpt, "word", "At the quay side", NULL, NULL,
     "H\xc3\xa4"
     "fen, Transport 1"},
    {title_excerpt, "word", "Paddle steamer in the harbour", NULL, NULL,
     "Steam ferries, Ferries, H\xc3\xa4"
     "fen, Transport 3"},
    {title_excerpt, "word", "Learn C++ now", NULL, NULL, "Code 1"},
    {title_excerpt, "word", "In .NET.", NULL, NULL, "Code 1"},
    {title_excerpt, "word", "In asp.net", NULL, NULL, " 0"},
    {title_excerpt, "word", "\xe6\x9c\x88\xe9\x9d\xa2", NULL, NULL, "Code 1"},
    {title_excerpt, "word", "\xe6\x9c\x88\xe9\x9d\xa2\xe7\x9d\x80", NULL, NULL, " 0"},
    {title_excerpt, "word", "x ferry\xcc\x81 x", NULL, NULL, " 0"}, /* a mark goes on with the word */
    {content_only, "word", "A ferry", "by tram", "<p>harb&#111;ur</p>",
     "H\xc3\xa4"
     "fen, Transport 0"},
    {content_only, "word", "A ferry", "by tram", NULL, " 0"},
    {content_only, "word", "A ferry", NULL, "the ferries",
     "Ferries, Transport 1"}, /* the title counts, it does not add */
    {none, "word", "A ferry", "tram", "harbour", " 0"},
};

static void match__each_text_has_its_topics(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture f;
        setup(&f, registry, cases[i].search_in, cases[i].match, none);
        const char *got = match(&f, cases[i].title, cases[i].excerpt, cases[i].content, NULL);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("case %zu, '%s': '%s', not '%s'", i, cases[i].title, got, cases[i].want);
        teardown(&f);
    }
}

static void match__named_and_always_are_added_with_ancestors(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const always[] = {"local", NULL};
    setup(&f, registry, title_excerpt, "word", always);
    static const struct {
        const char *named[4], *want;
    } names[] = {
        {{NULL}, "Local 0"},
        {{"ferries", NULL}, "Ferries, Transport, Local 0"},
        {{"FERRIES", "unknown", NULL}, "Ferries, Transport, Local 0"},
        {{"steam FERRIES",
          "h\xc3\x84"
          "FEN",
          NULL},
         "Steam ferries, Ferries, H\xc3\xa4"
         "fen, Transport, Local 0"},
        {{"ha\xcc\x88"
          "fen",
          NULL},
         "H\xc3\xa4"
         "fen, Transport, Local 0"},
        {{"", "ferr", NULL}, "Local 0"},
    };
    for (size_t i = 0; i < COUNT(names); i++)
        assert_string_equal(match(&f, "Nothing", NULL, NULL, names[i].named), names[i].want);
    assert_string_equal(match(&f, "By ferry", NULL, NULL, names[2].named), "Ferries, Transport, Local 1");
    teardown(&f);
}

/* 40 topics of one level below 2 parents: 32 come out, the deeper ones first, in the order of the file. */
static void match__32_topics_are_the_most(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, "- {id: p, name: P}\n- {id: q, name: Q, keywords: [word]}\n");
    for (int i = 0; i < 40; i++)
        nm_buf_addf(&buf, "- {id: t%d, name: T%d, parent: %s, keywords: [word, word]}\n", i, i, i % 2 ? "p" : "q");
    struct fixture f;
    setup(&f, nm_buf_str(&buf), title_excerpt, "word", none);
    const char *got = match(&f, "One word", NULL, NULL, NULL);
    assert_int_equal(strncmp(got, "T0, T1, T2,", 11), 0);
    assert_non_null(strstr(got, ", T31 64"));
    teardown(&f);
    nm_buf_clear(&buf);
}

/* ---- against nm_text_has_word() ---- */

struct hits {
    const struct nz_keywords *keywords;
    unsigned char found[100000];
};

static void note(void *self, const struct nz_keyword *keyword)
{
    struct hits *hits = self;
    hits->found[keyword - hits->keywords->item] = 1;
}

static const char *const letters[] = {"a", "b",           " ", "-", "1", "\xc3\xa9", "\xcc\x81", "\xe6\x9c\x88",
                                      ".", "\xe2\x82\xac"};

static size_t random_text(char *out, size_t n, unsigned *seed)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * 1103515245U + 12345U;
        const char *letter = letters[(*seed >> 16) % COUNT(letters)];
        for (; *letter; letter++)
            out[len++] = *letter;
    }
    return len;
}

static void find__agrees_with_has_word_on_random_texts(void **state)
{
    (void)state;
    static char word[400][16];
    static struct nz_keyword item[400];
    unsigned seed = 7;
    for (uint32_t i = 0; i < COUNT(item); i++) {
        seed = seed * 1103515245U + 12345U;
        item[i] = (struct nz_keyword){word[i], random_text(word[i], 1 + (seed >> 16) % 4, &seed), i};
    }
    struct nz_keywords keywords = {.item = item, .n = COUNT(item)};
    nz_keywords_index(&keywords);
    size_t found = 0;
    for (int round = 0; round < 400; round++) {
        char text[128];
        struct hits hits = {.keywords = &keywords};
        struct nz_str in = {text, random_text(text, 24, &seed)};
        keywords.prefix = round % 2 == 1;
        nz_keywords_find(&keywords, in, note, &hits);
        for (size_t i = 0; i < keywords.n; i++) {
            bool want = nm_text_has_word(text, in.len, item[i].word, item[i].len, keywords.prefix);
            if (want != (hits.found[i] != 0))
                fail_msg("'%.*s' in '%.*s', prefix %d: %d", (int)item[i].len, item[i].word, (int)in.len, text,
                         keywords.prefix, want);
            found += want;
        }
    }
    assert_true(found > 5000);
}

/* A text that follows a long keyword everywhere, against very many keywords: linear in the text. */
static void find__hostile_text_takes_linear_time(void **state)
{
    (void)state;
    enum { N = 100000, LEN = 1000000 };
    struct nz_keyword *item = calloc(N, sizeof *item);
    char *words = malloc(N * 8), *text = malloc(LEN);
    assert_true(item && words && text);
    for (uint32_t i = 0; i < N; i++) {
        (void)snprintf(words + i * 8, 8, "a a%04x", i & 0xffff);
        item[i] = (struct nz_keyword){words + i * 8, 7, i};
    }
    for (size_t i = 0; i < LEN; i++)
        text[i] = i % 2 ? ' ' : 'a';
    struct nz_keywords keywords = {.item = item, .n = N};
    struct hits hits = {.keywords = &keywords};
    nz_keywords_index(&keywords);
    nz_keywords_find(&keywords, (struct nz_str){text, LEN}, note, &hits);
    assert_int_equal(hits.found[0], 0);
    free(item);
    free(words);
    free(text);
}

/* ---- the file ---- */

static const struct {
    const char *content, *at, *what;
} refused[] = {
    {"- {name: A}\n", ":1:3:", "\"id\" is missing"},
    {"- {id: a}\n", ":1:3:", "\"name\" is missing"},
    {"- {id: a, name: A, keyword: [x]}\n", ":1:20:", "\"keyword\" is not a member"},
    {"- {id: a, name: A}\n- {id: a, name: B}\n", ":2:4:", "id \"a\" stands twice"},
    {"- {id: a, name: Rail}\n- {id: b, name: RAIL}\n", ":2:11:", "name \"RAIL\" stands twice"},
    {"- {id: a, name: A, parent: b}\n", ":1:20:", "parent \"b\" is not the id"},
    {"- {id: a, name: A, parent: a}\n", ":1:20:", "lead back"},
    {"- {id: a, name: A, parent: b}\n- {id: b, name: B, parent: a}\n", ":1:20:", "lead back"},
    {"- {id: c, name: C, parent: a}\n- {id: a, name: A, parent: b}\n- {id: b, name: B, parent: a}\n",
     ":1:20:", "circle"},
    {"- {id: a, name: A, keywords: x}\n", ":1:20:", "list of words"},
    {"- {id: a, name: A, keywords: [[x]]}\n", ":1:31:", "text"},
    {"- {id: a, name: A, keywords: [\"\"]}\n", ":1:31:", "0 bytes"},
    {"- {id: a, name: A, keywords: [\"  \"]}\n", ":1:31:", "no word"},
    {"- {id: a, name: A, parent: [b]}\n", ":1:20:", "text"},
};

static enum nm_status open_topics(const char *content, const struct nz_options *options, struct nm_error *err)
{
    struct nz_topics *topics = NULL;
    char *path = fixture_file(".yaml", content);
    enum nm_status status = nz_topics_open(path, options, &topics, err);
    assert_int_equal(topics != NULL, status == NM_OK);
    nz_topics_free(topics);
    fixture_unlink(path);
    return status;
}

static void open__each_fault_is_refused_at_its_place(void **state)
{
    (void)state;
    struct nz_options options = fixture_options();
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct nm_error err = {0};
        assert_int_equal(open_topics(refused[i].content, &options, &err), NM_CONFIG);
        if (!strstr(err.msg, refused[i].at) || !strstr(err.msg, refused[i].what))
            fail_msg("'%s' for: %s", err.msg, refused[i].content);
    }
}

static void open__always_must_be_topics(void **state)
{
    (void)state;
    struct nz_options options = fixture_options();
    struct nm_error err = {0};
    struct nz_topics *topics = NULL;
    static char unknown[] = "trams";
    static char *ids[] = {unknown};
    options.always = (struct nm_strings){ids, 1};
    assert_int_equal(open_topics(registry, &options, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "topics.always: \"trams\""));
    assert_int_equal(nz_topics_open("", &options, &topics, &err), NM_CONFIG);
    options.always.n = 0;
    assert_int_equal(nz_topics_open("", &options, &topics, &err), NM_OK);
    nz_topics_free(topics);
    nz_topics_free(NULL);
}

static void open__numbers_of_topics_and_keywords_are_bounded(void **state)
{
    (void)state;
    struct nz_options options = fixture_options();
    struct nm_error err = {0};
    struct nm_buf buf = {0};
    for (int i = 0; i < 10000; i++)
        nm_buf_addf(&buf, "- {id: t%d, name: T%d}\n", i, i);
    assert_int_equal(open_topics(nm_buf_str(&buf), &options, &err), NM_OK);
    nm_buf_adds(&buf, "- {id: one-more, name: One more}\n");
    assert_int_equal(open_topics(nm_buf_str(&buf), &options, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "more than 10000"));
    nm_buf_reset(&buf);
    nm_buf_adds(&buf, "- {id: a, name: A, keywords: [x");
    for (int i = 1; i < 100000; i++)
        nm_buf_adds(&buf, ",x");
    size_t len = buf.len;
    nm_buf_adds(&buf, "]}");
    assert_int_equal(open_topics(nm_buf_str(&buf), &options, &err), NM_OK);
    buf.len = len;
    nm_buf_adds(&buf, ",x]}");
    assert_int_equal(open_topics(nm_buf_str(&buf), &options, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "more than 100000 keywords"));
    nm_buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(match__each_text_has_its_topics),
        cmocka_unit_test(match__named_and_always_are_added_with_ancestors),
        cmocka_unit_test(match__32_topics_are_the_most),
        cmocka_unit_test(find__agrees_with_has_word_on_random_texts),
        cmocka_unit_test(find__hostile_text_takes_linear_time),
        cmocka_unit_test(open__each_fault_is_refused_at_its_place),
        cmocka_unit_test(open__always_must_be_topics),
        cmocka_unit_test(open__numbers_of_topics_and_keywords_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
