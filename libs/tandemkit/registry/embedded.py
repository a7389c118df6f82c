"""The registry inside one process: nothing to install, and kill -9 takes nothing that was promised.
docs/design/registry.md says what is kept where.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tandemkit.core.clock import Clock
from tandemkit.core.lock import alone
from tandemkit.registry.embedded_changes import Changes
from tandemkit.registry.embedded_elections import Elections
from tandemkit.registry.embedded_expiry import Expiry
from tandemkit.registry.embedded_journal import LeaseJournal
from tandemkit.registry.embedded_leases import Leases
from tandemkit.registry.embedded_store import Store
from tandemkit.registry.protocol import (
    Entry,
    Event,
    Leadership,
    Lease,
    Versioned,
    check_name,
    check_ttl,
    check_value,
)
from tandemkit.supervise.tasks import Tasks


class EmbeddedRegistry:
    """`tandemkit.registry.protocol.Registry`, from `embedded_registry`."""

    def __init__(self, folder: Path, clock: Clock, tasks: Tasks) -> None:
        self._store = Store(folder / "values.sqlite")
        self._journal = LeaseJournal(folder / "leases.sqlite")
        known = tuple(self._journal.load())
        entries = (
            Entry(key, value, one.lease.owner) for one in known for key, value in one.values.items()
        )
        self._changes = Changes(entries, self._store.reserve_revisions)
        self._leases = Leases(known, self._journal, self._changes, clock)
        self._elections = Elections(self._store, clock)
        self._expiry = Expiry(self._leases, clock, tasks)

    async def open_lease(self, owner: str, ttl_s: float) -> Lease:
        check_name(owner)
        check_ttl(ttl_s)
        lease = self._leases.open(owner, ttl_s)
        self._expiry.rearm()
        return lease

    async def renew(self, lease: Lease) -> None:
        self._leases.renew(lease)

    async def close_lease(self, lease: Lease) -> None:
        self._leases.close(lease)

    async def register(self, lease: Lease, key: str, value: bytes) -> None:
        check_name(key)
        check_value(value)
        self._leases.register(lease, key, value)

    async def deregister(self, lease: Lease, key: str) -> None:
        self._leases.deregister(lease, key)

    def watch(self, since: int | None = None) -> AsyncGenerator[Event, None]:
        return self._changes.watch(since)

    async def elect(self, election: str, candidate: str, ttl_s: float) -> Leadership | None:
        check_name(election)
        check_name(candidate)
        check_ttl(ttl_s)
        return await self._elections.elect(election, candidate, ttl_s)

    async def keep(self, leadership: Leadership) -> None:
        self._elections.keep(leadership)

    async def resign(self, leadership: Leadership) -> None:
        await self._elections.resign(leadership)

    async def get(self, key: str) -> Versioned | None:
        check_name(key)
        return self._store.get(key)

    async def values(self) -> Mapping[str, Versioned]:
        return self._store.values()

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: int | None = None,
        leadership: Leadership | None = None,
    ) -> int:
        check_name(key)
        check_value(value)
        return await self._store.durably(lambda: self._store.put(key, value, expected, leadership))

    async def delete(self, key: str, *, expected: int | None = None) -> None:
        check_name(key)
        await self._store.durably(lambda: self._store.delete(key, expected))

    def writes(self) -> int:
        """How often values or elections were written, or may have been. Nobody else writes them."""
        return self._store.writes

    async def aclose(self) -> None:
        self._journal.close()
        self._store.close()


@asynccontextmanager
async def embedded_registry(folder: Path, clock: Clock) -> AsyncIterator[EmbeddedRegistry]:
    """The registry of this folder, which has to be on a local disk. It belongs to one control
    alone: raises InUse where another one has it.
    """
    with alone(folder / "lock"):
        async with Tasks() as tasks:
            registry = EmbeddedRegistry(folder, clock, tasks)
            try:
                yield registry
            finally:
                await registry.aclose()
