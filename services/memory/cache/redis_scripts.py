"""Each step of the Redis tier as one script.

An entry is a string: its version in 16 digits, when it is stale and when it is gone in 15 each, the
32 letters of its writer's mark, and the message. A lease is when it ends in 15 digits, and its
token.
"""

HEAD_BYTES = 78

# KEYS: an entry and a lease for each. ARGV: for each the time, the token or '', when the lease
# would end, and its term. Answers for each: the entry or '', 1 where the lease is the asker's, and
# how long it holds.
TAKE = """
local answers = {}
for one = 1, #KEYS, 2 do
  local first = one * 2 - 1
  local now, token = tonumber(ARGV[first]), ARGV[first + 1]
  local kept = redis.call('GET', KEYS[one]) or ''
  if kept ~= '' and tonumber(string.sub(kept, 32, 46)) <= now then kept = '' end
  local granted, left = 0, 0
  if kept == '' or tonumber(string.sub(kept, 17, 31)) <= now then
    local lease = redis.call('GET', KEYS[one + 1]) or ''
    local ends = lease ~= '' and tonumber(string.sub(lease, 1, 15)) or 0
    if ends > now then
      left = ends - now
      if token ~= '' and string.sub(lease, 16) == token then granted = 1 end
    elseif token ~= '' then
      redis.call('SET', KEYS[one + 1], ARGV[first + 2] .. token, 'PX', ARGV[first + 3])
      granted, left = 1, tonumber(ARGV[first + 3])
    end
  end
  table.insert(answers, {kept, granted, left})
end
return answers
"""
# KEYS: entry, lease. ARGV: the time, the version expected or '', the lease or '', the mark, what
# stands behind the version, for how long it is kept, channel, news. Answers what came of it.
PUT = """
local old = redis.call('GETRANGE', KEYS[1], 0, 77)
local last = old ~= '' and tonumber(string.sub(old, 1, 16)) or 0
if old ~= '' and string.sub(old, 47, 78) == ARGV[4] then
  return {'put', string.format('%.0f', last)}
end
if ARGV[3] ~= '' then
  local lease = redis.call('GET', KEYS[2]) or ''
  local ends = lease ~= '' and tonumber(string.sub(lease, 1, 15)) or 0
  if string.sub(lease, 16) ~= ARGV[3] or ends <= tonumber(ARGV[1]) then return {'lost', '0'} end
end
local there = old ~= '' and tonumber(string.sub(old, 32, 46)) > tonumber(ARGV[1]) and last or 0
if ARGV[2] ~= '' and tonumber(ARGV[2]) ~= there then
  return {'conflict', string.format('%.0f', there)}
end
local time = redis.call('TIME')
local version = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), last + 1)
redis.call('SET', KEYS[1], string.format('%016.0f', version) .. ARGV[5], 'PX', ARGV[6])
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', ARGV[7], ARGV[8])
return {'put', string.format('%.0f', version)}
"""
# KEYS: entry, lease. ARGV: the time, the version expected or '', channel, news.
DELETE = """
local old = redis.call('GETRANGE', KEYS[1], 0, 77)
local last = old ~= '' and tonumber(string.sub(old, 1, 16)) or 0
local there = old ~= '' and tonumber(string.sub(old, 32, 46)) > tonumber(ARGV[1]) and last or 0
if ARGV[2] ~= '' and tonumber(ARGV[2]) ~= there then
  return {'conflict', string.format('%.0f', there)}
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return {there > 0 and 'gone' or 'none', '0'}
"""
# KEYS: lease. ARGV: token, channel, news.
RELEASE = """
if string.sub(redis.call('GET', KEYS[1]) or '', 16) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return 0
"""
# KEYS: entries. ARGV: the version that each had. What was written since stays.
REMOVE = """
local gone = 0
for one = 1, #KEYS do
  if redis.call('GETRANGE', KEYS[one], 0, 15) == ARGV[one] then
    gone = gone + redis.call('DEL', KEYS[one])
  end
end
return gone
"""
