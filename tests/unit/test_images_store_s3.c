/* test_images_store_s3.c - the S3 store without an S3 server: options, key files, lists, and answers that only a broken
 * or hostile server gives. tests/integration/test_images_store.py has the real one. */
#include "scratch.h"
#include "scripted_http.h"
#include "store_checks.h"

#include "images/store_s3.h"
#include "newsmill/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_A "aa12cdef0123456789abcdef0123456789abcdef0123456789abcdef01234567"
#define HEX_B "bb12cdef0123456789abcdef0123456789abcdef0123456789abcdef01234567"
#define A     "o/aa/12/" HEX_A ".png"
#define B     "o/bb/12/" HEX_B ".jpg"
#define KEY(key, size, when)                                                                                           \
    "<Contents><Key>" key "</Key><LastModified>" when "</LastModified><Size>" size "</Size></Contents>"
#define WHEN "2031-04-12T05:00:00.000Z"
#define LIST(more, contents)                                                                                           \
    "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>" more    \
    "</IsTruncated>" contents "</ListBucketResult>"
#define EMPTY_LIST "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" LIST("false", "")

/* ---- lists */

static void list__keys_become_names(void **state)
{
    (void)state;
    static const char xml[] =
        LIST("true", KEY("pre/" A, "17", WHEN) KEY("pre/o/aa/notes.txt", "1", WHEN) KEY("pre/" B, "0", WHEN));
    struct im_entry entry[3];
    struct im_page page = {.entry = entry, .max = 3, .cursor = "o/aa/11"};
    struct nm_error err = {0};
    if (im_s3_list_read(xml, sizeof xml - 1, "pre/", &page, &err) != NM_OK)
        fail_msg("%s", err.msg);
    assert_true(page.n == 2 && page.n_foreign == 1 && page.more);
    assert_string_equal(entry[0].name, A);
    assert_string_equal(entry[1].name, B);
    assert_int_equal(entry[0].bytes, 17);
    assert_int_equal(entry[0].changed_s, 1933736400);
    assert_string_equal(page.cursor, B);
}

static void list__anything_else_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *xml, *code;
    } cases[] = {
        {"", "list_form"},
        {"no XML", "list_form"},
        {"<ListBucketResult/>", "list_form"},
        {"<Other><IsTruncated>false</IsTruncated></Other>", "list_form"},
        {"<ListBucketResult><IsTruncated>perhaps</IsTruncated></ListBucketResult>", "list_form"},
        {"<ListBucketResult><IsTruncated>false</IsTruncated>", "list_form"},
        {"<!DOCTYPE x [<!ENTITY e \"" A
         "\">]><ListBucketResult><IsTruncated>false</IsTruncated>" KEY("pre/&e;", "1", WHEN) "</ListBucketResult>",
         "list_form"},
        {"<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><ListBucketResult><IsTruncated>false</IsTruncated>"
         "</ListBucketResult>",
         "list_form"},
        {LIST("true", ""), "list_empty"},
        {LIST("false", "<Contents><Size>1</Size></Contents>"), "list_key"},
        {LIST("false", KEY("other/" A, "1", WHEN)), "list_key"},
        {LIST("false", KEY("pre/" B, "1", WHEN) KEY("pre/" A, "1", WHEN)), "list_order"},
        {LIST("false", KEY("pre/" A, "1", WHEN) KEY("pre/" A, "1", WHEN)), "list_order"},
        {LIST("false", KEY("pre/n/a", "1", WHEN)), "list_order"}, /* before the cursor */
        {LIST("false", KEY("pre/" A, "", WHEN)), "list_size"},
        {LIST("false", KEY("pre/" A, "-1", WHEN)), "list_size"},
        {LIST("false", KEY("pre/" A, "1e3", WHEN)), "list_size"},
        {LIST("false", KEY("pre/" A, "9999999999999999999", WHEN)), "list_size"},
        {LIST("false", KEY("pre/" A, "1", "yesterday")), "list_time"},
        {LIST("false", KEY("pre/" A, "1", WHEN) KEY("pre/" B, "1", WHEN)), "list_long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct im_entry entry;
        struct im_page page = {.entry = &entry, .max = 1, .cursor = "o/0"};
        struct nm_error err = {0};
        assert_int_equal(im_s3_list_read(cases[i].xml, strlen(cases[i].xml), "pre/", &page, &err), NM_BAD_INPUT);
        if (strcmp(err.code, cases[i].code) != 0)
            fail_msg("case %zu: %s, not %s", i, err.code, cases[i].code);
        assert_string_equal(page.cursor, "o/0");
        assert_int_equal(page.n, 0);
    }
}

