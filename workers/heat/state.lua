-- state.lua: what the scripts of heat share; put in front of each of them, behind the parameters `p`.
--
-- KEYS[1] is heat:{id}, KEYS[2] the due set of the article's partition, KEYS[3] the waiting set of that partition: ids with
-- signals and without an article, by the time of Redis when the last one came, s; ARGV[1] is 1 where no mark may suppress, ARGV[2]
-- the id. Times are seconds of event time. The hash:
--   a            article: 16 digits of revision, then "<quality> <published>"; nothing after the digits: retracted
--   r            related facet: 16 digits of revision, then "<size> <1: is the lead>"; nothing: no story
--   t            asOf, the newest event time of any input
--   o<partition> offset of the last signal that was applied, for each partition of signals; o<partition>.<generation> of a
--                stream that was recreated
--   :<kind><src> a series: sum (f64) of what counts at the step of `m`, then buckets, oldest first: start, count (u32 each)
--   d            directory: the names of all series, each behind its length (1 byte)
--   i0 ... i15   signalIds that were counted: 8 bytes of hash, u32: when its bucket leaves the window
--   m            8 bytes naming the options, then step (u32), engagement in thousandths (f64), when the next bucket leaves
--                (u32, 0: none), number of buckets (u32): of that step, so that most signals read one series only
--   rev          newest revision that was taken
--   c            what it said: "<heat and parts> <asOf> <next>"
--   srev         the newest revision whose facet was reported
-- A script reads and checks first, so that an error leaves nothing half done.

local hk, due_key, waiting_key, call = KEYS[1], KEYS[2], KEYS[3], redis.call
local resend, id = ARGV[1] == '1', ARGV[2]
local pack, unpack_bytes, sub, floor, byte = struct.pack, struct.unpack, string.sub, math.floor, string.byte

local function text(n) return string.format('%.0f', n) end
local function step_of(time) return time - time % p.step end

-- ---- the hash ----

local s, changes, drops = {dropped = 0, forgotten = 0, crowded = 0}, {}, {}

