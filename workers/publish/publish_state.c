/* publish_state.c - the Lua scripts of publish: each reads first, then writes, so that an error leaves nothing half
 * done, and each is harmless when it is repeated at any later time.
 *
 * record:{id}, a hash:
 *   a i r h   article, facets: 16 digits of revision, then what is kept of it; nothing after the digits: retracted
 *   rev       the newest revision that a composition took: max(previous + 1, Redis TIME in us)
 *   by        16 digits of the instance that took it, then 16 of the first revision since which it was that one alone,
 *             for events: their records go out in the order of their revisions; a second look may go out at any time
 *   srev sent revision of the last report, hash of the body that was reported with it
 *   card      what a lead shows of this article: quality, date, object
 *   untold    revision that wrote the card, until its leads were told of it and that was reported
 *   lists     ids of the members whose shown:{member} holds this id
 *   hold      before the first revision: until when it waits for publish.expect, ms
 *   back      read back from the stream of records: "<letters of facets that it had>:<until when it waits, ms>"
 * shown:{id}, a set: the leads that show this article. It lives as long as the record.
 *
 * `sent` counts only while srev is the revision before: then nothing was composed since, and what it names is the last
 * word on the stream. So no mark survives a composition, reported or not, and nobody has to forget it. */
#include "publish_view.h"

const struct nm_set pb_due = {.name = "due:publish", .timed = true};

/* An item of a due entry counts its score as passed, whatever the clock says: the runtime takes the entry out if its
 * score is still the same, so one that has to wait on gets another score. */
struct nm_script pb_apply_script = {
    .name = "publish.apply",
    .source =
        "local kind, id = ARGV[1], ARGV[9]\n"
        "local h = redis.call('HMGET', KEYS[1], 'a', 'i', 'r', 'h', 'rev', 'srev', 'sent', 'by', 'card', 'lists', "
        "'hold', 'back', 'untold')\n"
        "local at = ({a = 1, i = 2, r = 3, h = 4})[kind]\n"
        "if at then\n"
        "  if h[at] and tonumber(string.sub(h[at], 1, 16)) > tonumber(ARGV[2]) then return {'stale'} end\n"
        "  h[at] = ARGV[2] .. ARGV[3]\n"
        "end\n"
        "local article, before, srev, hold, back = h[1], h[5] or '0', h[6], h[11], h[12]\n"
        "if not at and (not article or (kind == 'd' and not back and srev == before)) then return {'none'} end\n"
        "local t = redis.call('TIME')\n"
        "local us = t[1] * 1000000 + t[2]\n"
        "local ms = math.floor(us / 1000)\n"
        "if kind == 'd' then ms = math.max(ms, tonumber(ARGV[2])) end\n"
        "local function text(n) return string.format('%.0f', n) end\n"
        "local function there(letters)\n"
        "  for c in string.gmatch(letters, '%a') do\n"
        "    if not h[({i = 2, r = 3, h = 4})[c]] then return false end\n"
        "  end\n"
        "  return true\n"
        "end\n"
        "local due, go, quiet = nil, article and true, false\n"
        "if article and back then\n"
        "  local awaited, limit = string.match(back, '^(%a*):(%d*)$')\n"
        "  if ARGV[5] == '1' then\n"
        "    due = math.max(ms + 10000, tonumber(redis.call('ZSCORE', KEYS[3], id) or '0') + 1)\n"
        "  elseif #article > 16 and not there(awaited) then\n"
        "    limit = tonumber(limit) or ms + 3600000\n"
        "    if ms < limit then due, back = limit, awaited .. ':' .. text(limit) end\n"
        "  end\n"
        "  quiet = due ~= nil\n"
        "  go = not quiet or kind ~= 'd'\n"
        "elseif article and not h[5] and #article > 16 and kind ~= 'd' and not there(ARGV[7]) then\n"
        "  hold = hold or text(ms + ARGV[8])\n"
        "  if ms < tonumber(hold) then due, go = tonumber(hold), false end\n"
        "end\n"
        "local rev, by, trusted = before, h[8], srev == before\n"
        "if go then\n"
        "  rev = math.max(tonumber(before) + 1, us)\n"
        "  if kind == 'g' then by = ARGV[4] .. string.format('%016.0f', rev + 1)\n"
        "  elseif not by or string.sub(by, 1, 16) ~= ARGV[4] then by = ARGV[4] .. string.format('%016.0f', rev) end\n"
        "  rev = text(rev)\n"
        "  redis.call('HSET', KEYS[1], 'rev', rev, 'by', by)\n"
        "  if quiet and trusted then redis.call('HSET', KEYS[1], 'srev', rev) end\n"
        "end\n"
        "if at then redis.call('HSET', KEYS[1], kind, h[at]) end\n"
        "if hold and hold ~= h[11] then redis.call('HSET', KEYS[1], 'hold', hold) end\n"
        "if back and back ~= h[12] then redis.call('HSET', KEYS[1], 'back', back) end\n"
        "if due then redis.call('ZADD', KEYS[3], text(due), id) end\n"
        "redis.call('PEXPIRE', KEYS[1], ARGV[6])\n"
        "redis.call('PEXPIRE', KEYS[2], ARGV[6])\n"
        "if not go then return {'none'} end\n"
        "return {'go', rev, before, trusted and h[7] or '', quiet and 1 or 0, back and 1 or 0, article, h[2] or '', "
        "h[3] or '', h[4] or '', h[9] or '', h[10] or '', h[13] or ''}\n",
};

