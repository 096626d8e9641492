-- walked.lua: what walk.lua gave was reported. The entry goes on from there, or is over; one that was entered anew
-- meanwhile begins anew.
-- ARGV 2 entry, 3 the score that it had, 4 cursor ('' at the end).

local entry, field, sk = ARGV[2], 'w' .. sub(ARGV[2], 1, 1), key('s', sub(ARGV[2], 2))
local score = call('ZSCORE', out_key, entry)
if call('EXISTS', sk) == 0 or call('HEXISTS', sk, 'into') == 1 then return 0 end
if not score or tonumber(score) ~= tonumber(ARGV[3]) or ARGV[4] == '' then
  call('HDEL', sk, field)
  return 0
end
call('HSET', sk, field, ARGV[4])
call('ZADD', out_key, 'XX', string.format('%.0f', tonumber(score) + 1), entry)
return 1
