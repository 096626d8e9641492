-- result.lua: how a fetch ended. Only the holder of the lease writes it; the same result again finds no token and
-- changes nothing. What changes a facet wakes every article.
-- ARGV 2 urlhash, 3 token, 4 jitter, ppm, 5 cached, same or failed; then
--   cached  6 sha256, 7 type, 8 width, 9 height, 10 bytes, 11 rawWidth, 12 rawHeight, 13 orientation, 14 etag,
--           15 lastModified, 16 fresh for ms ('': by the options), 17 thumbs, 18 since when `deleting`, where the
--           object was put again after that, 19 `existed`: a file was found under its name and not written
--   same    6 etag, 7 lastModified, 8 fresh for ms: it is what we have (304)
--   failed  6 reason, 7 retry later gone policy never ours, 8 not before, ms from now, 9 width, 10 height ('': unknown)

local hash, token, jitter = ARGV[2], ARGV[3], tonumber(ARGV[4])
local k, e = url_key(hash), read_entry(hash)
if e.token ~= token then return {'lost', 0} end

local function set(fields, gone)
  if gone and #gone > 0 then call('HDEL', k, unpack(gone)) end
  if #fields > 0 then call('HSET', k, unpack(fields)) end
end

local function free()
  call('HDEL', k, 'token')
  call('DEL', key('lease:', hash))
end

local function fresh_until(ms)
  local fresh = p.fresh_ms
  if ms ~= '' then fresh = math.min(math.max(tonumber(ms), p.fresh_min), p.fresh_max) end
  return text(now + floor(fresh * (900000 + jitter / 5) / 1000000))
end

local function good_fields(fields, etag, modified, fresh)
  for _, pair in ipairs({{'state', 'cached'}, {'etag', etag}, {'lastModified', modified}, {'fetchedAt', text(now)},
                         {'expiresAt', fresh_until(fresh)}, {'lastUsed', text(now)}}) do
    fields[#fields + 1] = pair[1]
    fields[#fields + 1] = pair[2]
  end
  set(fields, {'reason', 'nextTry', 'never', 'policy', 'tries', 'retryAt', 'rounds', 'dying'})
  keep(hash, true)
end

local function register(sha)
  local o = key('o:', sha)
  call('HSET', o, 'type', ARGV[7], 'bytes', ARGV[10], 'thumbs', ARGV[17])
  call('HSETNX', o, 'storedAt', text(now))
  call('HDEL', o, 'dying', 'deleting', 'deleter')
  call('SADD', key('urls:', sha), hash)
  touch_object(sha)
end

-- An object that gc is removing is not there, whatever the store says: put again once gc has certainly ended. The same
-- after a lease ran out, even where nobody else took it: a put of long ago may be gone. And a file that was found, of an
-- object that Redis does not know, may be one that gc has removed since: it is written again (1).
local function cached()
  if call('GET', key('lease:', hash)) ~= token then return {'late', 0} end
  local sha = ARGV[6]
  local since = tonumber(call('HGET', key('o:', sha), 'deleting') or nil)
  if since and (now < since + p.deleting_ms or ARGV[18] ~= text(since)) then
    return {'deleting', math.max(since + p.deleting_ms, now), text(since)}
  end
  if ARGV[19] == 'existed' and call('EXISTS', key('o:', sha)) == 0 then return {'late', 1} end
  local thumbs = call('HGET', key('o:', sha), 'thumbs')
  local same = e.state == 'cached' and e.sha256 == sha and thumbs == ARGV[17]
  if e.sha256 ~= sha then unlink_object(e) end
  free()
  register(sha)
  good_fields({'sha256', sha, 'type', ARGV[7], 'width', ARGV[8], 'height', ARGV[9], 'bytes', ARGV[10], 'rawWidth',
               ARGV[11], 'rawHeight', ARGV[12], 'orientation', ARGV[13]}, ARGV[14], ARGV[15], ARGV[16])
  return {'cached', same and 0 or wake(hash)}
end

local function still_same()
  free()
  if e.state ~= 'cached' then return {'none', 0} end -- lost or evicted meanwhile
  good_fields({}, ARGV[6], ARGV[7], ARGV[8])
  touch_object(e.sha256)
  call('HDEL', key('o:', e.sha256), 'dying')
  return {'same', 0}
end

-- ms until the next round: base doubled with each, up to most.
local delays = {retry = {p.retry_round, p.retry_round_max}, later = {p.later_round, p.later_round_max},
                gone = {p.gone_ms, p.gone_ms}, policy = {p.policy_ms, p.policy_ms}}

local function round_delay(class, rounds)
  local d = delays[class]
  return floor(math.min(d[1] * 2 ^ (rounds - 1), d[2]) * (1 + jitter / 10000000))
end

local function try_again(tries, after)
  local most = p.retry_base * 4 ^ (tries - 1)
  local at_ms = now + math.max(floor(most * jitter / 1000000), after)
  set({'tries', text(tries), 'retryAt', text(at_ms)})
  if not e.sha256 then keep(hash, false) end
  return {'again', at_ms}
end

-- What was cached stays so while its origin is only out of reach: nothing is known against it before the last round.
local function stays(rounds, next_ms)
  set({'rounds', text(rounds), 'expiresAt', text(next_ms)}, {'tries', 'retryAt'})
  return {'stays', next_ms}
end

local function failed()
  local reason, class, after = ARGV[6], ARGV[7], tonumber(ARGV[8])
  free()
  if class == 'ours' then return {'ours', 0} end
  local tries, rounds = at(e.tries) + 1, at(e.rounds) + 1
  if class == 'retry' and tries < p.tries then return try_again(tries, after) end
  local next_ms = class ~= 'never' and rounds < p.rounds and now + math.max(round_delay(class, rounds), after) or nil
  if class == 'retry' and e.state == 'cached' and next_ms then return stays(rounds, next_ms) end
  unlink_object(e)
  set({}, {'sha256', 'type', 'width', 'height', 'bytes', 'rawWidth', 'rawHeight', 'orientation', 'etag', 'lastModified',
           'expiresAt', 'nextTry', 'never', 'policy', 'tries', 'retryAt', 'dying'})
  local fields = {'state', 'failed', 'reason', reason, 'rounds', text(rounds), 'fetchedAt', text(now)}
  local function add(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  if next_ms then add('nextTry', text(next_ms)) end
  if class == 'never' then add('never', '1') end
  if class == 'policy' then add('policy', p.policy) end
  if ARGV[9] ~= '' then add('width', ARGV[9]) end
  if ARGV[10] ~= '' then add('height', ARGV[10]) end
  set(fields)
  keep(hash, false)
  wake(hash)
  return {'failed', next_ms or 0}
end

if ARGV[5] == 'cached' then return cached() end
if ARGV[5] == 'same' then return still_same() end
return failed()
