"""The steps that Redis takes as one, in Lua. docs/design/registry.md draws the keys they touch.

Each gets KEYS[1], the tag that all keys share, and ARGV[1], how many changes to keep. They answer
with bytes: a number in decimal, or one of the words below.
"""

from __future__ import annotations

from typing import Final

DONE: Final = b"done"
LOST: Final = b"lost"
CONFLICT: Final = b"conflict"

_PRELUDE = """
local function key(name, of)
  return KEYS[1] .. ':' .. name .. (of and ':' .. of or '')
end

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Rises with each use. The server's clock lifts it over numbers that a crash made it forget; the
-- last number lifts it over a clock that was set back. Exact until the year 2255 (2^53).
local function stamp()
  local last = tonumber(redis.call('GET', key('stamp')) or 0)
  local number = string.format('%.0f', math.max(last + 1, now_us()))
  redis.call('SET', key('stamp'), number)
  return number
end

local function advance()
  local revision = stamp()
  redis.call('SET', key('revision'), revision)
  return revision
end

local function revision()
  return redis.call('GET', key('revision')) or advance()
end

-- One change is one entry, which names the one before it: a reader sees by that if one is missing.
local function note(...)
  local after = revision()
  redis.call('XADD', key('changes'), 'MAXLEN', '~', ARGV[1], advance() .. '-0', 'after', after, ...)
end

local function drop(lease, name)
  redis.call('SREM', key('held', lease), name)
  redis.call('HDEL', key('holders'), name)
  redis.call('HDEL', key('values'), name)
  note('removed', name)
end

local function finish(lease)
  for _, name in ipairs(redis.call('SMEMBERS', key('held', lease))) do
    drop(lease, name)
  end
  local owner = redis.call('HGET', key('owners'), lease)
  if owner and redis.call('HGET', key('leases'), owner) == lease then
    redis.call('HDEL', key('leases'), owner)
  end
  redis.call('HDEL', key('owners'), lease)
  redis.call('HDEL', key('ttls'), lease)
  redis.call('ZREM', key('deadlines'), lease)
  redis.call('DEL', key('lease', lease))
end

local function hold(lease, owner, ttl_ms)
  redis.call('SET', key('lease', lease), owner, 'PX', ttl_ms)
  redis.call('HSET', key('ttls'), lease, ttl_ms)
  redis.call('ZADD', key('deadlines'), now_us() / 1000 + ttl_ms, lease)
end

-- The expiring key is the lease; the deadlines only say which keys to look for.
local function sweep()
  local due = redis.call('ZRANGEBYSCORE', key('deadlines'), '-inf', now_us() / 1000)
  for _, lease in ipairs(due) do
    if redis.call('EXISTS', key('lease', lease)) == 0 then
      finish(lease)
    end
  end
end
"""


def _script(body: str) -> str:
    return f"{_PRELUDE}\n{body}"


# owner, ttl_ms -> the lease
OPEN = _script("""
sweep()
local owner = ARGV[2]
local older = redis.call('HGET', key('leases'), owner)
if older then
  finish(older)
end
local lease = stamp()
hold(lease, owner, ARGV[3])
redis.call('HSET', key('leases'), owner, lease)
redis.call('HSET', key('owners'), lease, owner)
return lease
""")

# lease, ttl_ms
RENEW = _script("""
sweep()
local owner = redis.call('GET', key('lease', ARGV[2]))
if not owner then
  return 'lost'
end
hold(ARGV[2], owner, ARGV[3])
return 'done'
""")

# lease
CLOSE = _script("""
sweep()
finish(ARGV[2])
return 'done'
""")

# lease, name, value. The newest lease wins: doing it again later takes nothing from a newer one.
REGISTER = _script("""
sweep()
local lease, name, value = ARGV[2], ARGV[3], ARGV[4]
local owner = redis.call('GET', key('lease', lease))
if not owner then
  return 'lost'
end
local holder = redis.call('HGET', key('holders'), name)
if holder and tonumber(holder) > tonumber(lease) then
  return 'done'
end
if holder == lease and redis.call('HGET', key('values'), name) == value then
  return 'done'
end
if holder then
  redis.call('SREM', key('held', holder), name)
end
redis.call('SADD', key('held', lease), name)
redis.call('HSET', key('holders'), name, lease)
redis.call('HSET', key('values'), name, value)
note('changed', name, 'value', value, 'owner', owner)
return 'done'
""")

