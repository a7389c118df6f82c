"""What both SQL backends share: an event as a row, and what an append comes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tandemkit.storage.events.appends import Append
from tandemkit.storage.events.chain import head_of, recorded
from tandemkit.storage.events.protocol import Appended, Event, Head
from tandemkit.storage.failure import Damaged

# Of the columns, in their order.
_KINDS = (int, str, int, str, str, bytes, int, bytes)


def event_of(row: Sequence[Any]) -> Event:
    """From all columns, in their order. Raises Damaged for what no writer put there."""
    if not all(isinstance(value, kind) for value, kind in zip(row, _KINDS, strict=True)):
        raise Damaged("what is stored is no event", position=row[0])
    return Event(*row)


def values_of(event: Event) -> tuple[object, ...]:
    """For all columns, in their order."""
    return (
        event.position,
        event.stream,
        event.version,
        event.id,
        event.kind,
        event.content,
        event.time_us,
        event.digest,
    )


def chained(wanted: Append, head: Head, version: int, time_us: int) -> tuple[list[Event], Appended]:
    """The events of an append behind `head`, in a stream of that version."""
    events: list[Event] = []
    for number, new in enumerate(wanted.events, 1):
        event = recorded(head, wanted.stream, version + number, new, time_us)
        events.append(event)
        head = head_of(event)
    return events, Appended(events[-1].version, events[-1].position)


def beyond(prefix: str) -> str:
    """The first text behind all that begin with `prefix`; names are ASCII."""
    return f"{prefix}\x7f"
