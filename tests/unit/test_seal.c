/* test_seal.c - sealed texts: vectors of an independent implementation, tampering, rotation, keys from files and
 * variables.
 *
 * The vectors were computed in Python with the package "cryptography" (AESGCM, HKDF) and hmac, from seal.h alone;
 * tests/integration/test_normalize.py opens what a worker sealed in the same way. */
#include "newsmill/seal.h"

#include "seal_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ID_1         "136ab291632faf53215323ed8744d7a4"
#define ID_2         "0af489147a38f6da8ce911c6546decff"
#define KEY_1        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_2        "paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU="
#define KEY_3        "b1e99324505bd32da0e1f85dcf5e19a09db0481e8a15f62c41eb320304a8e927"
#define EDITOR       "{\"editor\":\"d.wick\"}"
#define SEALED_1     "8MpXHZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Js=;AAAAAehlx1d99dKTY2mHmQ=="

static struct nm_error err;

static void add(struct nm_seal *seal, uint32_t number, const char *text)
{
    unsigned char key[NM_SEAL_KEY_BYTES];
    assert_int_equal(nm_seal_read_key(text, strlen(text), key, &err), NM_OK);
    assert_int_equal(nm_seal_add(seal, number, key, &err), NM_OK);
}

/* With one key, in use. */
static struct nm_seal *seal_of(uint32_t number, const char *text)
{
    struct nm_seal *seal = NULL;
    assert_int_equal(nm_seal_new(&seal, &err), NM_OK);
    add(seal, number, text);
    assert_int_equal(nm_seal_use(seal, number, &err), NM_OK);
    return seal;
}

/* free() it. */
static char *sealed_of(struct nm_seal *seal, const char *id, const char *plain)
{
    struct nm_buf out = {0};
    assert_int_equal(nm_seal_text(seal, id, plain, strlen(plain), &out, &err), NM_OK);
    char *text = nm_buf_take(&out);
    assert_non_null(text);
    return text;
}

static void check_opens(struct nm_seal *seal, const char *id, const char *sealed, const char *plain)
{
    struct nm_buf out = {0};
    if (nm_seal_open(seal, id, sealed, strlen(sealed), &out, &err) != NM_OK)
        fail_msg("%s: %s", sealed, err.msg);
    assert_string_equal(nm_buf_str(&out), plain);
    nm_buf_clear(&out);
}

static void check_refused(struct nm_seal *seal, const char *id, const char *sealed, size_t len, const char *code)
{
    struct nm_buf out = {0};
    nm_buf_adds(&out, "kept");
    memset(&err, 0, sizeof err);
    if (nm_seal_open(seal, id, sealed, len, &out, &err) != NM_BAD_INPUT || strcmp(err.code, code) != 0)
        fail_msg("%.*s: '%s' (%s), not %s", (int)len, sealed, err.code, err.msg, code);
    assert_string_equal(nm_buf_str(&out), "kept");
    nm_buf_clear(&out);
}

/* ---- the format ---- */

static const struct {
    const char *key;
    uint32_t number;
    const char *id, *plain, *sealed, *digest;
} vectors[] = {
    {KEY_1, 1, ID_1, EDITOR, SEALED_1, "4dec8d8504c60366336d59d5a592d712"},
    {KEY_2, 2, ID_1, EDITOR,
     "y3RIhxEgauW2+vmbM4DTx/x+rzjibzP4+WO+DDFnDYNxQuQ=;AAAAAp4u5A94zdpUbSpvLw==", "129b427d5e1e64a49df5939c578a5b0e"},
    {KEY_1, 1, ID_2, EDITOR,
     "XNNLYYefA2LQ/VUQFX68+2sbasto/gnrcEm0WqKN5SLFIxA=;AAAAAQNVsN2D97e3Ua90xQ==", "15e791ed634e1e373ab9159d86aa9bf6"},
    {KEY_1, 1, ID_1, "", "kNarY/fOmOcJhwOwF+WbwQ==;AAAAATAh8KHbqCvuusaKuw==", "8fb214644fde450d1fe4482cf1a50cc6"},
    {KEY_3, 4294967295, ID_2, "{\"a\":[1,2.5,null],\"\xc3\xbc\":\"\xe6\x97\xa5\xe6\x9c\xac\"}",
     "uGMuasNhaJky1TVoLsH2xnvNpTGrAArD/QqpLNTaAZo37FzOt/NJ8SiOW5AxWcKd;/////0muHx1KbugZOOzoUQ==",
     "a4c8c23d9437e4f7c7181db5b7d69740"},
};