struct nm_script pb_card_script = {
    .name = "publish.card",
    .source = "if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[1] then return 0 end\n"
              "if ARGV[2] == '' then redis.call('HDEL', KEYS[1], 'card')\n"
              "else redis.call('HSET', KEYS[1], 'card', ARGV[2]) end\n"
              "redis.call('HSET', KEYS[1], 'untold', ARGV[1])\n"
              "return 1\n",
};

struct nm_script pb_lists_script = {
    .name = "publish.lists",
    .source = "if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[1] then return 0 end\n"
              "for i = 2, #KEYS do\n"
              "  if i - 1 <= tonumber(ARGV[4]) then\n"
              "    redis.call('SADD', KEYS[i], ARGV[2])\n"
              "    redis.call('PEXPIRE', KEYS[i], ARGV[3])\n"
              "  else redis.call('SREM', KEYS[i], ARGV[2]) end\n"
              "end\n"
              "if ARGV[5] == '' then redis.call('HDEL', KEYS[1], 'lists')\n"
              "else redis.call('HSET', KEYS[1], 'lists', ARGV[5]) end\n"
              "return 1\n",
};

/* Leads that were told of a card were told, whatever was composed since.
 * Newer revisions of the same instance need no second look only if nobody else composed between: what somebody else
 * sent may lie below what was just reported, while the newer composition of this instance may never be sent. A second
 * look counts as somebody else: what is sent after it may have been composed before it. */
struct nm_script pb_mark_script = {
    .name = "publish.mark",
    .source = "local h = redis.call('HMGET', KEYS[1], 'rev', 'by', 'untold')\n"
              "if h[3] and h[3] == ARGV[4] then redis.call('HDEL', KEYS[1], 'untold') end\n"
              "if ARGV[2] == '' then return 1 end\n"
              "if h[1] == ARGV[1] then\n"
              "  redis.call('HSET', KEYS[1], 'srev', ARGV[1], 'sent', ARGV[2])\n"
              "  redis.call('HDEL', KEYS[1], 'hold', 'back', 'untold')\n"
              "  return 1\n"
              "end\n"
              "local mine = tonumber(ARGV[1])\n"
              "if h[1] and tonumber(h[1]) > mine and h[2] and string.sub(h[2], 1, 16) == ARGV[3]\n"
              "  and tonumber(string.sub(h[2], 17)) <= mine then return 2 end\n"
              "return 0\n",
};

/* A lower revision after a higher one by offset is what a late sender left behind: then no mark, so that the record is
 * sent again. Or somebody composed before the loss was noticed, from what little there was: then the id is quiet, too.
 */
struct nm_script pb_back_script = {
    .name = "publish.back",
    .source = "local h = redis.call('HMGET', KEYS[1], 'rev', 'srev', 'back')\n"
              "if h[1] and tonumber(ARGV[1]) < tonumber(h[1]) then\n"
              "  redis.call('HDEL', KEYS[1], 'sent')\n"
              "  if h[1] ~= h[2] and not h[3] then redis.call('HSET', KEYS[1], 'back', ARGV[3] .. ':') end\n"
              "  return 0\n"
              "end\n"
              "redis.call('HSET', KEYS[1], 'rev', ARGV[1], 'srev', ARGV[1], 'sent', ARGV[2], 'back', ARGV[3] .. ':')\n"
              "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"
              "return 1\n",
};
