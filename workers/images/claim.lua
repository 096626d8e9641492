-- claim.lua: a due entry fires, or whoever claimed it goes on working: it fires again when nobody has finished by the
-- end of a lease. It is left alone where somebody moved it meanwhile.
-- ARGV 2 id, 3 partition, 4 the score that was read.

local id, partition = ARGV[2], ARGV[3]
local score = tonumber(call('ZSCORE', due_key(partition), id) or nil)
if not score or score ~= tonumber(ARGV[4]) then return {'moved'} end
local a = read_article(id)
if not a or a.gone then
  call('ZREM', due_key(partition), id)
  return {'gone'}
end
-- Two claims within a millisecond have scores of their own, or the first would believe the second's to be his.
local mine = claimed_until(now + p.lease_ms)
if mine == score then mine = mine + 2 end
call('ZADD', due_key(partition), text(mine), id)
return view(a, 'claimed', text(mine))