static void vectors__of_another_implementation(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct nm_seal *seal = seal_of(vectors[i].number, vectors[i].key);
        char *sealed = sealed_of(seal, vectors[i].id, vectors[i].plain);
        assert_string_equal(sealed, vectors[i].sealed);
        check_opens(seal, vectors[i].id, vectors[i].sealed, vectors[i].plain);
        unsigned char digest[NM_SEAL_DIGEST_BYTES];
        char hex[2 * NM_SEAL_DIGEST_BYTES + 1];
        assert_int_equal(nm_seal_digest(seal, vectors[i].id, vectors[i].plain, strlen(vectors[i].plain), digest, &err),
                         NM_OK);
        for (size_t k = 0; k < sizeof digest; k++)
            (void)snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        assert_string_equal(hex, vectors[i].digest);
        free(sealed);
        nm_seal_free(seal);
    }
}

static void seal__same_input_gives_the_same_bytes(void **state)
{
    (void)state;
    struct nm_seal *seal = seal_of(1, KEY_1), *other = seal_of(1, KEY_1);
    char *first = sealed_of(seal, ID_1, EDITOR), *between = sealed_of(seal, ID_2, "x"),
         *second = sealed_of(seal, ID_1, EDITOR), *third = sealed_of(other, ID_1, EDITOR);
    assert_string_equal(first, second);
    assert_string_equal(first, third);
    assert_string_not_equal(first, between);
    free(first);
    free(between);
    free(second);
    free(third);
    nm_seal_free(seal);
    nm_seal_free(other);
}

static void seal__every_length_comes_back(void **state)
{
    (void)state;
    struct nm_seal *seal = seal_of(7, KEY_3);
    char plain[100] = "";
    for (size_t len = 0; len < sizeof plain - 1; len++) {
        plain[len] = '\0';
        char *sealed = sealed_of(seal, ID_1, plain);
        check_opens(seal, ID_1, sealed, plain);
        free(sealed);
        plain[len] = (char)('a' + len % 26);
    }
    nm_seal_free(seal);
}

/* ---- tampering ---- */

static void tamper__no_changed_character_opens(void **state)
{
    (void)state;
    struct nm_seal *seal = seal_of(1, KEY_1);
    char text[] = SEALED_1;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        struct nm_buf out = {0};
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(nm_seal_open(seal, ID_1, text, sizeof text - 1, &out, &err), NM_BAD_INPUT);
        assert_int_equal(out.len, 0);
        nm_buf_clear(&out);
        text[i] = was;
    }
    check_opens(seal, ID_1, text, EDITOR);
    nm_seal_free(seal);
}

static const struct {
    const char *id, *sealed, *code;
} refused[] = {
    {ID_2, SEALED_1, "seal_broken"}, /* moved to another article */
    {ID_1, "8MpXHZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Js=;AAAAAehlx1d99dKTY2mHmA==", "seal_broken"}, /* nonce */
    {ID_1, "kNarY/fOmOcJhwOwF+WbwQ==;AAAAAehlx1d99dKTY2mHmQ==", "seal_broken"}, /* halves of two texts */
    {ID_1, "8MpXHZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Js=;AAAAAuhlx1d99dKTY2mHmQ==", "seal_key"},
    {ID_1, "8MpXHZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Js=;AAAAAOhlx1d99dKTY2mHmQ==", "seal_key"},
    {ID_1, "", "seal_form"},
    {ID_1, ";", "seal_form"},
    {ID_1, ";AAAAAehlx1d99dKTY2mHmQ==", "seal_form"},
    {ID_1, "AAAA;AAAAAehlx1d99dKTY2mHmQ==", "seal_form"}, /* shorter than a tag */
    {ID_1, "8MpXHZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Js=", "seal_form"},
    {ID_1, "8MpXHZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Js=:AAAAAehlx1d99dKTY2mHmQ==", "seal_form"},
    {ID_1, "8MpXHZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Js;AAAAAehlx1d99dKTY2mHmQ==", "seal_form"},
    {ID_1, "8MpXHZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Jt=;AAAAAehlx1d99dKTY2mHmQ==", "seal_form"}, /* unused bits */
    {ID_1, "8MpXHZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Js=;AAAAAehlx1d99dKTY2mHmR==", "seal_form"},
    {ID_1, "8MpXHZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Js=;AAAAAehlx1d99dKTY2mHmQAA", "seal_form"},
    {ID_1, "8MpX=ZaGlEdPbjNACu6JVRgdLNQDJXCv033Iw7BKzAhm5Js=;AAAAAehlx1d99dKTY2mHmQ==", "seal_form"},
    {ID_1, " " SEALED_1, "seal_form"},
    {ID_1, SEALED_1 "\n", "seal_form"},
};

