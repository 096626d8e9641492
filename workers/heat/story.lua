-- story.lua: a related facet of the article.
-- ARGV 3 revision (16 digits), 4 "<size> <1: it is the lead>" ('': it has no story).

open()
if s.story and s.story > ARGV[3] then return {'stale', 0} end
local again = s.story == ARGV[3]
if not again then
  set('r', ARGV[3] .. ARGV[4])
  take_story(ARGV[3] .. ARGV[4])
end
return finish('story', again)
