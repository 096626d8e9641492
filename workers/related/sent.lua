-- sent.lua: facets were reported: what was to be sent of them is done, unless it changed since.
-- ARGV 2... id and revision of each.

for i = 2, #ARGV, 2 do
  local score = call('ZSCORE', out_key, ARGV[i])
  if score and tonumber(score) <= tonumber(ARGV[i + 1]) then call('ZREM', out_key, ARGV[i]) end
end
return 1
