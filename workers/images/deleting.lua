-- deleting.lua: the grace is over and nobody used the object: its entries go, and gc may remove the file within half of
-- p.deleting_ms, or not at all. One that was left behind is taken over. For gc. ARGV 2 sha256, 3 token, 4 `purge`: the
-- operator waits for no grace and no age. A writer may have seen the file before, so this object stays `deleting` until
-- the grace is over all the same: whoever says that he put it is told to put it again.

local sha, token, purge = ARGV[2], ARGV[3], ARGV[4] == 'purge'
local o = key('o:', sha)
local f = call('HMGET', o, 'storedAt', 'dying', 'deleting')
if not f[1] then return {'none', 0} end
if f[3] then
  if now < tonumber(f[3]) + p.deleting_ms then return {'held', tonumber(f[3]) + p.deleting_ms} end
else
  local entries = entries_of(sha)
  if not f[2] or not entries or not purge and now - at(f[1]) < p.min_age then return {'used', 0} end
  if not purge and now < tonumber(f[2]) + p.grace then return {'dying', tonumber(f[2]) + p.grace} end
  for _, e in ipairs(entries) do
    if not e.dying or e.full or call('SCARD', key('users:', e.hash)) > 0 or
       call('EXISTS', key('lease:', e.hash)) == 1 then
      return {'used', 0}
    end
  end
  for _, e in ipairs(entries) do call('DEL', url_key(e.hash), key('users:', e.hash)) end
  call('DEL', key('urls:', sha))
end
call('HSET', o, 'deleting', text(now), 'deleter', token)
return {'ok', now + floor(p.deleting_ms / 2)}
