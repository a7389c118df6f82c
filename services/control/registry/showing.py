"""Keeps what this machine's Consul shows people at what the registry knows: each agent of each host
that holds its lease at this control is a service there. Nothing of the mesh depends on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from contextlib import aclosing, suppress

from services.control.registry.shown_agents import Fleet, plan_of
from services.control.registry.wording import HOSTS
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.registry.consul_services import ConsulServices, Shown
from tandemkit.registry.protocol import Changed, Entry, Event, Registry, Removed, Snapshot

# Somebody may take a service away by hand, or Consul may have lost its disk.
REPAIR_EVERY_S = 10.0
# Of a service that no host of ours has another control may just have told Consul.
LOOK_AGAIN_S = 1.0
# Hosts come in bursts, when a control or a machine starts.
_PAUSE_S = 0.1
_LOGGER = logging.getLogger("services.control.registry")


class Showing:
    """`held` says which leases hosts hold at this control, by their owners.

    Each round compares what is shown with what should be, so it does not matter what was missed.
    """

    def __init__(
        self,
        registry: Registry,
        services: ConsulServices,
        held: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        self._registry, self._services = registry, services
        self._held, self._clock = held, clock
        self._hosts: dict[str, Entry] = {}
        self._is_known = False
        # Leases of hosts that were seen to go: what was announced under them goes at once.
        self._ended: set[str] = set()
        self._doubted: frozenset[Shown] = frozenset()
        self._news = asyncio.Event()
        self._failed = False

    def chores(self) -> list[tuple[str, Coroutine[object, object, None]]]:
        """What must run, under its names."""
        return [("follow", self._follow()), ("tick", self._tick()), ("round", self._run())]

    async def _follow(self) -> None:
        """Hears of hosts until cancelled."""
        while True:
            # The registry's own calls say so where it matters.
            with suppress(Unreachable, Refused):
                async with aclosing(self._registry.watch()) as events:
                    async for event in events:
                        self._take(event)
            await self._clock.sleep(LOOK_AGAIN_S)

    async def _tick(self) -> None:
        """Makes a round due where nothing has happened."""
        while True:
            await self._clock.sleep(REPAIR_EVERY_S)
            self._news.set()

    async def _run(self) -> None:
        """A round after each change, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._is_known:
                await self._try_round()
            if self._doubted:
                self._news.set()
            await self._clock.sleep(LOOK_AGAIN_S if self._doubted else _PAUSE_S)

    async def _try_round(self) -> None:
        try:
            await self._round()
        except (Unreachable, Refused) as error:
            if not self._failed:
                log.event(_LOGGER, logging.WARNING, "consul.not_shown", cause=str(error))
            self._failed = True
        else:
            if self._failed:
                log.event(_LOGGER, logging.INFO, "consul.shown")
            self._failed = False

    async def _round(self) -> None:
        shown = await self._services.shown()
        # From here to the plan nothing can change.
        fleet = Fleet(
            hosts=tuple(self._hosts.values()),
            held=frozenset(self._held()),
            ended=frozenset(self._ended),
        )
        plan = plan_of(fleet, shown, self._doubted)
        for agent in plan.announced:
            await self._services.announce(agent)
        for one in plan.withdrawn:
            await self._services.withdraw(one)
        self._doubted = plan.doubted
        self._ended -= fleet.ended

    def _take(self, event: Event) -> None:
        match event:
            case Snapshot():
                hosts = {one.key: one for one in event.entries if one.key.startswith(HOSTS)}
                gone = self._hosts.keys() - hosts.keys()
                self._ended |= {self._hosts[key].owner for key in gone}
                self._hosts, self._is_known = hosts, True
            case Changed():
                if event.entry.key.startswith(HOSTS):
                    self._hosts[event.entry.key] = event.entry
            case Removed():
                if host := self._hosts.pop(event.key, None):
                    self._ended.add(host.owner)
        self._news.set()
