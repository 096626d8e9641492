-- evict.lua: the store is full: an object goes although it may be in use; its articles say so first. Spared: what is
-- young, being fetched, or shown by articles that are not all noted. The file goes by `deleting` once p.grace has
-- passed. In steps, while `more` is replied. ARGV 2 sha256.

local sha = ARGV[2]
local o = key('o:', sha)
local f = call('HMGET', o, 'storedAt', 'deleting')
if not f[1] then return {'none', 0} end
if f[2] or now - tonumber(f[1]) < p.min_age then return {'spared', 0} end
local entries = entries_of(sha)
if not entries then return {'spared', 0} end
for _, e in ipairs(entries) do
  if e.full or call('EXISTS', key('lease:', e.hash)) == 1 then return {'spared', 0} end
end
local left = give_up_object(sha, 'evicted')
if left > 0 then return {'more', left} end
call('HSET', o, 'dying', text(now))
return {'ok', now + p.grace}
