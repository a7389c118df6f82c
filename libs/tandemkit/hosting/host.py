"""One process, one asyncio gRPC server, many agents."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    closing,
    nullcontext,
)
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from tandem.control.v1 import registration_pb2 as nouns
from tandem.fleet.v1.state_pb2 import StateStore
from tandem.platform.v1.event_store_service_pb2_grpc import EventStoreServiceStub
from tandemkit.core.clock import Clock
from tandemkit.core.token import Token
from tandemkit.hosting.access_copy import access_followed
from tandemkit.hosting.adding import Adding, Program, program_of
from tandemkit.hosting.announce import Announcement, announced
from tandemkit.hosting.busy import BusyFace, BusyPort
from tandemkit.hosting.child_events import Origin
from tandemkit.hosting.contracts import Contracts
from tandemkit.hosting.entrusted import Needed
from tandemkit.hosting.face import Face, Identity, Known
from tandemkit.hosting.heed import Heard, Heed
from tandemkit.hosting.holding import Holding, origins
from tandemkit.hosting.http_port import http_port
from tandemkit.hosting.layers import in_layers
from tandemkit.hosting.liveness import living
from tandemkit.hosting.membership import Membership, machine_name
from tandemkit.hosting.news import News
from tandemkit.hosting.oversight import HOST_SERVICE, Oversight
from tandemkit.hosting.recording import RecordingSink, recording
from tandemkit.hosting.scope import Where
from tandemkit.hosting.site import Site
from tandemkit.hosting.standing import Standing
from tandemkit.hosting.tenants import Tenants, tenants
from tandemkit.hosting.vouching import Credential, by_file, by_key, key_beside
from tandemkit.mesh.bootstrap import TARGET
from tandemkit.rpc import channel
from tandemkit.rpc.client import Mesh, mesh
from tandemkit.rpc.report import Report
from tandemkit.rpc.server import DRAIN_GRACE_S, Server
from tandemkit.rpc.spans import UNTRACED, Tracing
from tandemkit.supervise.reports import LogSink, Sink, Sinks
from tandemkit.supervise.roll.registry import ProcessRegistry
from tandemkit.supervise.tasks import Tasks

# Beside the folders of the agents, whose names all have a hyphen.
_EVENTS = "events"

if TYPE_CHECKING:
    from tandemkit.hosting.agent import Agent


@dataclass(frozen=True, slots=True)
class Placed:
    """An agent, the settings that it runs with here, its name if not the default one, and the
    secrets that it needs.
    """

    agent: Agent
    settings: Message | None
    instance: str = ""
    needed: Needed = field(default_factory=Needed)

    @property
    def name(self) -> str:
        return self.instance or self.agent.name


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host runs: what it listens on, where its agents keep their state, whose time it goes
    by, which fleet it belongs to, if any, how its calls are traced, where it answers over HTTP, if
    anywhere, which store of state the fleet has, the file that its pulse is felt in, if it is, the
    token that its callers show (None lets everybody in who reaches it), the limits of its process,
    in words, the socket that it listens on besides, if any, the profile that the fleet runs, and
    the folder with a file for each secret that it was given, if any.
    """

    address: str
    state_dir: Path
    clock: Clock
    grace_s: float = DRAIN_GRACE_S
    membership: Membership | None = None
    tracing: Tracing = UNTRACED
    http: socket.socket | None = None
    store: StateStore = field(default_factory=StateStore)
    pulse: Path | None = None
    token: Token | None = None
    limits: tuple[str, ...] = ()
    besides: Path | None = None
    profile: str = ""
    secrets: Path | None = None
    # The agents that may be added to the host; None: instances of those that it is made of.
    program: Program | None = None


def _where(place: Place) -> Where:
    host = place.membership.host if place.membership else None
    return Where(host.machine if host else machine_name(), place.profile)


@asynccontextmanager
async def _processes(place: Place) -> AsyncIterator[ProcessRegistry]:
    """Names of what runs in the host."""
    with closing(ProcessRegistry(place.clock)) as registry:
        yield registry


