-- lease.lua: one of all instances fetches a URL. The token goes into the entry: who comes back after his lease ran out
-- and another took it writes nothing. Asking again with the same token is harmless.
-- ARGV 2 urlhash, 3 token.

local hash, token = ARGV[2], ARGV[3]
local k = key('lease:', hash)
local holder = call('GET', k)
if holder and holder ~= token then return {'held', now + lease_left(hash)} end
if not holder then
  if not needs_work(read_entry(hash)) then return {'done', 0} end
  call('SET', k, token, 'NX', 'PX', p.lease_ms)
  call('HSET', url_key(hash), 'token', token)
  if call('PTTL', url_key(hash)) < 0 and not read_entry(hash).sha256 then keep(hash, false) end
else
  call('PEXPIRE', k, p.lease_ms)
end
return {'taken', now + p.lease_ms}
