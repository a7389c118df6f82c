"""A watcher of the registry in a Redis: it reads the log of changes, and ends what has lapsed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from redis.asyncio import Redis

from tandemkit.reach.redis import RedisConnection
from tandemkit.registry import redis_scripts as scripts
from tandemkit.registry.protocol import Changed, Entry, Event, Removed, Snapshot
from tandemkit.registry.redis_keyspace import Keyspace, RedisSettings

_CHANGES_AT_ONCE = 100

_Found = list[tuple[bytes, dict[bytes, bytes]]]


class RedisWatch:
    """Where one watcher stands. Keyspace notifications play no part: they may be lost."""

    def __init__(
        self, connection: RedisConnection, settings: RedisSettings, since: int | None
    ) -> None:
        self._connection = connection
        self._keyspace = Keyspace(settings)
        self._away_s = settings.patience.away_s
        self._block_ms = round(settings.sweep_every_s * 1000)
        self._revision = since
        self._server_us = 0

    async def events(self) -> AsyncGenerator[Event, None]:
        """A Snapshot where it is due, and every change after it."""
        while True:
            changes = None if self._revision is None else await self._changes(self._revision)
            if changes is None:
                snapshot = await self._snapshot()
                self._revision = snapshot.revision
                yield snapshot
            for change in changes or ():
                self._revision = change.revision
                yield change

    async def _snapshot(self) -> Snapshot:
        seen = (str(self._revision or 0),)
        run = partial(self._keyspace.evaluate, scripts.SNAPSHOT, seen)
        revision, *hashes = await self._connection.again(run, self._away_s)
        values, holders, owners = (_pairs(flat) for flat in hashes)
        entries = tuple(
            Entry(name.decode(), value, owners[holders[name]].decode())
            for name, value in sorted(values.items())
        )
        return Snapshot(entries, int(revision))

    async def _changes(self, revision: int) -> list[Changed | Removed] | None:
        """None where some of them are gone, or the server does not know `revision` any more."""
        current, found = await self._connection.again(partial(self._read, revision), self._away_s)
        if not found:
            return [] if current == revision else None
        changes = []
        for identity, fields in found:
            if int(fields[b"after"]) != revision:
                return None
            revision = int(identity.split(b"-")[0])
            changes.append(_change(fields, revision))
        return changes

    async def _read(self, revision: int, redis: Redis) -> tuple[int, _Found]:
        # Each watcher ends what has lapsed; a script is one step, so each end is written once.
        seen = (str(self._server_us),)
        current, server_us = await self._keyspace.evaluate(scripts.SWEEP, seen, redis)
        self._server_us = int(server_us)
        answer: Any = await redis.xread(
            {self._keyspace.key("changes"): f"{revision}-0"},
            count=_CHANGES_AT_ONCE,
            block=self._block_ms,
        )
        return int(current), answer[0][1] if answer else []


def _change(fields: dict[bytes, bytes], revision: int) -> Changed | Removed:
    if b"removed" in fields:
        return Removed(fields[b"removed"].decode(), revision)
    key, value, owner = fields[b"changed"], fields[b"value"], fields[b"owner"]
    return Changed(Entry(key.decode(), value, owner.decode()), revision)


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
