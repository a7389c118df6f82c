"""The chain of digests: each event's covers the one before it, so nothing recorded can be changed,
dropped or moved without breaking every digest behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from tandemkit.storage.events.protocol import Event, Head, NewEvent, Snapshot

GENESIS = Head(position=0, digest=bytes(32))


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain does not hold: the first position that is not what it should be, and how."""

    position: int
    cause: str


def recorded(after: Head, stream: str, version: int, event: NewEvent, time_us: int) -> Event:
    """`event` as the next one of all."""
    position = after.position + 1
    digest = _digest(
        after.digest, position, stream, version, event.id, event.kind, event.content, time_us
    )
    return Event(position, stream, version, event.id, event.kind, event.content, time_us, digest)


def head_of(event: Event) -> Head:
    return Head(event.position, event.digest)


def snapshot_digest(snapshot: Snapshot) -> bytes:
    """Guards a snapshot, which is in no chain."""
    return _digest(snapshot.stream, snapshot.version, snapshot.kind, snapshot.content)


class Verifier:
    """Walks a chain from its beginning. `take` what is stored, in order; `done` compares the end.

    `noted` is a head that was written down elsewhere: it shows a chain that was cut or made anew.
    """

    def __init__(self, noted: Head | None = None) -> None:
        self.head = GENESIS
        self._noted = noted
        self._versions: dict[str, int] = {}

    def take(self, events: Iterable[Event]) -> Break | None:
        for event in events:
            position = self.head.position + 1
            version = self._versions.get(event.stream, 0) + 1
            new = NewEvent(event.id, event.kind, event.content)
            due = recorded(self.head, event.stream, version, new, event.time_us)
            if event.position != position:
                return Break(position, "is missing")
            if event.version != version:
                return Break(position, "has another version than its stream goes on with")
            if event.digest != due.digest:
                return Break(position, "is not what was recorded")
            if self._noted and self._noted.position == position and self._noted != head_of(due):
                return Break(position, "is not the one that was noted")
            self.head = head_of(due)
            self._versions[event.stream] = version
        return None

    def done(self, head: Head) -> Break | None:
        """Whether the events end where the store says that they do, and no sooner than noted."""
        if head != self.head:
            return Break(self.head.position + 1, "is missing: the store's head is another")
        if self._noted and self._noted.position > self.head.position:
            return Break(self.head.position + 1, "is missing: a later one was noted")
        return None


def _digest(*parts: bytes | str | int) -> bytes:
    """Every part with its length before it, or two different events could read alike."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, int):
            content = part.to_bytes(8, "big", signed=True)
        else:
            content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.digest()
