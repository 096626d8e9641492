/* watermark.c - the value of `wm`, its compare-and-set, and where a partition is taken up again. See watermark.h. */
#include "newsmill/watermark.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

struct nm_script nm_wm_script = {
    .name = "wm",
    .source = "local now = redis.call('GET', KEYS[1]) or ''\n"
              "if now ~= ARGV[1] then return {0, now} end\n"
              "local t = redis.call('TIME')\n"
              "local us = t[1] .. string.format('%06d', tonumber(t[2]))\n"
              "local value = table.concat({ARGV[2], us, ARGV[3], ARGV[4], ARGV[5]}, ' ')\n"
              "if ARGV[6] ~= '0' or ARGV[7] ~= '' then value = value .. ' ' .. ARGV[6] end\n"
              "if ARGV[7] ~= '' then value = value .. ' ' .. ARGV[7] end\n"
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

static bool anchor(const char **text, struct nm_mark *out)
{
    return field(text, 10, &out->next) && field(text, 10, &out->ms) && field(text, 16, &out->crc) && out->next > 0 &&
           out->crc >= 0;
}

enum nm_status nm_watermark_parse(const char *text, struct nm_watermark *out, struct nm_error *err)
{
    struct nm_watermark wm = {.next = 0, .anchor = NM_NO_MARK};
    const char *at = text;
    if (!field(&at, 10, &wm.next) || !field(&at, 10, &wm.redis_us) || !field(&at, 10, &wm.event_ms) ||
        !field(&at, 10, &wm.last_ms) || !field(&at, 16, &wm.last_crc) || (*at && !field(&at, 10, &wm.generation)) ||
        (*at && !anchor(&at, &wm.anchor)) || *at || wm.next < 0 || wm.generation < 0)
        return nm_fail(err, NM_FATAL, "a watermark in Redis reads '%.80s', which newsmill did not write", text);
    *out = wm;
    return NM_OK;
}

void nm_watermark_note(struct nm_watermark *wm, int64_t timestamp_ms, const void *value, size_t len)
{
    wm->last_ms = timestamp_ms > 0 ? timestamp_ms : -1;
    wm->last_crc = (int64_t)crc32(0, value, (uInt)len);
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
    char rest[64] = "";
    if (to->anchor.crc >= 0 && to->anchor.ms >= 0)
        (void)snprintf(rest, sizeof rest, "%" PRId64 " %" PRId64 " %08" PRIx64, to->anchor.next, to->anchor.ms,
                       to->anchor.crc);
    else if (to->anchor.crc >= 0)
        (void)snprintf(rest, sizeof rest, "%" PRId64 " - %08" PRIx64, to->anchor.next, to->anchor.crc);
    (void)nm_pipe_script(pipe, &nm_wm_script, 1, 7);
    nm_pipe_str(pipe, key);
    nm_pipe_str(pipe, from);
    nm_pipe_int(pipe, to->next);
    add_known(pipe, "%" PRId64, to->event_ms);
    add_known(pipe, "%" PRId64, to->last_ms);
    add_known(pipe, "%08" PRIx64, to->last_crc);
    nm_pipe_int(pipe, to->generation);
    nm_pipe_str(pipe, rest);
}

void nm_commit_note(int64_t redis_us, int64_t resend_until, char out[NM_COMMIT_NOTE_BYTES])
{
    (void)snprintf(out, NM_COMMIT_NOTE_BYTES, "nm1 %" PRId64 " %" PRId64, redis_us, resend_until);
}

void nm_commit_note_read(const char *note, size_t len, struct nm_resume_facts *out)
{
    char text[NM_COMMIT_NOTE_BYTES];
    int64_t redis_us, resend_until;
    out->committed_us = -1;
    out->committed_resend = 0;
    if (!note || len >= sizeof text)
        return;
    memcpy(text, note, len);
    text[len] = '\0';
    const char *at = text + 4;
    if (strncmp(text, "nm1 ", 4) != 0 || !field(&at, 10, &redis_us) || !field(&at, 10, &resend_until) || *at)
        return;
    out->committed_us = redis_us;
    out->committed_resend = resend_until;
}

/* Redis has less than this process, or Kafka's commit, has seen. Commits follow wm, so they can never be ahead of a
 * whole one. */
static bool lost_writes(const struct nm_resume_facts *facts)
{
    if (facts->committed > facts->wm.next || facts->committed_us > facts->wm.redis_us)
        return true;
    return facts->had_wm && (facts->wm.next < facts->mine.next || facts->wm.redis_us < facts->mine.redis_us);
}

static enum nm_status decide_lost_state(const char *what, const struct nm_resume_facts *facts, struct nm_resume *out,
                                        struct nm_error *err)
{
    if (!facts->rebuild)
        return nm_fail(err, NM_CONFIG,
                       "%s: Redis has no watermark although %s: its state is gone (emptied, another database or "
                       "namespace?). Restore it, set runtime.onStateLoss: rebuild to make it anew from the streams, or "
                       "start a fresh namespace and replay",
                       what, facts->committed >= 0 ? "offsets were committed" : "this process wrote one");
    *out = (struct nm_resume){.start = facts->oldest, .state_lost = true};
    return NM_OK;
}

static enum nm_status decide_gap(const char *what, const char *why, bool recreated, const struct nm_resume_facts *facts,
                                 struct nm_resume *out, struct nm_error *err)
{
    if (facts->on_gap == NM_GAP_STOP)
        return nm_fail(err, NM_CONFIG,
                       "%s %s. Restore the stream, start a fresh namespace, or accept the gap with runtime.onGap: "
                       "oldest (or newest)",
                       what, why);
    *out = (struct nm_resume){
        .start = facts->on_gap == NM_GAP_OLDEST ? facts->oldest : facts->end, .gap = true, .recreated = recreated};
    return NM_OK;
}

static int64_t position_of(const struct nm_resume_facts *facts, bool rolled_back)
{
    int64_t start = facts->wm.next;
    if (facts->committed >= 0 && facts->committed < start)
        start = facts->committed;
    /* Put back to a state that is ahead of what this process had finished: another timeline than ours. What ours sent
     * last may be newer than what that state knows, so everything from our position on is sent again. */
    if (rolled_back && facts->had_wm && facts->mine.next < start)
        start = facts->mine.next;
    if (facts->wm.next >= facts->oldest && start < facts->oldest)
        start = facts->oldest; /* the part below is finished, and retention took it */
    return start;
}

enum nm_status nm_resume_decide(const char *what, const struct nm_resume_facts *facts, struct nm_resume *out,
                                struct nm_error *err)
{
    int64_t known = facts->has_wm && facts->wm.next > facts->committed ? facts->wm.next : facts->committed;
    char why[200];
    if (!facts->has_wm && (facts->committed >= 0 || facts->had_wm))
        return decide_lost_state(what, facts, out, err);
    if (known > facts->end) {
        (void)snprintf(why, sizeof why,
                       "ends at %" PRId64 ", before our position %" PRId64 ": the stream was recreated or truncated",
                       facts->end, known);
        return decide_gap(what, why, true, facts, out, err);
    }
    if (facts->recreated) {
        (void)snprintf(why, sizeof why,
                       "has another record at offset %" PRId64 " than the one that was processed: the stream was "
                       "recreated",
                       facts->recreated_at);
        return decide_gap(what, why, true, facts, out, err);
    }
    struct nm_resume resume = {.start = facts->fresh};
    if (facts->has_wm) {
        resume.rolled_back = lost_writes(facts);
        resume.start = position_of(facts, resume.rolled_back);
        resume.resend_until = resume.rolled_back ? facts->end : facts->committed_resend;
    }
    if (resume.start < facts->oldest) {
        (void)snprintf(why, sizeof why,
                       "begins at %" PRId64 ", after our position %" PRId64
                       ": retention removed events that were not processed",
                       facts->oldest, resume.start);
        return decide_gap(what, why, false, facts, out, err);
    }
    *out = resume;
    return NM_OK;
}
