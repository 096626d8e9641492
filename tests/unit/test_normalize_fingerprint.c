/* test_normalize_fingerprint.c - what makes other rules of rules, what does not, and how a difference is named. */
#include "normalize_fixture.h"

static struct nm_error err;

#define PROVIDERS                                                                                                      \
    "- {domain: lantern.example, name: Lantern, weight: 30, images: [{url: /l.png, width: 50, height: 50}]}\n"         \
    "- {domain: river.example, name: River Post}\n"
#define TOPICS                                                                                                         \
    "- {id: rail, name: Rail, parent: way, keywords: [night train, tram]}\n"                                           \
    "- {id: sea, name: Sea, parent: way, keywords: [ferry]}\n"                                                         \
    "- {id: way, name: Ways}\n"

/* The fingerprint of these; free() it. NULL: the usual ones. */
static char *fingerprint(struct nz_options options, const char *providers, const char *topics)
{
    struct nz_rules rules;
    struct nm_buf out = {0};
    options.providers_file = fixture_file(".yaml", providers ? providers : PROVIDERS);
    options.topics_file = fixture_file(".yaml", topics ? topics : TOPICS);
    if (nz_rules_open(&options, &rules, &err) != NM_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(nz_fingerprint(&rules, &out, &err), NM_OK);
    nz_rules_close(&rules);
    fixture_unlink(options.providers_file);
    fixture_unlink(options.topics_file);
    return nm_buf_take(&out);
}

static void check_change(const char *what, const char *before, char *after, const char *changed)
{
    char names[200];
    nz_fingerprint_difference(after, before, names, sizeof names);
    if (strcmp(names, changed) != 0 || (strcmp(before, after) == 0) != (*changed == '\0'))
        fail_msg("%s: changed '%s', not '%s'", what, names, changed);
    free(after);
}

/* ---- registries ---- */

static const struct {
    const char *providers, *topics, *changed;
} registries[] = {
    {NULL, NULL, ""},
    /* what means nothing */
    {"# comment\n- name: 'River Post'\n  domain: RIVER.example\n  weight: 0\n"
     "- {images: [{height: 50, url: /l.png, width: 50}], name: Lantern, weight: 30, domain: lantern.example}\n",
     NULL, ""},
    {NULL,
     "# comment\n- {id: way, name: Ways, keywords: []}\n"
     "- {id: rail, name: Rail, parent: way, keywords: [Tram, NIGHT  train]}\n"
     "- {id: sea, name: Sea, parent: way, keywords: [ferry]}\n",
     ""},
    /* what changes articles */
    {"- {domain: lantern.example, name: Lantern, weight: 31, images: [{url: /l.png, width: 50, height: 50}]}\n"
     "- {domain: river.example, name: River Post}\n",
     NULL, "providers"},
    {"- {domain: lantern.example, name: Lantern, weight: 30, images: [{url: /l.png, width: 51, height: 50}]}\n"
     "- {domain: river.example, name: River Post}\n",
     NULL, "providers"},
    {"- {domain: lantern.example, name: Lantern, weight: 30}\n- {domain: river.example, name: River Post}\n", NULL,
     "providers"},
    {"- {domain: lantern.example, name: Lantern, weight: 30, images: [{url: /l.png, width: 50, height: 50}]}\n"
     "- {domain: river.example, name: River post}\n",
     NULL, "providers"},
    {"- {domain: lantern.example, name: Lantern, weight: 30, images: [{url: /l.png, width: 50, height: 50}]}\n", NULL,
     "providers"},
    {"[]\n", NULL, "providers"},
    {NULL,
     "- {id: sea, name: Sea, parent: way, keywords: [ferry]}\n" /* the order within a depth is that of an article */
     "- {id: rail, name: Rail, parent: way, keywords: [night train, tram]}\n- {id: way, name: Ways}\n",
     "topics"},
    {NULL,
     "- {id: rail, name: Rail, parent: way, keywords: [night train, tram, tram]}\n" /* counts twice */
     "- {id: sea, name: Sea, parent: way, keywords: [ferry]}\n- {id: way, name: Ways}\n",
     "topics"},
    {NULL,
     "- {id: rail, name: Rail, parent: way, keywords: [night train]}\n"
     "- {id: sea, name: Sea, parent: way, keywords: [ferry, tram]}\n- {id: way, name: Ways}\n",
     "topics"},
    {NULL,
     "- {id: rail, name: Rails, parent: way, keywords: [night train, tram]}\n"
     "- {id: sea, name: Sea, parent: way, keywords: [ferry]}\n- {id: way, name: Ways}\n",
     "topics"},
    {NULL,
     "- {id: rail2, name: Rail, parent: way, keywords: [night train, tram]}\n"
     "- {id: sea, name: Sea, parent: way, keywords: [ferry]}\n- {id: way, name: Ways}\n",
     "topics"},
    {NULL,
     "- {id: rail, name: Rail, parent: way, keywords: [night train, tram]}\n"
     "- {id: sea, name: Sea, parent: rail, keywords: [ferry]}\n- {id: way, name: Ways}\n",
     "topics"},
    {"[]\n", "[]\n", "topics, providers"},
};

static void registry__what_changes_articles_and_nothing_else(void **state)
{
    (void)state;
    char *before = fingerprint(fixture_options(), NULL, NULL);
    assert_ptr_equal(strstr(before, "rules/1 defaults="), before);
    for (size_t i = 0; i < COUNT(registries); i++)
        check_change(registries[i].topics ? registries[i].topics : "providers", before,
                     fingerprint(fixture_options(), registries[i].providers, registries[i].topics),
                     registries[i].changed);
    free(before);
}

/* ---- options ---- */

static char sport[] = "sport", content[] = "content", title[] = "title", excerpt[] = "excerpt", prefix[] = "prefix";
static char rail[] = "rail", sea[] = "sea", lisbon[] = "Europe/Lisbon", headline[] = "/h", other[] = "/o";
static char *headlines[] = {headline, other}, *turned[] = {other, headline};
static char *one_id[] = {rail}, *two_ids[] = {rail, sea}, *ids_turned[] = {sea, rail};
static struct nm_list mapped_title = {title, {headlines, 2}}, mapped_turned = {title, {turned, 2}};
static struct nm_list mapped_two[] = {{title, {headlines, 1}}, {excerpt, {turned, 1}}};
static struct nm_list mapped_two_turned[] = {{excerpt, {turned, 1}}, {title, {headlines, 1}}};

static struct nz_options changed_options(size_t which, const char **name, const char **changed)
{
    struct nz_options o = fixture_options();
#define CHANGE(number, part, statement)                                                                                \
    case number:                                                                                                       \
        *name = #statement;                                                                                            \
        *changed = part;                                                                                               \
        statement;                                                                                                     \
        break
    switch (which) {
        CHANGE(0, "defaults", o.category = sport);
        CHANGE(1, "defaults", o.type = sport);
        CHANGE(2, "defaults", o.locale = sport);
        CHANGE(3, "defaults", o.time_zone = lisbon);
        CHANGE(4, "topics", o.match = prefix);
        CHANGE(5, "topics", o.always = ((struct nm_strings){one_id, 1}));
        CHANGE(6, "topics", o.search_in.n = 1);
        CHANGE(7, "normalize", o.trust_quality = false);
        CHANGE(8, "normalize", o.excerpt_chars++);
        CHANGE(9, "normalize", o.max_images--);
        CHANGE(10, "normalize.mapping", o.mapping = ((struct nm_lists){&mapped_title, 1}));
        CHANGE(11, "quality", o.q_topic++);
        CHANGE(12, "quality", o.q_keyword++);
        CHANGE(13, "quality", o.q_image++);
        CHANGE(14, "quality", o.q_amp++);
        CHANGE(15, "quality", o.q_featured++);
        CHANGE(16, "quality", o.q_title_free++);
        CHANGE(17, "quality", o.q_title_step++);
        /* decide only whether an event is accepted, or nothing at all */
        CHANGE(18, "", o.max_bytes--);
        CHANGE(19, "", o.max_depth--);
        CHANGE(20, "", o.max_future_ms--);
        CHANGE(21, "", o.rules = 7);
        CHANGE(22, "", o.secured_key = 2);
    default:
        *name = NULL;
    }
    return o;
}

static void option__what_changes_articles_and_nothing_else(void **state)
{
    (void)state;
    char *before = fingerprint(fixture_options(), NULL, NULL);
    const char *name = "", *changed = "";
    for (size_t i = 0; name; i++) {
        struct nz_options options = changed_options(i, &name, &changed);
        if (name)
            check_change(name, before, fingerprint(options, NULL, NULL), changed);
    }
    free(before);
}

static struct nz_options with_mapping(struct nm_list *list, size_t n)
{
    struct nz_options options = fixture_options();
    options.mapping = (struct nm_lists){list, n};
    return options;
}

static void option__order_counts_where_it_means_something(void **state)
{
    (void)state;
    char *before = fingerprint(with_mapping(&mapped_title, 1), NULL, NULL);
    check_change("pointers", before, fingerprint(with_mapping(&mapped_turned, 1), NULL, NULL), "normalize.mapping");
    free(before);
    before = fingerprint(with_mapping(mapped_two, 2), NULL, NULL);
    check_change("fields", before, fingerprint(with_mapping(mapped_two_turned, 2), NULL, NULL), "");
    struct nz_options alone = with_mapping(mapped_two, 2);
    static char url[] = "url";
    static struct nm_list needed[] = {{url, {headlines, 1}}, {title, {headlines, 1}}};
    alone.mapping.item = needed;
    char *with = fingerprint(alone, NULL, NULL);
    alone.built_in_mapping = false;
    check_change("builtInMapping", with, fingerprint(alone, NULL, NULL), "normalize.mapping");
    free(with);
    free(before);

    struct nz_options always = fixture_options(), same = fixture_options();
    always.always = (struct nm_strings){two_ids, 2};
    same.always = (struct nm_strings){ids_turned, 2};
    before = fingerprint(always, NULL, NULL);
    check_change("always", before, fingerprint(same, NULL, NULL), "");
    char *parts[] = {content, title}, *parts_turned[] = {title, content};
    always.search_in = (struct nm_strings){parts, 2};
    same = always;
    same.search_in.item = parts_turned;
    free(before);
    before = fingerprint(always, NULL, NULL);
    check_change("searchIn", before, fingerprint(same, NULL, NULL), "");
    free(before);
}

static void option__sealed_fields_count_and_keys_do_not(void **state)
{
    (void)state;
    static char a[] = "/private/a", b[] = "/private/b", ax[] = "/private/a/x", one[] = "1.env", two[] = "2.env";
    static char key[] = "NM_TEST_PRINT_KEY", key2[] = "NM_TEST_PRINT_KEY_2";
    struct nm_pair pairs[] = {{one, key}, {two, key2}};
    char *only_a[] = {a}, *both[] = {a, b}, *turned_too[] = {b, ax, a, a};
    assert_int_equal(setenv(key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1), 0);
    assert_int_equal(setenv(key2, "paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=", 1), 0);
    struct nz_options options = fixture_options();
    char *none = fingerprint(options, NULL, NULL);
    options.secured_keys = (struct nm_pairs){pairs, 1};
    options.secured_fields = (struct nm_strings){both, 2};
    char *before = fingerprint(options, NULL, NULL);
    check_change("sealing", none, fingerprint(options, NULL, NULL), "secured.fields");
    options.secured_fields = (struct nm_strings){turned_too, 4};
    check_change("order", before, fingerprint(options, NULL, NULL), "");
    options.secured_keys.n = 2;
    options.secured_key = 2;
    check_change("rotation", before, fingerprint(options, NULL, NULL), "");
    options.secured_fields = (struct nm_strings){only_a, 1};
    check_change("fields", before, fingerprint(options, NULL, NULL), "secured.fields");
    free(before);
    free(none);
}

static void difference__names_what_it_finds(void **state)
{
    (void)state;
    static const struct {
        const char *ours, *other, *want;
    } cases[] = {
        {"rules/1 a=1 b=2", "rules/1 a=1 b=2", ""},     {"rules/1 a=1 b=2", "rules/1 a=1 b=3", "b"},
        {"rules/1 a=1 b=2", "rules/1 a=2 b=1", "a, b"}, {"rules/2 a=1", "rules/1 a=1", "newsmill"},
        {"rules/1 a=1 b=2", "", "newsmill, a, b"},      {"rules/1 a=1", "rules/1 a=11 aa=1", "a"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char names[64];
        nz_fingerprint_difference(cases[i].ours, cases[i].other, names, sizeof names);
        assert_string_equal(names, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registry__what_changes_articles_and_nothing_else),
        cmocka_unit_test(option__what_changes_articles_and_nothing_else),
        cmocka_unit_test(option__order_counts_where_it_means_something),
        cmocka_unit_test(option__sealed_fields_count_and_keys_do_not),
        cmocka_unit_test(difference__names_what_it_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
