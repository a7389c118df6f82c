"""What comes of an append, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tandemkit.core.errors import Failure
from tandemkit.storage.events.protocol import Appended, Event, IdTaken, NewEvent, StreamConflict


@dataclass(frozen=True, slots=True)
class Append:
    """What one caller wants written."""

    stream: str
    events: tuple[NewEvent, ...]
    expected: int | None = None


Outcome = Appended | Failure


def settled(wanted: Append, version: int, known: Mapping[str, Event]) -> Outcome | None:
    """What comes of an append without a write, in a stream of that version; None where it is to be
    written.
    """
    if known:
        found = [known.get(event.id) for event in wanted.events]
        last = found[-1]
        if last is not None and all(
            there is not None
            and (there.stream, there.kind, there.content)
            == (wanted.stream, event.kind, event.content)
            and there.version == last.version - len(found) + number
            for number, (there, event) in enumerate(zip(found, wanted.events, strict=True), 1)
        ):
            return Appended(last.version, last.position)
        return IdTaken("an id is another event's already", id=next(iter(known)))
    if wanted.expected is not None and wanted.expected != version:
        return StreamConflict(wanted.stream, wanted.expected, version)
    return None
