"""The registry in a real Redis as a case of the suite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.reach.server import Patience
from tandemkit.registry.redis_backend import RedisRegistry
from tandemkit.registry.redis_keyspace import RedisSettings
from tandemkit.testing.parts_storage import DurableRedis, durable_redis_server
from tandemkit.testing.relay import Relay, relay_to


class RedisCase:
    """A server behind a relay; every client has connections of its own."""

    ttl_s = 1.0
    late_s = 0.75

    def __init__(self, server: DurableRedis, relay: Relay, settings: RedisSettings) -> None:
        self.clock = SystemClock()
        self.server = server
        self.settings = settings
        self.relay = relay
        self._opened: list[RedisRegistry] = []

    async def open(self) -> RedisRegistry:
        return self.open_with()

    def open_with(self, clock: Clock | None = None, **changes: Any) -> RedisRegistry:
        """A client with other settings."""
        settings = replace(self.settings, **changes)
        self._opened.append(RedisRegistry(settings, clock or self.clock))
        return self._opened[-1]

    async def close(self) -> None:
        for registry in self._opened:
            await registry.aclose()

    async def kill_and_restart(self) -> None:
        await self.server.kill()
        await self.server.start()

    async def cut(self) -> None:
        self.relay.cut()

    async def heal(self) -> None:
        self.relay.heal()


@asynccontextmanager
async def redis_case(offset: Path | None = None) -> AsyncIterator[RedisCase]:
    async with durable_redis_server(offset) as server:
        connect = partial(asyncio.open_unix_connection, server.socket)
        async with relay_to(connect) as (relay, port):
            settings = RedisSettings(port=port, patience=Patience(try_s=0.5, answer_s=1.5))
            case = RedisCase(server, relay, settings)
            try:
                yield case
            finally:
                await case.close()
