"""The fleet's registry as it told last: who is registered, which hosts there are, and which other
names their contracts have. While it is silent, that stands, and is stale.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Protocol, TypeAlias

from google.protobuf.message import DecodeError

from services.platform.service_registry.catalogue import Catalogue, Offer
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.platform.v1 import service_registry_service_pb2 as pb
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure, TransientError
from tandemkit.hosting.news import News
from tandemkit.supervise.alarm import Turns

_PAUSE_S_MIN, _PAUSE_S_MAX = 0.1, 2.0
_LOGGER = logging.getLogger("services.platform.service_registry")
Told: TypeAlias = registry.WatchRegistrationsResponse | registry.WatchHostsResponse


class NotKnown(Failure):
    """The registry has not told anything yet."""


class Source(Protocol):
    """What is asked of the registry. All raise TransientError where it does not answer."""

    def registrations(self) -> AsyncGenerator[registry.WatchRegistrationsResponse, None]:
        """Services, and what becomes of them."""

    def hosts(self) -> AsyncGenerator[registry.WatchHostsResponse, None]:
        """Hosts, and what becomes of them."""

    async def aliases(self, digest: str, service: str) -> tuple[str, ...]:
        """Other names that a stored contract gives its agent."""


class Following:
    """Sets `news` whenever the catalogue is another one, or is stale that was not."""

    def __init__(
        self,
        source: Source,
        clock: Clock,
        news: News,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.catalogue = Catalogue()
        self._source, self._clock, self._draw = source, clock, draw
        self._news = news
        # What was told since the last time that it was lost.
        self._heard: set[str] = set()
        self._ever: set[str] = set()
        self._digests: dict[str, str] = {}
        self._turns = Turns()
        self._asking = asyncio.Event()

    @property
    def stale(self) -> bool:
        return len(self._heard) < 2

    async def known(self) -> None:
        """Raises NotKnown until both have been told once."""
        if len(self._ever) < 2:
            raise NotKnown("the registry has not told who is registered")

    async def until(self, is_so: Callable[[], bool], within_s: float) -> None:
        """Returns when that holds of the catalogue, or the time is over."""
        try:
            async with asyncio.timeout(within_s):
                while not is_so():
                    await self._turns.next()
        except TimeoutError:
            return

    async def follow_registrations(self) -> None:
        """Until cancelled."""
        await self._follow("registrations", self._source.registrations, self._take_registration)

    async def follow_hosts(self) -> None:
        """Until cancelled."""
        await self._follow("hosts", self._source.hosts, self._take_host)

    async def follow_contracts(self) -> None:
        """Asks for the names of contracts as they appear, until cancelled."""
        while True:
            await self._asking.wait()
            self._asking.clear()
            for host in tuple(self.catalogue.hosts.values()):
                for placed in host.placements:
                    await self._name(placed.service, placed.contract_digest)

    async def _follow(
        self,
        name: str,
        watch: Callable[[], AsyncGenerator[Told, None]],
        take: Callable[[Told], None],
    ) -> None:
        failures = 0
        while True:
            cause = "the registry ended the stream"
            try:
                async with aclosing(watch()) as told:
                    async for one in told:
                        failures = 0
                        take(one)
                        self._heard.add(name)
                        self._ever.add(name)
                        self._tell()
            except TransientError as error:
                cause = str(error)
            failures += 1
            if name in self._heard:
                self._heard.discard(name)
                log.event(_LOGGER, logging.WARNING, "services.stale", what=name, cause=cause)
                self._tell()
            doubled_s = min(_PAUSE_S_MAX, _PAUSE_S_MIN * 2.0 ** min(failures, 10))
            await self._clock.sleep(doubled_s * (0.5 + self._draw() / 2))

    def _take_registration(self, told: Told) -> None:
        assert isinstance(told, registry.WatchRegistrationsResponse)
        registered = self.catalogue.registered
        if told.HasField("snapshot"):
            registered.clear()
            registered.update(_offers(told.snapshot.registrations))
        elif told.HasField("changed"):
            registered.pop(told.changed.registration.key, None)
            registered.update(_offers([told.changed.registration]))
        else:
            registered.pop(told.removed.key, None)

    def _take_host(self, told: Told) -> None:
        assert isinstance(told, registry.WatchHostsResponse)
        hosts = self.catalogue.hosts
        if told.HasField("snapshot"):
            hosts.clear()
            hosts.update({host.name: host for host in told.snapshot.hosts})
        elif told.HasField("changed"):
            hosts[told.changed.host.name] = told.changed.host
        else:
            hosts.pop(told.removed.host, None)
        self._asking.set()

    async def _name(self, service: str, digest: str) -> None:
        if not digest or self._digests.get(service) == digest:
            return
        try:
            self.catalogue.aliases[service] = await self._source.aliases(digest, service)
        except TransientError as error:
            log.event(_LOGGER, logging.INFO, "services.contract_unread", cause=str(error))
            return
        self._digests[service] = digest
        self._tell()

    def _tell(self) -> None:
        self._turns.tell()
        self._news.set()


def _offers(said: Iterable[registry.Registration]) -> Iterator[tuple[str, Offer]]:
    """Whoever may write to the registry may have written anything: what is no instance is none."""
    for one in said:
        try:
            instance = pb.ServiceInstance.FromString(one.value.content)
        except DecodeError as error:
            cause = str(error)
            log.event(_LOGGER, logging.WARNING, "services.unreadable", key=one.key, cause=cause)
        else:
            yield one.key, Offer(instance, owner=one.owner)
