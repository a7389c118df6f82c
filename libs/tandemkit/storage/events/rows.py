"""What both SQL backends share: events and snapshots as rows, and what an append comes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tandemkit.storage.events.appends import Append
from tandemkit.storage.events.chain import head_of, recorded, snapshot_digest
from tandemkit.storage.events.protocol import (
    PAGE_BYTES_MAX,
    Appended,
    Event,
    Head,
    Snapshot,
)
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


def snapshot_of(row: Sequence[Any]) -> Snapshot:
    """From all columns of a snapshot, its digest last. Raises Damaged where that is another's."""
    *values, digest = row
    found = Snapshot(*values)
    if snapshot_digest(found) != digest:
        raise Damaged("a snapshot is not what was kept", stream=found.stream)
    return found


def snapshot_values_of(snapshot: Snapshot) -> tuple[object, ...]:
    """For all columns of a snapshot, its digest last."""
    values = (snapshot.stream, snapshot.version, snapshot.kind, snapshot.content)
    return (*values, snapshot_digest(snapshot))


def chained(wanted: Append, head: Head, version: int, time_us: int) -> tuple[list[Event], Appended]:
    """The events of an append behind `head`, in a stream of that version."""
    events: list[Event] = []
    for number, new in enumerate(wanted.events, 1):
        event = recorded(head, wanted.stream, version + number, new, time_us)
        events.append(event)
        head = head_of(event)
    return events, Appended(events[-1].version, events[-1].position)


def page_of(events: Iterable[Event]) -> tuple[Event, ...]:
    """Those whose content is not too much for one page; the others are not even read."""

    def taken() -> Iterator[Event]:
        size = 0
        for event in events:
            yield event
            size += len(event.content)
            if size >= PAGE_BYTES_MAX:
                return

    return tuple(taken())


def beyond(prefix: str) -> str:
    """The first text behind all that begin with `prefix`; names are ASCII."""
    return f"{prefix}\x7f"
