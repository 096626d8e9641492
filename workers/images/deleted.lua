-- deleted.lua: gc removed the file. Where the object is no longer its own to delete (put again meanwhile, or Redis came
-- back as it was before), what shows it is fetched again. In steps, while `more` is replied. For gc. ARGV 2 sha256, 3
-- token, 4 `purge`: the grace is not over, so the object stays `deleting`, but whoever meets it need not wait any more.

local sha = ARGV[2]
local o = key('o:', sha)
local mine = call('HGET', o, 'deleter') == ARGV[3]
if not mine then
  local left = give_up_object(sha)
  if left > 0 then return {'more', left} end
end
if mine and ARGV[4] == 'purge' then
  call('HSET', o, 'deleting', text(now - p.deleting_ms))
  return {'ok', 0}
end
-- Another gc that took it over goes on by itself.
if not mine and call('HGET', o, 'deleting') then return {'held', 0} end
call('DEL', o, key('urls:', sha))
call('ZREM', ns .. 'img:lru', sha)
return {mine and 'ok' or 'lost', 0}
