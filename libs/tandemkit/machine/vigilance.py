"""What the hosts' pulses mean for their machine: who is busy is left alone and shown so, who is
dead is killed, and an agent that spins leaves its neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from tandem.fleet.v1.plan_pb2 import PlannedAgent
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.fleet.splitting import CannotSplit
from tandemkit.machine.foreman import Ending, Foreman
from tandemkit.machine.home import Home
from tandemkit.machine.orders import Order
from tandemkit.machine.post import Post
from tandemkit.supervise.confinement import MIB
from tandemkit.supervise.errands import Errands
from tandemkit.supervise.judging import STALL_S_MAX, Finding, Verdict
from tandemkit.supervise.ports import PortsTaken
from tandemkit.supervise.vigil import Vigil, Watched

_LOGGER = logging.getLogger("tandemkit.machine")


class Vigilance:
    """Over the hosts of one foreman."""

    def __init__(self, foreman: Foreman, home: Home, clock: Clock) -> None:
        self._foreman, self._home = foreman, home
        self._errands = Errands()
        # Made once for each process: it is asked for twice a second.
        self._known: dict[str, tuple[Order, Watched]] = {}
        self.vigil = Vigil(self._watched, self._kill, self._tell, clock)

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            await self.vigil.run()
        finally:
            await self._errands.end(grace_s=0)

    def _watched(self) -> Iterator[Watched]:
        for post in self._foreman.posts():
            if post.pid:
                order, watched = self._known.get(post.name, (None, None))
                if watched is None or order is not post.order or watched.pid != post.pid:
                    watched = self._of(post)
                    self._known[post.name] = post.order, watched
                yield watched

    def _of(self, post: Post) -> Watched:
        planned = post.order.planned
        stalls_s = {one.name: _stall_s(one) for one in planned.agents}
        pulse, most = self._home.pulses / post.name, planned.memory_mib_max * MIB
        return Watched(post.name, post.pid, pulse, stalls_s, most)

    def _tell(self, one: Watched, finding: Finding) -> None:
        level = logging.INFO if finding.verdict is Verdict.WELL else logging.WARNING
        said = {"host": one.name, "verdict": finding.verdict, "agent": finding.agent or None}
        log.event(_LOGGER, level, "host.judged", cause=finding.cause or None, **said)
        post = self._post(one)
        if post is not None:
            post.judge(finding)

    def _kill(self, one: Watched, finding: Finding) -> None:
        post = self._post(one)
        if post is not None:
            self._errands.start(self.end(post, finding))

    async def end(self, post: Post, finding: Finding) -> None:
        """First the plan, then the process: what is started next is as the plan then says. Of one
        that is dead nobody tells twice, so it is killed whatever becomes of the plan.
        """
        try:
            if finding.spins and finding.agent:
                await self._foreman.part(post.name, finding.agent)
        except (CannotSplit, Ending, PortsTaken, OSError) as error:
            said = {"host": post.name, "agent": finding.agent, "cause": str(error)}
            log.event(_LOGGER, logging.WARNING, "agent.stays", **said)
        finally:
            await post.strike(finding.cause)

    def _post(self, one: Watched) -> Post | None:
        posts = (post for post in self._foreman.posts() if post.name == one.name)
        return next((post for post in posts if post.pid == one.pid), None)


def _stall_s(agent: PlannedAgent) -> float:
    planned = agent.stall_max.ToTimedelta().total_seconds()
    return planned if agent.HasField("stall_max") else STALL_S_MAX
