-- object.lua: whether an object is known, before it is put or because it was read. A use: it is no longer dying. A file
-- that Redis knows nothing of can be adopted, as an object that no URL shows and that was last used when it was stored.
-- ARGV 2 sha256, 3 when the file was stored, ms ('': nothing is adopted), 4 its type, 5 its bytes.

local sha = ARGV[2]
local k = key('o:', sha)
local f = call('HMGET', k, 'storedAt', 'deleting')
if f[2] then return {'deleting', tonumber(f[2]) + p.deleting_ms, f[2]} end
if f[1] then
  if ARGV[3] ~= '' then return {'ok', tonumber(f[1])} end -- a walk of the store is no use
  call('HDEL', k, 'dying')
  touch_object(sha)
  return {'ok', tonumber(f[1])}
end
if ARGV[3] == '' then return {'none', 0} end
call('HSET', k, 'storedAt', ARGV[3], 'type', ARGV[4], 'bytes', ARGV[5], 'thumbs', '')
call('ZADD', ns .. 'img:lru', ARGV[3], sha)
return {'adopted', tonumber(ARGV[3])}
