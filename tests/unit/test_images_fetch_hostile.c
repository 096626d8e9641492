/* test_images_fetch_hostile.c - servers that send too much, too slowly, or something else than they say. Numbers T..
 * are those of the catalogue of hostile cases. */
#include "images_fetch_fixture.h"

#include <dirent.h>

#define OK "HTTP/1.1 200 OK\r\n"

/* Sends a beginning, then the same piece for ever. */
static bool flood(struct conn *c, const char *start, const char *piece)
{
    bool ok = say(c, "%s", start);
    for (int i = 0; ok && i < 2000000; i++)
        ok = say(c, "%s", piece);
    return false;
}

static bool trickle(struct conn *c, const char *start, const char *piece, int ms)
{
    bool ok = say(c, "%s", start);
    while (ok && pace(c, ms))
        ok = say(c, "%s", piece);
    return false;
}

/* The beginning of a PNG whose pixels take more than any body here: 41 bytes. */
static void put_start(struct nm_buf *b, uint32_t width, uint32_t height)
{
    put_png_header(b, width, height, 8, 2, 0);
    put_be(b, 0x40000000, 4);
    nm_buf_adds(b, "IDAT");
}

/* The header of a PNG of these dimensions behind `headers`, then `pad` bytes of zeros. */
static bool say_png(struct conn *c, const char *headers, uint32_t width, uint32_t height, size_t pad)
{
    struct nm_buf png = {0};
    put_start(&png, width, height);
    put_zeros(&png, pad);
    bool ok = say(c, "%s\r\n", headers) && say_bytes(c, png.data, png.len);
    nm_buf_clear(&png);
    return ok;
}

/* ---- time ---- */

static bool serve_slow(struct conn *c)
{
    if (is_path(c, "/silent"))
        return pace(c, -1);
    if (is_path(c, "/header"))
        return trickle(c, OK "A: ", "x", 100);
    if (is_path(c, "/status")) /* not even a line: libcurl hands nothing over */
        return trickle(c, "HTTP/1.1 200 ", "O", 100);
    if (is_path(c, "/lines"))
        return trickle(c, OK, "A: b\r\n", 100);
    if (is_path(c, "/body"))
        return trickle(c, OK "\r\n", "G", 100);
    if (is_path(c, "/steady"))
        return say_png(c, OK, 64, 48, 0) && trickle(c, "", "0123456789012345678901234567890123456789", 20);
    return false;
}

/* T61 to T63. All at once, so that the test takes as long as the longest. */
static void fetch_hostile__time_limits(void **state)
{
    (void)state;
    static const struct fetch_case cases[] = {{"/silent", "timeout_first_byte"},
                                              {"/header", "too_slow"},
                                              {"/status", "too_slow"},
                                              {"/lines", "too_slow"},
                                              {"/body", "too_slow"},
                                              {"/steady", "timeout_total"}};
    struct rig rig;
    rig_open(&rig, serve_slow);
    rig.limits.first_byte_ms = 500;
    rig.limits.slow_ms = 700;
    rig.limits.slow_bytes = 200;
    rig.limits.total_ms = 2500;
    for (size_t i = 0; i < N(cases); i++)
        (void)start(&rig, cases[i].text, (struct im_fetch_request){.token = (void *)(uintptr_t)i});
    for (size_t i = 0; i < N(cases); i++) {
        struct im_fetched f = wait_one(&rig);
        const struct fetch_case *got = &cases[(uintptr_t)f.token];
        if (strcmp(outcome_name(&f), got->want) != 0)
            fail_msg("%s: %s", got->text, outcome_name(&f));
        assert_true(f.try_again);
        assert_true(f.spent_ms >= 490);
    }
    rig_close(&rig);
}

/* ---- size ---- */

static bool serve_sizes(struct conn *c)
{
    int n = 0;
    struct nm_buf png = {0};
    put_start(&png, 64, 48);
    bool ok = false;
    if (is_numbered(c, "/exact/", &n) || is_numbered(c, "/close/", &n)) {
        put_zeros(&png, (size_t)n - png.len);
        ok = c->path[1] == 'e' ? say(c, OK "Content-Length: %d\r\n\r\n", n) : say(c, OK "\r\n");
        ok = ok && say_bytes(c, png.data, png.len) && c->path[1] == 'e';
    } else if (is_path(c, "/endless/chunked")) {
        static const char zeros[4096];
        ok = say(c, OK "Transfer-Encoding: chunked\r\n\r\n29\r\n") && say_bytes(c, png.data, png.len);
        while (ok)
            ok = say(c, "\r\n1000\r\n") && say_bytes(c, zeros, sizeof zeros);
    } else if (is_path(c, "/endless/close")) {
        ok = say(c, OK "\r\n") && say_bytes(c, png.data, png.len) && flood(c, "", "0123456789");
    } else if (is_path(c, "/declared")) {
        ok = say(c, OK "Content-Length: 50000000\r\n\r\n") && say_bytes(c, png.data, png.len) && pace(c, -1);
    }
    nm_buf_clear(&png);
    return ok;
}

