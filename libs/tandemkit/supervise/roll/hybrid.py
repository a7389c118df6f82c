"""Two backends at once, while one replaces the other: both are written, the old one is read. It is
scaffolding: whoever puts it up says who takes it down, and until when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from tandemkit.core.errors import Failure
from tandemkit.supervise.roll.protocol import Backend, Entry, Key


class MigrationOver(Failure):
    """The day by which the old backend was to be gone has come."""


@dataclass(frozen=True, slots=True)
class Migration:
    """The flag: who answers for it, and the moment at which it counts no longer."""

    owner: str
    ends: datetime

    def check(self, now: datetime) -> None:
        """Raises MigrationOver."""
        if now >= self.ends:
            message = "the migration is over: choose one backend, and take the flag away"
            raise MigrationOver(message, owner=self.owner, ended=self.ends.astimezone(UTC))


class HybridRoll:
    """`tandemkit.supervise.roll.protocol.Backend`. `disagreements` counts look-ups in which the new
    backend would have said something else; the old one's word holds.
    """

    def __init__(self, old: Backend, new: Backend) -> None:
        self.old, self._new = old, new
        self.disagreements = 0

    def put(self, entry: Entry) -> None:
        self.old.put(entry)
        self._new.put(entry)

    def remove(self, key: Key) -> None:
        self.old.remove(key)
        self._new.remove(key)

    def find(self, namespace: str, name: str) -> Entry | None:
        found = self.old.find(namespace, name)
        self.disagreements += found is not self._new.find(namespace, name)
        return found

    def listed(self, namespace: str = "") -> tuple[Entry, ...]:
        found = self.old.listed(namespace)
        self.disagreements += found != self._new.listed(namespace)
        return found

    def __len__(self) -> int:
        return len(self.old)
