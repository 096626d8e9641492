-- again.lua: a facet of this article was sent that Redis may know nothing of any more: its present view is sent with a
-- newer revision. ARGV 2 id.

local id, mk = ARGV[2], key('m', ARGV[2])
local m = call('HMGET', mk, 's', 'gone')
if m[2] then
  call('HSET', mk, 'gone', take_revision())
else
  local s = story_of(m[1])
  if not s then return {''} end
  call('HSET', key('s', s.id), 'v', take_revision())
end
enter(id, revision)
return {''}
