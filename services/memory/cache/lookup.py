"""Entries through both tiers: the memory of the instance first, then what the replicas share."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from services.memory.cache.alone import Alone
from services.memory.cache.flights import Flights
from services.memory.cache.keeping import (
    Kept,
    LeaseLost,
    Place,
    Taken,
    Wanted,
    Write,
    epoch_ms,
)
from services.memory.cache.local import Copy, Fill, LocalTier
from services.memory.cache.policy import Policies
from services.memory.cache.tier import SharedTier, Which
from services.memory.cache.uses import Tally, Uses
from tandem.memory.v1 import cache_entry_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.supervise.errands import Errands

_AWAY: Final = (Unreachable, Refused)


@dataclass(frozen=True, slots=True)
class Ask:
    """A lookup. Without a token only what there is."""

    place: Place
    token: str
    term_ms: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """What it is answered with; `lease_ms` is the term of the asker's lease, 0 for none."""

    kept: Kept | None
    lease_ms: int = 0
    is_stale: bool = False
    tier: nouns.CacheTier.ValueType = nouns.CACHE_TIER_UNSPECIFIED
    is_degraded: bool = False


@dataclass(slots=True)
class Asker:
    """Who may hang up while the shared tier is asked."""

    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """What a cache is made of."""

    policies: Policies
    local: LocalTier
    uses: Uses
    clock: Clock


class Cache:
    """`shared` is set once it is open: it tells what it hears from its first moment on."""

    shared: SharedTier

    def __init__(self, desk: Desk) -> None:
        self._policies, self._local, self._uses = desk.policies, desk.local, desk.uses
        self._clock = desk.clock
        self._flights, self._errands = Flights(), Errands()
        self._alone = Alone(desk.local, desk.policies)

    def heard(self, namespace: str, key: str) -> None:
        """Another replica changed something; `services.memory.cache.tier.Heard`."""
        if key:
            place = Place(namespace, key)
            self._local.drop(place)
            self._flights.hear(place)
        else:
            self._local.drop_all(namespace)
            self._flights.hear_all(namespace)

    async def aclose(self) -> None:
        """Ends what callers who are gone have left, before the shared tier closes."""
        await self._errands.end(0)

    async def find(self, ask: Ask) -> Found:
        """An entry, a lease to fill it, both, or neither. Raises Unreachable, Refused."""
        copy = self._local.get(ask.place)
        now_ms = epoch_ms(self._clock)
        tally = self._uses.of(ask.place.namespace)
        if copy is not None and self._is_good(copy, now_ms):
            found = Found(copy.kept, tier=nouns.CACHE_TIER_LOCAL)
            return _count(tally, found, waited=False)

        async def take() -> Taken:
            return await self._take(ask)

        if ask.token:
            taken, waited = await self._flights.found(ask.place, take, ask.wait_s)
        else:
            taken, waited = await take(), False
        return _count(tally, _found(taken, epoch_ms(self._clock)), waited=waited)

    async def put(self, write: Write) -> tuple[int, bool]:
        """The version that it now has, and whether only this instance knows. Raises LeaseLost,
        VersionConflict, Unreachable, Refused.
        """
        tally = self._uses.of(write.place.namespace)
        try:
            version, is_alone = await self._written(write)
        except LeaseLost:
            tally.leases_lost += 1
            raise
        tally.puts += 1
        self._flights.hear(write.place)
        return version, is_alone

    async def release(self, place: Place, token: str) -> None:
        """Raises Unreachable, Refused."""
        self._alone.leases.release(place, token)
        try:
            await self.shared.release(place, token)
        finally:
            self._flights.hear(place)

    async def delete(self, place: Place, expected: int | None) -> bool:
        """Whether there was one. Raises VersionConflict, Unreachable, Refused."""
        if expected is None:
            # Whatever comes of it, this instance does not serve it any more.
            self._local.drop(place)
        self._alone.leases.end(place)
        was_there = await self.shared.delete(place, expected, epoch_ms(self._clock))
        self._local.drop(place)
        self._flights.hear(place)
        self._uses.of(place.namespace).deletions += was_there
        return was_there

    async def sweep(self, which: Which) -> int:
        """How many there were. Raises Unreachable, Refused."""
        self._local.drop_all(which.namespace)
        self._alone.leases.end_all(which.namespace, which.prefix)
        swept = await self.shared.sweep(which, epoch_ms(self._clock))
        self._local.drop_all(which.namespace)
        self._flights.hear_all(which.namespace)
        self._uses.of(which.namespace).deletions += swept
        return swept

    async def _take(self, ask: Ask) -> Taken:
        asker = Asker()
        try:
            return await self._errands.finished(self._taken(ask, asker))
        except asyncio.CancelledError:
            asker.is_gone = True
            raise

    async def _taken(self, ask: Ask, asker: Asker) -> Taken:
        wanted = Wanted(ask.place, epoch_ms(self._clock), ask.token, ask.term_ms)
        with self._local.filling(ask.place) as fill:
            try:
                taken = await self.shared.take(wanted)
            except _AWAY:
                alone = self._alone.taken(wanted)
                # Nobody would hear of it any more.
                if alone is None and not asker.is_gone:
                    raise
                taken = alone or Taken(None)
            else:
                if taken.kept is not None and taken.kept.is_fresh(wanted.now_ms):
                    self._keep(ask.place, taken.kept, fill)
        if taken.is_granted and asker.is_gone:
            # Nobody is there who would fill it: the next one gets it at once.
            with suppress(*_AWAY):
                await self.release(ask.place, ask.token)
        return taken

    async def _written(self, write: Write) -> tuple[int, bool]:
        with self._local.filling(write.place) as fill:
            try:
                version = await self.shared.put(write)
                is_alone = False
            except _AWAY:
                if not self._alone.may_write(write.place):
                    raise
                version, is_alone = self._alone.version(write), True
            entry = nouns.CacheEntry()
            entry.CopyFrom(write.entry)
            entry.version = version
            self._keep(write.place, Kept.of(entry), fill)
        return version, is_alone

    def _keep(self, place: Place, kept: Kept, fill: Fill) -> None:
        """Unless it was changed since it was asked for."""
        if not fill.is_outdated:
            good_until_s = (
                self._clock.monotonic_s() + self._policies.of(place.namespace).local_ttl_s
            )
            self._local.put(place, Copy(kept, good_until_s))

    def _is_good(self, copy: Copy, now_ms: int) -> bool:
        return copy.kept.is_fresh(now_ms) and self._clock.monotonic_s() < copy.good_until_s


def _found(taken: Taken, now_ms: int) -> Found:
    tier = nouns.CACHE_TIER_LOCAL if taken.is_degraded else nouns.CACHE_TIER_SHARED
    return Found(
        taken.kept,
        taken.lease_ms if taken.is_granted else 0,
        taken.kept is not None and not taken.kept.is_fresh(now_ms),
        tier if taken.kept is not None else nouns.CACHE_TIER_UNSPECIFIED,
        taken.is_degraded,
    )


def _count(tally: Tally, found: Found, *, waited: bool) -> Found:
    tally.leases += found.lease_ms > 0
    if found.kept is None:
        tally.misses += 1
        return found
    if found.tier == nouns.CACHE_TIER_LOCAL:
        tally.local_hits += 1
    else:
        tally.shared_hits += 1
    tally.waits += waited
    tally.stale_hits += found.is_stale
    tally.negative_hits += found.kept.entry.is_negative
    return found
