"""What replicas on one Redis tell each other of changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.memory.cache.tier import Heard
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.ids import span_id
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.redis import RedisConnection

_PAUSE_S_MIN, _PAUSE_S_MAX = 0.05, 2.0
_LOGGER: Final = logging.getLogger("services.memory")


class Wire:
    """Publish and subscribe: what is told while nobody is connected is lost."""

    def __init__(
        self, connection: RedisConnection, channel: str, clock: Clock, heard: Heard
    ) -> None:
        self._connection, self.channel = connection, channel
        self._clock, self._heard = clock, heard
        self._origin = span_id()

    def news(self, namespace: str, key: str) -> str:
        """As they are published; an empty key is every one of the namespace."""
        return f"{self._origin}\0{namespace}\0{key}"

    async def listen(self, back: Callable[[], None]) -> None:
        """Until cancelled. `back` is told each time that the server is there again."""
        pause_s = _PAUSE_S_MIN

        async def follow(redis: Redis) -> None:
            nonlocal pause_s
            async with redis.pubsub(ignore_subscribe_messages=True) as listener:
                await listener.subscribe(self.channel)
                pause_s = _PAUSE_S_MIN
                log.event(_LOGGER, logging.INFO, "cache.redis_reached")
                back()
                with suppress(RedisError, OSError):
                    async for message in listener.listen():
                        self._hear(message["data"])
                log.event(_LOGGER, logging.WARNING, "cache.redis_lost")

        while True:
            with suppress(Unreachable, Refused):
                await self._connection.following(follow)
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_S_MAX)

    def _hear(self, told: bytes) -> None:
        origin, namespace, key = told.decode().split("\0", 2)
        if origin != self._origin:
            self._heard(namespace, key)
