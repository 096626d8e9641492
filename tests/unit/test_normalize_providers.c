/* test_normalize_providers.c - the registry of publishers: YAML and JSON, look-up, every refusal with its position. */
#include "normalize_fixture.h"

static const char registry_yaml[] = "# invented\n"
                                    "- domain: lantern.example\n"
                                    "  name: Lantern Weekly\n"
                                    "  weight: 30\n"
                                    "  images:\n"
                                    "    - {url: /logos/lantern-50.png, width: 50, height: 50}\n"
                                    "    - {url: \"https://site.example/l.png\"}\n"
                                    "- {domain: Labs.Lantern.EXAMPLE., name: \"Lantern Labs\", weight: -7}\n"
                                    "- domain: b\xc3\xbc"
                                    "cher.example\n"
                                    "  name: B\xc3\xbc"
                                    "cherschau\n"
                                    "  weight: null\n"
                                    "  images: ~\n";
static const char registry_json[] =
    "[{\"domain\": \"lantern.example\", \"name\": \"Lantern Weekly\", \"weight\": 30, \"images\": [{\"url\": "
    "\"/logos/lantern-50.png\", \"width\": 50, \"height\": 50}, {\"url\": \"https://site.example/l.png\"}]},\n"
    " {\"domain\": \"Labs.Lantern.EXAMPLE.\", \"name\": \"Lantern Labs\", \"weight\": -7},\n"
    " {\"domain\": \"b\\u00fccher.example\", \"name\": \"B\\u00fccherschau\", \"weight\": null, \"images\": null}]";

static const struct {
    const char *host, *name; /* name NULL: not listed */
    int weight;
} lookups[] = {
    {"lantern.example", "Lantern Weekly", 30},
    {"www.lantern.example", "Lantern Weekly", 30},
    {"a.b.c.lantern.example", "Lantern Weekly", 30},
    {"labs.lantern.example", "Lantern Labs", -7},
    {"x.labs.lantern.example", "Lantern Labs", -7},
    {"xlabs.lantern.example", "Lantern Weekly", 30},
    {"xn--bcher-kva.example",
     "B\xc3\xbc"
     "cherschau",
     0},
    {"oldlantern.example", NULL, 0},
    {"example", NULL, 0},
    {"lantern.example.org", NULL, 0},
    {"", NULL, 0},
    {"[::1]", NULL, 0},
    {".", NULL, 0},
};

static void check_lookups(const char *suffix, const char *content)
{
    char *path = fixture_file(suffix, content);
    struct nz_providers *providers = NULL;
    struct nm_error err = {0};
    if (nz_providers_open(path, &providers, &err) != NM_OK)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < COUNT(lookups); i++) {
        const struct nz_provider *found = nz_providers_find(providers, lookups[i].host);
        assert_int_equal(found != NULL, lookups[i].name != NULL);
        if (!found)
            continue;
        assert_string_equal(found->name, lookups[i].name);
        assert_int_equal(found->weight, lookups[i].weight);
    }
    const struct nz_provider *lantern = nz_providers_find(providers, "lantern.example");
    assert_string_equal(lantern->domain, "lantern.example");
    assert_int_equal(lantern->n_images, 2);
    check_text(lantern->image[0].url, "/logos/lantern-50.png");
    assert_int_equal(lantern->image[0].width, 50);
    check_text(lantern->image[1].url, "https://site.example/l.png");
    assert_int_equal(lantern->image[1].height, 0);
    assert_int_equal(nz_providers_find(providers, "xn--bcher-kva.example")->n_images, 0);
    nz_providers_free(providers);
    fixture_unlink(path);
}

static void find__longest_listed_suffix_wins_in_yaml(void **state)
{
    (void)state;
    check_lookups(".yaml", registry_yaml);
}

static void find__longest_listed_suffix_wins_in_json(void **state)
{
    (void)state;
    check_lookups(".json", registry_json);
}

static void find__nothing_in_an_empty_registry(void **state)
{
    (void)state;
    struct nz_providers *providers = NULL;
    assert_int_equal(nz_providers_open("", &providers, NULL), NM_OK);
    assert_null(nz_providers_find(providers, "lantern.example"));
    nz_providers_free(providers);
    char *path = fixture_file(".yaml", "[]\n");
    assert_int_equal(nz_providers_open(path, &providers, NULL), NM_OK);
    assert_null(nz_providers_find(providers, "lantern.example"));
    nz_providers_free(providers);
    fixture_unlink(path);
    nz_providers_free(NULL);
}

