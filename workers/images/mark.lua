-- mark.lua: an object that nobody has used for long is dying: each of its entries is without articles, idle, not being
-- fetched and not full. All or none. For gc, and for eviction, which takes what is unused first, idle or not.
-- ARGV 2 sha256, 3 idle for how long, ms ('': by the options), 4 `dry`: nothing is changed, 5 `alone`: as if no URL had
-- articles (what they were is gone, and dry).

local sha, dry = ARGV[2], ARGV[4] == 'dry'
local long, alone = tonumber(ARGV[3]) or p.idle, dry and ARGV[5] == 'alone'
local o = key('o:', sha)
local f = call('HMGET', o, 'storedAt', 'dying', 'deleting')
if not f[1] then return {'none', 0} end
if f[3] then return {'deleting', tonumber(f[3]) + p.deleting_ms, f[3]} end
if f[2] then return {'dying', tonumber(f[2]) + p.grace} end
local idle = now - math.max(at(f[1]), at(call('ZSCORE', ns .. 'img:lru', sha) or nil))
local entries = entries_of(sha, dry)
if not entries or now - at(f[1]) < p.min_age or idle < long then return {'used', 0} end
for _, e in ipairs(entries) do
  if e.full or now - at(e.lastUsed) < long or call('EXISTS', key('lease:', e.hash)) == 1 or
     not alone and call('SCARD', key('users:', e.hash)) > 0 then
    return {'used', 0}
  end
end
if dry then return {'dying', now + p.grace} end
for _, e in ipairs(entries) do call('HSET', url_key(e.hash), 'dying', text(now)) end
call('HSET', o, 'dying', text(now))
return {'dying', now + p.grace}