static void tamper__each_has_its_code(void **state)
{
    (void)state;
    struct nm_seal *seal = seal_of(1, KEY_1), *wrong = seal_of(1, KEY_2);
    for (size_t i = 0; i < COUNT(refused); i++)
        check_refused(seal, refused[i].id, refused[i].sealed, strlen(refused[i].sealed), refused[i].code);
    check_refused(wrong, ID_1, SEALED_1, strlen(SEALED_1), "seal_broken"); /* another key of the same number */
    check_opens(seal, ID_1, SEALED_1, EDITOR);
    nm_seal_free(seal);
    nm_seal_free(wrong);
}

/* ---- rotation ---- */

static void rotation__old_keys_open_and_the_present_one_seals(void **state)
{
    (void)state;
    struct nm_seal *seal = seal_of(2, KEY_2);
    unsigned char before[NM_SEAL_DIGEST_BYTES], after[NM_SEAL_DIGEST_BYTES];
    char *old = sealed_of(seal, ID_1, EDITOR);
    assert_int_equal(nm_seal_digest(seal, ID_1, EDITOR, strlen(EDITOR), before, &err), NM_OK);
    add(seal, 3, KEY_3);
    assert_int_equal(nm_seal_use(seal, 3, &err), NM_OK);
    char *new = sealed_of(seal, ID_1, EDITOR);
    assert_string_not_equal(old, new);
    check_opens(seal, ID_1, old, EDITOR);
    check_opens(seal, ID_1, new, EDITOR);
    assert_int_equal(nm_seal_digest(seal, ID_1, EDITOR, strlen(EDITOR), after, &err), NM_OK);
    assert_memory_equal(before, after, sizeof after); /* a newer key makes no article look changed */
    assert_int_equal(nm_seal_digest(seal, ID_1, "{}", 2, after, &err), NM_OK);
    assert_memory_not_equal(before, after, sizeof after);
    free(old);
    free(new);
    nm_seal_free(seal);
}

static void keys__numbers_are_unique_and_few(void **state)
{
    (void)state;
    struct nm_seal *seal = NULL;
    struct nm_buf out = {0};
    unsigned char key[NM_SEAL_KEY_BYTES] = {7};
    assert_int_equal(nm_seal_new(&seal, &err), NM_OK);
    assert_int_equal(nm_seal_text(seal, ID_1, "x", 1, &out, &err), NM_FATAL); /* no key yet */
    assert_int_equal(nm_seal_digest(seal, ID_1, "x", 1, key, &err), NM_FATAL);
    assert_int_equal(nm_seal_add(seal, 0, key, &err), NM_CONFIG);
    for (uint32_t i = 1; i <= NM_SEAL_MAX_KEYS; i++)
        assert_int_equal(nm_seal_add(seal, i, key, &err), NM_OK);
    assert_int_equal(nm_seal_add(seal, 5, key, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "twice"));
    assert_int_equal(nm_seal_add(seal, NM_SEAL_MAX_KEYS + 1, key, &err), NM_CONFIG);
    assert_int_equal(nm_seal_use(seal, NM_SEAL_MAX_KEYS + 1, &err), NM_CONFIG);
    assert_int_equal(nm_seal_use(seal, NM_SEAL_MAX_KEYS, &err), NM_OK);
    nm_seal_free(seal);
    nm_seal_free(NULL);
}

