-- article.lua: a version of an article. Its URLs note it, the others forget it; what is to be done stands in the due
-- set. The same version again changes nothing but that each URL was used.
-- ARGV 2 id, 3 partition, 4 revision (16 digits), 5... for each image "<urlhash or -> <text>".

local id, partition, revision = ARGV[2], ARGV[3], ARGV[4]
local user = partition .. ':' .. id
local old = read_article(id)
if old and old.rev and old.rev > revision then return {'stale'} end
local again = old and old.rev == revision

local function write()
  local k, fields, gone = key('a:', id), {'rev', revision}, {'gone'}
  local was = old or {}
  local a = {id = id, hash = {}, text = {}, rev = revision, c = was.c, frev = was.frev, made = was.made,
             sent = was.sent}
  for i = 5, #ARGV do
    local n = i - 4
    fields[#fields + 1] = text(n)
    fields[#fields + 1] = ARGV[i]
    a.hash[n], a.text[n] = string.match(ARGV[i], '^(%S+) (.*)$')
  end
  for n = #a.hash + 1, old and #old.hash or 0 do gone[#gone + 1] = text(n) end
  call('HSET', k, unpack(fields))
  call('HDEL', k, unpack(gone))
  call('PEXPIRE', k, p.keep_ms)
  for _, hash in ipairs(old and old.hash or {}) do
    if hash ~= '-' and not lists(a, hash) then call('SREM', key('users:', hash), user) end
  end
  return a
end

local function join(hash)
  local k = key('users:', hash)
  if call('SISMEMBER', k, user) == 1 then return end
  if call('SCARD', k) >= p.max_users then
    call('HSET', url_key(hash), 'full', '1')
    return
  end
  call('SADD', k, user)
  local sha = call('HGET', url_key(hash), 'sha256')
  if not sha then call('PEXPIRE', k, p.keep_ms) end
end

-- What gave up after so many rounds begins again where a newer version still shows it.
local function revive(e)
  if again or e.state ~= 'failed' or e.never or e.nextTry then return end
  call('HSET', url_key(e.hash), 'nextTry', text(now), 'rounds', '0', 'tries', '0')
  call('HDEL', url_key(e.hash), 'retryAt')
end

local a = again and old or write()
local due
if a.gone then return view(a, 'again') end
for _, hash in ipairs(a.hash) do
  if hash ~= '-' then
    join(hash)
    revive(read_entry(hash))
    local e = read_entry(hash)
    local look = needs_work(e) and now or next_look(e, 0)
    if look and (not due or look < due) then due = look end
  end
end
if due then set_due(partition, id, due) end
return view(a, again and 'again' or 'article')
