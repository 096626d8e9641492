-- reset.lua: a URL is fetched again: its object is missing or damaged, or an operator asks for it. Back to pending.
-- ARGV 2 urlhash, 3 the sha256 that was missed ('': whatever it has).

local e = read_entry(ARGV[2])
if ARGV[3] ~= '' and e.sha256 ~= ARGV[3] then return {'none', 0} end
return {'ok', give_up(e)}
