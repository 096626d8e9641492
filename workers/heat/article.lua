-- article.lua: a version of the article, or its retraction, which drops what was counted.
-- ARGV 3 revision (16 digits), 4 "<quality> <published>" ('': retracted), 5 published ('0': retracted).

open()
if s.article and s.article > ARGV[3] then return {'stale', 0} end
local again = s.article == ARGV[3]
if not s.article then call('ZREM', waiting_key, id) end
if not again then
  set('a', ARGV[3] .. ARGV[4])
  take_article(ARGV[3] .. ARGV[4])
end
if s.gone and not again then
  open_all()
  for _, x in ipairs(all) do drop(x.name) end
  for i = 0, 15 do drop('i' .. i) end
  drop('d')
  drop('m')
end
if not s.gone then set_time(tonumber(ARGV[5])) end
return finish(s.gone and 'retracted' or 'article', again)