#define ENTRY "- domain: a.example\n  name: A\n"

static const struct {
    const char *suffix, *content, *at, *what;
} refused[] = {
    {".yaml", "", ":1:1:", "empty"},
    {".yaml", "# nothing\n", ":1:1:", "empty"},
    {".yaml", "domain: a.example\n", ":1:1:", "list"},
    {".yaml", "- just words\n", ":1:3:", "mapping"},
    {".yaml", "- name: A\n", ":1:3:", "\"domain\" is missing"},
    {".yaml", "- domain: a.example\n", ":1:3:", "\"name\" is missing"},
    {".yaml", ENTRY "  wieght: 5\n", ":3:3:", "\"wieght\" is not a member"},
    {".yaml", ENTRY "  name: B\n", ":3:3:", "\"name\" stands twice"},
    {".yaml", ENTRY ENTRY, ":3:3:", "\"a.example\" stands twice"},
    {".yaml", ENTRY "- {domain: A.EXAMPLE, name: B}\n", ":3:3:", "\"a.example\" stands twice"},
    {".yaml", ENTRY "  weight: 1001\n", ":3:3:", "not -1000 to 1000"},
    {".yaml", ENTRY "  weight: -1001\n", ":3:3:", "not -1000 to 1000"},
    {".yaml", ENTRY "  weight: 4.5\n", ":3:3:", "whole number"},
    {".yaml", ENTRY "  weight: \"40\"\n", ":3:3:", "whole number"},
    {".yaml", ENTRY "  weight: [40]\n", ":3:3:", "whole number"},
    {".yaml", ENTRY "  weight: 99999999999999999999\n", ":3:3:", "whole number"},
    {".yaml", ENTRY "  images: logo.png\n", ":3:3:", "list"},
    {".yaml", ENTRY "  images: [logo.png]\n", ":3:12:", "mapping"},
    {".yaml", ENTRY "  images: [{width: 5}]\n", ":3:12:", "\"url\" is missing"},
    {".yaml", ENTRY "  images: [{url: a, width: 0}]\n", ":3:21:", "not 1 to 65535"},
    {".yaml", ENTRY "  images: [{url: a, alt: b}]\n", ":3:21:", "\"alt\" is not a member"},
    {".yaml",
     ENTRY "  images: [{url: a}, {url: b}, &x {url: c}, *x, *x, *x, *x, *x, *x, *x, *x, *x, *x, *x, *x, *x, *x]\n",
     ":3:3:", "more than 16"},
    {".yaml", "- domain: https://a.example/\n  name: A\n", ":1:3:", "not a domain"},
    {".yaml", "- domain: a b\n  name: A\n", ":1:3:", "not a domain"},
    {".yaml", "- domain: [a.example]\n  name: A\n", ":1:3:", "text"},
    {".yaml", "- domain: a.example\n  name: \"a\\tb\"\n", ":2:3:", "control character"},
    {".yaml", "- domain: a.example\n  name: \"a\\0b\"\n", ":2:9:", "NUL"},
    {".yaml", "- domain: a.example\n  name: \"\"\n", ":2:3:", "0 bytes"},
    {".yaml", ENTRY "---\n" ENTRY, ":4:1:", "second document"},
    {".yaml", "- [[[[[[[[]]]]]]]]\n", ":1:", "nested"},
    {".yaml", "- a: [{b: [x]}]\n", ":1:3:", "\"a\" is not a member"},
    {".yaml", "- a: [{b: [[x]]}]\n", ":1:12:", "nested"},
    {".yaml", "&a [*a]\n", "", "nested"},
    {".yaml", "- {domain: a\n", ":2:1:", ""},
    {".yaml", "- \xff\n", "", "byte 2"},
    {".yaml", "- ? [a]\n  : b\n", ":1:5:", "word"},
    {".json", "{}", ":1:1:", "list"},
    {".json", "[\n  {\"domain\": \"a.example\", \"name\": \"A\\\"[\"},\n  {\"name\": \"[,{\\\"\"}]",
     ":3:3:", "\"domain\" is missing"},
    {".json", "[{\"domain\": \"a.example\", \"name\": \"A\", \"x\": 1}]", ":1:2:", "\"x\" is not a member"},
    {".json", "[{\"domain\": \"a.example\", \"domain\": \"b.example\"}]", ":1:", "duplicate"},
    {".json", "[{\"domain\": \"a.example\", \"name\": \"A\", \"weight\": \"4\"}]", ":1:2:", "whole number"},
    {".json", "[{\"domain\": \"a.example\", \"name\": \"A\", \"weight\": 4.0}]", ":1:2:", "whole number"},
    {".json", "[{\"domain\": \"a.example\", \"name\": true}]", ":1:2:", "\"name\" is neither"},
    {".json", "[1,", ":1:3:", ""},
    {".json", "", ":1:0:", ""},
};

