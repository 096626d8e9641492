-- back.lua: a claimed due entry is given back, to fire at a later time: a host is busy for longer than a lease. Where the
-- report of the last facet has not come, it fires by the time that it can no longer come.
-- ARGV 2 id, 3 partition, 4 the score that was claimed, 5 when, ms.

local a, due = read_article(ARGV[2]), tonumber(ARGV[5])
local wait = a and report_until(a)
if wait then due = math.min(due, wait) end
if move_due(ARGV[3], ARGV[2], tonumber(ARGV[4]), due) then return {'ok', 0} end
return {'moved', 0}
