-- state.lua: what the scripts of images share; put in front of each of them, behind the parameters `p`.
--
-- KEYS[1] is "<namespace>:"; ARGV[1] the time in ms since 1970 ('': Redis' own). One call touches keys of several tags
-- (an article, its URLs, their objects, due sets of many partitions): no cluster mode. Keys and what is in them:
--   img:{<urlhash>}     state (none: pending, cached, failed), sha256 type width height bytes rawWidth rawHeight
--                       orientation etag lastModified fetchedAt expiresAt; reason, nextTry (none: never again by
--                       itself), never (1: nothing but another URL helps), policy (the rules that refused it); tries in
--                       the round, retryAt: when its next try may begin, rounds that failed; token of the lease,
--                       lastUsed, dying, full
--   img:a:{<id>}        rev: 16 digits; gone; "1", "2"...: "<urlhash or -> <text of the caller>"; frev and c: revision
--                       of the last facet that was made, and a hash of what it says; made: when, ms, or when an event
--                       made it again; sent: that hash once it was reported
--   img:users:{<urlhash>}, img:lease:{<urlhash>}, img:urls:{<sha256>}, img:lru, due:images:<partition>
--   img:o:{<sha256>}    bytes, type, thumbs (text of the caller), storedAt, dying; deleting (since), deleter (whose)
--   img:host:{<host>}   pausedUntil, failures, opens, openUntil; tokens (thousandths) and tokensAt
--   img:slots:{<host or address>}   holder -> end; img:wanted:{<host or address>}: somebody found no room there lately
-- Scores of due entries are even, those of claimed ones odd: whoever wakes an article changes its score in any case,
-- and who claimed it before does not take the new entry for his. A script reads and checks first, so that an error
-- leaves nothing half done.

local ns, call, floor = KEYS[1], redis.call, math.floor

local function text(n) return string.format('%.0f', n) end

local now, now_us
do
  local given = tonumber(ARGV[1])
  local clock = given and {floor(given / 1000), given % 1000 * 1000} or call('TIME')
  now_us = clock[1] * 1000000 + clock[2]
  now = floor(now_us / 1000)
end

local function key(kind, name) return ns .. 'img:' .. kind .. '{' .. name .. '}' end
local function url_key(hash) return key('', hash) end

-- ---- due entries ----

local function even(ms) return ms - ms % 2 end
local function claimed_until(ms) return ms - ms % 2 + 1 end
local function due_key(partition) return ns .. 'due:images:' .. partition end

-- The article is looked at then, or before where it is due earlier; a claimed entry gets another score in any case.
local function set_due(partition, id, ms)
  local k, at = due_key(partition), even(ms)
  local score = tonumber(call('ZSCORE', k, id) or nil)
  if not score or score > at or score % 2 == 1 then call('ZADD', k, text(at), id) end
end

-- Only whoever claimed it may move or remove it. ms nil: remove. Not before ms: there would be nothing to do yet.
local function move_due(partition, id, claimed, ms)
  local k = due_key(partition)
  local score = tonumber(call('ZSCORE', k, id) or nil)
  if not score or score ~= claimed then return false end
  if ms then call('ZADD', k, text(even(ms + 1)), id) else call('ZREM', k, id) end
  return true
end

-- Every article that shows the URL looks at it now. Returns how many they are, at most p.max_users. One ZADD for many:
-- a command costs more than a member. It may move what is late already to now, which does no harm.
local function wake(hash)
  local users, sets, score = call('SMEMBERS', key('users:', hash)), {}, text(even(now))
  local function flush(partition)
    call('ZADD', due_key(partition), unpack(sets[partition]))
    sets[partition] = nil
  end
  for _, user in ipairs(users) do
    local partition, id = string.match(user, '^(%d+):(.+)$')
    local set = sets[partition] or {}
    sets[partition] = set
    set[#set + 1] = score
    set[#set + 1] = id
    if #set >= 1000 then flush(partition) end
  end
  local left = {}
  for partition in pairs(sets) do left[#left + 1] = partition end
  for _, partition in ipairs(left) do flush(partition) end
  return #users
end

-- ---- entries ----

local names = {'state', 'sha256', 'type', 'width', 'height', 'bytes', 'reason', 'nextTry', 'expiresAt', 'tries',
               'rounds', 'etag', 'lastModified', 'retryAt', 'policy', 'never', 'token', 'lastUsed', 'dying', 'full'}

local function read_entry(hash)
  local values, e = call('HMGET', url_key(hash), unpack(names)), {hash = hash}
  for i, name in ipairs(names) do e[name] = values[i] or nil end
  return e
end

local function at(value) return tonumber(value or '0') end

-- What is changed stands for state.keepDays from now on; with an object it stays until gc takes both.
local function keep(hash, has_object)
  for _, k in ipairs({url_key(hash), key('users:', hash)}) do
    if has_object then call('PERSIST', k) else call('PEXPIRE', k, p.keep_ms) end
  end
end

-- Whether somebody has to fetch it now.
local function needs_work(e)
  if now < at(e.retryAt) then return false end
  if e.state == 'cached' then return now >= at(e.expiresAt) end
  if e.state ~= 'failed' then return true end
  if e.policy and e.policy ~= p.policy then return true end
  return e.nextTry and now >= at(e.nextTry) or false
end

local function lease_left(hash) return math.max(call('PTTL', key('lease:', hash)), 0) end

-- When an article has to look at a URL again (nil: when it is woken). A lease ends by itself where its holder died.
-- Freshness has no timer, but a fetch that began does.
local function next_look(e, jitter)
  if needs_work(e) then
    local left = lease_left(e.hash)
    if left == 0 then return now end
    return now + left + floor(p.lease_jitter * jitter / 1000000)
  end
  if e.state == 'cached' then return now < at(e.retryAt) and at(e.retryAt) or nil end
  if e.state == 'failed' then return e.nextTry and math.max(at(e.nextTry), at(e.retryAt)) or nil end
  return at(e.retryAt)
end

local function touch_object(sha)
  local last = tonumber(call('ZSCORE', ns .. 'img:lru', sha) or nil)
  if not last or now - last >= p.touch_ms then call('ZADD', ns .. 'img:lru', text(now), sha) end
end

-- A use takes `dying` back, from the object too: it is dying only if each of its entries is.
local function use(e)
  local k = url_key(e.hash)
  call('HSET', k, 'lastUsed', text(now))
  if e.dying then call('HDEL', k, 'dying') end
  if e.sha256 then
    touch_object(e.sha256)
    if e.dying then call('HDEL', key('o:', e.sha256), 'dying') end
  elseif call('PTTL', k) < 0 then
    keep(e.hash, false)
  end
end

-- ---- articles ----

-- Its hashes in order ('-': a URL that was refused), the caller's texts, and nil where there is no article.
local function read_article(id)
  local all = call('HGETALL', key('a:', id))
  if #all == 0 then return nil end
  local a = {id = id, hash = {}, text = {}}
  for i = 1, #all, 2 do
    local n = tonumber(all[i])
    if n then a.hash[n], a.text[n] = string.match(all[i + 1], '^(%S+) (.*)$') else a[all[i]] = all[i + 1] end
  end
  return a
end

local function lists(a, hash)
  for _, h in ipairs(a.hash) do
    if h == hash then return true end
  end
  return false
end

-- The revision of a facet that says `c`: that of the last one where that said the same. What was reported before a new
-- one counts no more: that may have been reported too, unnoted, when the state is as it was before. An event is always
-- answered, so its facet is made now, new or not.
local function take_revision(a, c, how)
  local k, same = key('a:', a.id), a.c == c and a.frev
  if same and how == 'claimed' then return a.frev end
  a.made = text(now)
  if same then
    call('HSET', k, 'made', a.made)
    return a.frev
  end
  a.c, a.frev = c, text(math.max(at(a.frev) + 1, now_us))
  call('HSET', k, 'c', a.c, 'frev', a.frev, 'made', a.made)
  call('HDEL', k, 'sent')
  call('PEXPIRE', k, p.keep_ms)
  a.sent = nil
  return a.frev
end

-- Until when the report of the last facet may come, nil: it came. Whoever made that facet may have died, so after a lease
-- it is sent again. Made at a time to come: a clock was wrong.
local function report_until(a)
  if not a.c or a.gone or a.sent == a.c then return nil end
  local made, till = at(a.made), even(at(a.made) + p.lease_ms + 1)
  return made <= now and till > now and till or now
end

-- What the facet is made of, and what is to be done. Uses every entry.
-- {how, revision, hash of what it says, `sent` if it was reported, `made` if it may be on its way to that and is not to
-- be sent by a due entry again, score of the due entry, images}; an image:
-- {text, urlhash, 1: needs work, ms that somebody's lease has left, fields..., thumbs}.
local function view(a, how, score)
  local images, says, entries = {}, {p.facet}, {}
  for i, hash in ipairs(a.hash) do
    local image, e, thumbs = {a.text[i], hash}, {}, ''
    if hash ~= '-' then
      e = entries[hash] or read_entry(hash)
      if not entries[hash] then use(e) end
      entries[hash] = e
      if e.state == 'cached' then thumbs = call('HGET', key('o:', e.sha256), 'thumbs') or '' end
    end
    image[3] = hash ~= '-' and needs_work(e) and 1 or 0
    image[4] = image[3] == 1 and lease_left(hash) or 0
    for n = 1, 13 do image[4 + n] = e[names[n]] or '' end
    image[18] = thumbs
    images[i] = image
    says[#says + 1] = table.concat({a.text[i], e.state or '', e.sha256 or '', e.width or '', e.height or '',
                                    e.reason or '', e.nextTry or '', thumbs}, '\n')
  end
  local c = a.gone and 'x' or redis.sha1hex(table.concat(says, '\n\n'))
  local on_its_way = how == 'claimed' and a.c == c and (report_until(a) or 0) > now
  local revision = take_revision(a, c, how)
  return {how, revision, c, a.sent == c and 'sent' or on_its_way and 'made' or '', score or '', images}
end

-- ---- objects ----

-- The URL shows this object no more.
local function unlink_object(e)
  if e.sha256 then call('SREM', key('urls:', e.sha256), e.hash) end
end

-- Back to pending, or to failed with a reason for ever; its articles are woken. Returns how many.
local function give_up(e, reason)
  local k = url_key(e.hash)
  unlink_object(e)
  call('HDEL', k, 'state', 'sha256', 'type', 'width', 'height', 'bytes', 'rawWidth', 'rawHeight', 'orientation', 'etag',
       'lastModified', 'fetchedAt', 'expiresAt', 'reason', 'nextTry', 'never', 'policy', 'tries', 'retryAt', 'rounds',
       'dying')
  if reason then call('HSET', k, 'state', 'failed', 'reason', reason, 'never', '1') end
  if reason or call('EXISTS', k) == 1 then keep(e.hash, false) end
  return wake(e.hash)
end

-- The entries that show an object, as far as gc has to know them; what only seems to is taken out, but for `dry`. nil:
-- more than one call may look at.
local function entries_of(sha, dry)
  local k, entries = key('urls:', sha), {}
  if call('SCARD', k) > p.max_urls then return nil end
  for _, hash in ipairs(call('SMEMBERS', k)) do
    local f = call('HMGET', url_key(hash), 'sha256', 'lastUsed', 'dying', 'full')
    local e = {hash = hash, sha256 = f[1], lastUsed = f[2] or nil, dying = f[3], full = f[4]}
    if e.sha256 == sha then
      entries[#entries + 1] = e
    elseif not dry then
      call('SREM', k, hash)
    end
  end
  return entries
end

-- Gives up the entries of an object, no more of them than wake p.max_users articles. `purge`: who fetches one has lost
-- his lease. Returns how many are left.
local function give_up_object(sha, reason, purge)
  local woken, left = 0, 0
  local hashes = call('SRANDMEMBER', key('urls:', sha), p.max_urls)
  for _, hash in ipairs(hashes) do
    local e = read_entry(hash)
    if woken >= p.max_users then break end
    if e.sha256 == sha then
      if purge then
        call('HDEL', url_key(hash), 'token')
        call('DEL', key('lease:', hash))
      end
      woken = woken + 1 + give_up(e, reason)
    else
      call('SREM', key('urls:', sha), hash)
    end
  end
  left = call('SCARD', key('urls:', sha))
  return left
end
