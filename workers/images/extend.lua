-- extend.lua: the holder goes on, or ends without an outcome. A lease that ran out is taken again where nobody else
-- took it.
-- ARGV 2 urlhash, 3 token, 4 1: goes on, 0: ends.

local hash, token = ARGV[2], ARGV[3]
local k = key('lease:', hash)
if call('HGET', url_key(hash), 'token') ~= token then return {'lost', 0} end
if ARGV[4] == '1' then
  call('SET', k, token, 'PX', p.lease_ms)
  return {'ok', now + p.lease_ms}
end
call('DEL', k)
call('HDEL', url_key(hash), 'token')
return {'ok', 0}
