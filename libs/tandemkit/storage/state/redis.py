"""State in a Redis: as durable as that Redis is told to be. docs/design/state.md says how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.redis import RedisConnection, RedisServer
from tandemkit.storage.state.protocol import (
    GONE_MAX,
    KEYS_END,
    PAGE_ENTRIES_MAX,
    Change,
    Changed,
    Changes,
    Entry,
    Stored,
    VersionConflict,
    check_changed,
    check_changes,
    check_found,
    check_key,
    check_known,
    check_page,
    whole_writes,
)

# KEYS: values and versions as hashes, keys as a sorted set, the counter of writes; keys by the
# version of their last write, of those that are there and of those that are gone; and up to
# which version deletions are forgotten.
_GET = """
return {redis.call('HGET', KEYS[1], ARGV[1]), redis.call('HGET', KEYS[2], ARGV[1])}
"""
_FOUND = """
local found = {}
for _, key in ipairs(ARGV) do
  local version = redis.call('HGET', KEYS[2], key)
  if version then
    table.insert(found, {key, redis.call('HGET', KEYS[1], key), version})
  end
end
return found
"""
# ARGV[1]: how many deletions are known; then for each change its key, the version expected or '',
# whether it stays, and its content.
_WRITE = """
for change = 2, #ARGV, 4 do
  local actual = redis.call('HGET', KEYS[2], ARGV[change]) or '0'
  if ARGV[change + 1] ~= '' and ARGV[change + 1] ~= actual then
    return {ARGV[change], ARGV[change + 1], actual}
  end
end
local version = redis.call('INCR', KEYS[4])
for change = 2, #ARGV, 4 do
  local key = ARGV[change]
  if ARGV[change + 2] == '1' then
    redis.call('HSET', KEYS[1], key, ARGV[change + 3])
    redis.call('HSET', KEYS[2], key, version)
    redis.call('ZADD', KEYS[3], 0, key)
    redis.call('ZADD', KEYS[5], version, key)
  elseif redis.call('HDEL', KEYS[2], key) == 1 then
    redis.call('HDEL', KEYS[1], key)
    redis.call('ZREM', KEYS[3], key)
    redis.call('ZREM', KEYS[5], key)
    redis.call('ZADD', KEYS[6], version, key)
  end
end
local over = redis.call('ZCARD', KEYS[6]) - tonumber(ARGV[1])
if over > 0 then
  local last = redis.call('ZRANGE', KEYS[6], over - 1, over - 1, 'WITHSCORES')
  redis.call('SET', KEYS[7], last[2])
  redis.call('ZREMRANGEBYRANK', KEYS[6], 0, over - 1)
end
return {tostring(version)}
"""
# What an earlier version of Tandem wrote stands in the hashes alone.
_CHANGED = """
if redis.call('ZCARD', KEYS[5]) < redis.call('ZCARD', KEYS[3]) then
  local versions = redis.call('HGETALL', KEYS[2])
  for place = 1, #versions, 2 do
    redis.call('ZADD', KEYS[5], versions[place + 1], versions[place])
  end
end
local told = {redis.call('GET', KEYS[7]) or '0'}
for set = 5, 6 do
  local rows = redis.call('ZRANGEBYSCORE', KEYS[set], '(' .. ARGV[1], '+inf',
    'WITHSCORES', 'LIMIT', 0, ARGV[2])
  for place = 1, #rows, 2 do
    local content = set == 5 and redis.call('HGET', KEYS[1], rows[place])
    table.insert(told, {rows[place], content, rows[place + 1]})
  end
end
return told
"""
_ENTRIES = """
local keys = redis.call('ZRANGEBYLEX', KEYS[3], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local found = {}
for _, key in ipairs(keys) do
  table.insert(found, {key, redis.call('HGET', KEYS[1], key), redis.call('HGET', KEYS[2], key)})
end
return found
"""
_REMAINS = (
    "Redis keeps deleted values in its append-only file and snapshots until it rewrites them "
    "(BGREWRITEAOF, BGSAVE); its replicas and backups are its owner's"
)
_REWRITING = (
    "Redis is rewriting its append-only file, which has deleted values until that is done, and its "
    "snapshots have them until the next one (BGSAVE); its replicas and backups are its owner's"
)
_KEYS = ("values", "versions", "keys", "writes", "changed", "gone", "forgotten")


class RedisState:
    """`tandemkit.storage.state.protocol.StateStore`."""

    def __init__(self, server: RedisServer, owner: str) -> None:
        self._connection = RedisConnection(server)
        # The braces keep an owner's keys in one slot of a Redis Cluster, which scripts need.
        tag = f"{{{server.prefix}:state:{owner}}}"
        self._keys = [f"{tag}:{name}" for name in _KEYS]

    async def get(self, key: str) -> Stored | None:
        check_key(key)
        content, version = await self._read(_GET, key)
        return Stored(content, int(version)) if version is not None else None

    async def found(self, keys: Sequence[str]) -> dict[str, Stored]:
        check_found(keys)
        rows = await self._read(_FOUND, *keys)
        return {key.decode(): Stored(value, int(number)) for key, value, number in rows}

    async def changed(self, since: int = 0, limit: int = PAGE_ENTRIES_MAX) -> Changes:
        check_changed(since, limit)
        horizon, *rows = await self._read(_CHANGED, str(since), str(limit))
        check_known(since, int(horizon))
        changed = [Changed(key.decode(), value, int(number)) for key, value, number in rows]
        changed.sort(key=lambda one: one.version)
        return whole_writes(changed[:limit], since, limit)

    async def write(self, changes: Sequence[Change]) -> int:
        check_changes(changes)
        arguments: list[str | bytes] = [str(GONE_MAX)]
        for change in changes:
            expected = "" if change.expected is None else str(change.expected)
            stays = "0" if change.content is None else "1"
            arguments += (change.key, expected, stays, change.content or b"")
        answer = await self._connection.once(lambda redis: self._run(redis, _WRITE, arguments))
        if len(answer) == 1:
            return int(answer[0])
        key, expected, actual = answer
        raise VersionConflict(key.decode(), int(expected), int(actual))

    async def entries(
        self, prefix: str = "", after: str = "", limit: int = PAGE_ENTRIES_MAX
    ) -> tuple[Entry, ...]:
        check_page(prefix, after, limit)
        first = f"({after}" if after >= prefix and after else f"[{prefix}"
        rows = await self._read(_ENTRIES, first, f"({prefix}{KEYS_END}", str(limit))
        return tuple(Entry(key.decode(), Stored(value, int(number))) for key, value, number in rows)

    async def scrub(self, *, thoroughly: bool = False, upto: int | None = None) -> tuple[str, ...]:
        return (_REWRITING if thoroughly and await self._rewrites() else _REMAINS,)

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def _rewrites(self) -> bool:
        """Whether it has begun to, where it has such a file."""

        async def begin(redis: Redis) -> bool:
            if not (await redis.info("persistence"))["aof_enabled"]:
                return False
            await redis.bgrewriteaof()
            return True

        try:
            return await self._connection.once(begin)
        except (Refused, Unreachable):
            # It may be forbidden, or one is under way that began before.
            return False

    async def _read(self, script: str, *arguments: str) -> Any:
        return await self._connection.again(lambda redis: self._run(redis, script, arguments))

    async def _run(self, redis: Redis, script: str, arguments: Sequence[str | bytes]) -> Any:
        return await redis.register_script(script)(keys=self._keys, args=arguments)