static void key__hex_or_base64(void **state)
{
    (void)state;
    static const char *const good[] = {KEY_3, "\t" KEY_3 "\r\n",
                                       "B1E99324505BD32DA0E1F85DCF5E19A09DB0481E8A15F62C41EB320304A8E927",
                                       "semTJFBb0y2g4fhdz14ZoJ2wSB6KFfYsQesyAwSo6Sc="};
    static const char *const bad[] = {"",
                                      "sesame",
                                      "b1e99324505bd32da0e1f85dcf5e19a09db0481e8a15f62c41eb320304a8e92",
                                      "b1e99324505bd32da0e1f85dcf5e19a09db0481e8a15f62c41eb320304a8e92g",
                                      "semTJFBb0y2g4fhdz14ZoJ2wSB6KFfYsQesyAwSo6Sc",
                                      "semTJFBb0y2g4fhdz14ZoJ2wSB6KFfYsQesyAwSo6Sd=",
                                      "semTJFBb0y2g4fhdz14ZoJ2wSB6KFfYsQesyAwSo6Q==",
                                      "semTJFBb0y2g 4fhdz14ZoJ2wSB6KFfYsQesyAwSo6Sc=",
                                      KEY_3 KEY_3};
    unsigned char want[NM_SEAL_KEY_BYTES], key[NM_SEAL_KEY_BYTES];
    assert_int_equal(nm_seal_read_key(KEY_3, strlen(KEY_3), want, &err), NM_OK);
    assert_int_equal(want[0], 0xb1);
    for (size_t i = 0; i < COUNT(good); i++) {
        memset(key, 0, sizeof key);
        assert_int_equal(nm_seal_read_key(good[i], strlen(good[i]), key, &err), NM_OK);
        assert_memory_equal(key, want, sizeof key);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (nm_seal_read_key(bad[i], strlen(bad[i]), key, &err) != NM_CONFIG)
            fail_msg("'%s' was taken for a key", bad[i]);
        assert_memory_equal(key, want, sizeof key); /* untouched */
        assert_true(bad[i][0] == '\0' || !strstr(err.msg, bad[i]));
    }
}

/* ---- files and variables ---- */

static char folder[200];

