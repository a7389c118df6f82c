"""The registry in a real Consul as a case of the suite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from typing import TypeVar

from tandemkit.core.clock import SystemClock
from tandemkit.reach.server import Patience
from tandemkit.registry.consul import ConsulRegistry, ConsulSettings, consul_registry
from tandemkit.testing.parts_consul import DurableConsul
from tandemkit.testing.relay import Relay, relay_to

_PREFIXES = count()


class ConsulCase:
    """A prefix of its own on a server behind a relay; every client has connections of its own."""

    ttl_s = 1.0
    late_s = 1.0

    def __init__(self, server: DurableConsul, relay: Relay, port: int) -> None:
        self.clock = SystemClock()
        self.settings = ConsulSettings(
            url=f"http://127.0.0.1:{port}",
            prefix=f"tandem-{next(_PREFIXES)}",
            patience=Patience(answer_s=2.0),
        )
        self.server = server
        self._relay = relay
        self._opened = AsyncExitStack()

    async def open(self) -> ConsulRegistry:
        return await self.open_with(self.settings)

    async def open_with(self, settings: ConsulSettings) -> ConsulRegistry:
        return await self._opened.enter_async_context(consul_registry(settings))

    async def kill_and_restart(self) -> None:
        await self.server.kill()
        await self.server.start()

    async def cut(self) -> None:
        self._relay.cut()

    async def heal(self) -> None:
        self._relay.heal()

    async def close(self) -> None:
        await self._opened.aclose()


SomeCase = TypeVar("SomeCase", bound=ConsulCase)


@asynccontextmanager
async def consul_case(
    server: DurableConsul, kind: Callable[[DurableConsul, Relay, int], SomeCase]
) -> AsyncIterator[SomeCase]:
    connect = partial(asyncio.open_connection, "127.0.0.1", server.http_port)
    async with relay_to(connect) as (relay, port):
        case = kind(server, relay, port)
        try:
            yield case
        finally:
            await case.close()
