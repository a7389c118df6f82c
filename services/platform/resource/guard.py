"""Suspends agents while memory is short, in the order of their priorities, and resumes them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from services.platform.resource.scene import Scene
from services.platform.resource.strain import Limits, Strain
from tandem.control.v1.machine_pb2 import AGENT_STATE_SERVING, AGENT_STATE_SUSPENDED
from tandem.platform.v1.resource_pb2 import MemorySuspension, MemorySuspensions
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.storage.state.owned import State
from tandemkit.supervise.pressure import Pressure, Suspension, suspension_order

_KEY = "suspensions"
# The supervisor tells of a change within that time; until then what it told before is old.
_TOLD_WITHIN_S = 5.0
# Whom the supervisor would not suspend is not asked for again so soon.
_REFUSED_S = 60.0
_LOGGER = logging.getLogger("services.platform.resource")


class Refused(Failure):
    """The supervisor will not do it, and did not."""


class Supervisor(Protocol):
    """Who carries it out. Both return when it is done. They raise Refused, or any other Failure
    where it is not known whether it was done.
    """

    async def suspend(self, agent: str, why: str) -> None: ...

    async def resume(self, agent: str, why: str) -> None: ...


Gauge = Callable[[Scene], Awaitable[Strain]]


class Guard:
    """One agent at a time, and a look after each: a plan's figures say whom, never how much was
    really freed. Who was suspended is on disk before it is done, so that a life that ends in the
    midst of it leaves nobody suspended for good.
    """

    def __init__(self, supervisor: Supervisor, gauge: Gauge, state: State, clock: Clock) -> None:
        self._supervisor, self._gauge = supervisor, gauge
        self._state, self._clock = state, clock
        self._told_s: dict[str, float] = {}
        self._refused_s: dict[str, float] = {}
        self._calm_since_s: float | None = None
        self.suspensions: list[MemorySuspension] = []
        self.strain = Strain()
        self.cause = ""

    async def restore(self) -> None:
        """Whom an earlier life suspended."""
        kept = await self._state.get(_KEY, MemorySuspensions)
        self.suspensions = list(kept.suspensions) if kept else []
        now_s = self._clock.monotonic_s()
        self._told_s = {one.agent: now_s for one in self.suspensions}

    async def look(self, scene: Scene, limits: Limits) -> None:
        """Judges the moment, and does at most one thing about it."""
        await self._reconcile(scene)
        self.strain = await self._gauge(scene)
        self.cause = ""
        if self.strain.over_mib:
            self._calm_since_s = None
            await self._relieve(scene)
        elif self.suspensions:
            await self._give_back(limits)

    def forecast(self, scene: Scene, memory_mib: int) -> tuple[Suspension, ...]:
        """Who would go, the first first."""
        running = scene.running([one.agent for one in self.suspensions])
        return suspension_order(running, Pressure(scene.machine.name, memory_mib))

    async def _relieve(self, scene: Scene) -> None:
        now_s = self._clock.monotonic_s()
        refused = [agent for agent, until_s in self._refused_s.items() if until_s > now_s]
        running = scene.running([*(one.agent for one in self.suspensions), *refused])
        order = suspension_order(running, Pressure(scene.machine.name, self.strain.over_mib))
        if not order:
            self.cause = "nobody is left who may be suspended"
            return
        chosen = order[0]
        noted = MemorySuspension(agent=chosen.agent, host=chosen.host, priority=chosen.priority)
        noted.memory_mib, noted.cause = chosen.memory_mib, self.strain.cause
        noted.create_time.FromDatetime(self._clock.now())
        self._told_s[chosen.agent] = now_s
        await self._keep([*self.suspensions, noted])
        try:
            await self._supervisor.suspend(chosen.agent, noted.cause)
        except Failure as error:
            self._refused_s[chosen.agent] = now_s + _REFUSED_S
            if isinstance(error, Refused):
                await self._keep([one for one in self.suspensions if one.agent != chosen.agent])
            # Else it may have been done all the same: what the supervisor tells will show it.
            self._failed("resources.suspend_failed", chosen.agent, error)
            return
        log.event(_LOGGER, logging.WARNING, "resources.suspended", agent=chosen.agent)

    async def _give_back(self, limits: Limits) -> None:
        """The last one first: it is the most urgent of them."""
        last, now_s = self.suspensions[-1], self._clock.monotonic_s()
        if self.strain.spare_mib < last.memory_mib:
            self._calm_since_s = None
            return
        if self._calm_since_s is None:
            self._calm_since_s = now_s
        if now_s - self._calm_since_s < limits.calm_s:
            return
        try:
            await self._supervisor.resume(last.agent, "there is room for it again")
        except Failure as error:
            self._failed("resources.resume_failed", last.agent, error)
            return
        finally:
            # The next one waits as long: this one takes its memory only now.
            self._calm_since_s = now_s
        await self._keep(self.suspensions[:-1])
        log.event(_LOGGER, logging.INFO, "resources.resumed", agent=last.agent)

    async def _reconcile(self, scene: Scene) -> None:
        """Whom somebody else resumed meanwhile, or who is not planned any more, is not ours."""
        now_s, states = self._clock.monotonic_s(), scene.states()
        planned = {agent.name for host in scene.planned.hosts for agent in host.agents}
        kept = [
            one
            for one in self.suspensions
            if now_s - self._told_s.get(one.agent, 0.0) < _TOLD_WITHIN_S
            or (
                one.agent in planned
                and states.get(one.agent, AGENT_STATE_SUSPENDED) != AGENT_STATE_SERVING
            )
        ]
        if len(kept) < len(self.suspensions):
            await self._keep(kept)

    async def _keep(self, suspensions: list[MemorySuspension]) -> None:
        await self._state.put(_KEY, MemorySuspensions(suspensions=suspensions))
        self.suspensions = suspensions

    def _failed(self, event: str, agent: str, error: Failure) -> None:
        self.cause = str(error)
        log.event(_LOGGER, logging.WARNING, event, agent=agent, cause=self.cause)
