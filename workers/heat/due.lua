-- due.lua: a timer of the article. asOf goes on to it, and from there to the next one as long as that has passed too.
-- ARGV 3 its score, ms.

open()
if not s.article or s.gone then
  call('ZREM', due_key, id)
  return {'none', 0}
end
set_time(floor(tonumber(ARGV[3]) / 1000))
local now = tonumber(call('TIME')[1])
open_all()
for _ = 1, 32 do
  sums(step_of(s.t))
  local _, _, _, _, next_time = look()
  if not next_time or next_time > now then break end
  set_time(next_time)
end
save_all(step_of(s.t))
return finish('due', false, true)
