-- lost.lua: an object is missing or damaged: each of its URLs is fetched again. In steps, while `more` is replied.
-- ARGV 2 sha256.

local left = give_up_object(ARGV[2])
if left > 0 then return {'more', left} end
call('DEL', key('o:', ARGV[2]))
call('ZREM', ns .. 'img:lru', ARGV[2])
return {'ok', 0}
