"""Leases of the embedded registry. Each step is one turn of the loop, so none can be half done."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from tandemkit.core.clock import Clock
from tandemkit.registry.embedded_changes import Changes
from tandemkit.registry.embedded_journal import Journalled, LeaseJournal
from tandemkit.registry.protocol import Entry, Lease, LeaseLost


@dataclass(slots=True, eq=False)
class _Held:
    """`number` rises with every lease: the higher one wins a key."""

    number: int
    lease: Lease
    deadline_s: float
    keys: dict[str, None] = field(default_factory=dict)


class Leases:
    """Who is alive, and what hangs on it. Deadlines are of the monotonic clock and live in memory
    alone: a renewal touches nothing else. After a restart each lease has one whole time to live.
    """

    def __init__(
        self, known: Iterable[Journalled], journal: LeaseJournal, changes: Changes, clock: Clock
    ) -> None:
        self._journal, self._changes, self._clock = journal, changes, clock
        self._by_id: dict[str, _Held] = {}
        self._by_owner: dict[str, _Held] = {}
        self._holders: dict[str, _Held] = {}
        self._number = 0
        for one in known:
            held = self._hold(one.number, one.lease)
            for key in one.values:
                self._give(key, held)

    def open(self, owner: str, ttl_s: float) -> Lease:
        if older := self._by_owner.get(owner):
            self._end(older)
        lease = Lease(secrets.token_hex(16), owner, ttl_s)
        held = self._hold(self._number + 1, lease)
        self._journal.opened(held.number, lease)
        return lease

    def renew(self, lease: Lease) -> None:
        """Also a moment late: what was not ended yet is not lost."""
        self._held(lease).deadline_s = self._clock.monotonic_s() + lease.ttl_s

    def close(self, lease: Lease) -> None:
        if held := self._by_id.get(lease.id):
            self._end(held)

    def register(self, lease: Lease, key: str, value: bytes) -> None:
        held = self._held(lease)
        holder = self._holders.get(key)
        if holder is not None and holder.number > held.number:
            return
        if holder is not None:
            del holder.keys[key]
        self._give(key, held)
        self._journal.registered(key, value, lease)
        self._changes.put(Entry(key, value, lease.owner))

    def deregister(self, lease: Lease, key: str) -> None:
        held = self._by_id.get(lease.id)
        if held is not None and key in held.keys:
            self._journal.removed(key)
            del held.keys[key]
            del self._holders[key]
            self._changes.remove(key)

    def end_due(self, until_s: float) -> None:
        """Ends what runs out up to then, the earliest first."""
        due = [held for held in self._by_id.values() if held.deadline_s <= until_s]
        for held in sorted(due, key=lambda held: held.deadline_s):
            self._end(held)

    def earliest_s(self) -> float | None:
        """When the next lease runs out."""
        return min((held.deadline_s for held in self._by_id.values()), default=None)

    def begin_anew(self) -> None:
        """Gives each lease its whole time to live: for when no renewal could have been heard."""
        for held in self._by_id.values():
            self.renew(held.lease)

    def _held(self, lease: Lease) -> _Held:
        held = self._by_id.get(lease.id)
        if held is None:
            raise LeaseLost
        return held

    def _hold(self, number: int, lease: Lease) -> _Held:
        held = _Held(number, lease, self._clock.monotonic_s() + lease.ttl_s)
        self._number = number
        self._by_id[lease.id] = self._by_owner[lease.owner] = held
        return held

    def _give(self, key: str, held: _Held) -> None:
        held.keys[key] = None
        self._holders[key] = held

    def _end(self, held: _Held) -> None:
        self._journal.ended(held.lease)
        del self._by_id[held.lease.id]
        del self._by_owner[held.lease.owner]
        for key in held.keys:
            del self._holders[key]
            self._changes.remove(key)
