-- retract.lua: the article is gone. Its revision stays, so that an older version does not bring it back.
-- ARGV 2 id, 3 partition, 4 revision (16 digits).

local id, partition, revision = ARGV[2], ARGV[3], ARGV[4]
local old = read_article(id) or {id = id, hash = {}, text = {}}
if old.rev and old.rev > revision then return {'stale'} end
local again = old.rev == revision and old.gone
if not again then
  local k = key('a:', id)
  for n, hash in ipairs(old.hash) do
    if hash ~= '-' then call('SREM', key('users:', hash), partition .. ':' .. id) end
    call('HDEL', k, text(n))
  end
  call('HSET', k, 'rev', revision, 'gone', '1')
  call('PEXPIRE', k, p.keep_ms)
  old.hash, old.text, old.gone = {}, {}, '1'
end
call('ZREM', due_key(partition), id)
return view(old, again and 'again' or 'retracted')
