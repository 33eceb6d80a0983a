"""What happens inside of Redis in one step each. Lua, run by the server.

An entity's key holds a head (version, validity, values) and behind it the records of its events. Every change goes through
one of these scripts, so whoever is killed leaves a step done or not done, never half.
"""

# How long it is remembered that a message was counted; events are sent again for less than that (see events/publishing.py).
SEEN_SECONDS = 900
# Erased people's events may still be in the stream: they are passed over for this long.
FORGOTTEN_SECONDS = 86_400
MOST_ASIDE = 20_000

_GONE = """
local function gone(key, stored)
  local at = redis.call('HGET', KEYS[3], string.match(key, ':features:%d+:(.*)$'))
  return at and tonumber(at) >= stored
end
"""
# KEYS: state, stream, forgotten, aside, offsets; then per message its seen-key and the keys of its entities.
# ARGV: token, group, messages; then per message: position, part, stored_at, raw, entities; per entity: head size, records.
# Acknowledges, and counts what was not counted before. Answers the number of events' keys written; -1: the tenant's state
# is not the one that this was prepared for, nothing was done.
APPLY = (
    (
        _GONE
        + """
if (redis.call('HGET', KEYS[1], 'token') or '') ~= ARGV[1] then return -1 end
local some_gone = redis.call('EXISTS', KEYS[3]) == 1
local heads, written, k, a = {}, 0, 6, 4
for _ = 1, tonumber(ARGV[3]) do
  local position, part, stored, raw, count = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 3], tonumber(ARGV[a + 4])
  local fresh
  a = a + 5
  if part == '' then
    fresh = redis.call('XACK', KEYS[2], ARGV[2], position) == 1
    redis.call('XDEL', KEYS[2], position)
  else
    local last = redis.call('HGET', KEYS[5], part)
    fresh = not last or tonumber(position) > tonumber(last)
    if fresh then redis.call('HSET', KEYS[5], part, position) end
  end
  if fresh then fresh = redis.call('SET', KEYS[k], '1', 'NX', 'EX', SEEN) end
  k = k + 1
  if fresh then
    if raw ~= '' then
      if redis.call('LLEN', KEYS[4]) < ASIDE then redis.call('RPUSH', KEYS[4], raw)
      else redis.call('HSET', KEYS[1], 'overflow', '1') end
    end
    for i = 0, count - 1 do
      local key, size = KEYS[k + i], ARGV[a + 2 * i]
      if not (some_gone and gone(key, stored)) then
        if not heads[size] then heads[size] = string.rep('\\0', tonumber(size)) end
        if redis.call('EXISTS', key) == 0 then redis.call('SET', key, heads[size] .. ARGV[a + 2 * i + 1])
        else
          redis.call('SETRANGE', key, 0, '\\0\\0\\0\\0\\0\\0\\0\\0')
          redis.call('APPEND', key, ARGV[a + 2 * i + 1])
        end
        written = written + 1
      end
    end
  end
  k = k + count
  a = a + 2 * count
end
return written
"""
    )
    .replace("SEEN", str(SEEN_SECONDS))
    .replace("ASIDE", str(MOST_ASIDE))
)

# KEYS: state, then entities. ARGV: epoch, head size. The heads, behind the epoch that serves; only that if it is another.
READ = """
local live = redis.call('HGET', KEYS[1], 'live') or ''
local found = {live}
if live ~= ARGV[1] then return found end
for i = 2, #KEYS do found[i] = redis.call('GETRANGE', KEYS[i], 0, tonumber(ARGV[2]) - 1) end
return found
"""

# KEYS: entities. ARGV: length and head of each. Keeps values, unless a record came since they were computed.
KEEP = """
for i = 1, #KEYS do
  if redis.call('STRLEN', KEYS[i]) == tonumber(ARGV[2 * i - 1]) then redis.call('SETRANGE', KEYS[i], 0, ARGV[2 * i]) end
end
return 0
"""