static const char *file_of(const char *name, const char *content, mode_t mode)
{
    static char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static enum nm_status load(struct nm_pair *pair, size_t n, long long current, struct nm_seal **out,
                           struct nm_buf *warnings)
{
    struct nm_pairs pairs = {pair, n};
    memset(&err, 0, sizeof err);
    return nm_seal_load("secured.keys", &pairs, current, out, warnings, &err);
}

static void load__files_and_variables(void **state)
{
    (void)state;
    struct nm_buf warnings = {0};
    struct nm_seal *seal = NULL;
    char file[300];
    (void)snprintf(file, sizeof file, "%s", file_of("one", KEY_1 "\n", 0600));
    assert_int_equal(setenv("NM_TEST_KEY_2", KEY_2, 1), 0);
    char one[] = "1.file", two[] = "2.env", name[] = "NM_TEST_KEY_2";
    struct nm_pair pairs[] = {{one, file}, {two, name}};
    assert_int_equal(load(pairs, 2, 2, &seal, &warnings), NM_OK);
    assert_int_equal(warnings.len, 0);
    check_opens(seal, ID_1, SEALED_1, EDITOR);
    char *sealed = sealed_of(seal, ID_1, EDITOR);
    assert_string_equal(sealed, vectors[1].sealed);
    free(sealed);
    nm_seal_free(seal);
    assert_int_equal(load(pairs, 2, 1, &seal, &warnings), NM_OK);
    sealed = sealed_of(seal, ID_1, EDITOR);
    assert_string_equal(sealed, SEALED_1);
    free(sealed);
    nm_seal_free(seal);
    assert_int_equal(unsetenv("NM_TEST_KEY_2"), 0);
}

static void load__a_file_that_others_may_read_is_a_warning(void **state)
{
    (void)state;
    static const struct {
        mode_t mode;
        bool warned;
    } cases[] = {{0600, false}, {0400, false}, {0440, false}, {0644, true}, {0604, true}, {0602, true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nm_buf warnings = {0};
        struct nm_seal *seal = NULL;
        char path[300], one[] = "1.file";
        (void)snprintf(path, sizeof path, "%s", file_of("modes", KEY_1, 0600));
        assert_int_equal(chmod(path, cases[i].mode), 0);
        assert_int_equal(load(&(struct nm_pair){one, path}, 1, 1, &seal, &warnings), NM_OK);
        assert_int_equal(warnings.len > 0, cases[i].warned);
        if (cases[i].warned)
            assert_non_null(strstr(nm_buf_str(&warnings), "secured.keys.1.file"));
        assert_null(strstr(nm_buf_str(&warnings), KEY_1));
        nm_buf_clear(&warnings);
        nm_seal_free(seal);
        (void)unlink(path);
    }
}

static void load__what_is_wrong_is_said_with_the_options_name(void **state)
{
    (void)state;
    char good[300], broken[300], large[300], spaces[5000];
    memset(spaces, ' ', sizeof spaces - 1);
    spaces[sizeof spaces - 1] = '\0';
    (void)snprintf(good, sizeof good, "%s", file_of("good", KEY_1, 0600));
    (void)snprintf(broken, sizeof broken, "%s", file_of("broken", "sesame", 0600));
    (void)snprintf(large, sizeof large, "%s", file_of("large", spaces, 0600));
    assert_int_equal(setenv("NM_TEST_BAD", "sesame", 1), 0);
    const struct {
        const char *name, *value, *wanted;
        long long current;
    } cases[] = {
        {"1.file", "/nonexistent/key", "secured.keys.1.file: /nonexistent/key cannot be read: No such file", 1},
        {"1.file", folder, "is not a file", 1},
        {"1.file", "/dev/null", "is not a file", 1},
        {"1.file", broken, "secured.keys.1.file: ", 1},
        {"1.file", large, "holds no key", 1},
        {"1.file", good, "secured.keys has no key 2", 2},
        {"7.env", "NM_TEST_NONE", "secured.keys.7.env: NM_TEST_NONE is not set", 7},
        {"7.env", "NM_TEST_BAD", "secured.keys.7.env: NM_TEST_BAD holds no key", 7},
        {"7.env", KEY_1, "secured.keys.7.env: its value is not the name", 7},
        {"7.env", KEY_3, "secured.keys.7.env: its value is not the name", 7},
        {"0.file", good, "named by its number", 1},
        {"4294967296.file", good, "named by its number", 1},
        {"1", good, "named by its number", 1},
        {"1.fil", good, "named by its number", 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nm_buf warnings = {0};
        struct nm_seal *seal = NULL;
        char name[32], value[300];
        (void)snprintf(name, sizeof name, "%s", cases[i].name);
        (void)snprintf(value, sizeof value, "%s", cases[i].value);
        enum nm_status status = load(&(struct nm_pair){name, value}, 1, cases[i].current, &seal, &warnings);
        if (status != NM_CONFIG || !strstr(err.msg, cases[i].wanted) || seal)
            fail_msg("%s %s: %s", cases[i].name, cases[i].value, err.msg);
        assert_null(strstr(err.msg, "sesame"));
        assert_null(strstr(err.msg, KEY_1));
        assert_null(strstr(err.msg, KEY_3));
        nm_buf_clear(&warnings);
    }
    char file[] = "1.file", env[] = "1.env", variable[] = "NM_TEST_BAD";
    struct nm_pair both[] = {{file, good}, {env, variable}};
    struct nm_seal *seal = NULL;
    assert_int_equal(setenv("NM_TEST_BAD", KEY_2, 1), 0);
    assert_int_equal(load(both, 2, 1, &seal, NULL), NM_CONFIG);
    assert_non_null(strstr(err.msg, "either a file or an env"));
    assert_int_equal(load(NULL, 0, 1, &seal, NULL), NM_CONFIG);
    assert_non_null(strstr(err.msg, "secured.keys has no key 1"));
    assert_int_equal(unsetenv("NM_TEST_BAD"), 0);
}

static void base64__only_the_canonical_form(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
    } cases[] = {{"", 0},
                 {"AA==", 1},
                 {"AAA=", 2},
                 {"AAAA", 3},
                 {"+/9z", 3},
                 {"A", SIZE_MAX},
                 {"A===", SIZE_MAX},
                 {"====", SIZE_MAX},
                 {"AB==", SIZE_MAX},
                 {"AAB=", SIZE_MAX},
                 {"A=AA", SIZE_MAX},
                 {"AA=A", SIZE_MAX},
                 {"AA==AAAA", SIZE_MAX},
                 {"-_AA", SIZE_MAX}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char out[16];
        if (nm_base64_decode(cases[i].text, strlen(cases[i].text), out) != cases[i].n)
            fail_msg("'%s'", cases[i].text);
    }
}

static int setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/nm_seal_XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"one", "good", "broken", "large"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[300];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors__of_another_implementation),
        cmocka_unit_test(seal__same_input_gives_the_same_bytes),
        cmocka_unit_test(seal__every_length_comes_back),
        cmocka_unit_test(tamper__no_changed_character_opens),
        cmocka_unit_test(tamper__each_has_its_code),
        cmocka_unit_test(rotation__old_keys_open_and_the_present_one_seals),
        cmocka_unit_test(keys__numbers_are_unique_and_few),
        cmocka_unit_test(key__hex_or_base64),
        cmocka_unit_test(load__files_and_variables),
        cmocka_unit_test(load__a_file_that_others_may_read_is_a_warning),
        cmocka_unit_test(load__what_is_wrong_is_said_with_the_options_name),
        cmocka_unit_test(base64__only_the_canonical_form),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
