-- state.lua: what the scripts of related share; put in front of each of them, behind the parameters `p`.
--
-- KEYS[1] is "<namespace>:{rel}:", ARGV[1] the partition whose owner calls. Ids are 16 raw bytes, terms 8. Keys below the
-- prefix, times in seconds of event time, expiry always counted from now:
--   p:<term>   zset    ids of articles with the term, by event time, the newest `postings`
--   m:<id>     hash    s story, f how each term was counted, t event time, n norm, h hash of the text, q quality,
--                      r revision of the article; of a retracted one only r and gone, the revision of its last facet
--   v:<id>     string  format byte "1", then term and weight (f32) each; only read to take the article out
--   l:<id>     string  links from when it was placed: id and score (f32) each
--   h:<id>     list    hints of articles that found this one before it was placed: id, dot, shared
--   s:<sid>    hash    n size, first and last event time, lead, v revision, rn last renewal (now, s), rest losers whose
--                      members are still moving; or only into: the story that took it in
--   c:<sid>    string  centroid: term and weight (f32) each
--   z:<sid>    zset    members; the best first, of equals the oldest (ZREVRANGE)
--   df:<epoch> hash    of each term how many stories have it, and as u<term>, l<term> how often in capitals or not; S
--   out:<partition>    what is still to be sent: an id; "+" and a story: its members; "r" and a story: renewal
--   rev        string  the last revision given

local prefix, out_key = KEYS[1], KEYS[1] .. 'out:' .. ARGV[1]
local call, pack, unpack_bytes, sub = redis.call, struct.pack, struct.unpack, string.sub

local function key(kind, id) return prefix .. kind .. ':' .. id end

local clock = call('TIME')
local now = tonumber(clock[1])
local revision -- of this call: one for everything that it changes

local function take_revision()
  if not revision then
    local us, last = clock[1] * 1000000 + clock[2], tonumber(call('GET', prefix .. 'rev') or '0')
    revision = string.format('%.0f', math.max(us, last + 1))
    call('SET', prefix .. 'rev', revision)
  end
  return revision
end

-- ---- vectors ----

