"""One agent of a host, life after life: built, served, and built again where it fails alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.fleet.v1.state_pb2 import StateStore
from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.callees import Callees
from tandemkit.hosting.entrusted import Entrusted
from tandemkit.hosting.equipping import Lacking, equipped
from tandemkit.hosting.fleet_methods import FleetMethods
from tandemkit.hosting.http_port import Pages
from tandemkit.hosting.kept import Kept
from tandemkit.hosting.needs import Fleet, Needs
from tandemkit.hosting.news import News
from tandemkit.hosting.probing import Probe
from tandemkit.hosting.scope import Scope, Shown, Where
from tandemkit.hosting.standing import Condition, Standing, worded
from tandemkit.rpc import failure
from tandemkit.rpc.client import Mesh
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.room import restarting
from tandemkit.rpc.seats import Seat
from tandemkit.rpc.server import Server
from tandemkit.supervise.children import Child, Life, Unmendable
from tandemkit.supervise.reports import Asked, Sink
from tandemkit.supervise.roll.protocol import Key
from tandemkit.supervise.roll.registry import ProcessRegistry
from tandemkit.supervise.supervisor import Supervisor, supervising
from tandemkit.supervise.tasks import Tasks, failure_of
from tandemkit.supervise.ward import Means

if TYPE_CHECKING:
    from tandemkit.hosting.agent import Agent
    from tandemkit.hosting.host import Placed

# The namespace of the process registry in which agents stand.
AGENTS = "agents"
_LOGGER = logging.getLogger("tandemkit.hosting")
# A model may take long to load, and long to let go of.
_BUILT_WITHIN_S, _CLOSED_WITHIN_S = 3600.0, 40.0
# Of the latter, for calls in progress where somebody stops an agent.
_FINISHED_WITHIN_S, _LOOK_S = 10.0, 0.05


@dataclass(frozen=True, slots=True)
class Site:
    """What all agents of a host share. `news` is set whenever one of them serves, or does not any
    more; `sink` takes what becomes of them; `pages` are what the host says over HTTP besides its
    own, by the path that they begin with. `secrets` is the folder of those that the host was given.
    """

    server: Server
    mesh: Mesh
    clock: Clock
    state_dir: Path
    controls: tuple[str, ...]
    news: News
    standings: Mapping[str, Standing]
    store: StateStore
    sink: Sink
    processes: ProcessRegistry
    pages: dict[str, Pages]
    where: Where
    secrets: Path | None = None

    def callees(self, agent: Agent) -> Callees:
        """Whom the agent may call: its own contract too, for there may be another instance."""
        declared = (agent.contract, *agent.calls, *agent.soft_calls)
        anybody = None
        if agent.calls_any:
            anybody = FleetMethods(self.mesh, self.clock, has_fleet=bool(self.controls))
        return Callees(agent.name, declared, self.mesh, anybody)

    def enroll(self, name: str) -> None:
        """Whoever looks for the agent by name finds this life of it, until that is over."""
        life = asyncio.current_task()
        if life is not None:
            self.processes.register_task(Key(AGENTS, name), life)

    def folder(self, name: str) -> Path:
        """In which the agent keeps its state."""
        folder = self.state_dir / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


class Tenant:
    """One agent of the host. What is asked of it on purpose is noted here, and done by its
    supervisor.
    """

    def __init__(self, placed: Placed, site: Site) -> None:
        self._placed, self._site = placed, site
        self._service = placed.agent.promise.service.full_name
        self.standing = site.standings[placed.name]
        # Whether it changed its host in a way that nothing takes back.
        self.reaches_host = False
        self._seat: Seat | None = None
        # Whether its life ends because somebody wants it, so that calls in progress may finish.
        self._ends_gently = False
        # Set by its first life, whose failure is the host's.
        self.built: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def name(self) -> str:
        return self._placed.name

    @property
    def child(self) -> Child:
        return Child(
            self._placed.name,
            self._run,
            grace_s=_CLOSED_WITHIN_S,
            ready_within_s=_BUILT_WITHIN_S,
        )

    async def _run(self, life: Life) -> None:
        self.standing.lives += 1
        error = await failure_of(self._live(life))
        if error is None:
            return
        self.standing.failed(error)
        self._site.news.set()
        if not self.built.done():
            # The host ends of it, and whoever keeps that reads here of whom.
            said = f"{type(error).__name__}: {error}"
            log.event(_LOGGER, logging.ERROR, "agent.unbuilt", agent=self.name, cause=said)
            self.built.set_exception(error)
        if self.reaches_host:
            raise Unmendable("what it added to its host cannot be added twice") from error
        raise error

    async def _live(self, life: Life) -> None:
        agent, site = self._placed.agent, self._site
        kept = Kept(site.store, self.name, site.folder(self.name))
        async with kept, Tasks() as tasks:
            site.enroll(self.name)
            entrusted = Entrusted(self.name, self._placed.needed, site.secrets, site.clock)
            await equipped(entrusted, site.clock, partial(self._lack, life))
            scope = self._scope(tasks, kept, entrusted)
            async with agent.build(scope, self._placed.settings) as servicer:
                with self._seated(servicer):
                    self.reaches_host = scope.reaches_host
                    probe = Probe(self.standing, scope, site.server.health, site.news)
                    await probe.look()
                    life.ready()
                    if not self.built.done():
                        self.built.set_result(None)
                    tasks.spawn(f"{scope.name}:probe", probe.run())
                    await _until_cancelled()
                    await self._let_finish()
                # What runs in the background ends before anything that it uses.
                await tasks.end()
        raise asyncio.CancelledError

    def _lack(self, life: Life, lacking: Lacking) -> None:
        """It is not built yet. The host goes on, and its callers hear why."""
        if self._seat is None:
            self._seat = self._site.server.mount(self._placed.agent.promise, None)
        self.standing.cause = lacking.cause
        self._seat.leave(lacking.refusal)
        self._show(serving=False)
        life.ready()
        if not self.built.done():
            self.built.set_result(None)

    @contextmanager
    def _seated(self, servicer: object) -> Iterator[None]:
        """Calls come to it inside of the block, and are ended before what it needs is."""
        if self._seat is None:
            self._seat = self._site.server.mount(self._placed.agent.promise, servicer)
        else:
            self._seat.take(servicer)
        try:
            yield
        finally:
            self.standing.cause = self.standing.cause or "it ends"
            self._unseat()

    def want(self, wanted: Condition, asked: Asked) -> None:
        """Callers are told at once; its life goes on until the supervisor ends it."""
        self.standing.want(wanted, asked)
        if self.standing.is_down:
            self._close()
        else:
            self._show(serving=self.standing.may_serve)

    def expect(self, cause: str) -> None:
        """Another life of it is about to begin."""
        self.standing.cause = cause
        self._close()

    def _show(self, *, serving: bool) -> None:
        self._site.server.health.put(self._service, serving=serving)
        self._site.news.set()

    def _close(self) -> None:
        """New calls are refused from now on."""
        self._show(serving=False)
        self._ends_gently = True
        if self._seat is not None:
            self._seat.close(self._refusal())

    async def _let_finish(self) -> None:
        """What is in progress, unless the agent failed or takes too long."""
        left_s, self._ends_gently = _FINISHED_WITHIN_S if self._ends_gently else 0.0, False
        while left_s > 0 and self._seat is not None and self._seat.is_busy:
            await self._site.clock.sleep(_LOOK_S)
            left_s -= _LOOK_S

    def _unseat(self) -> None:
        self._show(serving=False)
        if self._seat is not None:
            self._seat.leave(self._refusal())

    def _refusal(self) -> Refusal:
        standing = self.standing
        if not standing.is_down or standing.asked is None:
            return restarting()
        return failure.of_platform(
            platform.PLATFORM_ERROR_REASON_SUSPENDED,
            f"the agent was {standing.wanted.lower()} here by {worded(standing.asked)}",
            by=standing.asked.by,
            why=standing.asked.why,
        )

    def _scope(self, tasks: Tasks, kept: Kept, entrusted: Entrusted) -> Scope:
        agent, site, name = self._placed.agent, self._site, self._placed.name
        shown = Shown(site.pages, self.standing.accounts)
        own = (name, site.clock, site.folder(self.name), site.processes, site.where)
        scope = Scope(*own, tasks, site.server, site.callees(agent), kept, shown, entrusted)
        needs = Needs(agent.calls, site.server.health.serving, Fleet(site.controls))
        scope.begins_when(needs.met)
        return scope


@dataclass(frozen=True, slots=True)
class Tenants:
    """All of them, in the order in which they start, and who keeps them running."""

    by_name: Mapping[str, Tenant]
    supervisor: Supervisor


@asynccontextmanager
async def tenants(placed: Iterable[Placed], site: Site) -> AsyncIterator[Tenants]:
    """All of them, built in their order. One that fails later is built again, while the others go
    on; if that does not help, the host fails. Raises what a first build does.
    """
    every = {one.name: Tenant(one, site) for one in placed}
    children = [one.child for one in every.values()]
    async with supervising(
        Supervisor("agents", children, means=Means(site.clock, site.sink))
    ) as supervisor:
        for one in every.values():
            await one.built
        yield Tenants(every, supervisor)


async def _until_cancelled() -> None:
    """Returns then, and does not raise: what stands behind the `yield` of a `build` is for the end,
    whether or not its author thought of `finally`.
    """
    with suppress(asyncio.CancelledError):
        await asyncio.get_running_loop().create_future()
