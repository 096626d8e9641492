-- slot.lua: a transfer may begin: there is room under its host and its address, a rate token, and the host is not
-- paused or broken. Both places end by themselves, where the holder dies. Nothing is taken where something is missing.
-- Who is in already and has to wait for a token keeps his places meanwhile; where others want them he hears `host`, not
-- `rate`, and gives them back.
-- ARGV 2 host, 3 address ('': not known yet), 4 holder.

local host, address, holder = ARGV[2], ARGV[3], ARGV[4]
local hk = key('host:', host)
local f = call('HMGET', hk, 'pausedUntil', 'openUntil', 'failures', 'tokens', 'tokensAt')
if at(f[1] or nil) > now then return {'paused', at(f[1])} end
if at(f[2] or nil) > now then return {'open', at(f[2])} end

-- Whether there is room for one more; who is in already is not counted twice.
local function room(name, limit)
  local k = key('slots:', name)
  call('ZREMRANGEBYSCORE', k, '-inf', text(now))
  return call('ZSCORE', k, holder) or call('ZCARD', k) < limit
end

-- Remembered until they ask again.
local function no_room(name, how)
  call('SET', key('wanted:', name), '1', 'PX', 2 * p.slot_retry)
  return {how, now + p.slot_retry}
end

local function is_wanted(name) return call('EXISTS', key('wanted:', name)) == 1 end

-- After the pause of a breaker one transfer tries; it decides for the others.
local limit = at(f[3] or nil) >= p.breaker_failures and 1 or p.per_host
if not room(host, limit) then return no_room(host, 'host') end
local other = address ~= '' and address ~= host
if other and not room(address, p.per_address) then return no_room(address, 'address') end

local tokens = p.host_burst * 1000
if f[4] then tokens = math.min(tokens, tonumber(f[4]) + math.max(now - at(f[5]), 0) * p.host_rate) end
if tokens < 1000 then
  local how = (is_wanted(host) or (other and is_wanted(address))) and 'host' or 'rate'
  return {how, now + math.ceil((1000 - tokens) / p.host_rate)}
end
call('HSET', hk, 'tokens', text(tokens - 1000), 'tokensAt', text(now))
call('PEXPIRE', hk, p.host_ms)
for _, name in ipairs(other and {host, address} or {host}) do
  call('ZADD', key('slots:', name), text(now + p.slot_ms), holder)
  call('PEXPIRE', key('slots:', name), p.slot_ms)
end
return {'ok', now + p.slot_ms}
