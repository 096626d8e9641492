-- retract.lua: an article leaves; a mark stays, so that an older version cannot come back.
-- ARGV 2 id, 3 revision, 4 how long the mark stays, s. Replies gone or stale, then views.

local id, mk = ARGV[2], key('m', ARGV[2])
local h = call('HMGET', mk, 'r', 'gone', 's', 'f', 't')
if h[1] and tonumber(ARGV[3]) < tonumber(h[1]) then return views('stale', id) end
if not h[2] then
  if h[3] then take_out(id, {s = h[3], f = h[4], t = tonumber(h[5])}, {}) end
  call('DEL', mk, key('h', id))
  call('ZREM', out_key, id)
  call('HSET', mk, 'gone', take_revision())
end
call('HSET', mk, 'r', ARGV[3])
call('EXPIRE', mk, ARGV[4])
save_stories(id)
return views('gone', id)
