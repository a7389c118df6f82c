"""The registry in a Redis: leases are expiring keys, each change of state is one script.

One server with `appendonly yes` and `appendfsync always` keeps the promise over a kill. NOT SAFE
OVER A FAILOVER: a replica may not know the last locks and values, so two may be told that they
lead. It is no default for elections; docs/design/registry.md says what holds then.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Any

from redis.asyncio import Redis

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.reach.redis import RedisConnection
from tandemkit.registry import redis_scripts as scripts
from tandemkit.registry.protocol import (
    Event,
    Leadership,
    LeadershipLost,
    Lease,
    LeaseLost,
    VersionConflict,
    Versioned,
    check_name,
    check_ttl,
    check_value,
)
from tandemkit.registry.redis_keyspace import Keyspace, RedisSettings
from tandemkit.registry.redis_watch import RedisWatch

_CLOCK = SystemClock()
_SCAN = 1000


class RedisRegistry:
    """A registry on one Redis server. Times run on the server's clock; ours only bounds waiting."""

    def __init__(self, settings: RedisSettings, clock: Clock = _CLOCK) -> None:
        self._connection = RedisConnection(settings, clock)
        self._keyspace = Keyspace(settings)
        self._settings = settings

    async def open_lease(self, owner: str, ttl_s: float) -> Lease:
        check_name(owner)
        check_ttl(ttl_s)
        opened = await self._run(scripts.OPEN, owner, _milliseconds(ttl_s))
        return Lease(opened.decode(), owner, ttl_s)

    async def renew(self, lease: Lease) -> None:
        answer = await self._run(scripts.RENEW, lease.id, _milliseconds(lease.ttl_s))
        _refuse_lost_lease(answer, lease)

    async def close_lease(self, lease: Lease) -> None:
        await self._run(scripts.CLOSE, lease.id)

    async def register(self, lease: Lease, key: str, value: bytes) -> None:
        check_name(key)
        check_value(value)
        answer = await self._run(scripts.REGISTER, lease.id, key, value)
        _refuse_lost_lease(answer, lease)

    async def deregister(self, lease: Lease, key: str) -> None:
        check_name(key)
        await self._run(scripts.DEREGISTER, lease.id, key)

    def watch(self, since: int | None = None) -> AsyncGenerator[Event, None]:
        return RedisWatch(self._connection, self._settings, since).events()

    async def elect(self, election: str, candidate: str, ttl_s: float) -> Leadership | None:
        check_name(election)
        check_name(candidate)
        check_ttl(ttl_s)
        answer = await self._run(scripts.ELECT, election, candidate, _milliseconds(ttl_s))
        if answer == scripts.LOST:
            return None
        return Leadership(election, candidate, int(answer), ttl_s)

    async def keep(self, leadership: Leadership) -> None:
        ttl_ms = _milliseconds(leadership.ttl_s)
        answer = await self._run(scripts.KEEP, leadership.election, str(leadership.token), ttl_ms)
        _refuse_lost_leadership(answer, leadership.election)

    async def resign(self, leadership: Leadership) -> None:
        await self._run(scripts.RESIGN, leadership.election, str(leadership.token))

    async def get(self, key: str) -> Versioned | None:
        check_name(key)
        name = self._keyspace.key(f"stored:{key}")

        return await self._connection.again(partial(_read, name))

    async def values(self) -> Mapping[str, Versioned]:
        beginning = self._keyspace.key("stored:")

        async def read(redis: Redis) -> dict[str, Versioned]:
            found = {}
            async for name in redis.scan_iter(match=f"{_literal(beginning)}*", count=_SCAN):
                if (value := await _read(name, redis)) is not None:
                    found[name.decode().removeprefix(beginning)] = value
            return found

        return await self._connection.again(read)

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: int | None = None,
        leadership: Leadership | None = None,
    ) -> int:
        check_name(key)
        check_value(value)
        fence = ("", "") if leadership is None else (leadership.election, str(leadership.token))
        answer = await self._run_once(scripts.PUT, key, value, _or_empty(expected), *fence)
        _refuse_lost_leadership(answer, fence[0])
        _refuse_conflict(answer, key)
        return int(answer)

    async def delete(self, key: str, *, expected: int | None = None) -> None:
        check_name(key)
        answer = await self._run_once(scripts.DELETE, key, _or_empty(expected))
        _refuse_conflict(answer, key)

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def _run(self, script: str, *arguments: str | bytes | int) -> bytes:
        run = partial(self._keyspace.evaluate, script, arguments)
        return bytes(await self._connection.again(run))

    async def _run_once(self, script: str, *arguments: str | bytes | int) -> bytes:
        run = partial(self._keyspace.evaluate, script, arguments)
        return bytes(await self._connection.once(run))


async def _read(name: str | bytes, redis: Redis) -> Versioned | None:
    answer: list[Any] = list(await redis.hmget(name, ["value", "version"]))
    value, version = answer
    return None if version is None else Versioned(value, int(version))


def _literal(text: str) -> str:
    """What a pattern of Redis takes for nothing but itself."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", text)


def _milliseconds(duration_s: float) -> int:
    return max(1, round(duration_s * 1000))


def _or_empty(number: int | None) -> str:
    return "" if number is None else str(number)


def _refuse_lost_lease(answer: bytes, lease: Lease) -> None:
    if answer == scripts.LOST:
        raise LeaseLost(lease.id)


def _refuse_lost_leadership(answer: bytes, election: str) -> None:
    if answer == scripts.LOST:
        raise LeadershipLost(election)


def _refuse_conflict(answer: bytes, key: str) -> None:
    if answer == scripts.CONFLICT:
        raise VersionConflict(key)
