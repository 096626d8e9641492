-- mark.lua: a facet was reported. Only the newest revision becomes a mark. A timer whose facet it was goes on to the next
-- one, if it still is what came: else somebody set it anew.
-- ARGV 3 revision, 4 the timer's score ('': no timer), 5 the next one, ms ('': none).

if call('HGET', hk, 'rev') == ARGV[3] then call('HSET', hk, 'srev', ARGV[3]) end
if ARGV[4] == '' then return 1 end
local score = call('ZSCORE', due_key, id)
if score and tonumber(score) == tonumber(ARGV[4]) then
  if ARGV[5] == '' then call('ZREM', due_key, id) else call('ZADD', due_key, ARGV[5], id) end
end
return 1
