/* normalize_state.c - which version of an article is the newest: one atomic step an event; and which rules a number
 * stands for: the first that came with it.
 *
 * Versions are ordered by (source time, rules, content hash). The content and rules of the newest version again is a
 * re-crawl: it raises the source time and keeps the revision, so that the same event always gives the same bytes, and
 * is not sent again once its delivery was reported. While state may miss what was sent before (resend: Redis lost
 * writes, or a worker that catches up cannot know), that is not enough: the lost timeline may have sent another version
 * after the newest one, from an event on another partition, which is stale when it comes again, because the re-crawl
 * came first this time. So a re-crawl then takes a new revision and is sent, and a stale version un-reports the newest
 * one, so that its next re-crawl is sent too. */
#include "normalize_state.h"

struct nm_script nz_version_script = {
    .name = "normalize.version",
    .source = "local h = redis.call('HMGET', KEYS[1], 'st', 'ru', 'ch', 'rev', 'vst', 'fd', 'rep')\n"
              "local st, ru = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
              "local hst, hru, rev = tonumber(h[1]) or -1, tonumber(h[2]) or -1, tonumber(h[4]) or 0\n"
              "local resend = ARGV[5] == '1'\n"
              "local verdict = 'stale'\n"
              "if h[3] == ARGV[3] and hru == ru then verdict = 'same'\n"
              "elseif st > hst or (st == hst and (ru > hru or (ru == hru and ARGV[3] > (h[3] or '')))) then verdict = "
              "'new' end\n"
              "local t = redis.call('TIME')\n"
              "local now = t[1] * 1000000 + t[2]\n"
              "local fd, vst, rep = h[6] or ARGV[4], h[5] or ARGV[1], h[7]\n"
              "if verdict == 'new' or resend then\n"
              "  if now > rev then rev = now else rev = rev + 1 end\n"
              "  rep = false\n"
              "end\n"
              "local text = string.format('%.0f', rev)\n"
              "if verdict == 'new' then\n"
              "  vst = ARGV[1]\n"
              "  redis.call('HSET', KEYS[1], 'st', ARGV[1], 'ru', ARGV[2], 'ch', ARGV[3], 'rev', text, 'vst', vst, "
              "'fd', fd)\n"
              "elseif resend then redis.call('HSET', KEYS[1], 'rev', text) end\n"
              "if verdict == 'same' and st > hst then redis.call('HSET', KEYS[1], 'st', ARGV[1]) end\n"
              "redis.call('PEXPIRE', KEYS[1], ARGV[6])\n"
              "return {verdict, text, vst, fd, rep == text and 1 or 0}\n",
};

struct nm_script nz_reported_script = {
    .name = "normalize.reported",
    .source = "if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[1] then return 0 end\n"
              "redis.call('HSET', KEYS[1], 'rep', ARGV[1])\n"
              "return 1\n",
};

struct nm_script nz_rules_script = {
    .name = "normalize.rules",
    .source = "redis.call('SET', KEYS[1], ARGV[1], 'NX')\n"
              "return redis.call('GET', KEYS[1])\n",
};
