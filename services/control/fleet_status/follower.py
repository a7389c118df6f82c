"""Follows the registry and publishes what it tells. While the registry is silent, what was said
last stays.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from services.control.fleet_status.assembly import assemble
from services.control.fleet_status.descriptors import BrokenContract, Shelf
from services.control.fleet_status.floor import Kind, Treatment
from services.control.fleet_status.making import Key, Making
from services.control.fleet_status.view import View
from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.core import log
from tandemkit.core.clock import Clock, until_next_s
from tandemkit.core.errors import Failure
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.rpc.contract import Contract

_BACKOFF_S, _BACKOFF_S_MAX = 0.1, 2.0
_LEFT_OUT_LOGGED_MAX = 20
# How late an end that only time brings may be.
_LOOK_AGAIN_S = 1.0
# So much longer than it takes to make a catalogue, the next one waits.
_REST_SHARE, _REST_S_MAX = 4.0, 0.1
_LOGGER = logging.getLogger("services.control.fleet_status")


class RegistryLost(Failure):
    """The registry does not answer, or not any more; the metadata says how it ended."""


class Registry(Protocol):
    """What is asked of the registry. Both raise RegistryLost."""

    def watch(self, since_revision: int) -> AsyncIterator[pb.WatchHostsResponse]:
        """All hosts, then changes; where the registry still can, only those after the revision."""

    async def contract(self, digest: str) -> pb.StoredValue | None:
        """What a host stored; None where there is no such thing."""


class Publishing(Protocol):
    """Who is told what was found."""

    def publish(self, catalogue: Catalogue) -> None:
        """In place of whatever was told before."""


def pause_s(failures: int, drawn: float) -> float:
    """Before the next try: doubling, bounded, and up to half of it by chance (`drawn`, 0 to 1)."""
    doubled_s = _BACKOFF_S * 2.0 ** min(failures - 1, 10)
    return min(_BACKOFF_S_MAX, doubled_s) * (0.5 + drawn / 2)


class Follower:
    """`catalogue` is what was published last. `stale_since` is set while it may be old."""

    def __init__(
        self,
        registry: Registry,
        publication: Publishing,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.catalogue = Catalogue()
        self.stale_since: datetime | None = clock.now()
        self._view = View(clock)
        self._registry, self._publication = registry, publication
        self._clock, self._draw = clock, draw
        self._contracts: dict[Key, Contract | str] = {}
        self._making, self._shelf = Making(), Shelf()
        self._left_out: dict[str, str] = {}
        self._treated: Mapping[str, Treatment] = {}
        self._turn, self._is_behind = asyncio.Lock(), asyncio.Event()
        # Until then others have the loop: many hosts come at once when control starts.
        self._free_at_s = 0.0
        self._failures = 0

    async def known(self) -> None:
        """Raises until the registry has told all hosts once."""
        if not self._view.is_known:
            raise ConnectionError("the registry has not told the hosts yet")

    async def run(self) -> None:
        """Follows until cancelled, and begins again after the last revision it saw."""
        while True:
            try:
                await self._follow()
            except RegistryLost as error:
                self._lost(error)
            await self._clock.sleep(pause_s(self._failures, self._draw()))

    async def pass_time(self) -> None:
        """Tells what no word of the registry announces: that a host is held out no longer, or
        forgotten. Where the registry is silent, all stays as it is. Runs until cancelled.
        """
        while True:
            await self._clock.sleep(until_next_s(self._clock, _LOOK_AGAIN_S))
            if self.stale_since is None and self._view.pass_time():
                self._is_behind.set()

    async def catch_up(self) -> None:
        """Tells what only the time brought, or came too soon after the last telling. Runs until
        cancelled.
        """
        while True:
            await self._is_behind.wait()
            await self._clock.sleep(self._free_at_s - self._clock.monotonic_s())
            try:
                await self._publish()
            except RegistryLost:
                # The watch may stand all the same, and nobody would say it again.
                self._is_behind.set()
                await self._clock.sleep(_LOOK_AGAIN_S)

    @property
    def treatments(self) -> Iterator[tuple[str, Kind, datetime]]:
        """Hosts that are not told as their leases alone would have it, and until when."""
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        for name, one in self._view.treatments.items():
            yield name, one.kind, now + timedelta(seconds=one.until_s - now_s)

    async def _follow(self) -> None:
        if self._view.is_known:
            # What the stream before could not learn any more.
            await self._publish()
        async for told in self._registry.watch(self._view.revision):
            self._view.take(told)
            if self._clock.monotonic_s() < self._free_at_s:
                self._is_behind.set()
            else:
                await self._publish()
            self._found()
        raise RegistryLost("the registry ended the stream")

    async def _publish(self) -> None:
        # One at a time: what was looked at earlier must not be told later.
        async with self._turn:
            self._is_behind.clear()
            began_s = self._clock.monotonic_s()
            try:
                await self._publish_now()
            finally:
                now_s = self._clock.monotonic_s()
                self._free_at_s = now_s + min(_REST_S_MAX, _REST_SHARE * (now_s - began_s))

    async def _publish_now(self) -> None:
        present, departed = self._view.hosts, self._view.departed
        wanted = self._making.see((*present, *departed))
        for key in self._contracts.keys() - wanted:
            del self._contracts[key]
        for key in sorted(wanted - self._contracts.keys()):
            await self._learn(*key)
        assembly = assemble(present, departed, self._contracts, self._making, self._view.standings)
        self._say_left_out(dict(assembly.left_out))
        self._say_treated(self._view.treatments)
        self.catalogue = assembly.catalogue
        self._publication.publish(assembly.catalogue)

    async def _learn(self, digest: str, service: str) -> None:
        """One that is not there is asked for again with the next change; a broken one stays so."""
        if not digest:
            self._contracts[digest, service] = "it is registered without a contract"
            return
        value = await self._registry.contract(digest)
        if value is None:
            return
        try:
            self._contracts[digest, service] = self._shelf.contract(value, digest, service)
        except BrokenContract as error:
            self._contracts[digest, service] = f"its contract {error}"

    def _say_left_out(self, left_out: dict[str, str]) -> None:
        new = {what: why for what, why in left_out.items() if self._left_out.get(what) != why}
        self._left_out = left_out
        for what, why in sorted(new.items())[:_LEFT_OUT_LOGGED_MAX]:
            log.event(_LOGGER, logging.WARNING, "fleet.left_out", what=what, cause=why)

    def _say_treated(self, treated: Mapping[str, Treatment]) -> None:
        before, self._treated = self._treated, treated
        for host, one in treated.items():
            if host not in before or before[host].kind is not one.kind:
                fields = {"host": host, "treatment": one.kind.name, "cause": one.kind.value}
                log.event(_LOGGER, logging.WARNING, "fleet.host_treated", **fields)
        for host in sorted(before.keys() - treated.keys()):
            log.event(_LOGGER, logging.INFO, "fleet.host_untreated", host=host)

    def _found(self) -> None:
        self._failures = 0
        if self.stale_since is not None:
            hosts_count = len(self.catalogue.hosts)
            log.event(_LOGGER, logging.INFO, "fleet.view_current", hosts_count=hosts_count)
            self.stale_since = None

    def _lost(self, error: RegistryLost) -> None:
        self._failures += 1
        if self._failures == 1:
            self.stale_since = self.stale_since or self._clock.now()
            hosts_count = len(self.catalogue.hosts)
            fields = {"hosts_count": hosts_count, "cause": str(error)}
            log.event(_LOGGER, logging.WARNING, "fleet.view_stale", **fields)
