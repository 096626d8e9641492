-- signal.lua: one signal.
-- ARGV 3 partition (and generation), 4 offset, 5 its time, 6 kind, 7 source, 8 count, 9 hash of the signalId ('': it has none).

local offset, at, n, sid = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[8]), ARGV[9]
local name, kind = ':' .. ARGV[6] .. ARGV[7], p.kinds[ARGV[6]]
local chunk = 'i' .. (sid == '' and 0 or byte(sid) % 16)
local last, series, ids = open('o' .. ARGV[3], name, chunk)

local function was_counted(step)
  local from = 1
  while true do
    local found = string.find(ids, sid, from, true)
    if not found then return false end
    if (found - 1) % 12 == 0 and unpack_bytes('<I4', ids, found + 8) > step then return true end
    from = found + 1
  end
end

local function remember(step, leave)
  if #ids >= 12 * p.max_ids then
    local kept = {}
    for i = 1, #ids - 11, 12 do
      if unpack_bytes('<I4', ids, i + 8) > step then kept[#kept + 1] = sub(ids, i, i + 11) end
    end
    ids = table.concat(kept)
  end
  if #ids >= 12 * p.max_ids then
    s.forgotten = 1
    return
  end
  set(chunk, ids .. sid .. pack('<I4', leave))
end

-- The newest bucket of a series whose sum is of this step already; false: more has to be read.
local function count_newest(start)
  if s.at ~= step_of(s.t) or not series or s.buckets >= p.max_buckets then return false end
  local sum, newest, has = unpack_bytes('<d', series), unpack_bytes('<I4I4', series, #series - 7)
  if newest > start then return false end
  local head, had = series, 0
  if newest == start then head, had = sub(series, 1, #series - 8), has else s.buckets = s.buckets + 1 end
  local has_now = math.min(had + n, 4294967295)
  local sum_now = sum + has_now - had -- an older bucket of the series leaves first, so s.leave stays
  s.sum = s.sum + kind.weight * (math.min(kind.cap, sum_now) - math.min(kind.cap, sum))
  set(name, pack('<d', sum_now) .. sub(head, 9) .. pack('<I4I4', start, has_now))
  set_sums()
  return true
end

if last and offset <= tonumber(last) then return finish('again', true) end
set('o' .. ARGV[3], ARGV[4])
if not s.article then wait() end
if s.gone then return finish('gone') end
local step = step_of(math.max(s.t, at))
ids = ids or ''
if sid ~= '' and was_counted(step) then return finish('twice') end
local start = step_of(at)
local leave = leaves(kind, start)
set_time(at)
if leave <= step then return finish('late') end
if sid ~= '' then remember(step, leave) end
if not count_newest(start) then
  open_all()
  add(name, kind, start, n)
  save_all(step)
end
return finish(s.article and 'counted' or 'waits')