static void error__the_code_is_a_word_or_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *xml, *code;
    } cases[] = {
        {"<Error><Code>SlowDown</Code></Error>", "SlowDown"},
        {"<?xml version=\"1.0\"?>\n<Error><Message>x</Message><Code>NoSuchKey</Code></Error>", "NoSuchKey"},
        {"<Error><Code>a b</Code></Error>", ""},
        {"<Error><Code>\x1b[31m</Code></Error>", ""},
        {"<Error/>", ""},
        {"<html><Code>X</Code></html>", ""},
        {"<Error><Code>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</Code></Error>", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char code[IM_S3_CODE_BYTES] = "?";
        im_s3_error_code(cases[i].xml, strlen(cases[i].xml), code);
        assert_string_equal(code, cases[i].code);
    }
}

/* ---- a store on a scripted server */

struct world {
    char path[SCRATCH_BYTES], access[SCRATCH_BYTES], secret[SCRATCH_BYTES];
    struct im_s3_options options;
};

static void write_file(const char *path, const char *text, mode_t mode)
{
    (void)unlink(path);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    scratch_make(world->path, true);
    (void)snprintf(world->access, sizeof world->access, "%s", scratch_at(world->path, "access"));
    (void)snprintf(world->secret, sizeof world->secret, "%s", scratch_at(world->path, "secret"));
    write_file(world->access, "reader1\n", 0600);
    write_file(world->secret, "not/a+real=secret", 0400);
    world->options = (struct im_s3_options){.endpoint = "http://127.0.0.1:1",
                                            .region = "eu-1",
                                            .bucket = "pictures",
                                            .prefix = "pre",
                                            .access_key_file = world->access,
                                            .secret_key_file = world->secret,
                                            .temp_path = world->path,
                                            .timeout_ms = 5000};
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    scratch_remove(world->path);
    free(world);
    return 0;
}

static void expect(const struct im_s3_options *options, enum nm_status status, const char *why)
{
    struct im_store *store = NULL;
    struct nm_error err = {0};
    assert_int_equal(im_store_s3_open(options, &store, &err), status);
    assert_null(store);
    if (!strstr(err.msg, why))
        fail_msg("'%s' is not in: %s", why, err.msg);
    assert_null(strstr(err.msg, "not/a+real"));
}

static void options__are_checked_before_anything_is_asked(void **state)
{
    static const struct {
        const char *endpoint, *region, *bucket, *prefix;
        int timeout_ms;
        const char *why;
    } cases[] = {
        {"", "", "", "", 0, "endpoint"},
        {"ftp://h", NULL, NULL, NULL, 0, "endpoint"},
        {"h:9000", NULL, NULL, NULL, 0, "endpoint"},
        {"https://u:p@h", NULL, NULL, NULL, 0, "endpoint"},
        {"https://h/path", NULL, NULL, NULL, 0, "endpoint"},
        {"https://h?x=1", NULL, NULL, NULL, 0, "endpoint"},
        {"https://h#x", NULL, NULL, NULL, 0, "endpoint"},
        {NULL, "eu 1", NULL, NULL, 0, "region"},
        {NULL, "eu:1", NULL, NULL, 0, "region"},
        {NULL, "", NULL, NULL, 0, "region"},
        {NULL, NULL, "ab", NULL, 0, "bucket"},
        {NULL, NULL, "Abc", NULL, 0, "bucket"},
        {NULL, NULL, "a/b", NULL, 0, "bucket"},
        {NULL, NULL, "..a", NULL, 0, "bucket"},
        {NULL, NULL, NULL, "/a", 0, "prefix"},
        {NULL, NULL, NULL, "a//b", 0, "prefix"},
        {NULL, NULL, NULL, "a/../b", 0, "prefix"},
        {NULL, NULL, NULL, ".", 0, "prefix"},
        {NULL, NULL, NULL, "a b", 0, "prefix"},
        {NULL, NULL, NULL, "a?b", 0, "prefix"},
        {NULL, NULL, NULL, NULL, 99, "timeoutMs"},
        {NULL, NULL, NULL, NULL, 600001, "timeoutMs"},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct im_s3_options options = world->options;
        options.endpoint = cases[i].endpoint ? cases[i].endpoint : options.endpoint;
        options.region = cases[i].region ? cases[i].region : options.region;
        options.bucket = cases[i].bucket ? cases[i].bucket : options.bucket;
        options.prefix = cases[i].prefix ? cases[i].prefix : options.prefix;
        options.timeout_ms = cases[i].timeout_ms ? cases[i].timeout_ms : options.timeout_ms;
        expect(&options, NM_CONFIG, cases[i].why);
    }
}

