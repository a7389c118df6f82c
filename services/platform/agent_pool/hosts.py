"""The fleet's hosts as its registry told last. While it is silent, that stands."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, suppress
from typing import Protocol

from tandem.control.v1 import registration_pb2 as control
from tandem.control.v1 import registry_service_pb2 as registry
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure, TransientError
from tandemkit.hosting.news import News

_PAUSE_S_MIN, _PAUSE_S_MAX, _LOOK_S = 0.1, 2.0, 0.02
_LOGGER = logging.getLogger("services.platform.agent_pool")


class NotKnown(Failure):
    """The registry has not told anything yet."""


class Source(Protocol):
    """What is asked of the registry."""

    def hosts(self) -> AsyncGenerator[registry.WatchHostsResponse, None]:
        """Hosts, and what becomes of them. Raises TransientError where it does not answer."""

    async def leads(self, host: str, service: str, name: str) -> bool:
        """Whether clients of the mesh were told that the instance is there, or nobody can say."""


class Hosts:
    """By name. `news` is set with each change."""

    def __init__(
        self, source: Source, clock: Clock, draw: Callable[[], float] = random.random
    ) -> None:
        self.by_name: dict[str, control.Host] = {}
        # When those went that are not there any more, by the clock.
        self.gone_s: dict[str, float] = {}
        self.news = News()
        self._source, self._clock, self._draw = source, clock, draw
        self._is_known = False

    async def known(self) -> None:
        """Raises NotKnown until it has been told once."""
        if not self._is_known:
            raise NotKnown("the registry has not told which hosts there are")

    def has(self, host: str, name: str) -> bool:
        """Whether the registry knows that the instance is there."""
        return any(one.instance == name for one in self._placements(host))

    async def until_reached(self, host: str, service: str, name: str, within_s: float) -> None:
        """Returns when the registry knows that the instance takes calls there, and clients were
        told; or in time.
        """

        def is_so() -> bool:
            found = (one for one in self._placements(host) if one.instance == name)
            return any(one.serving for one in found)

        with self.news.heard() as changed, suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not is_so():
                    changed.clear()
                    await changed.wait()
                while not await self._source.leads(host, service, name):
                    await self._clock.sleep(_LOOK_S)

    def address(self, host: str) -> str:
        """Where it is reached; empty where it is not there."""
        found = self.by_name.get(host)
        if found is None:
            return ""
        where = f"[{found.address}]" if ":" in found.address else found.address
        return f"{where}:{found.port}"

    def _placements(self, host: str) -> Iterable[control.Placement]:
        return self.by_name[host].placements if host in self.by_name else ()

    async def follow(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            cause = "the registry ended the stream"
            try:
                async with aclosing(self._source.hosts()) as told:
                    async for one in told:
                        failures = 0
                        self._take(one)
            except TransientError as error:
                cause = str(error)
            failures += 1
            if failures == 1:
                log.event(_LOGGER, logging.WARNING, "pool.hosts_stale", cause=cause)
            doubled_s = min(_PAUSE_S_MAX, _PAUSE_S_MIN * 2.0 ** min(failures, 10))
            await self._clock.sleep(doubled_s * (0.5 + self._draw() / 2))

    def _take(self, told: registry.WatchHostsResponse) -> None:
        now_s = self._clock.monotonic_s()
        before = set(self.by_name)
        if told.HasField("snapshot"):
            self.by_name = {host.name: host for host in told.snapshot.hosts}
        elif told.HasField("changed"):
            self.by_name[told.changed.host.name] = told.changed.host
        else:
            self.by_name.pop(told.removed.host, None)
        self.gone_s |= dict.fromkeys(before - self.by_name.keys(), now_s)
        for name in self.by_name:
            self.gone_s.pop(name, None)
        self._is_known = True
        self.news.set()
