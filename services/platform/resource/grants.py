"""Grants for a time: one line per holder and use, on disk before anybody is told."""

from __future__ import annotations

import asyncio

from services.platform.resource import refusal
from services.platform.resource.accounts import PLAN, Accounts, NoSuchGpu, Short, key_of
from services.platform.resource.capacity import Capacity
from tandem.platform.v1.resource_pb2 import ResourceGrant
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import CHANGES_MAX, Change
from tandemkit.supervise.roll.owners import NoSuchProcess, Owner
from tandemkit.supervise.terms import Terms

_PREFIX = "grants/"


class Grants:
    """Those that last, by their keys."""

    def __init__(self, capacity: Capacity, state: State, clock: Clock) -> None:
        self.accounts = Accounts(capacity)
        self._state, self._clock = state, clock
        self._terms = Terms(clock)
        self._grants: dict[str, ResourceGrant] = {}
        # One change at a time: what just ended is either renewed or given to somebody else.
        self._changing = asyncio.Lock()

    async def restore(self) -> None:
        """What an earlier life of this agent granted. Each term begins anew: nobody could renew
        while it was down.
        """
        async for _, grant in self._state.all(_PREFIX, ResourceGrant):
            self._begin(grant)
            self._tie_again(grant)

    def resize(self, capacity: Capacity) -> None:
        """Another plan is in force. Nobody loses a grant; pools may have less than 0 left."""
        self.accounts = Accounts(capacity)
        for grant in self._grants.values():
            self.accounts.count(grant)

    async def acquire(self, grant: ResourceGrant, pid: int = 0) -> ResourceGrant:
        """It ends with its term, and with the process if there is one. Raises CallerError with who
        holds what, NoSuchProcess, TooMany, and what the store raises.
        """
        async with self._changing:
            await self._forget(self._over())
            known = self._grants.get(key_of(grant))
            self._give(grant, known)
            try:
                self._tie(grant, pid)
                await self._write(Change(_path(grant), grant.SerializeToString()))
            except Failure:
                self._restore(grant, known)
                raise
            except asyncio.CancelledError:
                # The disk may have it: its term ends it, or whoever asked asks again.
                self._begin(grant)
                raise
            self._begin(grant)
            return grant

    def renew(self, holder: str) -> list[ResourceGrant]:
        """All of the holder's that are not over, unwritten. Raises CallerError where none is."""
        found = self.lasting(holder)
        if not found:
            raise refusal.no_grant(holder)
        for grant in found:
            self._begin(grant)
        return found

    async def release(self, holder: str, use: str = "") -> list[ResourceGrant]:
        """One of the holder's grants or all, and which those were."""
        async with self._changing:
            found = [one for one in self.lasting(holder) if use in {"", one.use}]
            await self._forget(found)
        return found

    async def expire(self) -> None:
        """Gives back what nobody renewed, until cancelled."""
        while True:
            await self._terms.ended()
            async with self._changing:
                await self._forget(self._over())

    def lasting(self, holder: str = "") -> list[ResourceGrant]:
        """A holder's or everybody's that are not over, by holder and use."""
        found = (one for key, one in self._grants.items() if self._terms.left_s(key))
        own = (one for one in found if holder in {"", one.holder})
        return sorted(own, key=lambda one: (one.holder, one.use))

    def close(self) -> None:
        """Watches no process any more; the store keeps who has what."""
        self._terms.close()

    def all(self) -> list[ResourceGrant]:
        """What is planned, by holder, and then what is granted."""
        claims = (
            ResourceGrant(holder=one.holder, use=PLAN, amounts=one.amounts)
            for one in self.accounts.capacity.claims
        )
        return [*sorted(claims, key=lambda one: one.holder), *self.lasting()]

    def _give(self, grant: ResourceGrant, known: ResourceGrant | None) -> None:
        grant.create_time.FromDatetime(self._clock.now())
        if known is not None:
            grant.create_time.CopyFrom(known.create_time)
        try:
            self.accounts.give(grant)
        except Short as short:
            raise refusal.exhausted(short, self.all()) from short
        except NoSuchGpu as unknown:
            raise refusal.no_gpu(self.accounts.capacity, grant.amounts.gpu) from unknown

    def _restore(self, grant: ResourceGrant, known: ResourceGrant | None) -> None:
        """As if nothing had been asked."""
        self.accounts.take_back(grant)
        if known is None:
            self._terms.untie(key_of(grant))
        else:
            self.accounts.count(known)
            self._tie_again(known)

    def _tie(self, grant: ResourceGrant, pid: int) -> None:
        if not pid:
            self._terms.untie(key_of(grant))
            return
        owner = self._terms.tie(key_of(grant), pid)
        grant.process.pid, grant.process.boot = owner.pid, owner.boot
        grant.process.started_ticks = owner.started_ticks

    def _tie_again(self, grant: ResourceGrant) -> None:
        """To the process that it had, which may be over by now."""
        held = grant.process
        if not held.pid:
            self._terms.untie(key_of(grant))
            return
        try:
            owner = Owner(held.pid, held.started_ticks, held.boot)
            self._terms.tie_again(key_of(grant), owner)
        except NoSuchProcess:
            self._terms.begin(key_of(grant), 0.0)

    def _over(self) -> list[ResourceGrant]:
        return [one for key, one in self._grants.items() if not self._terms.left_s(key)]

    def _begin(self, grant: ResourceGrant) -> None:
        # In the books that are open now: another plan may have come meanwhile.
        self.accounts.take_back(grant)
        self.accounts.count(grant)
        grant.expire_time.FromDatetime(self._clock.now() + grant.term.ToTimedelta())
        self._grants[key_of(grant)] = grant
        self._terms.begin(key_of(grant), grant.term.ToNanoseconds() / 1e9)

    async def _forget(self, grants: list[ResourceGrant]) -> None:
        """On disk first: what is given to somebody else must not come back as somebody's."""
        for start in range(0, len(grants), CHANGES_MAX):
            part = grants[start : start + CHANGES_MAX]
            await self._write(*(Change(_path(one), None) for one in part))
            for grant in part:
                del self._grants[key_of(grant)]
                self._terms.drop(key_of(grant))
                self.accounts.take_back(grant)

    async def _write(self, *changes: Change) -> None:
        await self._state.store.write(changes)


def _path(grant: ResourceGrant) -> str:
    return f"{_PREFIX}{key_of(grant)}"