static void options__key_files_are_for_their_owner(void **state)
{
    struct world *world = *state;
    static const char *const texts[] = {"", "\n", "two\nlines\n", "with space\n", "tab\t", "\x80"};
    char longer[400];
    memset(longer, 'k', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    write_file(world->secret, "secret", 0640);
    expect(&world->options, NM_CONFIG, "chmod 600");
    write_file(world->secret, "secret", 0604);
    expect(&world->options, NM_CONFIG, "chmod 600");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file(world->secret, texts[i], 0600);
        expect(&world->options, NM_CONFIG, "one line");
    }
    write_file(world->secret, longer, 0600);
    expect(&world->options, NM_CONFIG, "one line");
    (void)unlink(world->secret);
    expect(&world->options, NM_CONFIG, "No such file");
    assert_int_equal(mkdir(world->secret, 0700), 0);
    expect(&world->options, NM_CONFIG, "is no file");
}

static void open__says_who_must_act(void **state)
{
    static const struct {
        const char *answer;
        enum nm_status status;
        const char *why;
    } cases[] = {
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 52\r\n\r\n<Error><Code>SignatureDoesNotMatch</Code></Error>    ",
         NM_CONFIG, "SignatureDoesNotMatch; check the keys"},
        {"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n<Error><Code>NoSuchBucket</Code></Error>", NM_CONFIG,
         "NoSuchBucket"},
        {"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n", NM_CONFIG,
         "check the endpoint"},
        {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", NM_RETRY, "HTTP 503"},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>a portal</html>", NM_CONFIG, "no list"},
        {"not HTTP at all", NM_RETRY, ""},
        {"", NM_RETRY, ""},
    };
    struct world *world = *state;
    char url[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scripted_answer answer = {.bytes = cases[i].answer};
        struct scripted_http *server = scripted_start(&answer, 1);
        (void)snprintf(url, sizeof url, "%s", scripted_url(server));
        world->options.endpoint = url;
        expect(&world->options, cases[i].status, cases[i].why);
        scripted_stop(server);
        assert_int_equal(scripted_n_requests(server), 1);
        scripted_free(server);
    }
    expect(&world->options, NM_RETRY, "connect"); /* nobody listens there any more */
}

