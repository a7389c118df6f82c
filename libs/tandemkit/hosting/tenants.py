"""One agent of a host, life after life: built, served, and built again where it fails alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tandemkit.core import log
from tandemkit.core.errors import Failure
from tandemkit.hosting.entrusted import Entrusted
from tandemkit.hosting.equipping import Lacking, equipped
from tandemkit.hosting.kept import Kept
from tandemkit.hosting.needs import Fleet, Needs
from tandemkit.hosting.probing import Probe
from tandemkit.hosting.scope import Scope, Shown
from tandemkit.hosting.seating import Seating
from tandemkit.hosting.site import Site
from tandemkit.hosting.standing import Condition, Standing, worded
from tandemkit.supervise.children import Child, Life, Restart, Unmendable
from tandemkit.supervise.reports import Asked
from tandemkit.supervise.supervisor import NoSuchChild, Supervisor, supervising
from tandemkit.supervise.tasks import Tasks, failure_of
from tandemkit.supervise.ward import Means

if TYPE_CHECKING:
    from tandemkit.hosting.host import Placed

_LOGGER = logging.getLogger("tandemkit.hosting")
# A model may take long to load, and long to let go of.
_BUILT_WITHIN_S, _CLOSED_WITHIN_S = 3600.0, 40.0


class Tenant:
    """One agent of the host. What is asked of it on purpose is noted here, and done by its
    supervisor.
    """

    def __init__(self, placed: Placed, site: Site) -> None:
        self.placed, self._site = placed, site
        self.standing = site.standings[placed.name]
        # Whether it changed its host in a way that nothing takes back.
        self.reaches_host = False
        self.seating = Seating(placed, site)
        # Set by its first life, whose failure is the host's.
        self.built: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def name(self) -> str:
        return self.placed.name

    @property
    def child(self) -> Child:
        """One that was added has one life: who added it knows whether it is still wanted."""
        return Child(
            self.placed.name,
            self.run,
            Restart.NEVER if self.standing.added else Restart.ALWAYS,
            grace_s=_CLOSED_WITHIN_S,
            ready_within_s=_BUILT_WITHIN_S,
        )

    async def run(self, life: Life) -> None:
        """One life."""
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
        agent, site = self.placed.agent, self._site
        kept = Kept(site.store, self.name, site.folder(self.name))
        async with kept, Tasks() as tasks:
            site.enroll(self.name)
            entrusted = Entrusted(self.name, self.placed.needed, site.secrets, site.clock)
            await equipped(entrusted, site.clock, partial(self._lack, life))
            self.standing.missing_secrets = ()
            scope = self._scope(tasks, kept, entrusted)
            async with agent.build(scope, self.placed.settings) as servicer:
                with self.seating.of(servicer):
                    self.reaches_host = scope.reaches_host
                    if self.reaches_host and self.standing.added:
                        raise Unmendable("what it adds to its host can be in no running one")
                    probe = Probe(self.standing, scope, site.server.health, site.news)
                    await probe.look()
                    life.ready()
                    if not self.built.done():
                        self.built.set_result(None)
                    tasks.spawn(f"{scope.name}:probe", probe.run())
                    await _until_cancelled()
                    await self.seating.let_finish()
                # What runs in the background ends before anything that it uses.
                await tasks.end()
        raise asyncio.CancelledError

    def _lack(self, life: Life, lacking: Lacking) -> None:
        """It is not built yet. The host goes on, and its callers hear why."""
        self.standing.cause, self.standing.missing_secrets = lacking.cause, lacking.missing
        self.seating.lack(lacking.refusal)
        life.ready()
        if not self.built.done():
            self.built.set_result(None)

    def want(self, wanted: Condition, asked: Asked) -> None:
        """Callers are told at once; its life goes on until the supervisor ends it."""
        self.standing.want(wanted, asked)
        if self.standing.is_down:
            self.seating.close()
        else:
            self.seating.show(serving=self.standing.may_serve)

    def expect(self, cause: str) -> None:
        """Another life of it is about to begin, or none any more."""
        self.standing.cause = cause
        self.seating.close()

    def _scope(self, tasks: Tasks, kept: Kept, entrusted: Entrusted) -> Scope:
        agent, site, name = self.placed.agent, self._site, self.placed.name
        self.standing.measures = []
        shown = Shown(site.paths, self.standing.accounts, self.standing.measures)
        own = (name, site.clock, site.folder(self.name), site.processes, site.where)
        scope = Scope(*own, tasks, site.server, site.callees(agent), kept, shown, entrusted)
        needs = Needs(agent.calls, site.server.health.serving, Fleet(site.controls))
        scope.begins_when(needs.met)
        return scope


class Removed(Failure):
    """An instance was taken away while somebody waited for it."""


@dataclass(frozen=True, slots=True)
class Tenants:
    """All of them, in the order in which they started, and who keeps them running."""

    by_name: dict[str, Tenant]
    supervisor: Supervisor
    site: Site

    def begin(self, placed: Placed) -> Tenant:
        """Takes one more in, which is still to be built."""
        name, service = placed.name, placed.agent.promise.service.full_name
        self.site.standings[name] = Standing(name, service, added=True)
        tenant = self.by_name[name] = Tenant(placed, self.site)
        return tenant

    async def build(self, tenant: Tenant, asked: Asked) -> None:
        """Raises what that raises, and then it is not there. It goes on if nobody waits for it."""
        await self.supervisor.add(replace(tenant.child, run=partial(self._run, tenant)), asked)
        if not tenant.built.done():
            raise Removed("it was removed before it was built", name=tenant.name)
        await tenant.built

    async def remove(self, tenant: Tenant, asked: Asked) -> None:
        """Ends one that was added, behind its calls in progress."""
        tenant.expect(f"it is removed by {worded(asked)}")
        with suppress(NoSuchChild):
            await self.supervisor.remove(tenant.name, asked)
        self._forget(tenant)

    async def _run(self, tenant: Tenant, life: Life) -> None:
        error = await failure_of(tenant.run(life))
        if error is not None:
            self._forget(tenant)
            if tenant.built.done():
                # Nobody may wait for it any more.
                tenant.built.exception()
            raise error

    def _forget(self, tenant: Tenant) -> None:
        if self.by_name.get(tenant.name) is tenant:
            del self.by_name[tenant.name], self.site.standings[tenant.name]
            tenant.seating.vacate()
            self.site.news.set()


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
        for one in tuple(every.values()):
            await one.built
        yield Tenants(every, supervisor, site)


async def _until_cancelled() -> None:
    """Returns then, and does not raise: what stands behind the `yield` of a `build` is for the end,
    whether or not its author thought of `finally`.
    """
    with suppress(asyncio.CancelledError):
        await asyncio.get_running_loop().create_future()
