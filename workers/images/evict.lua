-- evict.lua: the store is full: an object goes although it may be in use; its articles say so first. Spared: what is
-- young, being fetched, or shown by articles that are not all noted. The file goes by `deleting` once p.grace has
-- passed. In steps, while `more` is replied. What is on its way already stays as it is.
-- ARGV 2 sha256, 3 `purge`: an operator wants it gone, so nothing is spared, and who fetches one of its URLs brings
-- nothing home; 4 `dry`: nothing is changed.

local sha, purge, dry = ARGV[2], ARGV[3] == 'purge', ARGV[4] == 'dry'
local o = key('o:', sha)
local f = call('HMGET', o, 'storedAt', 'dying', 'deleting')
if not f[1] then return {'none', 0} end
if f[3] or not purge and now - tonumber(f[1]) < p.min_age then return {'spared', 0} end
local entries = entries_of(sha, dry)
if not purge then
  if not entries then return {'spared', 0} end
  for _, e in ipairs(entries) do
    if e.full or call('EXISTS', key('lease:', e.hash)) == 1 then return {'spared', 0} end
  end
end
if dry then return {'ok', now + p.grace} end
local left = give_up_object(sha, 'evicted', purge)
if left > 0 then return {'more', left} end
if f[2] and entries and #entries == 0 then return {'ok', tonumber(f[2]) + p.grace} end
call('HSET', o, 'dying', text(now))
return {'ok', now + p.grace}