local function set(field, value)
  changes[#changes + 1] = field
  changes[#changes + 1] = value
end

local function drop(field) drops[#drops + 1] = field end

local function save()
  if #changes > 0 then call('HSET', hk, unpack(changes)) end
  if #drops > 0 then call('HDEL', hk, unpack(drops)) end
  call('PEXPIRE', hk, s.article and p.keep_ms or p.wait_ms)
end

local function take_article(a)
  s.article = sub(a, 1, 16)
  s.gone = #a == 16
  if s.gone then return end
  local quality, published = string.match(a, '^(%-?%d+) (%d+)$', 17)
  s.quality, s.published = tonumber(quality), step_of(tonumber(published))
end

local function take_story(r)
  local size, lead = string.match(r, '^(%d+) ([01])$', 17)
  s.story = sub(r, 1, 16)
  s.size, s.member = tonumber(size or '1'), lead == '0'
end

-- ---- waiting for the article ----

-- Anybody can send signals for ids that nobody knows: the ids that were silent for longest make room for the others. One
-- with a related facet is not forgotten: the facet would not come again.
local function make_room(now)
  call('ZREMRANGEBYSCORE', waiting_key, '-inf', text(floor(now - p.wait_ms / 1000)))
  local over = call('ZCARD', waiting_key) + 1 - p.max_waiting
  if over <= 0 or call('ZSCORE', waiting_key, id) then return end
  local out = call('ZRANGEBYSCORE', waiting_key, '-inf', '+inf', 'LIMIT', 0, math.min(over, 16))
  call('ZREM', waiting_key, unpack(out))
  for _, oldest in ipairs(out) do
    local other = sub(hk, 1, #hk - #id - 1) .. oldest .. '}'
    local known = call('HMGET', other, 'a', 'r')
    if not known[1] and not known[2] then
      s.crowded = s.crowded + call('DEL', other)
    end
  end
end

local function wait()
  local now = tonumber(call('TIME')[1])
  make_room(now)
  call('ZADD', waiting_key, now, id)
  call('PEXPIRE', waiting_key, p.wait_ms)
end

-- Reads what every script needs; returns the values of further fields.
local function open(...)
  local f = call('HMGET', hk, 'a', 'r', 't', 'm', 'rev', 'c', 'srev', ...)
  s.size = 1
  if f[1] then take_article(f[1]) end
  if f[2] then take_story(f[2]) end
  s.t, s.rev, s.c, s.srev = tonumber(f[3] or '0'), f[5], f[6], f[7]
  if f[4] and sub(f[4], 1, 8) == p.name then s.at, s.sum, s.leave, s.buckets = unpack_bytes('<I4dI4I4', f[4], 9) end
  return f[8], f[9], f[10]
end

local function set_time(time)
  if time > s.t then
    s.t = time
    set('t', text(time))
  end
end

local function set_sums() set('m', p.name .. pack('<I4dI4I4', s.at, s.sum, s.leave, s.buckets)) end

-- ---- series ----

-- The first step at which a bucket counts no more.
local function leaves(kind, start)
  local time = start + kind.window
  local over = time % p.step
  return over == 0 and time or time + p.step - over
end

local all

local function open_all()
  if all then return end
  all = {}
  local d, names, at = call('HGET', hk, 'd') or '', {}, 1
  while at <= #d do
    local n = byte(d, at)
    names[#names + 1] = sub(d, at + 1, at + n)
    at = at + n + 1
  end
  local values = #names > 0 and call('HMGET', hk, unpack(names)) or {}
  for k, name in ipairs(names) do
    local x = {name = name, kind = p.kinds[sub(name, 2, 2)], was = values[k] or '', start = {}, n = {}}
    for i = 9, #x.was - 7, 8 do
      local start, n = unpack_bytes('<I4I4', x.was, i)
      x.start[#x.start + 1], x.n[#x.n + 1] = start, n
    end
    all[k] = x
  end
  all.d = d
end

local function add(name, kind, start, n)
  local x
  for _, other in ipairs(all) do
    if other.name == name then x = other end
  end
  if not x then
    x = {name = name, kind = kind, was = '', start = {}, n = {}}
    all[#all + 1] = x
  end
  local i = #x.start
  while i > 0 and x.start[i] > start do i = i - 1 end
  if i > 0 and x.start[i] == start then
    x.n[i] = math.min(x.n[i] + n, 4294967295)
  else
    table.insert(x.start, i + 1, start)
    table.insert(x.n, i + 1, n)
  end
end

-- Engagement (thousandths) at a step, and when the next bucket leaves (0: never). Whole numbers below 2^53, so that no
-- order of adding makes a difference.
local function sums(at)
  local total, leave, buckets = 0, 0, 0
  for _, x in ipairs(all) do
    x.sum, x.first = 0, #x.start + 1
    for i = #x.start, 1, -1 do
      if leaves(x.kind, x.start[i]) <= at then break end
      x.sum, x.first = x.sum + x.n[i], i
    end
    if x.first <= #x.start then
      local time = leaves(x.kind, x.start[x.first])
      if leave == 0 or time < leave then leave = time end
      total, buckets = total + x.kind.weight * math.min(x.kind.cap, x.sum), buckets + #x.start - x.first + 1
    end
  end
  s.at, s.sum, s.leave, s.buckets = at, total, leave, buckets
end

-- Removes the first buckets of a series, up to number `last`.
local function cut(x, last)
  if last == 0 then return end
  local start, n = {}, {}
  for i = last + 1, #x.start do start[#start + 1], n[#n + 1] = x.start[i], x.n[i] end
  x.start, x.n = start, n
end

local function forget_series()
  local oldest = 1
  for i, x in ipairs(all) do
    local last, least = x.start[#x.start] or 0, all[oldest].start[#all[oldest].start] or 0
    if last < least or (last == least and x.name < all[oldest].name) then oldest = i end
  end
  s.dropped = s.dropped + #all[oldest].start
  drop(all[oldest].name)
  table.remove(all, oldest)
end

local function forget_buckets()
  local starts = {}
  for _, x in ipairs(all) do
    for _, start in ipairs(x.start) do starts[#starts + 1] = start end
  end
  table.sort(starts)
  local limit = starts[#starts - floor(p.max_buckets * 7 / 8)]
  for _, x in ipairs(all) do
    local last = 0
    while last < #x.start and x.start[last + 1] <= limit do last = last + 1 end
    s.dropped = s.dropped + last
    cut(x, last)
  end
end

-- Writes every series as it is at a step, without the buckets that left by then.
local function save_all(at)
  sums(at)
  for _, x in ipairs(all) do cut(x, x.first - 1) end
  if #all > p.max_series or s.buckets > p.max_buckets then
    while #all > p.max_series do forget_series() end
    sums(at)
    if s.buckets > p.max_buckets then
      forget_buckets()
      sums(at)
    end
  end
  local d = {}
  for _, x in ipairs(all) do
    if #x.start == 0 then
      drop(x.name)
    else
      local bytes = {pack('<d', x.sum)}
      for i = 1, #x.start do bytes[i + 1] = pack('<I4I4', x.start[i], x.n[i]) end
      bytes = table.concat(bytes)
      if bytes ~= x.was then set(x.name, bytes) end
      d[#d + 1] = string.char(#x.name) .. x.name
    end
  end
  d = table.concat(d)
  if d == '' then drop('d') elseif d ~= all.d then set('d', d) end
  set_sums()
end

-- Brings the sums to the step of asOf.
local function refresh()
  if s.at == step_of(s.t) then return end
  open_all()
  save_all(step_of(s.t))
end

-- ---- what the facet says ----

local function heat_of(points, age)
  if p.half_life > 0 and age > 0 then points = points * 2 ^ (-age / p.half_life) end
  return math.max(0, math.min(1000000, floor(points + 0.5)))
end

-- The first step after `at` at which these points round to something else.
local function fades(points, heat, at)
  local published = s.published
  local time = published + step_of(p.half_life * math.log(points / (heat - 0.5)) / math.log(2))
  time = math.max(time, at + p.step)
  while time - p.step > at and heat_of(points, time - p.step - published) ~= heat do time = time - p.step end
  while heat_of(points, time - published) == heat do time = time + p.step end
  return time
end

-- Heat, the points of the three parts, the next time at which something changes by itself (nil: never); all of asOf.
local function look()
  if s.member then return -1, 0, 0, 0 end
  local related, engagement = p.per_related * (s.size - 1), floor(s.sum / 1000 + 0.5)
  local points, at, next_time = s.quality + related + engagement, step_of(s.t), nil
  local heat = heat_of(points, at - s.published)
  if heat > 0 then
    next_time = s.leave > 0 and s.leave or nil
    if p.half_life > 0 then next_time = math.min(next_time or 253402300000, fades(points, heat, at)) end
  end
  return heat, s.quality, related, engagement, next_time
end

local function take_revision(line)
  local clock = call('TIME')
  s.rev = text(math.max(tonumber(s.rev or '0') + 1, clock[1] * 1000000 + clock[2]))
  set('rev', s.rev)
  set('c', line)
end

-- Saves, sets the timer, and replies what is to be sent: how, 0 nothing 1 facet 2 tombstone, revision, heat, quality,
-- related, engagement, asOf, next (0: none), buckets dropped, signalIds that could not be kept, waiting ids forgotten.
-- again: the event was applied before; what was sent of it goes out again. due: a timer; its entry is changed only after
-- the report, unless there is none.
local function finish(how, again, due)
  if not s.article then
    save()
    return {how, 0, '0', 0, 0, 0, 0, 0, 0, s.dropped, s.forgotten, s.crowded}
  end
  local heat, quality, related, engagement, next_time = 0, 0, 0, 0, nil
  local says = 'x'
  if not s.gone then
    refresh()
    heat, quality, related, engagement, next_time = look()
    says = text(heat) .. ':' .. text(quality) .. ':' .. text(related) .. ':' .. text(engagement)
  end
  local line = says .. ' ' .. text(s.t) .. ' ' .. (next_time and text(next_time) or '')
  local silent = not resend and not again and s.rev and s.rev == s.srev and string.match(s.c, '^%S+') == says
  if not silent and (resend or not again or s.c ~= line) then take_revision(line) end
  save()
  if silent or not due then
    if next_time then call('ZADD', due_key, text(next_time * 1000), id) else call('ZREM', due_key, id) end
  end
  return {how, silent and 0 or s.gone and 2 or 1, s.rev, heat, quality, related, engagement, s.t, next_time or 0, s.dropped,
          s.forgotten}
end
