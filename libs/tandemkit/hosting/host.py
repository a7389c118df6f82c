"""One process, one asyncio gRPC server, many agents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.announce import Announcement, announced
from tandemkit.hosting.contracts import StoredContract
from tandemkit.hosting.membership import Membership
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
    """Where a host runs: what it listens on, where its agents keep their state, whose time it goes
    by, and which fleet it belongs to, if any.
    """

    address: str
    state_dir: Path
    clock: Clock
    grace_s: float = DRAIN_GRACE_S
    membership: Membership | None = None


@asynccontextmanager
async def hosting(placed: Sequence[Placed], place: Place) -> AsyncIterator[int]:
    """Serves all of `placed` on one port, which it yields, and drains on the way out."""
    server, news = Server(), asyncio.Event()
    async with Tasks() as tasks, AsyncExitStack() as built:
        scopes = [await _build(one, place, tasks, server, built) for one in placed]
        for one, scope in zip(placed, scopes, strict=True):
            await _probe(one, scope, server)
            tasks.spawn(f"{scope.name}:probe", _watch_over(one, scope, server, news))
        port = await server.start(place.address)
        try:
            async with AsyncExitStack() as known:
                if place.membership is not None:
                    said = _announcement(placed, place.membership, server, port, news)
                    await known.enter_async_context(announced(said, place.clock, tasks))
                yield port
        finally:
            await server.drain(place.grace_s)


def _announcement(
    placed: Sequence[Placed], membership: Membership, server: Server, port: int, news: asyncio.Event
) -> Announcement:
    contracts = {one.name: StoredContract.of(one.agent.contract) for one in placed}

    def roster() -> nouns.Host:
        host = nouns.Host()
        host.CopyFrom(membership.host)
        host.port = port
        for one in placed:
            service = one.agent.promise.service.full_name
            host.placements.add(
                service=service,
                instance=one.name if one.name != one.agent.name else "",
                serving=server.health.serving(service),
                contract_digest=contracts[one.name].digest,
            )
        return host

    stored = tuple({one.digest: one for one in contracts.values()}.values())
    return Announcement(membership.control, membership.lease_s, roster, stored, news)


async def _build(
    one: Placed, place: Place, tasks: Tasks, server: Server, built: AsyncExitStack
) -> Scope:
    state_dir = place.state_dir / one.name
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    scope = Scope(one.name, place.clock, state_dir, tasks, server)
    servicer = await built.enter_async_context(one.agent.build(scope, one.settings))
    server.mount(one.agent.promise, servicer)
    return scope


async def _watch_over(one: Placed, scope: Scope, server: Server, news: asyncio.Event) -> None:
    while True:
        await scope.clock.sleep(PROBE_INTERVAL_S)
        if await _probe(one, scope, server):
            news.set()


async def _probe(one: Placed, scope: Scope, server: Server) -> bool:
    """Turns what the agent says of itself into its health; whether that changed is also logged."""
    service = one.agent.promise.service.full_name
    was = server.health.serving(service)
    error = await scope.unwell()
    server.health.put(service, serving=error is None)
    if was and error is not None:
        log.event(_LOGGER, logging.WARNING, "agent.unwell", agent=scope.name, cause=str(error))
    elif not was and error is None:
        log.event(_LOGGER, logging.INFO, "agent.serving", agent=scope.name)
    return was != (error is None)
