-- back.lua: a claimed due entry is given back, to fire at a later time: a host is busy for longer than a lease.
-- ARGV 2 id, 3 partition, 4 the score that was claimed, 5 when, ms.

if move_due(ARGV[3], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])) then return {'ok', 0} end
return {'moved', 0}
