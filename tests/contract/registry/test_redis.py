"""The registry in a real Redis, which is killed, restarted, cut off, and made to forget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.registry.protocol import Registry
from tandemkit.registry.redis_backend import RedisRegistry
from tandemkit.registry.redis_connection import RedisSettings
from tandemkit.testing.parts_storage import DurableRedis, durable_redis_server
from tandemkit.testing.relay import Relay, relay_to
from tests.contract.registry.case import Severable
from tests.contract.registry.suite import NetworkSuite, RegistrySuite, RestartSuite


class RedisCase:
    """A server behind a relay; every client has connections of its own."""

    ttl_s = 1.0
    late_s = 0.75

    def __init__(self, server: DurableRedis, relay: Relay, settings: RedisSettings) -> None:
        self.clock = SystemClock()
        self.opened: list[RedisRegistry] = []
        self._server = server
        self._relay = relay
        self._settings = settings

    async def open(self) -> Registry:
        self.opened.append(RedisRegistry(self._settings))
        return self.opened[-1]

    async def kill_and_restart(self) -> None:
        await self._server.kill()
        await self._server.start()

    async def cut(self) -> None:
        self._relay.cut()

    async def heal(self) -> None:
        self._relay.heal()


@asynccontextmanager
async def redis_case() -> AsyncIterator[RedisCase]:
    async with durable_redis_server() as server:
        connect = partial(asyncio.open_unix_connection, server.socket)
        async with relay_to(connect) as (relay, port):
            settings = RedisSettings(port=port, try_within_s=0.5, answer_within_s=1.5)
            case = RedisCase(server, relay, settings)
            try:
                yield case
            finally:
                for registry in case.opened:
                    await registry.aclose()


class TestRedis(RegistrySuite, RestartSuite, NetworkSuite):
    @pytest.fixture
    async def case(self) -> AsyncIterator[Severable]:
        async with redis_case() as case:
            yield case