# lease, name
DEREGISTER = _script("""
sweep()
if redis.call('HGET', key('holders'), ARGV[3]) == ARGV[2] then
  drop(ARGV[2], ARGV[3])
end
return 'done'
""")

# the watcher's revision -> revision, values and holders by name, owners by lease. A server that
# lost changes which a watcher has seen goes on beyond them.
SNAPSHOT = _script("""
sweep()
if tonumber(revision()) < tonumber(ARGV[2]) then
  advance()
end
return {
  revision(),
  redis.call('HGETALL', key('values')),
  redis.call('HGETALL', key('holders')),
  redis.call('HGETALL', key('owners')),
}
""")

# the server's time in us as seen before, at first 0 -> revision, and its time now. A clock that was
# set back would let the dead live on, so no lease is left with more than its own time.
SWEEP = _script("""
local now = now_us()
local seen = ARGV[2] ~= '0' and ARGV[2] or redis.call('GET', key('stamp')) or 0
if now < tonumber(seen) then
  local ttls = redis.call('HGETALL', key('ttls'))
  for at = 1, #ttls, 2 do
    local lease, ttl_ms = ttls[at], ttls[at + 1]
    local owner = redis.call('GET', key('lease', lease))
    if not owner then
      finish(lease)
    elseif redis.call('PTTL', key('lease', lease)) > tonumber(ttl_ms) then
      hold(lease, owner, ttl_ms)
    end
  end
end
sweep()
return { revision(), string.format('%.0f', now) }
""")

# election, candidate, ttl_ms -> the token
ELECT = _script("""
local lock = key('lock', ARGV[2])
local holder = redis.call('GET', lock)
if holder then
  local ttl_ms, candidate = string.match(holder, '^%d+ (%d+) (.*)$')
  if candidate ~= ARGV[3] then
    -- As for leases: a clock that was set back would hold the lock for longer than it was given.
    if redis.call('PTTL', lock) > tonumber(ttl_ms) then
      redis.call('PEXPIRE', lock, ttl_ms)
    end
    return 'lost'
  end
end
local token = stamp()
redis.call('SET', lock, token .. ' ' .. ARGV[4] .. ' ' .. ARGV[3], 'PX', ARGV[4])
redis.call('HSET', key('tokens'), ARGV[2], token)
return token
""")

# election, token, ttl_ms
KEEP = _script("""
local lock = key('lock', ARGV[2])
local holder = redis.call('GET', lock)
if not holder or string.match(holder, '^%d+') ~= ARGV[3] then
  return 'lost'
end
redis.call('PEXPIRE', lock, ARGV[4])
return 'done'
""")

# election, token
RESIGN = _script("""
local lock = key('lock', ARGV[2])
local holder = redis.call('GET', lock)
if holder and string.match(holder, '^%d+') == ARGV[3] then
  redis.call('DEL', lock)
end
return 'done'
""")

# name, value, expected version or '', election, token or '' -> the version. The token is compared
# with the last one ever given, which outlives its lock.
PUT = _script("""
local stored = key('stored', ARGV[2])
if ARGV[6] ~= '' and redis.call('HGET', key('tokens'), ARGV[5]) ~= ARGV[6] then
  return 'lost'
end
if ARGV[4] ~= '' and (redis.call('HGET', stored, 'version') or '0') ~= ARGV[4] then
  return 'conflict'
end
local version = stamp()
redis.call('HSET', stored, 'value', ARGV[3], 'version', version)
return version
""")

# name, expected version or ''
DELETE = _script("""
local stored = key('stored', ARGV[2])
if ARGV[3] ~= '' and (redis.call('HGET', stored, 'version') or '0') ~= ARGV[3] then
  return 'conflict'
end
redis.call('DEL', stored)
return 'done'
""")
