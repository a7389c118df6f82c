"""One host's place on its machine: the process that fills it, watched and started again."""

from __future__ import annotations

import asyncio
from datetime import datetime

from tandem.control.v1 import machine_pb2 as pb
from tandemkit.machine.launching import Ground, Launch
from tandemkit.machine.orders import Order
from tandemkit.machine.sight import Sight
from tandemkit.machine.wording import blamed, said
from tandemkit.supervise.children import Child, ChildFailure, Life
from tandemkit.supervise.detached import Detached
from tandemkit.supervise.errands import Errands
from tandemkit.supervise.judging import Finding
from tandemkit.supervise.policy import Backoff, Policy
from tandemkit.supervise.reports import Exited, Happening, Killed, Report, Sinks
from tandemkit.supervise.supervisor import Supervisor
from tandemkit.supervise.tasks import Tasks
from tandemkit.supervise.ward import Escalated, Means

# Calls in progress may finish; then what the agents let go of; then it is killed.
DRAIN_S, END_S = 10.0, 15.0
# Until its port answers, which is behind the building of its agents: a model may load for long.
_READY_S = 600.0
# The others wait for control, and control for its registry's server.
_FOR_EVER = Policy(restarts_max=None, backoff=Backoff(most_s=2.0))
_UNKNOWN = pb.AgentStanding(state=pb.AGENT_STATE_NOT_SERVING, cause="its host does not answer yet")


class Post:
    """Starts nothing by itself: `fill` does, and from then on there is a process until `empty`."""

    def __init__(self, order: Order, ground: Ground) -> None:
        self.order = order
        self.is_draining = self.is_stopped = self._is_left = False
        self.starts = self.failures = 0
        self.started_at: datetime | None = None
        self.cause = self._struck = self._blamed = ""
        self.sight: Sight | None = None
        self.gave_up = self.has_served = False
        # Agents of other hosts that it waits for before it has a process at all.
        self.held_by: tuple[str, ...] = ()
        self.finding: Finding | None = None
        # Of the order that its process was started with.
        self.digest = order.digest
        self._ground = ground
        self._launch = Launch(order.name, ground)
        self._process: Detached | None = None
        self._errands = Errands()
        self._filling: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.order.name

    @property
    def pid(self) -> int:
        return self._process.mark.pid if self._process else 0

    @property
    def is_filled(self) -> bool:
        """Whether somebody sees to it that there is a process."""
        return self._filling is not None

    def judge(self, finding: Finding) -> None:
        """What those who look at it from outside found."""
        self.finding = finding
        self._ground.changed()

    def agent(self, service: str) -> pb.AgentStanding:
        """As its host told last; one that did not tell of it yet does not serve it."""
        found = self.sight.agents.get(service) if self.sight else None
        return found or _UNKNOWN

    @property
    def serves(self) -> bool:
        states = {self.agent(one.service).state for one in self.order.planned.agents}
        return self.sight is not None and states <= {pb.AGENT_STATE_SERVING}

    def fill(self) -> None:
        """Sees to a process from now on. Harmless where somebody does."""
        if self._filling is None:
            self.is_stopped = self.gave_up = False
            self.cause = ""
            self._filling = self._errands.start(self._filled())
            self._ground.changed()

    async def empty(self) -> None:
        """Drains the process and returns when it is gone."""
        self.is_draining = True
        self._ground.changed()
        if self._filling is None and (left := self._launch.left_behind()):
            await left[0].stop(DRAIN_S + END_S)
        await self._cease()
        self._launch.forget()
        self.has_served = False
        self.is_draining = False
        self._ground.changed()

    async def leave(self) -> None:
        """Stops seeing to it; the process goes on, for whoever comes next."""
        self._is_left = True
        await self._cease()

    async def refill(self, order: Order) -> None:
        """Another process, as it is wanted now."""
        await self.empty()
        self.order = order
        self.fill()

    def take(self, report: Report) -> None:
        """What its supervisor tells of the process: the cause stays until the next one serves."""
        if report.happening is Happening.FAILED and report.cause is not None:
            self.cause = said(report.cause, self._blamed)
            self.failures = report.failures
            self._ground.changed()

    async def strike(self, why: str) -> None:
        """Kills a process that is of no use any more; its supervisor starts the next one."""
        self._struck = why
        if self._process is not None:
            await self._process.kill()

    async def _cease(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])
            self._filling = None

    async def _filled(self) -> None:
        ground = self._ground
        policy = _FOR_EVER if self.order.is_never_given_up else Policy()
        means = Means(ground.clock, Sinks(ground.sink, self))
        grace_s = DRAIN_S + END_S + END_S
        child = Child("process", self._live, grace_s=grace_s, ready_within_s=_READY_S)
        try:
            await Supervisor(self.name, [child], policy, means).run()
        except Escalated:
            self.gave_up = True
            self.cause = f"given up: {self.cause}"
            self._filling = None
            ground.changed()

    async def _live(self, life: Life) -> None:
        began = self._launch.log_bytes
        found = self._launch.left_behind() or self._launch.start(self.order, self.starts + 1)
        process, record = found
        self.starts, self.started_at, self.digest = record.starts, record.started_at, record.digest
        self._process, self.sight, self.finding = process, None, None
        self._ground.changed()

        def tell(sight: Sight) -> None:
            life.ready()
            was, self.sight = self.sight, sight
            if self.serves:
                self.has_served, self.cause, self.failures = True, "", 0
            self._ground.heard(was, sight)

        try:
            async with Tasks() as tasks:
                watch = self._ground.watch(self.order, tell)
                tasks.spawn(f"watch:{self.name}", watch)
                status = await process.wait()
        except asyncio.CancelledError:
            if not self._is_left:
                await process.stop(DRAIN_S + END_S)
            raise
        finally:
            process.let_go()
            self._process, self.sight, self.finding = None, None, None
            self._ground.changed()
        # What it left behind in its group goes too.
        await process.kill()
        tail, self._blamed = self._launch.log_tail(began), blamed(self._launch.written(began))
        struck, self._struck = self._struck or self._launch.out_of_memory(self.order), ""
        cause = Killed(struck, tail) if struck else _end(status, tail)
        raise ChildFailure("the host's process ended", cause, host=self.name)


def _end(status: int | None, tail: str) -> Exited:
    """Of a process that another supervisor started nobody knows the status."""
    return Exited(None, "", tail) if status is None else Exited.of(status, tail)