local function read_vector(text, from)
  local w, order = {}, {}
  for i = from, #text - 11, 12 do
    local t = sub(text, i, i + 7)
    w[t] = unpack_bytes('<f', text, i + 8)
    order[#order + 1] = t
  end
  return w, order
end

local function length(c)
  local sum = 0
  for _, x in pairs(c) do sum = sum + x * x end
  return sum > 0 and math.sqrt(sum) or 1
end

local function dot_of(a, b)
  local dot = 0
  for t, x in pairs(a) do
    local y = b[t]
    if y then dot = dot + x * y end
  end
  return dot
end

local function prune(c)
  local terms = {}
  for t in pairs(c) do terms[#terms + 1] = t end
  if #terms <= p.centroid_max then return end
  table.sort(terms, function(a, b)
    if c[a] ~= c[b] then return c[a] > c[b] end
    return a < b
  end)
  for i = p.centroid_keep + 1, #terms do c[terms[i]] = nil end
end

-- ---- stories ----

local roots, stories, touched = {}, {}, {}

-- The story that a name stands for; the way there is shortened.
local function root(sid)
  if roots[sid] then return roots[sid] end
  local at, way = sid, {}
  for _ = 1, 64 do
    local into = call('HGET', key('s', at), 'into')
    if not into then break end
    way[#way + 1] = at
    at = into
  end
  for i = 1, #way - 1 do call('HSET', key('s', way[i]), 'into', at) end
  roots[sid] = at
  return at
end

-- False: there is no such story (any more).
local function story(sid)
  if stories[sid] ~= nil then return stories[sid] end
  local h = call('HMGET', key('s', sid), 'n', 'first', 'last', 'lead', 'rest', 'rn', 'v')
  stories[sid] = h[1] and {
    id = sid, n = tonumber(h[1]), first = tonumber(h[2]), last = tonumber(h[3]), lead = h[4], rest = h[5] or '',
    rn = tonumber(h[6] or '0'), v = h[7], was = h[4], had_rest = h[5],
  }
  return stories[sid]
end

local function centroid(s)
  if not s.c then s.c = read_vector(call('GET', key('c', s.id)) or '', 1) end
  return s.c
end

local function story_of(m_story) return m_story and story(root(m_story)) end

local function touch(s)
  if not s.touched then
    s.touched = true
    touched[#touched + 1] = s
  end
end

-- Where a member lies: in the story's own list, or in one that is still moving into it.
local function list_of(s, id)
  if call('ZSCORE', key('z', s.id), id) then return key('z', s.id) end
  for i = 1, #s.rest, 16 do
    local list = key('z', sub(s.rest, i, i + 15))
    if call('ZSCORE', list, id) then return list end
  end
end

-- Best first, of equals the oldest: 2^33 s are 272 years of event time; exact in a double.
local function rank(quality, t) return string.format('%.0f', quality * 8589934592 + (8589934591 - t)) end

-- ---- counters ----

local function df_key(t) return prefix .. 'df:' .. math.floor(t / 2419200) end

local function lower(df, field)
  local n = tonumber(call('HGET', df, field) or '0')
  if n > 1 then call('HINCRBY', df, field, -1) elseif n == 1 then call('HDEL', df, field) end
end

-- ---- what changed for others ----

local at_once, later = {}, {}

local function send(id)
  if not at_once[id] then
    at_once[id] = true
    at_once[#at_once + 1] = id
  end
end

local function enter(entry, score) call('ZADD', out_key, score, entry) end

-- The best members: the lead, and those that it shows.
local function top(s)
  if not s.top then s.top = call('ZREVRANGE', key('z', s.id), 0, p.max_related) end
  return s.top
end

-- The members of a story whose lead changed: who is shown at once, the rest by a walk, once a minute at most.
local function lead_changed(s)
  for _, id in ipairs(top(s)) do send(id) end
  if s.n > p.max_related + 1 then
    local walked = tonumber(call('HGET', key('s', s.id), 'wt') or '0')
    call('HDEL', key('s', s.id), 'w+')
    enter('+' .. s.id, string.format('%.0f', math.max(tonumber(revision), (walked + 60) * 1000000)))
  end
end

local function end_story(s)
  call('DEL', key('s', s.id), key('c', s.id), key('z', s.id))
  call('ZREM', out_key, '+' .. s.id, 'r' .. s.id)
  s.n, s.ended = 0, true
end

-- Writes the stories that were touched, finds their leads, enters what others must be told.
local function save_stories(article)
  if #touched == 0 then return end
  take_revision()
  for _, s in ipairs(touched) do
    if s.n <= 0 and not s.ended then end_story(s) end
    if not s.ended and not s.into then
      local sk = key('s', s.id)
      s.top = nil
      s.lead = top(s)[1] or s.lead
      s.v = revision
      local c = {}
      for t, x in pairs(s.c or {}) do c[#c + 1] = t .. pack('<f', x) end
      if s.c then call('SET', key('c', s.id), table.concat(c), 'EX', p.story_ttl)
      else call('EXPIRE', key('c', s.id), p.story_ttl) end
      if now - s.rn > 86400 then
        enter('r' .. s.id, revision)
        s.rn = now
      end
      call('HSET', sk, 'v', revision, 'n', s.n, 'first', s.first, 'last', s.last, 'lead', s.lead, 'rn', s.rn)
      if s.rest ~= '' then call('HSET', sk, 'rest', s.rest) elseif s.had_rest then call('HDEL', sk, 'rest') end
      call('EXPIRE', sk, p.story_ttl)
      call('EXPIRE', key('z', s.id), p.story_ttl)
      if s.was ~= s.lead then
        if s.was and call('EXISTS', key('m', s.was)) == 1 then send(s.was) end
        lead_changed(s)
      end
      send(s.lead)
    end
  end
  for _, id in ipairs(at_once) do
    if id ~= article then enter(id, revision) end
  end
  for i = 1, #later, 200 do
    local batch = {}
    for k = i, math.min(i + 199, #later) do
      if later[k] ~= article and not at_once[later[k]] then
        batch[#batch + 1] = revision
        batch[#batch + 1] = later[k]
      end
    end
    if #batch > 0 then call('ZADD', out_key, unpack(batch)) end
  end
end

-- ---- views ----

local function score_in(links, id)
  local from = 1
  while links do
    local at = string.find(links, id, from, true)
    if not at then return end
    if (at - 1) % 20 == 0 then return sub(links, at + 16, at + 19) end
    from = at + 1
  end
end

-- Who a lead shows, each with the score of the link between the two, whichever came later.
local function shown_by(s, links)
  local ids, missing, score = {}, {}, {}
  for _, id in ipairs(top(s)) do
    if id ~= s.lead and #ids < p.max_related then
      ids[#ids + 1] = id
      score[id] = score_in(links, id)
      if not score[id] then missing[#missing + 1] = key('l', id) end
    end
  end
  if #missing > 0 then
    local at, found = 0, call('MGET', unpack(missing))
    for _, id in ipairs(ids) do
      if not score[id] then
        at = at + 1
        score[id] = found[at] and score_in(found[at], s.lead)
      end
    end
  end
  for i, id in ipairs(ids) do ids[i] = id .. (score[id] or '\0\0\0\0') end
  return table.concat(ids)
end

-- The facet of an article, from state alone: id, story, lead, size, revision, links, shown. Of a retracted one only its
-- id and revision. False: it is not known.
local placed -- {id, story, links} of the article that this script placed

local function view(id)
  local s, links
  if placed and placed[1] == id then
    s, links = story_of(placed[2]), placed[3]
  else
    local m = call('HMGET', key('m', id), 's', 'gone')
    if m[2] then return {id, '', '', 0, m[2], '', ''} end
    s = story_of(m[1])
    links = s and call('GET', key('l', id)) or ''
  end
  if not s then return false end
  return {id, s.id, s.lead, s.n, s.v, links, s.lead == id and shown_by(s, links) or ''}
end

-- The views of an article and of everybody else who must be told at once.
local function views(status, article)
  local reply = {status, article and view(article)}
  for _, id in ipairs(at_once) do
    if id ~= article then reply[#reply + 1] = view(id) end
  end
  return reply
end

-- ---- taking an article out ----

-- `stays`: terms that it will have again. Returns the story that it was in, if there is one.
local function take_out(id, m, stays)
  local v, f, df = call('GET', key('v', id)) or '', m.f or '', df_key(m.t)
  local w, order = read_vector(v, 2)
  local s = story_of(m.s)
  local c = s and centroid(s)
  for i, t in ipairs(order) do
    if not stays[t] then call('ZREM', key('p', t), id) end
    local how = sub(f, i, i)
    if how ~= '0' and how ~= '' then
      lower(df, t)
      if how ~= '1' then lower(df, how .. t) end
    end
    if c and c[t] then
      c[t] = c[t] - w[t]
      if c[t] < 1e-4 then c[t] = nil end -- what rounding to 32 bits leaves of a large sum is no term
    end
  end
  call('DEL', key('v', id), key('l', id))
  local list = s and list_of(s, id)
  if not list then return s end
  call('ZREM', list, id)
  s.n = s.n - 1
  touch(s)
  return s
end
