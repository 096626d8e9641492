-- walk.lua: the next members of a story that an entry of the out set is about.
-- ARGV 2 the entry: "+" or "r" and a story, 3 how many members. How far it came stands in the story, as w+ or wr:
-- "<rank> <members of that rank that were passed>".
-- Replies the cursor for after the report ('' at the end), then views ("+" only).

local entry, limit = ARGV[2], tonumber(ARGV[3])
local kind, sid = sub(entry, 1, 1), sub(entry, 2)

-- A story that was taken in: its next members move over.
local function move_on(lose)
  local win, list = story_of(lose), key('z', lose)
  local best = call('ZREVRANGE', list, 0, 499, 'WITHSCORES')
  if not win or win.id == lose then return {''} end
  local add, ids = {}, {}
  for i = 1, #best, 2 do
    ids[#ids + 1] = best[i]
    later[#later + 1] = best[i]
    add[i], add[i + 1] = best[i + 1], best[i]
  end
  if #ids > 0 then
    call('ZADD', key('z', win.id), unpack(add))
    call('ZREM', list, unpack(ids))
  end
  local rest = ''
  for i = 1, #win.rest, 16 do
    local other = sub(win.rest, i, i + 15)
    if other ~= lose or call('EXISTS', list) == 1 then rest = rest .. other end
  end
  win.rest = rest
  touch(win)
  save_stories()
  if call('EXISTS', list) == 1 then enter(entry, revision) end
  return views('', nil)
end

if call('HEXISTS', key('s', sid), 'into') == 1 then return move_on(sid) end
if not story(sid) then return {''} end

local field = 'w' .. kind
local rank_at, passed = string.match(call('HGET', key('s', sid), field) or '', '^(%S+) (%d+)$')
if not rank_at and kind == '+' then call('HSET', key('s', sid), 'wt', now) end
local found = call('ZREVRANGEBYSCORE', key('z', sid), rank_at or '+inf', '-inf', 'WITHSCORES', 'LIMIT', passed or 0, limit)
local reply = {''}
for i = 1, #found, 2 do
  local id = found[i]
  if kind == '+' then
    reply[#reply + 1] = view(id)
  elseif call('EXISTS', key('m', id)) == 1 then -- the story's list outlives its members
    call('HSET', key('m', id), 's', sid)
    for _, k in ipairs({'m', 'v', 'l'}) do call('EXPIRE', key(k, id), p.article_ttl) end
  end
end
if #found == 2 * limit then
  local last, n = found[#found], 0
  for i = #found, 2, -2 do
    if found[i] ~= last then break end
    n = n + 1
  end
  if last == rank_at then n = n + tonumber(passed) end
  reply[1] = last .. ' ' .. n
end
return reply
