/* images_world.c - see images_world.h. Uses cmocka's assertions, so it belongs to the thread of the test. */
#include "images_world.h"

#include "newsmill/digest.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NAMES = 2048, PARTITIONS = 4 };

struct images_world iw;

int iw_open(void **state)
{
    (void)state;
    static char ns[] = "t";
    struct nm_error err = {0};
    struct im_state_options options;
    im_state_defaults(&options);
    iw.settings = (struct nm_settings){.ns = ns, .keep_days = 400};
    iw.settings.stream[NM_NORMALIZED].partitions = PARTITIONS;
    if (im_state_open(&iw.state, &options, &iw.settings, &err) != NM_OK)
        return -1;
    state_world_open(&iw.world, im_scripts, IM_N_SCRIPTS);
    return 0;
}

int iw_close(void **state)
{
    (void)state;
    state_world_close(&iw.world);
    im_state_close();
    return 0;
}

void iw_options(const struct im_state_options *options)
{
    struct nm_error err = {0};
    int64_t now = iw.state.now_ms;
    if (im_state_open(&iw.state, options, &iw.settings, &err) != NM_OK ||
        nm_redis_load(iw.world.redis, im_scripts, IM_N_SCRIPTS, &err) != NM_OK)
        fail_msg("%s", err.msg);
    iw.state.now_ms = now;
}

int iw_fresh(void **state)
{
    (void)state;
    struct im_state_options options;
    im_state_defaults(&options);
    state_world_flush(&iw.world);
    iw_options(&options);
    iw.state.now_ms = IW_START;
    return 0;
}

void iw_advance(int64_t ms)
{
    static const char shorten[] = "for _, k in ipairs(redis.call('KEYS', 't:img:lease:*')) do "
                                  "redis.call('PEXPIRE', k, math.max(redis.call('PTTL', k) - ARGV[1], 0)) end return 1";
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, ms);
    IW_RUN("EVAL", shorten, "0", text);
    iw.state.now_ms += ms;
}

static const char *name(const char *what, unsigned n, size_t digits)
{
    static char names[NAMES][65];
    static size_t next;
    char *out = names[next++ % NAMES];
    unsigned char raw[32];
    char text[40];
    int len = snprintf(text, sizeof text, "%s %u", what, n);
    nm_digest_raw(text, (size_t)len, raw, digits / 2);
    nm_hex_write(raw, digits / 2, out);
    return out;
}

const char *iw_url(unsigned n)
{
    return name("url", n, 64);
}

const char *iw_sha(unsigned n)
{
    return name("object", n, 64);
}

const char *iw_id(unsigned n)
{
    return name("article", n, IM_ID);
}

struct nm_pipe *iw_pipe(void)
{
    nm_pipe_reset(&iw.world.pipe);
    return &iw.world.pipe;
}

static const struct nm_reply *exec(void)
{
    struct nm_error err = {0};
    if (nm_redis_exec(iw.world.redis, &iw.world.pipe, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return nm_pipe_reply(&iw.world.pipe, 0);
}

static struct im_view view(void)
{
    static char contents[64][41]; /* outlive the pipe */
    static size_t next;
    struct im_view out = {0};
    if (!im_view_read(exec(), &out))
        fail_msg("not a view");
    char *content = contents[next++ % 64];
    (void)snprintf(content, sizeof contents[0], "%s", out.content);
    out.content = content;
    return out;
}

struct im_answer iw_answer(void)
{
    struct im_answer out = {0};
    if (!im_answer_read(exec(), &out))
        fail_msg("not an answer");
    return out;
}

struct im_view iw_article(unsigned id, int64_t revision, const int *urls)
{
    static const char text[] = "{\"width\":640} \n any bytes";
    struct im_listed listed[IM_MAX_IMAGES];
    size_t n = 0;
    for (; urls[n] >= 0; n++)
        listed[n] = (struct im_listed){iw_url((unsigned)urls[n]), text, sizeof text - 1};
    (void)im_article(&iw.state, iw_pipe(), iw_id(id), revision, listed, n);
    return view();
}

struct im_view iw_retract(unsigned id, int64_t revision)
{
    (void)im_retract(&iw.state, iw_pipe(), iw_id(id), revision);
    return view();
}

struct im_view iw_claim(unsigned id, int64_t score)
{
    (void)im_claim(&iw.state, iw_pipe(), iw_id(id), score);
    return view();
}

struct im_answer iw_lease(unsigned url, const char *token)
{
    return IW_ASK(im_lease(&iw.state, &iw.world.pipe, iw_url(url), token));
}

struct im_answer iw_cached(unsigned url, const char *token, unsigned object)
{
    struct im_result result = {.outcome = IM_RESULT_CACHED,
                               .sha256 = iw_sha(object),
                               .type = "image/jpeg",
                               .thumbs = "320 jpg",
                               .width = 1200,
                               .height = 630,
                               .bytes = 98231,
                               .raw_width = 630,
                               .raw_height = 1200,
                               .orientation = 6,
                               .etag = "\"e\"",
                               .last_modified = "",
                               .fresh_ms = -1};
    return IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url(url), token, 500000, &result));
}

struct im_answer iw_failed(unsigned url, const char *token, enum im_reason reason, int status)
{
    struct im_result result = {.outcome = IM_RESULT_FAILED, .reason = reason, .status = status};
    return IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url(url), token, 0, &result));
}

struct im_answer iw_fetch(unsigned url, unsigned object)
{
    assert_int_equal(iw_lease(url, "fetch").how, IM_HOW_taken);
    return iw_cached(url, "fetch", object);
}

struct im_answer iw_sent(unsigned id, const struct im_view *seen, int64_t claimed)
{
    const char *content = seen->on_its_way ? "" : seen->content; /* as the worker does */
    return IW_ASK(im_facet_sent(&iw.state, &iw.world.pipe, iw_id(id), seen->revision, content, claimed, 0));
}

void iw_due_key(unsigned id, char *out, size_t size)
{
    nm_set_key(&iw.settings, &im_due, nm_partition_of(iw_id(id), IM_ID, PARTITIONS), out, size);
}

int64_t iw_due(unsigned id)
{
    char key[100];
    iw_due_key(id, key, sizeof key);
    return IW_NUMBER("ZSCORE", key, iw_id(id));
}

const char *iw_key(const char *kind, const char *of)
{
    static char keys[8][120];
    static size_t next;
    char *out = keys[next++ % 8];
    (void)snprintf(out, sizeof keys[0], "t:img:%s{%s}", kind, of);
    return out;
}

const char *iw_field(const char *kind, const char *of, const char *field)
{
    return state_world_field(&iw.world, iw_key(kind, of), field);
}

int64_t iw_number(const char *const *words)
{
    return nm_reply_int(state_world_run(&iw.world, words), -1);
}

void iw_run(const char *const *words)
{
    (void)state_world_run(&iw.world, words);
}
