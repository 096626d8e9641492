-- place.lua: one article into its story; atomic, and harmless when it is repeated.
-- ARGV 2 id, 3 revision, 4 spare story id, 5 event time, 6 norm, 7 quality, 8 hash of the text, 9 vector, 10 a letter a term
-- (u capitalised, l not, 1 not known), 11 candidates: id, dot, shared each.
-- Replies what was done (new join update moved same stale), then views; of `stale` only the view of the article. Behind them
-- how many stories were merged, where some were.

local id, ts, norm, quality = ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local w, order = read_vector(ARGV[9], 1)
local mk = key('m', id)
local m = (function()
  local h = call('HMGET', mk, 'r', 'gone', 's', 'f', 't', 'n', 'h', 'q')
  return {r = h[1], gone = h[2], s = h[3], f = h[4], t = tonumber(h[5]), h = h[7], q = tonumber(h[8])}
end)()

-- Its postings are there since before the question; an older version has none.
local function take_postings_back()
  local mine = m.s and read_vector(call('GET', key('v', id)) or '', 2) or {}
  for _, t in ipairs(order) do
    if mine[t] then call('ZADD', key('p', t), 'XX', m.t, id) else call('ZREM', key('p', t), id) end
  end
end

-- Only what orders the members is another one.
local function move()
  local s = story_of(m.s)
  local list = s and list_of(s, id)
  if list then
    call('ZADD', list, rank(quality, m.t), id)
    touch(s)
  end
  call('HSET', mk, 'q', quality, 'r', ARGV[3])
end

-- ---- candidates: {sim, time, id, id of the story} ----

local function hint(other, dot, shared)
  local hk = key('h', other)
  call('RPUSH', hk, id .. pack('<ff', dot, shared))
  call('LTRIM', hk, -64, -1)
  call('EXPIRE', hk, 86400)
end

local function similarity(dot, shared, other_norm, t)
  local sim = math.min(1, dot / (norm * other_norm))
  if p.gate > 0 then sim = sim * math.min(1, shared / p.gate) end
  if p.link_half > 0 then sim = sim * (p.floor + (1 - p.floor) * 0.5 ^ (math.max(0, ts - t) / p.link_half)) end
  return sim
end

local function better(a, b)
  if a[1] ~= b[1] then return a[1] > b[1] end
  if a[2] ~= b[2] then return a[2] > b[2] end
  return a[3] > b[3]
end