@asynccontextmanager
async def hosting(placed: Sequence[Placed], place: Place) -> AsyncIterator[int]:
    """Serves all of `placed` on one port, which it yields, and drains on the way out. Raises Bug
    where they wait for each other.
    """
    report = Report(place.tracing)
    server = Server(report, place.token)
    standings = {
        one.name: Standing(one.name, one.agent.promise.service.full_name) for one in placed
    }
    known = Known(server.health, standings, report.tallies, server.turns)
    news = News()
    controls = place.membership.controls if place.membership else ()
    async with (
        _alive(placed, place, server),
        _processes(place) as processes,
        _outgoing(server, place) as calls,
        Tasks() as tasks,
        _faced(known, place),
        _recorded(calls, place) as sink,
    ):
        site = Site(
            server,
            calls,
            place.clock,
            place.state_dir,
            controls,
            news,
            standings,
            place.store,
            sink,
            processes,
            known.paths,
            _where(place),
            place.secrets,
        )
        async with _ruled(server, placed, place), tenants(in_layers(placed), site) as manned:
            program = place.program or program_of(one.agent for one in placed)
            adding = Adding(manned, program, Placed)
            oversight = Oversight(manned, adding, server.health, news, place.clock)
            server.plumb(HOST_SERVICE, oversight, news.set)
            port = await server.start(place.address, place.besides)
            try:
                async with AsyncExitStack() as announcing:
                    if place.membership is not None:
                        changed = announcing.enter_context(news.heard())
                        said = _announcement(manned, place.membership, server, port, changed)
                        said = replace(said, credential=_credential(place))
                        await announcing.enter_async_context(announced(said, place.clock, tasks))
                        heard = Heard(said.controls, place.membership.host.name, server)
                        # It ends before the host drains, whose own control may end with it.
                        heeding = await announcing.enter_async_context(Tasks())
                        heeding.spawn("policy", Heed(heard, place.clock).run())
                    yield port
            finally:
                await server.drain(place.grace_s)


def _ruled(
    server: Server, placed: Sequence[Placed], place: Place
) -> AbstractAsyncContextManager[None]:
    """Begins before an agent serves. Out of a fleet there are only the rules that always hold."""
    if place.membership is None:
        return nullcontext()
    contracts = [one.agent.promise for one in placed]
    own = place.state_dir, place.clock
    return access_followed(server, contracts, place.membership, own)


def _announcement(
    manned: Tenants, membership: Membership, server: Server, port: int, news: asyncio.Event
) -> Announcement:
    contracts = Contracts()
    for tenant in manned.by_name.values():
        contracts.of(tenant.placed.agent.contract)

    def roster() -> nouns.Host:
        host = nouns.Host()
        host.CopyFrom(membership.host)
        host.port = port
        for one in manned.by_name.values():
            agent, standing = one.placed.agent, one.standing
            host.placements.add(
                service=standing.service,
                instance=one.name if one.name != agent.name else "",
                serving=server.health.serving(standing.key),
                contract_digest=contracts.of(agent.contract).digest,
            )
        return host

    return Announcement(
        membership.controls, membership.lease_s, roster, contracts, news, server.token
    )


def _credential(place: Place) -> Credential | None:
    """By which control lets the host in; none where nobody asks for a token either."""
    if place.membership is not None and place.membership.credential is not None:
        return by_file(place.membership.credential)
    return by_key(key_beside(place.token), place.clock) if place.token else None


def _alive(
    placed: Sequence[Placed], place: Place, server: Server
) -> AbstractAsyncContextManager[None]:
    """Begins before the first agent is built, which may hold the loop too."""
    agents = {one.agent.promise.service.full_name: one.name for one in placed}
    holding = Holding(origins(placed), agents, server.served)
    identity, names = _identity(place)
    port = None
    if place.http is not None:
        port = BusyPort(place.http, names, BusyFace(identity, tuple(agents.values())))
    return living(holding, port, place.pulse)


def _faced(known: Known, place: Place) -> AbstractAsyncContextManager[object]:
    """Begins before the first agent is built and ends behind the last, to be asked meanwhile."""
    if place.http is None:
        return nullcontext()
    identity, names = _identity(place)
    face = Face(known, identity, place.clock, place.token)
    return http_port(place.http, face.page, names, face.post)


@asynccontextmanager
async def _recorded(calls: Mesh, place: Place) -> AsyncIterator[Sink]:
    """Where what happens to the agents is told; where there is a fleet, its event store too."""
    if place.membership is None:
        yield LogSink()
        return
    host = place.membership.host
    origin = Origin(host.machine, host.name.removeprefix("hosts/"))
    path = place.state_dir / _EVENTS / f"{origin.host}.outbox"
    stub: Any = calls.stub(EventStoreServiceStub)
    async with recording(path, origin.stream, stub, place.clock) as recorder:
        yield Sinks(LogSink(), RecordingSink(recorder, origin))


def _identity(place: Place) -> tuple[Identity, set[str]]:
    """Who answers over HTTP, and by which names besides those of the loopback."""
    if place.membership is None:
        return Identity("", machine_name(), "", place.limits), set()
    host = place.membership.host
    return Identity(host.name, host.machine, host.version, place.limits), {host.address}


@asynccontextmanager
async def _outgoing(server: Server, place: Place) -> AsyncIterator[Mesh]:
    """What the agents call each other on. It ends behind the last of them and of their tasks."""
    member = place.membership
    target = channel.NOWHERE if member is None else TARGET
    pings = member is not None and not member.is_all_here
    # The mesh shares the channel that is open, with or without pings.
    async with (
        channel.shared(target, pings=pings),
        mesh(
            target, server.local.way, clock=place.clock, tracing=place.tracing, token=place.token
        ) as calls,
    ):
        yield calls