static struct scripted_http *script(struct world *world, struct im_store **store, const struct scripted_answer *answers,
                                    size_t n)
{
    struct scripted_answer all[SCRIPTED_ANSWERS] = {{.bytes = EMPTY_LIST}};
    struct nm_error err = {0};
    memcpy(all + 1, answers, n * sizeof *answers);
    struct scripted_http *server = scripted_start(all, n + 1);
    world->options.endpoint = scripted_url(server);
    if (im_store_s3_open(&world->options, store, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return server;
}

static void script_end(struct scripted_http *server, struct im_store *store)
{
    im_store_close(store);
    scripted_free(server);
}

static void check_has(const char *request, const char *text)
{
    if (!strstr(request, text))
        fail_msg("'%s' is not in: %s", text, request);
}

static void put__is_signed_and_says_what_it_is(void **state)
{
    static const struct scripted_answer answers[] = {
        {.bytes = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
    };
    struct im_store *store = NULL;
    struct scripted_http *server = script(*state, &store, answers, 2);
    char name[IM_NAME_BYTES], line[200];
    assert_int_equal(put_piece(store, 1, 10, name), IM_PUT_STORED);
    scripted_stop(server);
    const char *opening = scripted_request(server, 0), *head = scripted_request(server, 1);
    const char *put = scripted_request(server, 2);
    check_has(opening, "GET /pictures?list-type=2&max-keys=1&prefix=pre%2Fo%2F HTTP/1.1\r\n");
    (void)snprintf(line, sizeof line, "HEAD /pictures/pre/%s HTTP/1.1\r\n", name);
    check_has(head, line);
    (void)snprintf(line, sizeof line, "PUT /pictures/pre/%s HTTP/1.1\r\n", name);
    check_has(put, line);
    (void)snprintf(line, sizeof line, "x-amz-content-sha256: %.64s\r\n", name + 8);
    check_has(put, line);
    check_has(put, "Content-Type: image/png\r\n");
    check_has(put, "Cache-Control: public, max-age=31536000, immutable\r\n");
    check_has(put, "If-None-Match: *\r\n");
    check_has(put, "Content-Length: 10\r\n");
    check_has(put, "Authorization: AWS4-HMAC-SHA256 Credential=reader1/");
    check_has(put, "/eu-1/s3/aws4_request");
    check_has(put, "x-amz-content-sha256");
    assert_null(strstr(put, "Expect:"));
    assert_null(strstr(put, "not/a+real"));
    script_end(server, store);
}

#define NOTHING_THERE                                                                                                  \
    {                                                                                                                  \
        .bytes = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"                            \
    }
#define DONE                                                                                                           \
    {                                                                                                                  \
        .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"                                   \
    }
#define THERE_10                                                                                                       \
    {                                                                                                                  \
        .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n"                                  \
    }
#define CUT                                                                                                            \
    {                                                                                                                  \
        .bytes = "", .len = 0, .take = 20                                                                              \
    }
#define STATUS(text)                                                                                                   \
    {                                                                                                                  \
        .bytes = "HTTP/1.1 " text "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"                                 \
    }

static void put__what_a_server_may_do(void **state)
{
    static const struct {
        const char *what;
        struct scripted_answer answer[6];
        size_t n;
        enum im_reason reason;
        enum im_put put;
    } cases[] = {
        {"cut, and not obeyed", {NOTHING_THERE, CUT, NOTHING_THERE, DONE}, 4, IM_NONE, IM_PUT_STORED},
        {"cut, and obeyed", {NOTHING_THERE, CUT, THERE_10}, 3, IM_NONE, IM_PUT_STORED},
        {"cut twice", {NOTHING_THERE, CUT, NOTHING_THERE, CUT}, 4, IM_store_io, IM_PUT_STORED},
        {"busy, then not", {NOTHING_THERE, STATUS("503 Slow Down"), NOTHING_THERE, DONE}, 4, IM_NONE, IM_PUT_STORED},
        {"busy twice", {NOTHING_THERE, STATUS("500 Oops"), NOTHING_THERE, STATUS("500 Oops")}, 4, IM_store_io, 0},
        {"refused", {NOTHING_THERE, STATUS("403 Forbidden")}, 2, IM_store_io, 0},
        {"full",
         {NOTHING_THERE, STATUS("507 Insufficient Storage"), NOTHING_THERE, STATUS("507 Full")},
         4,
         IM_store_full,
         0},
        {"no conditional PUT", {NOTHING_THERE, STATUS("501 Not Implemented"), DONE}, 3, IM_NONE, IM_PUT_STORED},
        {"the bucket is gone", {NOTHING_THERE, STATUS("404 Not Found")}, 2, IM_store_io, 0},
        {"elsewhere", {NOTHING_THERE, STATUS("307 Temporary\r\nLocation: /x")}, 2, IM_store_io, 0},
        {"no answer to HEAD", {CUT, CUT}, 1, IM_store_io, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct im_store *store = NULL;
        struct scripted_http *server = script(*state, &store, cases[i].answer, cases[i].n);
        struct piece piece;
        struct nm_error err = {0};
        enum im_put put = IM_PUT_EXISTED;
        char name[IM_NAME_BYTES];
        piece_make(store, 1, 10, &piece);
        piece_name(&piece, IM_PNG, 0, name);
        enum im_reason reason = im_store_put(store, name, &piece.content, false, &put, &err);
        scripted_stop(server);
        if (reason != cases[i].reason || scripted_n_requests(server) != cases[i].n + 1)
            fail_msg("%s: %s after %zu requests: %s", cases[i].what, im_reason_name(reason),
                     scripted_n_requests(server), err.msg);
        assert_int_equal(put, reason == IM_NONE ? cases[i].put : IM_PUT_EXISTED);
        piece_clear(&piece);
        script_end(server, store);
    }
}

static void put__somebody_was_quicker(void **state)
{
    struct im_store *store = NULL;
    static const struct scripted_answer answers[] = {
        NOTHING_THERE, STATUS("412 Precondition Failed"),
        THERE_10,      {.bytes = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
        NOTHING_THERE, DONE};
    struct scripted_http *server = script(*state, &store, answers, 6);
    char name[IM_NAME_BYTES];
    /* 412, then it is of our length, and gone when it is to be hashed: put again */
    assert_int_equal(put_piece(store, 1, 10, name), IM_PUT_REPLACED);
    scripted_stop(server);
    script_end(server, store);
}

static void put__a_server_that_holds_the_line_costs_no_more_than_the_limit(void **state)
{
    struct world *world = *state;
    struct im_store *store = NULL;
    static const struct scripted_answer answers[] = {{.bytes = "", .hold_ms = 60000}};
    world->options.timeout_ms = 200;
    struct scripted_http *server = script(world, &store, answers, 1);
    struct im_stat stat = {0};
    struct nm_error err = {0};
    int64_t began_ms = nm_boottime_ms();
    assert_int_equal(im_store_stat(store, A, &stat, &err), IM_store_io);
    check_has(err.msg, "Timeout");
    assert_in_range(nm_boottime_ms() - began_ms, 190, 15000);
    scripted_stop(server);
    script_end(server, store);
}

static void get__parts_and_floods_are_no_object(void **state)
{
    static const struct scripted_answer answers[] = {
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"},
        {.bytes = "HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhalf"},
        {.bytes = "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops"},
        {.bytes = "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n<Error><Code>NoSuchBucket</Code></Error>"},
    };
    struct im_store *store = NULL;
    size_t n = sizeof answers / sizeof *answers;
    struct scripted_http *server = script(*state, &store, answers, n);
    for (size_t i = 0; i < n; i++) {
        struct nm_error err = {0};
        struct im_stat stat = {.bytes = 77};
        int fd = 77;
        assert_int_equal(im_store_open(store, A, &fd, &stat, &err), IM_store_io);
        assert_true(fd == 77 && stat.bytes == 77 && err.status == NM_RETRY && err.msg[0]);
    }
    scripted_stop(server);
    script_end(server, store);
}

static void list__an_endless_answer_is_cut_off(void **state)
{
    enum { LEN = IM_S3_XML_BYTES + 100000 };
    char *endless = malloc(LEN);
    assert_non_null(endless);
    memset(endless, ' ', LEN);
    static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    memcpy(endless, head, sizeof head - 1);
    struct scripted_answer answer = {.bytes = endless, .len = LEN};
    struct im_store *store = NULL;
    struct scripted_http *server = script(*state, &store, &answer, 1);
    struct im_entry entry;
    struct im_page page = {.entry = &entry, .max = 1};
    struct nm_error err = {0};
    assert_int_equal(im_store_list(store, IM_OBJECTS, &page, &err), IM_store_io);
    check_has(err.msg, "more than can be");
    scripted_stop(server);
    script_end(server, store);
    free(endless);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list__keys_become_names),
        cmocka_unit_test(list__anything_else_is_refused),
        cmocka_unit_test(error__the_code_is_a_word_or_nothing),
        T(options__are_checked_before_anything_is_asked),
        T(options__key_files_are_for_their_owner),
        T(open__says_who_must_act),
        T(put__is_signed_and_says_what_it_is),
        T(put__what_a_server_may_do),
        T(put__somebody_was_quicker),
        T(put__a_server_that_holds_the_line_costs_no_more_than_the_limit),
        T(get__parts_and_floods_are_no_object),
        T(list__an_endless_answer_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
