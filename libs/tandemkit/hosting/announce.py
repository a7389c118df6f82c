"""A host's place in the fleet: its lease at a control, and what it says of itself under it.

It renews on the loop that serves calls, so a host whose loop is stuck loses its lease, as it
should. docs/design/control.md says what watchers see of each way to end.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc

from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.core import log
from tandemkit.core.clock import Clock, until_next_s
from tandemkit.core.errors import Failure
from tandemkit.core.token import Token
from tandemkit.hosting.contracts import STORE_WITHIN_S, Contracts, keep_contracts
from tandemkit.hosting.vouching import HEADER, Credential, NotVouched
from tandemkit.rpc import channel
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.supervise.tasks import Tasks

# How long a draining host waits for control to take its leave.
LEAVE_S_MAX = 1.0
PAUSE_S_MIN, PAUSE_S_MAX = 0.05, 2.0
# How often a host that is announced elsewhere looks whether a nearer control is back; by chance up
# to twice as often, for all hosts of that one look.
RETURN_S_MAX = 60.0
_LOGGER = logging.getLogger("tandemkit.hosting")
Roster = Callable[[], nouns.Host]


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is said where: `roster` is the host as it is at the moment that it is asked."""

    controls: Sequence[str]
    ttl_s: float
    roster: Roster
    # Those of all that the roster has named.
    contracts: Contracts
    # Set whenever the roster may have changed.
    news: asyncio.Event
    token: Token | None = None
    # Shows at the control that this host may be who it says.
    credential: Credential | None = None

    @property
    def answer_within_s(self) -> float:
        """How long a control may be silent: where there is another one, not so long that the lease
        runs out before that is told.
        """
        return self.ttl_s if len(self.controls) == 1 else self.ttl_s / 3

    @property
    def store_within_s(self) -> float:
        """The same for each contract, before there is a lease to lose."""
        return STORE_WITHIN_S if len(self.controls) == 1 else self.answer_within_s


class _Unconfirmed(Failure):
    """Control ended the stream without a word, or did not answer in time."""


def pause_s(failures: int, drawn: float) -> float:
    """Before the next try: doubling, bounded, and up to half of it by chance (`drawn`, 0 to 1), so
    that the hosts of a control that comes back do not all come at once.
    """
    doubled_s = PAUSE_S_MIN * 2.0 ** min(failures, 10)
    return min(PAUSE_S_MAX, doubled_s) * (0.5 + drawn / 2)


