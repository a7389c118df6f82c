"""The registry in a Redis: leases are expiring keys, each change of state is one script.

One server (6.2 or newer) with `appendonly yes` and `appendfsync always` keeps every promise over a
kill. NOT SAFE OVER A FAILOVER: replication is asynchronous, so a promoted replica may not know the
last leases, locks and values, and two leaders may be told that they lead. It is therefore not the
default for elections; docs/design/registry.md says what holds then and what does not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from redis.asyncio import Redis

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.registry import redis_scripts as scripts
from tandemkit.registry.protocol import (
    Changed,
    Entry,
    Event,
    Leadership,
    LeadershipLost,
    Lease,
    LeaseLost,
    Removed,
    Snapshot,
    VersionConflict,
    Versioned,
    check_name,
    check_ttl,
    check_value,
)
from tandemkit.registry.redis_connection import RedisConnection, RedisSettings

_CLOCK = SystemClock()
_CHANGES_AT_ONCE = 500

_Found = list[tuple[bytes, dict[bytes, bytes]]]


class RedisRegistry:
    """A registry on one Redis server. Times run on the server's clock; ours only bounds waiting."""

    def __init__(self, settings: RedisSettings, clock: Clock = _CLOCK) -> None:
        self._settings = settings
        self._connection = RedisConnection(settings, clock)

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

    async def watch(self, since: int | None = None) -> AsyncGenerator[Event, None]:
        revision = since
        while True:
            changes = None if revision is None else await self._changes_after(revision)
            if changes is None:
                snapshot = await self._snapshot()
                revision = snapshot.revision
                yield snapshot
            for change in changes or ():
                revision = change.revision
                yield change

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
        name = self._connection.key(f"stored:{key}")

        async def read(redis: Redis) -> list[Any]:
            return list(await redis.hmget(name, ["value", "version"]))

        value, version = await self._connection.again(read)
        return None if version is None else Versioned(value, int(version))

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
        run = partial(self._connection.evaluate, script, arguments)
        return bytes(await self._connection.again(run))

    async def _run_once(self, script: str, *arguments: str | bytes | int) -> bytes:
        run = partial(self._connection.evaluate, script, arguments)
        return bytes(await self._connection.once(run))

    async def _snapshot(self) -> Snapshot:
        run = partial(self._connection.evaluate, scripts.SNAPSHOT, ())
        revision, *hashes = await self._connection.again(run, self._settings.away_within_s)
        values, holders, owners = (_pairs(flat) for flat in hashes)
        entries = tuple(
            Entry(name.decode(), value, owners[holders[name]].decode())
            for name, value in sorted(values.items())
        )
        return Snapshot(entries, int(revision))

    async def _changes_after(self, revision: int) -> list[Changed | Removed] | None:
        """None where some of them are gone, or the server does not know `revision` any more."""
        read = partial(self._read_changes, revision)
        current, found = await self._connection.again(read, self._settings.away_within_s)
        if not found:
            return [] if current == revision else None
        changes = []
        for identity, fields in found:
            if int(fields[b"after"]) != revision:
                return None
            revision = int(identity.split(b"-")[0])
            changes.append(_change(fields, revision))
        return changes

    async def _read_changes(self, revision: int, redis: Redis) -> tuple[int, _Found]:
        # Each watcher ends what has lapsed; a script is one step, so each end is written once.
        current = await self._connection.evaluate(scripts.SWEEP, (), redis)
        answer: Any = await redis.xread(
            {self._connection.key("changes"): f"{revision}-0"},
            count=_CHANGES_AT_ONCE,
            block=_milliseconds(self._settings.sweep_every_s),
        )
        return int(current), answer[0][1] if answer else []


def _change(fields: dict[bytes, bytes], revision: int) -> Changed | Removed:
    if b"removed" in fields:
        return Removed(fields[b"removed"].decode(), revision)
    key, value, owner = fields[b"changed"], fields[b"value"], fields[b"owner"]
    return Changed(Entry(key.decode(), value, owner.decode()), revision)


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


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
