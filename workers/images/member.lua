-- member.lua: an article that is gone, or shows the URL no more, leaves it. For gc.
-- ARGV 2 urlhash, 3 "<partition>:<id>", 4 `dry`: nothing is changed.

local a = read_article(string.match(ARGV[3], '^%d+:(.+)$') or '')
if a and not a.gone and lists(a, ARGV[2]) then return {'used', 0} end
if ARGV[4] == 'dry' then return {call('SISMEMBER', key('users:', ARGV[2]), ARGV[3]) == 1 and 'ok' or 'none', 0} end
return {call('SREM', key('users:', ARGV[2]), ARGV[3]) == 1 and 'ok' or 'none', 0}
