/* publish_state.c - the Lua scripts of publish: each reads first, then writes, so that an error leaves nothing half
 * done.
 *
 * The record's revision is taken in the same step as the change that it stands for, max(previous + 1, Redis TIME), and
 * read back when the same article comes again. `sent` is the hash of the body that was last reported as delivered. A
 * change of the body forgets it at once: a mark from before may never suppress what comes after, not even when the
 * body returns to what it was (the version between may be on the stream although Redis lost it since). */
#include "publish.h"

struct nm_script pb_apply_script = {
    .name = "publish.apply",
    .source = "local h = redis.call('HMGET', KEYS[1], 'arev', 'ah', 'rev', 'sent')\n"
              "local have, new, rev = tonumber(h[1]) or -1, tonumber(ARGV[1]), tonumber(h[3]) or 0\n"
              "if new < have then return {'stale'} end\n"
              "local sent = h[4] or ''\n"
              "if new > have or h[2] ~= ARGV[3] or ARGV[4] == '1' then\n"
              "  local t = redis.call('TIME')\n"
              "  local now = t[1] * 1000000 + t[2]\n"
              "  if now > rev then rev = now else rev = rev + 1 end\n"
              "  if h[2] ~= ARGV[3] then sent = '' redis.call('HDEL', KEYS[1], 'sent') end\n"
              "  redis.call('HSET', KEYS[1], 'arev', ARGV[1], 'a', ARGV[2], 'ah', ARGV[3],\n"
              "    'rev', string.format('%.0f', rev))\n"
              "end\n"
              "redis.call('PEXPIRE', KEYS[1], ARGV[5])\n"
              "return {'ok', string.format('%.0f', rev), sent}\n",
};

struct nm_script pb_sent_script = {
    .name = "publish.sent",
    .source = "if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[1] then return 0 end\n"
              "redis.call('HSET', KEYS[1], 'sent', ARGV[2], 'srev', ARGV[1])\n"
              "redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
              "return 1\n",
};
