"""What one instance says by itself while the shared tier is away."""

from __future__ import annotations

from services.memory.cache.keeping import Place, Taken, VersionConflict, Wanted, Write
from services.memory.cache.leases import Leases
from services.memory.cache.local import LocalTier
from services.memory.cache.policy import Policies


class Alone:
    """Leases that are the instance's own, and what it has in memory."""

    def __init__(self, local: LocalTier, policies: Policies) -> None:
        self._local, self._policies = local, policies
        self.leases = Leases()

    def taken(self, wanted: Wanted) -> Taken | None:
        """None where it does not know, and may not begin by itself."""
        copy = self._local.get(wanted.place)
        kept = copy.kept if copy is not None and copy.kept.is_there(wanted.now_ms) else None
        if kept is not None and kept.is_fresh(wanted.now_ms):
            return Taken(kept, is_degraded=True)
        if self.may_write(wanted.place):
            is_granted, lease_ms = self.leases.take(wanted)
            return Taken(kept, is_granted, lease_ms, is_degraded=True)
        return Taken(kept, is_degraded=True) if kept is not None else None

    def may_write(self, place: Place) -> bool:
        """What it writes it forgets when the shared tier is back."""
        return self._policies.of(place.namespace).local_only

    def version(self, write: Write) -> int:
        """Of what is put; its lease is over. Raises LeaseLost, VersionConflict."""
        copy = self._local.get(write.place)
        is_there = copy is not None and copy.kept.is_there(write.now_ms)
        known = copy.kept.entry.version if copy is not None else 0
        if write.lease:
            self.leases.check(write.place, write.lease, write.now_ms)
        if write.expected is not None and write.expected != (known if is_there else 0):
            message = "the entry has another version"
            raise VersionConflict(message, expected=write.expected, actual=known)
        self.leases.end(write.place)
        return max(write.now_ms * 1000, known + 1)
