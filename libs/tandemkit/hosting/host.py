"""One process, one asyncio gRPC server, many agents."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.server import DRAIN_GRACE_S, Server
from tandemkit.supervise.tasks import Tasks

if TYPE_CHECKING:
    from tandemkit.hosting.agent import Agent

PROBE_INTERVAL_S = 2.0
_LOGGER = logging.getLogger("tandemkit.hosting")


@dataclass(frozen=True, slots=True)
class Placed:
    """An agent, the settings that it runs with here, and its name if not the default one."""

    agent: Agent
    settings: Message | None
    instance: str = ""

    @property
    def name(self) -> str:
        return self.instance or self.agent.name


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host runs: what it listens on, where its agents keep their state, and whose time it
    goes by.
    """

    address: str
    state_dir: Path
    clock: Clock
    grace_s: float = DRAIN_GRACE_S


@asynccontextmanager
async def hosting(placed: Sequence[Placed], place: Place) -> AsyncIterator[int]:
    """Serves all of `placed` on one port, which it yields, and drains on the way out."""
    server = Server()
    async with Tasks() as tasks, AsyncExitStack() as built:
        scopes = [await _build(one, place, tasks, server, built) for one in placed]
        for one, scope in zip(placed, scopes, strict=True):
            await _probe(one, scope, server)
            tasks.spawn(f"{scope.name}:probe", _watch_over(one, scope, server))
        port = await server.start(place.address)
        try:
            yield port
        finally:
            await server.drain(place.grace_s)


async def _build(
    one: Placed, place: Place, tasks: Tasks, server: Server, built: AsyncExitStack
) -> Scope:
    state_dir = place.state_dir / one.name
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    scope = Scope(one.name, place.clock, state_dir, tasks)
    servicer = await built.enter_async_context(one.agent.build(scope, one.settings))
    server.mount(one.agent.promise, servicer)
    return scope


async def _watch_over(one: Placed, scope: Scope, server: Server) -> None:
    while True:
        await scope.clock.sleep(PROBE_INTERVAL_S)
        await _probe(one, scope, server)


async def _probe(one: Placed, scope: Scope, server: Server) -> None:
    """Turns what the agent says of itself into its health, and says so where that changed."""
    service = one.agent.promise.service.full_name
    was = server.health.serving(service)
    error = await scope.unwell()
    server.health.put(service, serving=error is None)
    if was and error is not None:
        log.event(_LOGGER, logging.WARNING, "agent.unwell", agent=scope.name, cause=str(error))
    elif not was and error is None:
        log.event(_LOGGER, logging.INFO, "agent.serving", agent=scope.name)