/* T67 to T69, T76. */
static void fetch_hostile__bodies_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *path, *want;
        int64_t least, most; /* received */
    } cases[] = {{"/exact/1000000", "body", 1000000, 1000000},
                 {"/exact/1000001", "too_big", 0, 0},
                 {"/close/1000000", "body", 1000000, 1000000},
                 {"/close/1000001", "too_big", 1000001, 1000001},
                 {"/endless/chunked", "too_big", 1000001, 1016384},
                 {"/endless/close", "too_big", 1000001, 1016384},
                 {"/declared", "too_big", 0, 0}};
    struct rig rig;
    rig_open(&rig, serve_sizes);
    for (size_t i = 0; i < N(cases); i++) {
        struct im_fetched f = fetch(&rig, cases[i].path);
        if (strcmp(outcome_name(&f), cases[i].want) != 0 || f.received < cases[i].least || f.received > cases[i].most)
            fail_msg("%s: %s, %lld bytes", cases[i].path, outcome_name(&f), (long long)f.received);
        im_fetcher_release(rig.fetcher, &f);
    }
    rig_close(&rig);
}

static bool serve_headers(struct conn *c)
{
    static char line[8192], chain[1024];
    if (is_path(c, "/30x8k")) {
        memset(line, 'x', sizeof line - 1);
        bool ok = say(c, OK);
        for (int i = 0; ok && i < 30; i++)
            ok = say(c, "X-%d: %s\r\n", i, line);
        return ok && say(c, "\r\n") && false;
    }
    if (is_path(c, "/endless"))
        return flood(c, OK, "X-Header: value\r\n");
    if (is_path(c, "/oneline"))
        return flood(c, OK "X-Header: ", "0123456789");
    if (is_path(c, "/103"))
        return flood(c, "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    if (is_path(c, "/trailers"))
        return flood(c, OK "Transfer-Encoding: chunked\r\n\r\n8\r\n\x89PNG\r\n\x1A\n\r\n0\r\n", "X-Trailer: value\r\n");
    if (is_path(c, "/hinted"))
        return say(c,
                   "HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\nETag: \"no\"\r\n\r\n") &&
               say_image(c, "");
    if (is_path(c, "/gzip"))
        return say_image(c, "Content-Encoding: gzip\r\n");
    if (is_path(c, "/GZIP"))
        return say_image(c, "content-ENCODING:\tGZip \r\n");
    if (is_path(c, "/identity"))
        return say_image(c, "Content-Encoding: Identity\r\n");
    if (is_path(c, "/both"))
        return say_image(c, "Content-Encoding: gzip\r\nContent-Encoding: identity\r\n");
    if (is_path(c, "/chain")) {
        for (size_t n = 0; n < 1000; n += 10)
            memcpy(chain + n, "br, gzip, ", 11);
        return say(c, OK "Content-Encoding: %s\r\n\r\n", chain) && false;
    }
    if (is_path(c, "/te"))
        return say(c, OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n") && false;
    if (is_path(c, "/09"))
        return say(c, "\x89PNG\r\n\x1A\n and pixels without a header") && false;
    if (is_path(c, "/closes"))
        return false;
    return say_image(c, "");
}

/* T77 to T83. */
static void fetch_hostile__headers_are_counted_and_codings_refused(void **state)
{
    (void)state;
    static const struct fetch_case cases[] = {
        {"/30x8k", "header_too_big"},  {"/endless", "header_too_big"},  {"/oneline", "header_too_big"},
        {"/103", "header_too_big"},    {"/trailers", "header_too_big"}, {"/gzip", "content_encoding"},
        {"/GZIP", "content_encoding"}, {"/both", "content_encoding"},   {"/chain", "content_encoding"},
        {"/te", "content_encoding"},   {"/identity", "body"},           {"/09", "protocol_error"},
        {"/closes", "connect_fail"}};
    struct rig rig;
    rig_open(&rig, serve_headers);
    check_cases(&rig, cases, N(cases));
    struct im_fetched f = fetch(&rig, "/hinted"); /* what a hint says is not the answer */
    assert_string_equal(outcome_name(&f), "body");
    assert_string_equal(f.etag, "");
    im_fetcher_release(rig.fetcher, &f);
    rig_close(&rig);
}

static bool serve_lengths(struct conn *c)
{
    if (is_path(c, "/overflow"))
        return say(c, OK "Content-Length: 99999999999999999999999\r\n\r\nabcd") && false;
    if (is_path(c, "/negative"))
        return say(c, OK "Content-Length: -5\r\n\r\nabcd") && false;
    if (is_path(c, "/garbage"))
        return say(c, OK "Content-Length: 5 0\r\n\r\nabcde") && false;
    if (is_path(c, "/two"))
        return say_image(c, "Content-Length: 7\r\n") && false;
    if (is_path(c, "/chunked-too"))
        return say_png(c, OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n51", 64, 48, 40) &&
               say(c, "\r\n0\r\n\r\n");
    if (is_path(c, "/short"))
        return say_png(c, OK "Content-Length: 500\r\n", 64, 48, 100) && false;
    if (is_path(c, "/midchunk"))
        return say_png(c, OK "Transfer-Encoding: chunked\r\n\r\n1000", 64, 48, 100) && false;
    if (is_path(c, "/reset")) {
        struct linger linger = {.l_onoff = 1};
        bool ok = say_png(c, OK "Content-Length: 500\r\n", 64, 48, 100);
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        return ok && false;
    }
    if (is_path(c, "/empty"))
        return say(c, OK "Content-Length: 0\r\n\r\n");
    if (is_path(c, "/tiny"))
        return say_png(c, OK "Content-Length: 46\r\n", 64, 48, 5);
    if (is_path(c, "/smaller")) /* the file is cut; im_probe_file() says so */
        return say_png(c, OK "Content-Length: 100\r\n", 64, 48, 500);
    return say_image(c, "");
}

/* T70 to T75, T84, T95. */
static void fetch_hostile__lengths(void **state)
{
    (void)state;
    static const struct {
        const char *path, *want;
        bool again;
    } cases[] = {{"/overflow", "type_not_allowed", false},
                 {"/negative", "protocol_error", false},
                 {"/garbage", "protocol_error", false},
                 {"/two", "length_mismatch", true},
                 {"/short", "length_mismatch", true},
                 {"/midchunk", "length_mismatch", true},
                 {"/reset", "length_mismatch", true},
                 {"/empty", "too_small", false},
                 {"/tiny", "too_small", false},
                 {"/smaller", "body", false}};
    struct rig rig;
    rig_open(&rig, serve_lengths);
    check_case(&rig, "/chunked-too", "body"); /* T73 */
    check_case(&rig, "/ok", "body");          /* on another connection */
    assert_int_equal(n_connections(&rig.server), 2);
    for (size_t i = 0; i < N(cases); i++) {
        struct im_fetched f = fetch(&rig, cases[i].path);
        if (strcmp(outcome_name(&f), cases[i].want) != 0 || f.try_again != cases[i].again)
            fail_msg("%s: %s, again %d", cases[i].path, outcome_name(&f), f.try_again);
        assert_int_equal(f.data != NULL || f.fd >= 0, f.outcome == IM_FETCH_BODY);
        im_fetcher_release(rig.fetcher, &f);
    }
    rig_close(&rig);
}

/* T75: more than Content-Length says is cut, and is no answer to the next request. */
static void fetch_hostile__rest_of_a_body_harms_nobody(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, serve_lengths);
    for (int i = 0; i < 5; i++) {
        struct im_fetched f = fetch(&rig, "/smaller");
        assert_string_equal(outcome_name(&f), "body");
        assert_int_equal(f.bytes, 100);
        im_fetcher_release(rig.fetcher, &f);
        check_case(&rig, "/ok", "body");
    }
    rig_close(&rig);
}

/* ---- content ---- */

static bool serve_content(struct conn *c)
{
    if (is_path(c, "/page.jpg"))
        return flood(c, OK "Content-Type: image/jpeg\r\n\r\n<!doctype html><html>", "<p>not found</p>");
    if (is_path(c, "/svg"))
        return say(c, OK "Content-Type: image/svg+xml\r\n\r\n<svg xmlns='http://www.w3.org/2000/svg'/>") && false;
    if (is_path(c, "/huge"))
        return say_png(c, OK, 60000, 60000, 100) && pace(c, -1);
    if (is_path(c, "/zero"))
        return say_png(c, OK, 0, 10, 100) && pace(c, -1);
    if (is_path(c, "/long"))
        return say_png(c, OK, 640, 480, IM_BODY_BYTES) && false;
    if (is_path(c, "/as-html"))
        return say_image(c, "Content-Type: Text/HTML; charset=utf-8\r\n");
    if (is_path(c, "/as-jpeg"))
        return say_image(c, "Content-Type: image/jpeg\r\n");
    if (is_path(c, "/untyped"))
        return say_image(c, "");
    if (is_path(c, "/avif")) {
        struct nm_buf avif = {0};
        put_avif(&avif, 320, 200, 0);
        bool ok = say(c, OK "Content-Length: %zu\r\n\r\n", avif.len) && say_bytes(c, avif.data, avif.len);
        nm_buf_clear(&avif);
        return ok;
    }
    if (is_path(c, "/drip")) { /* byte by byte: the work for the probe has to stay linear */
        struct nm_buf png = {0};
        put_png(&png, 64, 48, 8, 2, 0);
        put_zeros(&png, 20000); /* behind the end */
        bool ok = say(c, OK "Content-Length: %zu\r\n\r\n", png.len);
        for (size_t i = 0; ok && i < png.len; i++)
            ok = say_bytes(c, png.data + i, 1);
        nm_buf_clear(&png);
        return ok;
    }
    return false;
}

/* T96, T105 to T108, T104, R9. */
static void fetch_hostile__content_is_looked_at_early(void **state)
{
    (void)state;
    static const struct fetch_case cases[] = {{"/page.jpg", "type_not_allowed"},
                                              {"/svg", "type_not_allowed"},
                                              {"/huge", "dims_too_big"},
                                              {"/zero", "dims_invalid"},
                                              {"/as-html", "type_mismatch"},
                                              {"/as-jpeg", "body"},
                                              {"/untyped", "body"},
                                              {"/drip", "body"}};
    struct rig rig;
    rig_open(&rig, serve_content);
    check_cases(&rig, cases, N(cases));
    struct im_fetched f = fetch(&rig, "/page.jpg");
    assert_true(f.received <= 16384);
    f = fetch(&rig, "/avif");
    assert_string_equal(outcome_name(&f), "type_not_allowed");
    assert_int_equal(f.facts.type, IM_AVIF);
    assert_int_equal(f.facts.width, 320);
    rig_close(&rig);
    rig_open(&rig, serve_content);
    rig.config.strict_type = false;
    check_case(&rig, "/as-html", "body");
    rig_close(&rig);
}

/* A disk that is full, or no place for files, is not the URL's fault. */
static void fetch_hostile__no_room_for_the_file(void **state)
{
    (void)state;
    struct rig rig;
    char dir[] = P_tmpdir "/newsmill-fetch-XXXXXX";
    rig_open(&rig, serve_content);
    assert_non_null(mkdtemp(dir));
    rig.config.temp_dir = dir;
    check_case(&rig, "/long", "body");
    DIR *open_dir = opendir(dir);
    assert_non_null(open_dir);
    int n = 0;
    while (readdir(open_dir))
        n++;
    assert_int_equal(n, 2); /* "." and "..": no file has a name */
    (void)closedir(open_dir);
    assert_int_equal(rmdir(dir), 0);
    check_case(&rig, "/untyped", "body"); /* in memory */
    struct im_fetched f = fetch(&rig, "/long");
    assert_string_equal(outcome_name(&f), "store_io");
    assert_int_equal(im_reason_kind(f.reason), IM_KIND_OURS);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetch_hostile__time_limits),
        cmocka_unit_test(fetch_hostile__bodies_are_counted),
        cmocka_unit_test(fetch_hostile__headers_are_counted_and_codings_refused),
        cmocka_unit_test(fetch_hostile__lengths),
        cmocka_unit_test(fetch_hostile__rest_of_a_body_harms_nobody),
        cmocka_unit_test(fetch_hostile__content_is_looked_at_early),
        cmocka_unit_test(fetch_hostile__no_room_for_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