static void open__each_fault_is_refused_at_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        char *path = fixture_file(refused[i].suffix, refused[i].content);
        struct nz_providers *providers = NULL;
        struct nm_error err = {0};
        if (nz_providers_open(path, &providers, &err) != NM_CONFIG)
            fail_msg("accepted, or not NM_CONFIG: %s (%s)", refused[i].content, err.msg);
        assert_null(providers);
        if (strncmp(err.msg, path, strlen(path)) != 0 || !strstr(err.msg, refused[i].at) ||
            !strstr(err.msg, refused[i].what))
            fail_msg("'%s' for: %s", err.msg, refused[i].content);
        fixture_unlink(path);
    }
}

static void open__a_missing_file_is_refused(void **state)
{
    (void)state;
    struct nz_providers *providers = NULL;
    struct nm_error err = {0};
    assert_int_equal(nz_providers_open("/nonexistent/providers.yaml", &providers, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "/nonexistent/providers.yaml"));
    assert_int_equal(nz_providers_open("/", &providers, &err), NM_CONFIG);
}

/* Ten lists of ten aliases each, five deep, would be 100,000 nodes a level more: bounded, refused, and quick. */
static void open__aliases_cannot_blow_up(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, "- a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int level = 1; level < 9; level++) {
        nm_buf_addf(&buf, "  a%d: &a%d [", level, level);
        for (int i = 0; i < 10; i++)
            nm_buf_addf(&buf, "%s*a%d", i ? ", " : "", level - 1);
        nm_buf_adds(&buf, "]\n");
    }
    char *path = fixture_file(".yaml", nm_buf_str(&buf));
    struct nz_providers *providers = NULL;
    struct nm_error err = {0};
    assert_int_equal(nz_providers_open(path, &providers, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "nested"));
    fixture_unlink(path);
    nm_buf_clear(&buf);
}

static void open__a_hundred_thousand_entries_are_the_most(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, "[");
    for (int i = 0; i < 100000; i++)
        nm_buf_addf(&buf, "{\"domain\":\"p%d.example\",\"name\":\"P%d\"},\n", i, i);
    buf.data[buf.len - 2] = ']';
    char *path = fixture_file(".json", nm_buf_str(&buf));
    struct nz_providers *providers = NULL;
    struct nm_error err = {0};
    assert_int_equal(nz_providers_open(path, &providers, &err), NM_OK);
    assert_string_equal(nz_providers_find(providers, "www.p99999.example")->name, "P99999");
    nz_providers_free(providers);
    fixture_unlink(path);
    buf.data[buf.len - 2] = ',';
    nm_buf_adds(&buf, "{\"domain\":\"q.example\",\"name\":\"Q\"}]");
    path = fixture_file(".json", nm_buf_str(&buf));
    assert_int_equal(nz_providers_open(path, &providers, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "more than 100000 entries"));
    fixture_unlink(path);
    nm_buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(find__longest_listed_suffix_wins_in_yaml),
        cmocka_unit_test(find__longest_listed_suffix_wins_in_json),
        cmocka_unit_test(find__nothing_in_an_empty_registry),
        cmocka_unit_test(open__each_fault_is_refused_at_its_place),
        cmocka_unit_test(open__a_missing_file_is_refused),
        cmocka_unit_test(open__aliases_cannot_blow_up),
        cmocka_unit_test(open__a_hundred_thousand_entries_are_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
