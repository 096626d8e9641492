-- facet_sent.lua: a facet was reported. Only the newest is noted. A claimed due entry goes, or on to when one of its
-- URLs is to be looked at again, if it still is what was claimed: else somebody has set it anew.
-- ARGV 2 id, 3 partition, 4 the facet's revision, 5 the hash of what it says ('': it was not sent, somebody else's report
-- may still come), 6 the score that was claimed ('': none), 7 jitter, ppm.

local id, partition, claimed = ARGV[2], ARGV[3], tonumber(ARGV[6])
local a = read_article(id)
local newest = a and a.frev == ARGV[4]
if newest and ARGV[5] ~= '' and a.sent ~= ARGV[5] then
  call('HSET', key('a:', id), 'sent', ARGV[5])
  a.sent = ARGV[5]
end
if not claimed then return {newest and 'ok' or 'old', 0} end
local due
for _, hash in ipairs(a and not a.gone and a.hash or {}) do
  local look = hash ~= '-' and next_look(read_entry(hash), tonumber(ARGV[7]))
  if look and (not due or look < due) then due = look end
end
-- A facet of somebody else: its own report may fail, so the entry fires once that can no longer come.
local wait = a and report_until(a)
if wait and (not due or wait < due) then due = wait end
if not move_due(partition, id, claimed, due) then return {'moved', 0} end
return {newest and 'ok' or 'old', due or 0}
