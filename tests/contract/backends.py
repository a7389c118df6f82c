"""Each backend of the registry, as settings of a control, for what stands on the registry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from tandem.control.config.v1 import registry_pb2 as registry_cfg
from tandemkit.testing.parts_consul import durable_consul
from tandemkit.testing.parts_storage import durable_redis_server

Restart = Callable[[], Awaitable[None]]


class Backend:
    """What both controls are told, and how its server is killed and started again."""

    def __init__(self, settings: registry_cfg.RegistrySettings, restart: Restart) -> None:
        self.settings, self.restart = settings, restart


@asynccontextmanager
async def embedded() -> AsyncIterator[Backend]:
    async def nothing() -> None:
        """It goes down with its control, which other tests see to."""

    yield Backend(registry_cfg.RegistrySettings(), nothing)


@asynccontextmanager
async def consul() -> AsyncIterator[Backend]:
    async with durable_consul() as server:

        async def restart() -> None:
            await server.kill()
            await server.start()

        said = registry_cfg.ConsulBackend(address=server.url)
        yield Backend(registry_cfg.RegistrySettings(consul=said), restart)


@asynccontextmanager
async def redis() -> AsyncIterator[Backend]:
    async with durable_redis_server(None) as server:

        async def restart() -> None:
            await server.kill()
            await server.start()

        said = registry_cfg.RedisBackend(address=f"unix:{server.socket}")
        yield Backend(registry_cfg.RegistrySettings(redis=said), restart)


BACKENDS: dict[str, Callable[[], AbstractAsyncContextManager[Backend]]] = {
    "embedded": embedded,
    "consul": consul,
    "redis": redis,
}

# For a fixture that opens one of them.
EVERY = [
    "embedded",
    pytest.param("consul", marks=pytest.mark.real("consul")),
    pytest.param("redis", marks=pytest.mark.real("redis")),
]
