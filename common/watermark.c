/* watermark.c - the value of `wm`, its compare-and-set, and where a partition is taken up again. See watermark.h. */
#include "newsmill/watermark.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct nm_script nm_wm_script = {
    .name = "wm",
    .source = "local now = redis.call('GET', KEYS[1]) or ''\n"
              "if now ~= ARGV[1] then return {0, now} end\n"
              "local t = redis.call('TIME')\n"
              "local us = t[1] .. string.format('%06d', tonumber(t[2]))\n"
              "local value = table.concat({ARGV[2], us, ARGV[3], ARGV[4], ARGV[5]}, ' ')\n"
              "redis.call('SET', KEYS[1], value)\n"
              "return {1, value}\n",
};

void nm_watermark_key(const char *ns, const char *group, const char *topic, int32_t partition,
                      char out[NM_WM_KEY_BYTES])
{
    (void)snprintf(out, NM_WM_KEY_BYTES, "%s:wm:%s:%s:%" PRId32, ns, group, topic, partition);
}

/* One space-separated field as a number; "-" is -1. Moves *text behind it. */
static bool field(const char **text, int base, int64_t *out)
{
    const char *at = *text;
    if (at[0] == '-' && (at[1] == ' ' || at[1] == '\0')) {
        *out = -1;
        at++;
    } else {
        if (at[0] < '0' || (at[0] > '9' && base == 10))
            return false;
        char *end;
        errno = 0;
        long long value = strtoll(at, &end, base);
        if (errno || end == at || value < 0)
            return false;
        *out = value;
        at = end;
    }
    if (*at == ' ')
        at++;
    *text = at;
    return true;
}

enum nm_status nm_watermark_parse(const char *text, struct nm_watermark *out, struct nm_error *err)
{
    struct nm_watermark wm;
    const char *at = text;
    if (!field(&at, 10, &wm.next) || !field(&at, 10, &wm.redis_us) || !field(&at, 10, &wm.event_ms) ||
        !field(&at, 10, &wm.last_ms) || !field(&at, 16, &wm.last_crc) || *at || wm.next < 0)
        return nm_fail(err, NM_FATAL, "a watermark in Redis reads '%.80s', which newsmill did not write", text);
    *out = wm;
    return NM_OK;
}

static void add_known(struct nm_pipe *pipe, const char *format, int64_t value)
{
    char text[32] = "-";
    if (value >= 0)
        (void)snprintf(text, sizeof text, format, value);
    nm_pipe_str(pipe, text);
}

void nm_watermark_append(struct nm_pipe *pipe, const char *key, const char *from, const struct nm_watermark *to)
{
    (void)nm_pipe_script(pipe, &nm_wm_script, 1, 5);
    nm_pipe_str(pipe, key);
    nm_pipe_str(pipe, from);
    nm_pipe_int(pipe, to->next);
    add_known(pipe, "%" PRId64, to->event_ms);
    add_known(pipe, "%" PRId64, to->last_ms);
    add_known(pipe, "%08" PRIx64, to->last_crc);
}

/* Redis has less than this process, or Kafka's commit, has seen. Commits follow wm, so they can never be ahead of a
 * whole one. */
static bool lost_writes(const struct nm_resume_facts *facts)
{
    if (facts->committed > facts->wm.next)
        return true;
    return facts->had_wm && (facts->wm.next < facts->mine.next || facts->wm.redis_us < facts->mine.redis_us);
}

enum nm_status nm_resume_decide(const char *what, const struct nm_resume_facts *facts, struct nm_resume *out,
                                struct nm_error *err)
{
    struct nm_resume resume = {.start = facts->fresh};
    int64_t known = facts->has_wm && facts->wm.next > facts->committed ? facts->wm.next : facts->committed;
    if (!facts->has_wm && (facts->committed >= 0 || facts->had_wm))
        return nm_fail(err, NM_CONFIG,
                       "%s: Redis has no watermark although %s: its state is gone (emptied, another database or "
                       "namespace?). Restore it, or start a fresh namespace and replay",
                       what, facts->committed >= 0 ? "offsets were committed" : "this process wrote one");
    if (known > facts->end)
        return nm_fail(err, NM_CONFIG,
                       "%s ends at %" PRId64 ", before our position %" PRId64
                       ": the stream was recreated or truncated. "
                       "Restore it, or start a fresh namespace",
                       what, facts->end, known);
    if (facts->has_wm) {
        resume.start = facts->wm.next;
        if (facts->committed >= 0 && facts->committed < resume.start)
            resume.start = facts->committed;
        resume.rolled_back = lost_writes(facts);
        if (facts->wm.next >= facts->oldest && resume.start < facts->oldest)
            resume.start = facts->oldest; /* the part below is finished, and retention took it */
    }
    if (resume.start < facts->oldest)
        return nm_fail(
            err, NM_CONFIG,
            "%s begins at %" PRId64 ", after our position %" PRId64
            ": retention removed events that were not processed. "
            "Start a fresh namespace, or accept the gap by setting the group's offset and the watermark by hand",
            what, facts->oldest, resume.start);
    *out = resume;
    return NM_OK;
}