local function candidates()
  local found, seen, hk = {}, {[id] = true}, key('h', id)
  local hints = call('LRANGE', hk, 0, -1)
  if #hints > 0 then call('DEL', hk) end
  local all = ARGV[11] .. table.concat(hints)
  for i = 1, #all - 23, 24 do
    local other, dot, shared = sub(all, i, i + 15), unpack_bytes('<ff', all, i + 16)
    if not seen[other] then
      seen[other] = true
      local o = call('HMGET', key('m', other), 's', 't', 'n', 'gone')
      local t = tonumber(o[2])
      if not o[1] and not o[4] then
        hint(other, dot, shared)
      elseif t and ts - t <= p.window then
        found[#found + 1] = {similarity(dot, shared, tonumber(o[3]), t), t, other, root(o[1])}
      end
    end
  end
  table.sort(found, better)
  for i = #found, p.candidates + 1, -1 do found[i] = nil end
  return found
end

-- ---- stories ----

-- {score, centroid's part, story}, best first; `old` is compared whatever was found.
local function ranked(found, old)
  local by, list = {}, {}
  local function group(sid)
    local g = by[sid]
    if not g then
      g = {id = sid, sum = 0, n = 0, best = 0}
      by[sid] = g
      list[#list + 1] = g
    end
    return g
  end
  for _, x in ipairs(found) do
    local g = group(x[4])
    if g.n == 0 then g.best = x[1] end
    if g.n < 3 then g.sum, g.n = g.sum + x[1], g.n + 1 end
  end
  table.sort(list, function(a, b)
    if a.sum ~= b.sum then return a.sum > b.sum end
    return a.id < b.id
  end)
  for i = #list, p.stories + 1, -1 do
    by[list[i].id] = nil
    list[i] = nil
  end
  if old and not old.ended and old.n > 0 then group(old.id) end
  local out = {}
  for _, g in ipairs(list) do
    local s = story(g.id)
    if s then
      local fade = p.story_half > 0 and 0.5 ^ (math.max(0, ts - s.last) / p.story_half) or 1
      local cs = fade * dot_of(w, centroid(s)) / (norm * length(s.c))
      out[#out + 1] = {fade * p.alpha * g.best + (1 - p.alpha) * cs, cs, s}
    end
  end
  table.sort(out, function(a, b)
    if a[1] ~= b[1] then return a[1] > b[1] end
    if a[3].first ~= b[3].first then return a[3].first < b[3].first end
    return a[3].id < b[3].id
  end)
  return out
end

local function start_story()
  local sid, was = id, stories[id] -- what this script took the last member out of is known here
  if was and was.n <= 0 then end_story(was) -- it was alone there, and begins anew under the same name
  elseif call('EXISTS', key('s', sid)) == 1 then sid = ARGV[4] end
  call('HINCRBY', df_key(ts), 'S', 1)
  stories[sid] = {id = sid, n = 0, first = ts, last = ts, rest = '', rn = now, c = {}}
  roots[sid] = sid
  return stories[sid]
end

-- Terms count once a story, so that a flood about one event makes none of them common.
local function join(s)
  local how, df, counted = {}, df_key(ts), false
  for i, t in ipairs(order) do
    how[i] = '0'
    if not s.c[t] then
      how[i] = sub(ARGV[10], i, i)
      counted = true
      call('HINCRBY', df, t, 1)
      if how[i] ~= '1' then call('HINCRBY', df, how[i] .. t, 1) end
    end
    s.c[t] = (s.c[t] or 0) + w[t]
  end
  if counted or s.n == 0 then call('EXPIRE', df, 4838400) end
  prune(s.c)
  s.n, s.last = s.n + 1, math.max(s.last, ts)
  call('ZADD', key('z', s.id), rank(quality, ts), id)
  touch(s)
  return table.concat(how)
end

local MOVES = 500 -- members that one script moves

-- The loser's members go over, the best ones now; a story that loses its name points to the other as long as anything knows it.
local function merge(win, lose)
  local c = centroid(win)
  for t, x in pairs(centroid(lose)) do c[t] = (c[t] or 0) + x end
  prune(c)
  local list = key('z', lose.id)
  local best = call('ZREVRANGE', list, 0, MOVES - 1, 'WITHSCORES')
  local add, moved = {}, {}
  for i = 1, #best, 2 do
    moved[#moved + 1] = best[i]
    later[#later + 1] = best[i]
    add[i], add[i + 1] = best[i + 1], best[i]
  end
  if #moved > 0 then call('ZADD', key('z', win.id), unpack(add)) end
  win.rest = win.rest .. lose.rest
  if call('ZCARD', list) > #moved then
    call('ZREM', list, unpack(moved))
    win.rest = win.rest .. lose.id
    enter('+' .. lose.id, take_revision())
  else
    call('UNLINK', list)
    call('ZREM', out_key, '+' .. lose.id)
  end
  win.n, win.first, win.last = win.n + lose.n, math.min(win.first, lose.first), math.max(win.last, lose.last)
  call('DEL', key('s', lose.id), key('c', lose.id))
  call('HSET', key('s', lose.id), 'into', win.id)
  call('EXPIRE', key('s', lose.id), p.article_ttl)
  if lose.lead then send(lose.lead) end
  if win.rn ~= lose.rn then win.rn = math.min(win.rn, lose.rn) end
  lose.into = win.id
  roots = {}
  touch(win)
end

local merged = 0

local function bridge(list, sid)
  for _, r in ipairs(list) do
    local s, mine = r[3], stories[sid]
    if merged < p.max_merges and r[1] >= p.bridge and s.id ~= sid and not s.into and
      dot_of(mine.c, s.c) / (length(mine.c) * length(s.c)) >= p.merge then
      local win, lose = mine, s
      if s.n > mine.n or (s.n == mine.n and (s.first < mine.first or (s.first == mine.first and s.id < mine.id))) then
        win, lose = s, mine
      end
      merge(win, lose)
      sid, merged = win.id, merged + 1
    end
  end
  return sid
end

local function links_of(found, sid)
  local links, out = {}, {}
  for _, x in ipairs(found) do
    local score = x[1]
    if root(x[4]) == sid then score = score + p.boost * (1 - score) end
    if score >= p.link then links[#links + 1] = {score, x[2], x[3]} end
  end
  table.sort(links, better)
  for i = 1, math.min(p.links, #links) do out[i] = links[i][3] .. pack('<f', links[i][1]) end
  return table.concat(out)
end

local function place(old)
  local found = candidates()
  local list, s = ranked(found, old), nil
  for _, r in ipairs(list) do
    if r[1] >= p.join or (p.merge > 0 and r[2] >= p.merge) then
      s = r[3]
      break
    end
  end
  local is_new = not s
  s = s or start_story()
  local how = join(s)
  local sid = p.merge > 0 and bridge(list, s.id) or s.id
  if m.gone then call('HDEL', mk, 'gone') end
  call('HSET', mk, 's', sid, 'f', how, 't', ts, 'n', ARGV[6], 'h', ARGV[8], 'q', quality, 'r', ARGV[3])
  call('EXPIRE', mk, p.article_ttl)
  call('SET', key('v', id), '1' .. ARGV[9], 'EX', p.article_ttl)
  local links = links_of(found, sid)
  if links ~= '' then call('SET', key('l', id), links, 'EX', p.article_ttl) end
  placed = {id, sid, links}
  return is_new
end

local status
if m.r and tonumber(ARGV[3]) < tonumber(m.r) or m.gone and ARGV[3] == m.r then
  take_postings_back()
  return views('stale', id)
elseif m.s and (ARGV[3] == m.r or (m.h == ARGV[8] and m.q == quality)) and story_of(m.s) then
  call('HSET', mk, 'r', ARGV[3])
  return views('same', id)
elseif m.s and m.h == ARGV[8] and story_of(m.s) then
  move()
  status = 'moved'
else
  local old = m.s and take_out(id, m, w)
  status = place(old) and 'new' or 'join'
  if m.s then status = 'update' end
end
save_stories(id)
local reply = views(status, id)
if merged > 0 then reply[#reply + 1] = merged end
return reply
