"""Ports that are lent: one owner each, for a term that begins anew with every renewal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from services.platform.port_registry import refusal
from services.platform.port_registry.holding import Holding
from tandem.platform.v1.port_registry_service_pb2 import PortLease
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import CHANGES_MAX, Change
from tandemkit.supervise.ports import Allocator, PortsTaken
from tandemkit.written.ports import PortBook

_PREFIX = "ports/"
# No plan, no host.
NOBODY: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Ask:
    """Who wants a port of which range, what for, and until when: the end of a term, or of a
    process.
    """

    owner: str
    use: str
    span: str
    term_s: float
    preferred: int = 0
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Lent:
    """A lease, and why it is not of the preferred port where it is not."""

    lease: PortLease
    passed_over: str = ""


class Leases:
    """The store has every lease that was answered, so none is forgotten with the process."""

    def __init__(self, book: PortBook, address: str, state: State, clock: Clock) -> None:
        self.book = book
        self.holding = Holding(address, clock)
        self._address, self._state, self._clock = address, state, clock
        # One change at a time: a port whose term just ended is either renewed or given away.
        self._changing = asyncio.Lock()

    async def restore(self) -> None:
        """What an earlier life of this registry lent."""
        async for _, lease in self._state.all(_PREFIX, PortLease):
            self.holding.begin_again(lease)

    async def allocate(self, ask: Ask, planned: Mapping[int, str] = NOBODY) -> Lent:
        """The port that the owner has for this use, or one that is free and not `planned` for a
        host. Raises CallerError, NoSuchProcess, TooMany, and what the store raises.
        """
        async with self._changing:
            await self._forget(self.holding.over())
            known = self.holding.of(ask.owner, ask.use)
            if known is not None:
                return await self._lend_again(known, ask)
            return await self._lend(ask, planned)

    def renew(self, owner: str) -> list[PortLease]:
        """All of the owner's that are not over. Raises CallerError where there is none."""
        found = self.holding.leases(owner)
        if not found:
            raise refusal.no_lease(owner)
        for lease in found:
            self.holding.begin(lease)
        return found

    async def release(self, owner: str, port: int = 0) -> list[int]:
        """One of the owner's ports or all, and which those were."""
        async with self._changing:
            ports = [one.port for one in self.holding.leases(owner) if port in {0, one.port}]
            await self._forget(ports)
        return ports

    async def expire(self) -> None:
        """Gives back what nobody renewed, until cancelled."""
        while True:
            await self.holding.ended()
            async with self._changing:
                await self._forget(self.holding.over())

    def free(self, span: str, planned: Mapping[int, str] = NOBODY) -> list[int]:
        """Numbers that may be lent, the highest first: a plan gives its hosts the lowest, so a new
        one finds them free.
        """
        taken = {*planned, *(one.port for one in self.holding.leases())}
        return [port for port in reversed(list(self.book.free(span))) if port not in taken]

    async def _lend(self, ask: Ask, planned: Mapping[int, str]) -> Lent:
        refusal.check_range(self.book, ask.span, ask.preferred)
        why_not = self._why_not(ask.preferred, planned)
        allocator = Allocator(self._address, {ask.preferred: why_not} if why_not else {})
        try:
            claim = allocator.claim(self.free(ask.span, planned), ask.preferred)
        except PortsTaken as taken:
            own = [one for one in self.holding.leases() if one.range == ask.span]
            raise refusal.exhausted(ask.span, own, taken) from taken
        lease = PortLease(port=claim.port, range=ask.span, owner=ask.owner, use=ask.use)
        lease.create_time.FromDatetime(self._clock.now())
        self._begin(lease, ask)
        # From here on nobody else is given it, also while the disk is slow.
        self.holding.begin(lease, claim)
        try:
            self.holding.tie(lease, ask.pid)
            await self._write(Change(_key(lease.port), lease.SerializeToString()))
        except Failure:
            self.holding.drop(lease.port)
            raise
        return Lent(lease, claim.passed_over.get(ask.preferred, ""))

    def _why_not(self, port: int, planned: Mapping[int, str]) -> str:
        """Why a port cannot be lent though nobody may have bound it; empty where it can."""
        lease = self.holding.lease(port)
        if lease is not None:
            return f"it is lent to {lease.owner}"
        if port in planned:
            return f"the plan gives it to {planned[port]}"
        return self.book.withheld().get(port, "")

    async def _lend_again(self, known: PortLease, ask: Ask) -> Lent:
        if known.range != ask.span:
            raise refusal.use_taken(known)
        self._begin(known, ask)
        self.holding.begin(known)
        self.holding.tie(known, ask.pid)
        await self._write(Change(_key(known.port), known.SerializeToString()))
        is_other = ask.preferred not in {0, known.port}
        return Lent(known, "the owner has another for this use" if is_other else "")

    @staticmethod
    def _begin(lease: PortLease, ask: Ask) -> None:
        lease.term.FromNanoseconds(round(ask.term_s * 1e9))

    async def _forget(self, ports: list[int]) -> None:
        """On disk first: what is given to somebody else must not come back as somebody's."""
        for start in range(0, len(ports), CHANGES_MAX):
            part = ports[start : start + CHANGES_MAX]
            await self._write(*(Change(_key(port), None) for port in part))
            for port in part:
                self.holding.drop(port)

    async def _write(self, *changes: Change) -> None:
        await self._state.store.write(changes)


def _key(port: int) -> str:
    return f"{_PREFIX}{port:05}"
