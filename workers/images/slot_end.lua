-- slot_end.lua: a transfer ended. The host's answer counts for the breaker: as many failures in a row open it, for
-- longer each time; those of transfers that began before it opened do not count again.
-- ARGV 2 host, 3 address (''), 4 holder, 5 good, bad or none (says nothing about the host), 6 pause of the host from
-- now, ms (0: none), 7 'stays': the places are not given back, since the holder's next transfer takes them over.

local host, address, holder, how = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local hk = key('host:', host)
if ARGV[7] ~= 'stays' then
  call('ZREM', key('slots:', host), holder)
  if address ~= '' then call('ZREM', key('slots:', address), holder) end
end
local f = call('HMGET', hk, 'pausedUntil', 'openUntil', 'failures', 'opens')
local open_until = at(f[2] or nil)
if how == 'good' then
  call('HDEL', hk, 'failures', 'opens', 'openUntil')
  open_until = 0
elseif how == 'bad' and open_until <= now then
  local failures, opens = at(f[3] or nil) + 1, at(f[4] or nil)
  if failures >= p.breaker_failures then
    open_until = now + math.min(p.breaker_open * 2 ^ opens, p.breaker_open_max)
    call('HSET', hk, 'opens', text(math.min(opens + 1, 30)), 'openUntil', text(open_until))
  end
  call('HSET', hk, 'failures', text(math.min(failures, p.breaker_failures)))
end
local pause = tonumber(ARGV[6])
if pause > 0 then call('HSET', hk, 'pausedUntil', text(math.max(at(f[1] or nil), now + pause))) end
if call('EXISTS', hk) == 1 then call('PEXPIRE', hk, p.host_ms) end
return {'ok', open_until > now and open_until or 0}
