"""Keeps the hosts of one machine as they are wanted: started layer by layer, ended in reverse.

Its hosts outlive it; whoever comes next with the same home takes them over. docs/design/machine.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime

from tandem.control.v1 import machine_pb2 as pb
from tandemkit.core.errors import Failure
from tandemkit.fleet.splitting import split_off
from tandemkit.machine.changes import changes
from tandemkit.machine.code import Code
from tandemkit.machine.launching import Ground
from tandemkit.machine.layering import Layering
from tandemkit.machine.news import News
from tandemkit.machine.orders import Order, orders_of, own_host, site_of
from tandemkit.machine.places import with_ports
from tandemkit.machine.post import Post
from tandemkit.machine.record import records
from tandemkit.machine.standing import machine_standing
from tandemkit.supervise.errands import Errands

# Of several changes in a row watchers are told the last one.
_TOGETHER_S = 0.05


class Ending(Failure):
    """The machine is on its way down and takes no plan any more."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The supervisor's own process."""

    pid: int
    version: str
    started_at: datetime


class Foreman:
    """What is wanted is changed by one caller at a time; what is so is told to any number. `end` is
    called when nothing is left to be kept.
    """

    def __init__(
        self, ground: Ground, news: News, code: Code, identity: Identity, end: Callable[[], None]
    ) -> None:
        self._ground, self._news, self._code, self._end = ground, news, code, end
        self._identity = identity
        self._wanted = pb.WantedMachine()
        self._posts: dict[str, Post] = {}
        self._changing = asyncio.Lock()
        self._errands = Errands()
        self._claims = ExitStack()
        self._layering = Layering(news, ground.clock)
        self.is_ending = self.is_over = False

    def begin(self, wanted: pb.WantedMachine) -> Sequence[str]:
        """With what the one before it wanted: what runs is taken over, what it was stopping is
        ended, what died is started. Returns what was taken over. Raises PlanUnusable.
        """
        self._wanted = wanted
        orders = orders_of(wanted, self._code)
        left = records(self._ground.home.hosts)
        for name, order in orders.items():
            post = self._posts[name] = Post(order, self._ground)
            post.is_stopped = name in wanted.stopped_hosts
            if not post.is_stopped and name in left and left[name].mark.look() is not None:
                post.fill()
        adopted = [name for name, post in self._posts.items() if post.is_filled]
        gone = {name for name in left if name not in orders}
        strays = [Post(Order.of_stray(name, site_of(wanted)), self._ground) for name in gone]
        # Its code may be newer than theirs: they are replaced when somebody asks for that.
        halted = [one for one in self._posts.values() if one.is_stopped and one.name in left]
        self._go({name: post.order for name, post in self._posts.items()}, [*halted, *strays])
        if self._ground.home.is_ending:
            self.shut_down()
        return adopted

    async def apply(self, wanted: pb.WantedMachine) -> Sequence[pb.PlannedChange]:
        """Makes it what is wanted, and returns what is going to be done. Raises PlanUnusable,
        PortsTaken, Ending.
        """
        async with self._changing:
            orders = self._settle(wanted)
            down = frozenset(name for name, one in self._posts.items() if not one.is_filled)
            found = list(changes(self._posts, orders, down))
            removed = [self._posts.pop(name) for name in self._posts.keys() - orders.keys()]
            for name, order in orders.items():
                post = self._posts.setdefault(name, Post(order, self._ground))
                post.is_stopped = False
            self._go(orders, removed)
            return found

    async def part(self, host: str, agent: str) -> None:
        """Gives an agent that harms its neighbours a host of its own, until the next plan; no other
        is started again for it. Raises CannotSplit, PortsTaken, Ending.
        """
        async with self._changing:
            wanted = deepcopy(self._wanted)
            wanted.plan.CopyFrom(split_off(wanted.plan, wanted.machine, host, agent))
            orders = self._settle(wanted)
            new = orders.keys() - self._posts
            self._posts |= {name: Post(orders[name], self._ground) for name in new}
            # Whose code is newer than their processes is none of this.
            others = {name: post.order for name, post in self._posts.items() if name != host}
            self._go(orders | others, ())

    def shut_down(self) -> None:
        """Ends all hosts, the last layer first. Returns at once."""
        if not self.is_ending:
            self.is_ending = True
            self._ground.home.say_ending()
            self._news.tell()
            self._errands.start(self._down())

    async def leave(self) -> None:
        """Lets go of the hosts, which go on."""
        await self._layering.stop()
        await asyncio.gather(*(post.leave() for post in self._posts.values()))
        await self._errands.end(grace_s=0)
        self._claims.close()

    def posts(self) -> Sequence[Post]:
        """One for each host."""
        return tuple(self._posts.values())

    @property
    def wanted(self) -> pb.WantedMachine:
        """Not to be changed."""
        return self._wanted

    def note_stopped(self) -> None:
        """Which hosts are stopped on purpose is kept for the next supervisor, and told."""
        stopped = [name for name, post in self._posts.items() if post.is_stopped]
        self._wanted.stopped_hosts[:] = stopped
        self._ground.home.want(self._wanted)
        self._news.tell()

    async def watch(self) -> AsyncGenerator[pb.Machine, None]:
        """The machine, and again after each change until all is over."""
        while True:
            change, is_last = self._news.next(), self.is_over
            yield self.machine()
            if is_last:
                return
            await change.wait()
            await self._ground.clock.sleep(_TOGETHER_S)

    def machine(self) -> pb.Machine:
        """As it is now."""
        own = self._identity
        found = machine_standing(self._wanted, self._posts.values(), own.pid, ending=self.is_ending)
        found.settled = self._layering.is_settled and not self.is_ending
        found.layer, found.version = self._layering.up, own.version
        found.started_at.FromDatetime(own.started_at)
        return found

    def _settle(self, wanted: pb.WantedMachine) -> dict[str, Order]:
        """With ports, and kept for the next supervisor."""
        if self.is_ending:
            raise Ending("the machine is on its way down")
        own = own_host(self._wanted)
        kept = {own.name: own} | {name: one.order.planned for name, one in self._posts.items()}
        wanted = with_ports(wanted, kept, self._claims)
        orders = orders_of(wanted, self._code)
        wanted.generation = self._wanted.generation + 1
        self._ground.home.want(wanted)
        self._wanted = wanted
        return orders

    def _go(self, orders: dict[str, Order], removed: Iterable[Post]) -> None:
        self._layering.go(self._wanted.plan.layers, self._posts, orders, tuple(removed))

    async def _down(self) -> None:
        await self._layering.stop()
        posts = dict(self._posts)
        for post in posts.values():
            post.is_stopped = True
        for layer in reversed(self._wanted.plan.layers):
            names = [name for name in layer.hosts if name in posts]
            await asyncio.gather(*(posts.pop(name).empty() for name in names))
        await asyncio.gather(*(post.empty() for post in posts.values()))
        self.is_over = True
        self._ground.home.forget()
        self._news.tell()
        # Those who watch hear it before the server ends.
        await self._ground.clock.sleep(2 * _TOGETHER_S)
        self._end()