class Announcer:
    """Holds the lease, and takes it anew for as long as it runs."""

    def __init__(
        self,
        said: Announcement,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._said, self._clock, self._draw = said, clock, draw
        self._leaving = asyncio.Event()
        self._failures = 0
        self._without_lease = asyncio.Event()
        self._without_lease.set()

    async def hold(self) -> None:
        """At the first control, whenever one is lost at the next, and at the first again."""
        controls, place = self._said.controls, 0
        while not self._leaving.is_set():
            try:
                async with channel.shared(controls[place]) as wire:
                    await self._hold_once(place, self._stub(wire))
                place = 0
            except (grpc.aio.AioRpcError, _Unconfirmed, NotVouched) as error:
                self._failures += 1
                self._report(controls[place], error)
                place = (place + 1) % len(controls)
                await self._clock.sleep(pause_s(self._failures, self._draw()))

    async def tick(self) -> None:
        """Makes each renewal due."""
        while True:
            await self._clock.sleep(until_next_s(self._clock, self._said.ttl_s / 3))
            self._said.news.set()

    async def leave(self) -> None:
        """Gives the lease up, so that callers stay away before the server does. What control does
        not hear in time runs out.
        """
        self._leaving.set()
        self._said.news.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S_MAX):
                await self._without_lease.wait()

    async def _hold_once(self, place: int, stub: rpc.RegistryServiceAsyncStub) -> None:
        """Until the host leaves, or a control before this `place` answers again; the lease here
        then runs out behind the one that is taken there.
        """
        known = self._said.roster()
        await self._keep_contracts(stub, self._said.store_within_s)
        if self._leaving.is_set():
            return
        show = self._said.credential
        call: Any = stub.HoldLease(metadata=((HEADER, show(known)),) if show else None)
        # A control that ends says so on the stream: the next renewal would only hear of it late.
        call.add_done_callback(lambda _call: self._said.news.set())
        self._without_lease.clear()
        try:
            opening = pb.HoldLeaseRequest(open=pb.HoldLeaseRequest.Open(host=known))
            opening.open.time_to_live.FromNanoseconds(int(self._said.ttl_s * 1e9))
            await self._step(call, opening)
            said = {"host": known.name, "control": self._said.controls[place]}
            log.event(_LOGGER, logging.INFO, "host.announced", **said)
            look_s = self._look_again_s()
            while not self._leaving.is_set():
                await self._said.news.wait()
                self._said.news.clear()
                if not self._leaving.is_set():
                    known = await self._say(stub, call, known)
                if place and self._clock.monotonic_s() >= look_s:
                    if await self._nearer_answers(place):
                        return
                    look_s = self._look_again_s()
            await self._step(call, pb.HoldLeaseRequest(close=pb.HoldLeaseRequest.Close()))
        finally:
            call.cancel()
            self._without_lease.set()

    def _stub(self, wire: grpc.aio.Channel) -> rpc.RegistryServiceAsyncStub:
        return rpc.RegistryServiceStub(bearing(wire, self._said.token))

    def _look_again_s(self) -> float:
        return self._clock.monotonic_s() + RETURN_S_MAX * (0.5 + self._draw() / 2)

    async def _nearer_answers(self, place: int) -> bool:
        """Asked while the lease is held, which is therefore not lost where nobody does: all of them
        together may take as long as one may elsewhere.
        """
        within_s = self._said.answer_within_s / place
        for control in self._said.controls[:place]:
            with suppress(grpc.aio.AioRpcError, TimeoutError):
                async with asyncio.timeout(within_s), channel.shared(control) as wire:
                    stub = self._stub(wire)
                    await self._keep_contracts(stub, within_s)
                    return True
        return False

    async def _say(
        self, stub: rpc.RegistryServiceAsyncStub, call: Any, known: nouns.Host
    ) -> nouns.Host:
        """Renews, with what is new if anything is."""
        now = self._said.roster()
        if now == known:
            request = pb.HoldLeaseRequest(renew=pb.HoldLeaseRequest.Renew())
        else:
            change = pb.HoldLeaseRequest.Change(host=now)
            if _services(now) - _services(known):
                # Of agents that were added: nobody knows their contracts, or vouched for them.
                await self._keep_contracts(stub, self._said.answer_within_s)
                show = self._said.credential
                change.credential = show(now) if show else b""
            request = pb.HoldLeaseRequest(change=change)
        await self._step(call, request)
        # Only now: two hosts of one name would else take the lease from each other without a pause.
        self._failures = 0
        return now

    async def _keep_contracts(self, stub: rpc.RegistryServiceAsyncStub, within_s: float) -> None:
        await keep_contracts(stub, self._said.contracts.known(), within_s)

    async def _step(self, call: Any, request: pb.HoldLeaseRequest) -> None:
        try:
            async with asyncio.timeout(self._said.answer_within_s):
                # A write to a stream that is over would say only that it is; reading says why.
                with suppress(asyncio.InvalidStateError):
                    await call.write(request)
                answer = await call.read()
        except TimeoutError as error:
            raise _Unconfirmed("control did not confirm in time") from error
        if answer is grpc.aio.EOF:
            raise _Unconfirmed("control ended the stream")

    def _report(self, control: str, error: Exception) -> None:
        if isinstance(error, grpc.aio.AioRpcError):
            found = RemoteFailure.of(error)
            fields = {"code": found.code.name, "reason": found.reason, "cause": found.message}
        else:
            fields = {"cause": str(error)}
        level = logging.WARNING if self._failures == 1 else logging.INFO
        log.event(_LOGGER, level, "host.unannounced", control=control, **fields)


def _services(host: nouns.Host) -> set[str]:
    return {one.service for one in host.placements}


@asynccontextmanager
async def announced(said: Announcement, clock: Clock, tasks: Tasks) -> AsyncIterator[None]:
    """The host is in the fleet inside of the block, and out of it on the way out."""
    announcer = Announcer(said, clock)
    tasks.spawn("announce:hold", announcer.hold())
    tasks.spawn("announce:tick", announcer.tick())
    try:
        yield
    finally:
        await announcer.leave()
