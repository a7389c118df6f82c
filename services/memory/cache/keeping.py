"""An entry as tiers keep it, and what they are asked about it."""

from __future__ import annotations

from dataclasses import dataclass

from tandem.memory.v1 import cache_entry_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure

# What an entry costs in memory beside its content: measured, with the dictionaries that know it.
OVERHEAD_BYTES = 1600


class LeaseLost(Failure):
    """The lease's term is over, or a write or a deletion has ended it; nothing was put."""


class VersionConflict(Failure):
    """The entry has another version than the writer knew; nothing was done."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry with its times as they are compared. Nobody changes the message."""

    entry: nouns.CacheEntry
    expires_ms: int
    gone_ms: int
    cost: int

    @classmethod
    def of(cls, entry: nouns.CacheEntry) -> Kept:
        return cls(
            entry,
            entry.expire_time.ToMilliseconds(),
            entry.gone_time.ToMilliseconds(),
            entry.ByteSize() + len(entry.key) + OVERHEAD_BYTES,
        )

    def is_fresh(self, now_ms: int) -> bool:
        return now_ms < self.expires_ms

    def is_there(self, now_ms: int) -> bool:
        """Fresh, or stale and still served."""
        return now_ms < self.gone_ms


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands."""

    namespace: str
    key: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a lookup asks of a tier: with a token also for a lease where there is nothing fresh."""

    place: Place
    now_ms: int
    token: str = ""
    term_ms: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What a tier has: an entry, fresh or stale, and how long the lease of its key holds, ours or
    another's; 0 for none. `is_degraded`: not the shared tier says so.
    """

    kept: Kept | None
    is_granted: bool = False
    lease_ms: int = 0
    is_degraded: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """An entry to put, without its version. A repeated one is known by its `mark`."""

    place: Place
    entry: nouns.CacheEntry
    now_ms: int
    mark: str
    lease: str = ""
    expected: int | None = None


def epoch_ms(clock: Clock) -> int:
    """Since the epoch, by the wall clock."""
    return int(clock.now().timestamp() * 1000)