# KEYS: state, -, forgotten, then entities. ARGV: epoch that is built, milliseconds of its snapshot, head size, then the
# whole value of each. What the stream put there meanwhile stays, and then the values have to be computed again.
FILL = (
    _GONE
    + """
if redis.call('HGET', KEYS[1], 'building') ~= ARGV[1] then return -1 end
local some_gone = redis.call('EXISTS', KEYS[3]) == 1
local size = tonumber(ARGV[3])
for i = 4, #KEYS do
  local key, value = KEYS[i], ARGV[i]
  if not (some_gone and gone(key, tonumber(ARGV[2]))) then
    if redis.call('EXISTS', key) == 0 then redis.call('SET', key, value)
    else
      redis.call('SETRANGE', key, 0, '\\0\\0\\0\\0\\0\\0\\0\\0')
      redis.call('APPEND', key, string.sub(value, size + 1))
    end
  end
end
return 0
"""
)

# KEYS: state, epochs, aside. Begins an epoch; answers it and the one that was being built, if any. Until its snapshot is
# known, the stream's messages are kept aside.
BEGIN = """
local before = redis.call('HGET', KEYS[1], 'building') or ''
local epoch = tostring(redis.call('INCR', KEYS[2]))
local live = redis.call('HGET', KEYS[1], 'live') or ''
redis.call('DEL', KEYS[3])
redis.call('HDEL', KEYS[1], 'overflow', 'building_snapshot')
redis.call('HSET', KEYS[1], 'building', epoch, 'building_views', '[]', 'token', live .. '|' .. epoch .. '|waiting')
return {epoch, before}
"""

# KEYS: state. ARGV: epoch, snapshot, views, version. From now on the stream counts into the new epoch what the snapshot does not hold.
FIX = """
if redis.call('HGET', KEYS[1], 'building') ~= ARGV[1] then return -1 end
local live = redis.call('HGET', KEYS[1], 'live') or ''
redis.call('HSET', KEYS[1], 'building_snapshot', ARGV[2], 'building_views', ARGV[3], 'building_version', ARGV[4], 'token', live .. '|' .. ARGV[1] .. '|ready')
return redis.call('HEXISTS', KEYS[1], 'overflow')
"""

# KEYS: state, aside. ARGV: epoch, milliseconds of its end and its begin. The new epoch serves; answers the old one, "" for none.
SWAP = """
if redis.call('HGET', KEYS[1], 'building') ~= ARGV[1] then return -1 end
local old = redis.call('HGET', KEYS[1], 'live') or ''
local found = redis.call('HMGET', KEYS[1], 'building_views', 'building_version', 'building_snapshot')
redis.call('HSET', KEYS[1], 'live', ARGV[1], 'views', found[1], 'version', found[2], 'snapshot', found[3],
           'computed_at', ARGV[2], 'began_at', ARGV[3], 'token', ARGV[1])
redis.call('HDEL', KEYS[1], 'building', 'building_views', 'building_version', 'building_snapshot', 'overflow')
redis.call('DEL', KEYS[2])
return old
"""

# KEYS: state, aside. ARGV: epoch. Gives up an epoch that was being built.
ABORT = """
if redis.call('HGET', KEYS[1], 'building') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'building', 'building_views', 'building_version', 'building_snapshot', 'overflow')
redis.call('HSET', KEYS[1], 'token', redis.call('HGET', KEYS[1], 'live') or '')
redis.call('DEL', KEYS[2])
return 1
"""

# KEYS: state, forgotten. ARGV: prefix of the tenant's keys, member, how much earlier the database's clock may be (ms).
FORGET = """
local time = redis.call('TIME')
redis.call('HSET', KEYS[2], ARGV[2], time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[3]))
redis.call('EXPIRE', KEYS[2], FORGOTTEN)
local count = 0
for _, field in ipairs({'live', 'building'}) do
  local epoch = redis.call('HGET', KEYS[1], field)
  if epoch then count = count + redis.call('DEL', ARGV[1] .. ':' .. epoch .. ':' .. ARGV[2]) end
end
return count
""".replace("FORGOTTEN", str(FORGOTTEN_SECONDS))

# KEYS: lock. ARGV: run, seconds. Keeps the lock for longer, and says whether it is still this run's.
HOLD = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""

# KEYS: lock. ARGV: run. Gives the lock back.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
