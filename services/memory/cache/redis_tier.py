"""The shared tier in a Redis that evicts, for any number of replicas."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis

from services.memory.cache import redis_scripts as scripts
from services.memory.cache.keeping import (
    Kept,
    LeaseLost,
    Place,
    Taken,
    VersionConflict,
    Wanted,
    Write,
)
from services.memory.cache.redis_news import Wire
from services.memory.cache.tier import Heard, Which
from tandem.memory.v1 import cache_entry_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.redis import RedisConnection, RedisServer
from tandemkit.storage.group_commit import GroupCommit
from tandemkit.supervise.tasks import Tasks

# Who was away is left alone for so long, so that a lookup does not cost the patience of one.
_AWAY_S: Final = 1.0
_SWEEP_KEYS: Final = 200
# Redis's own clock ends what ours no longer knows.
_SLACK_MS: Final = 1000
_GLOB: Final = re.compile(r"([*?\[\]\\^-])")


class RedisTier:
    """`services.memory.cache.tier.SharedTier`, from `redis_tier`."""

    backend = "redis"

    def __init__(self, server: RedisServer, clock: Clock, heard: Heard) -> None:
        self._connection = RedisConnection(server, clock)
        self._clock, self._heard = clock, heard
        self._prefix = f"{server.prefix}:cache:"
        self._wire = Wire(self._connection, f"{self._prefix}news", clock, heard)
        self._takes: GroupCommit[Wanted, Taken] = GroupCommit(self._take_all)
        self._away_until_s = 0.0
        self._evicts = False

    @property
    def is_reachable(self) -> bool:
        return self._clock.monotonic_s() >= self._away_until_s

    async def run(self) -> None:
        """Looks keys up and listens to the other replicas, until cancelled."""
        async with Tasks() as tasks:
            tasks.spawn("cache:news", self._wire.listen(self._back))
            await self._takes.run()

    async def take(self, wanted: Wanted) -> Taken:
        return await self._takes.do(wanted)

    async def put(self, write: Write) -> int:
        entry = write.entry
        kept = Kept.of(entry)
        head = f"{kept.expires_ms:015d}{kept.gone_ms:015d}{write.mark:<32}"
        said, version = await self._run(
            scripts.PUT,
            self._keys(write.place),
            str(write.now_ms),
            "" if write.expected is None else str(write.expected),
            write.lease,
            f"{write.mark:<32}",
            head.encode() + entry.SerializeToString(),
            str(max(kept.gone_ms - write.now_ms, 1) + _SLACK_MS),
            self._wire.channel,
            self._wire.news(write.place.namespace, write.place.key),
        )
        if said == b"lost":
            raise LeaseLost("the lease is over; look again for another")
        if said == b"conflict":
            raise _conflict(write.expected, int(version))
        return int(version)

    async def release(self, place: Place, token: str) -> None:
        news = self._wire.news(place.namespace, place.key)
        await self._run(scripts.RELEASE, self._keys(place)[1:], token, self._wire.channel, news)

    async def delete(self, place: Place, expected: int | None, now_ms: int) -> bool:
        said, version = await self._run(
            scripts.DELETE,
            self._keys(place),
            str(now_ms),
            "" if expected is None else str(expected),
            self._wire.channel,
            self._wire.news(place.namespace, place.key),
        )
        if said == b"conflict":
            raise _conflict(expected, int(version))
        return bool(said == b"gone")

    async def sweep(self, which: Which, now_ms: int) -> int:
        # Leases first: whoever read before this began puts nothing after it.
        async for keys in self._scanned("l", which):
            await self._reached(lambda redis, keys=keys: redis.delete(*keys))
        swept = 0
        async for found in self._found(which):
            keys, versions = [key for key, _ in found], [held[:16] for _, held in found]
            swept += int(await self._run(scripts.REMOVE, keys, *versions))
        news = self._wire.news(which.namespace, "")
        await self._reached(lambda redis: redis.publish(self._wire.channel, news))
        return swept

    async def entries(self, which: Which, now_ms: int) -> AsyncIterator[Kept]:
        async for found in self._found(which):
            for _, held in found:
                kept = _kept(held)
                if kept.is_there(now_ms):
                    yield kept

    def bytes_of(self, namespace: str) -> int | None:
        return None

    async def aclose(self) -> None:
        await self._connection.aclose()

    def _back(self) -> None:
        """Nobody told us what changed until now, nor whether it is the same server."""
        self._away_until_s, self._evicts = 0.0, False
        self._heard("", "")

    async def _found(self, which: Which) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        chosen = which.chosen()
        async for keys in self._scanned("e", which):
            held = await self._reached(lambda redis, keys=keys: redis.mget(keys))
            both = [(key, one) for key, one in zip(keys, held, strict=True) if one is not None]
            if found := [(key, one) for key, one in both if chosen(_kept(one).entry)]:
                yield found

    async def _scanned(self, kind: str, which: Which) -> AsyncIterator[Sequence[bytes]]:
        begins = f"{self._prefix}{which.namespace}:{kind}:{which.prefix}"
        pattern = _GLOB.sub(r"\\\1", begins) + "*"
        cursor = 0
        while True:
            scan = partial(Redis.scan, cursor=cursor, match=pattern, count=_SWEEP_KEYS)
            cursor, keys = await self._reached(scan)
            if keys:
                yield keys
            if not cursor:
                return

    async def _take_all(self, batch: Sequence[Wanted]) -> Sequence[Taken | Failure]:
        keys = [key for one in batch for key in self._keys(one.place)]
        arguments: list[str | bytes] = []
        for one in batch:
            ends = f"{one.now_ms + one.term_ms:015d}"
            arguments += (str(one.now_ms), one.token, ends, str(max(one.term_ms, 1)))
        answers = await self._run(scripts.TAKE, keys, *arguments)
        return [
            Taken(_kept(held) if held else None, bool(granted), left)
            for held, granted, left in answers
        ]

    async def _run(self, script: str, keys: Sequence[Any], *arguments: str | bytes) -> Any:
        return await self._reached(
            lambda redis: redis.register_script(script)(keys=keys, args=arguments)
        )

    async def _reached(self, call: Any) -> Any:
        """Each step does no harm twice."""
        if not self.is_reachable:
            raise Unreachable("redis did not answer a moment ago")
        try:
            if not self._evicts:
                await self._connection.again(_check)
                self._evicts = True
            return await self._connection.again(call)
        except (Unreachable, Refused):
            self._away_until_s = self._clock.monotonic_s() + _AWAY_S
            raise

    def _keys(self, place: Place) -> list[str]:
        begins = f"{self._prefix}{place.namespace}"
        return [f"{begins}:e:{place.key}", f"{begins}:l:{place.key}"]


async def _check(redis: Redis) -> None:
    """Raises Refused for a server that keeps what others must not lose."""
    found = await redis.info("memory")
    room, policy = found.get("maxmemory"), found.get("maxmemory_policy")
    if not room or policy == "noeviction":
        message = "a cache needs a redis of its own that evicts: set maxmemory and a policy"
        raise Refused(message, maxmemory=room, maxmemory_policy=policy)


def _kept(held: bytes) -> Kept:
    entry = nouns.CacheEntry.FromString(held[scripts.HEAD_BYTES :])
    entry.version = int(held[:16])
    return Kept.of(entry)


def _conflict(expected: int | None, actual: int) -> VersionConflict:
    message = "the entry has another version"
    return VersionConflict(message, expected=expected, actual=actual)


@asynccontextmanager
async def redis_tier(server: RedisServer, clock: Clock, heard: Heard) -> AsyncIterator[RedisTier]:
    """The server may be away, then and later."""
    tier = RedisTier(server, clock, heard)
    try:
        async with Tasks() as tasks:
            tasks.spawn("cache:redis", tier.run())
            yield tier
    finally:
        await tier.aclose()
