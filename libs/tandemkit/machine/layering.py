"""The walk through the layers of a plan: the next one starts when the agents of this one serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tandem.control.v1 import machine_pb2 as pb
from tandem.fleet.v1.plan_pb2 import Layer
from tandemkit.core.clock import Clock
from tandemkit.machine.news import News
from tandemkit.machine.orders import Order
from tandemkit.machine.post import Post
from tandemkit.supervise.errands import Errands

# How long a layer may take before those of the next one start that need nothing which is lacking.
LAYER_S = 60.0
# A control that failed so often in a row does not come up by waiting.
_STUCK_FAILURES = 6


@dataclass(frozen=True)
class _Aim:
    layers: Sequence[Layer]
    posts: Mapping[str, Post]
    orders: Mapping[str, Order]
    removed: Sequence[Post]


class Layering:
    """One walk at a time; a new one begins where the one before it stands still."""

    def __init__(self, news: News, clock: Clock, layer_s: float = LAYER_S) -> None:
        self._news, self._clock, self._layer_s = news, clock, layer_s
        self._errands = Errands()
        self._aim: _Aim | None = None
        self._walking: asyncio.Task[None] | None = None
        self._leaving: list[Post] = []
        # How many layers serve, from the first on, and whether that is as far as it goes for now.
        self.up = 0
        self.is_settled = False

    def go(
        self,
        layers: Sequence[Layer],
        posts: Mapping[str, Post],
        orders: Mapping[str, Order],
        removed: Sequence[Post],
    ) -> None:
        """Has each post filled as ordered. Returns at once."""
        self._aim = _Aim(layers, posts, orders, removed)
        self.up, self.is_settled = 0, False
        self._walking = self._errands.start(self._walk(self._aim, self._walking))
        self._news.tell()

    async def stop(self) -> None:
        """Returns when no post is being filled or emptied any more."""
        self._aim = None
        self._news.tell()
        if self._walking is not None:
            await asyncio.wait([self._walking])

    async def _walk(self, aim: _Aim, before: asyncio.Task[None] | None) -> None:
        # Nothing is broken off: a host that is half way out is let go first.
        if before is not None:
            await asyncio.wait([before])
        for post in sorted(aim.removed, key=lambda one: -one.order.planned.layer):
            if post.order.part is None:
                await post.empty()
            else:
                # Control stands on it until it has been started anew.
                self._leaving.append(post)
        await self._founded(aim)
        for number, layer in enumerate(aim.layers):
            if self._aim is not aim:
                return
            manned = []
            for post in (aim.posts[name] for name in layer.hosts if name in aim.posts):
                post.held_by = _lacking(aim, post)
                if post.held_by:
                    self._errands.start(self._man_later(aim, post))
                else:
                    manned.append(_man(post, aim.orders[post.name]))
            await asyncio.gather(*manned)
            await self._served(aim, layer)
            self.up = number + 1
            self._news.tell()
        if self._aim is aim:
            while self._leaving:
                await self._leaving.pop().empty()
            self.is_settled = True
            self._news.tell()

    async def _founded(self, aim: _Aim) -> None:
        """Returns when the servers that hosts stand on do what they are there for."""
        parts = [post for post in aim.posts.values() if post.order.part is not None]
        await asyncio.gather(*(_man(post, aim.orders[post.name]) for post in parts))

        def met() -> bool:
            waited_for = (one for one in parts if one.is_filled)
            return self._aim is not aim or all(post.serves for post in waited_for)

        def stuck() -> bool:
            return any(post.failures >= _STUCK_FAILURES for post in parts)

        await self._news.until(lambda: met() or stuck())
        if not met():
            await self._told_until(met)

    async def _told_until(self, met: Callable[[], bool]) -> None:
        """Whoever waits is told how it stands; it goes on if it ever comes up."""
        self.is_settled = True
        self._news.tell()
        await self._news.until(met)
        self.is_settled = False

    async def _served(self, aim: _Aim, layer: Layer) -> None:
        awaited = [
            (post, one.service)
            for post in aim.posts.values()
            for one in post.order.planned.agents
            if one.name in layer.agents
        ]

        # Hosts that have no agent yet.
        warm = [aim.posts[name] for name in layer.hosts if name in aim.posts]
        warm = [post for post in warm if not post.order.planned.agents]

        def met() -> bool:
            if self._aim is not aim:
                return True
            are_up = all(post.serves or not post.is_filled for post in warm)
            return are_up and all(_is_done(*one) for one in awaited)

        control = [post for post, _ in awaited if post.order.is_control]

        def stuck() -> bool:
            return any(post.failures >= _STUCK_FAILURES for post in control)

        with suppress(TimeoutError):
            async with asyncio.timeout(self._layer_s):
                await self._news.until(lambda: met() or stuck())

    async def _man_later(self, aim: _Aim, post: Post) -> None:
        """A host none of whose agents could serve now: once one of them could."""
        await self._news.until(lambda: self._aim is not aim or not _lacking(aim, post))
        if self._aim is aim:
            post.held_by, self.is_settled = (), False
            await _man(post, aim.orders[post.name])
            with suppress(TimeoutError):
                async with asyncio.timeout(self._layer_s):
                    await self._news.until(lambda: post.serves or not post.is_filled)
            self.is_settled = self._aim is aim
            self._news.tell()


def _lacking(aim: _Aim, post: Post) -> tuple[str, ...]:
    """Agents of other hosts without which none of this one's can serve; empty where one can."""
    serving = {
        one.name: other.agent(one.service).state == pb.AGENT_STATE_SERVING
        for other in aim.posts.values()
        if other is not post
        for one in other.order.planned.agents
    }
    lacking: tuple[str, ...] = ()
    for agent in aim.orders[post.name].planned.agents:
        # Those that are not here are another machine's, and are waited for by the agent itself.
        lacking = tuple(name for name in agent.waits_for if not serving.get(name, True))
        if not lacking:
            return ()
    return lacking


def _is_done(post: Post, service: str) -> bool:
    """Whether nothing is to be waited for: it serves, it waits for a secret that only people can
    bring, or nobody sees to it any more.
    """
    told = post.agent(service)
    is_settled = told.state == pb.AGENT_STATE_SERVING or bool(told.missing_secrets)
    return not post.is_filled or is_settled


async def _man(post: Post, order: Order) -> None:
    if post.is_stopped:
        return
    if not post.is_filled:
        post.order = order
        post.fill()
    elif post.digest != order.digest:
        await post.refill(order)
    else:
        post.order = order
