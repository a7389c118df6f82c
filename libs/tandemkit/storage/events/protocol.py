"""What every event store promises. docs/design/events.md says how each backend keeps it.

Content is bytes to a store: whoever appends knows its protobuf type, which `kind` names. One
conformance suite, tests/contract/events, holds all backends to these sentences.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tandemkit.core.errors import Failure

CONTENT_BYTES_MAX = 1024 * 1024
# Of one append, which is one write: a larger one would hold up everybody else's.
EVENTS_MAX = 1000
PAGE_EVENTS_MAX = 1000
# Of the content in a page: the event that reaches it is its last.
PAGE_BYTES_MAX = 3 * 1024 * 1024
NAME_LENGTH_MAX = 255

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]*")


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened. `id` is the caller's and of this event alone: it makes an append
    that is sent twice count once.
    """

    id: str
    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """As it was recorded. `version` counts within the stream and `position` over all streams, both
    from 1 without a gap.

    `digest` covers the event and all that were recorded before it.
    """

    position: int
    stream: str
    version: int
    id: str
    kind: str
    content: bytes
    time_us: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """The version and the position of the last event of an append."""

    version: int
    position: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a stream's events up to `version` came to, so that a reader need not begin at the
    first.
    """

    stream: str
    version: int
    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The last event of all. Noted elsewhere, it proves that nothing before it was rewritten."""

    position: int
    digest: bytes


class StreamConflict(Failure):
    """The stream has another version than the writer knew; nothing was written."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(
            "the stream has another version", stream=stream, expected=expected, actual=actual
        )
        self.actual = actual


class IdTaken(Failure):
    """The id of an event is another one's already; nothing was written."""


class EventStore(Protocol):
    """Append-only streams in one global order.

    Nothing is acknowledged before it is on disk. After Unreachable the same events may be appended
    again. ValueError means that nothing was done: a name, an event or a limit that `check_*`
    refuses.
    """

    async def append(
        self, stream: str, events: Sequence[NewEvent], expected: int | None = None
    ) -> Appended:
        """All of `events` or none. With `expected`, only behind that version (0: only as the
        stream's first), else raises StreamConflict.

        Events that are all there already, in this stream and in this order, are not written again.
        Raises IdTaken, Unreachable.
        """

    async def read(
        self, stream: str, after: int = 0, limit: int = PAGE_EVENTS_MAX
    ) -> tuple[Event, ...]:
        """The stream's events behind that version, the oldest first: `limit` of them or content of
        PAGE_BYTES_MAX, whichever comes first. None where there are no more.
        """

    async def read_all(
        self, after: int = 0, prefix: str = "", limit: int = PAGE_EVENTS_MAX
    ) -> tuple[Event, ...]:
        """Events behind that position of all streams whose names begin so, the oldest first; no
        more than `read` does.
        """

    def follow(self, after: int = 0, prefix: str = "") -> AsyncGenerator[Event, None]:
        """Like `read_all`, and then each new one, until closed. Raises Unreachable; go on behind
        the last position seen.
        """

    async def keep_snapshot(self, snapshot: Snapshot) -> None:
        """Replaces the stream's earlier one; one of a lower version changes nothing. Raises
        StreamConflict where the stream has not come so far.
        """

    async def snapshot(self, stream: str) -> Snapshot | None:
        """The stream's latest. Raises Damaged."""

    async def head(self) -> Head:
        """The last event's place and digest; position 0 where there is none."""


def check_name(name: str) -> None:
    """Raises ValueError for what is no name of a stream, an event or a kind."""
    if len(name) > NAME_LENGTH_MAX or _NAME.fullmatch(name) is None:
        raise ValueError("not a name of the event store")


def check_events(events: Sequence[NewEvent]) -> None:
    """Raises ValueError for what no backend would take."""
    if not 0 < len(events) <= EVENTS_MAX:
        raise ValueError("an append has from 1 to 1000 events")
    if len({event.id for event in events}) < len(events):
        raise ValueError("two events of an append have one id")
    for event in events:
        check_name(event.id)
        check_name(event.kind)
        if len(event.content) > CONTENT_BYTES_MAX:
            raise ValueError("content exceeds the event store's limit")


def is_full(page: Sequence[Event], limit: int) -> bool:
    """Whether there may be more behind it."""
    return len(page) >= limit or sum(len(one.content) for one in page) >= PAGE_BYTES_MAX


def check_limit(limit: int) -> None:
    """Raises ValueError for what is no number of events to read."""
    if not 0 < limit <= PAGE_EVENTS_MAX:
        raise ValueError("a page has from 1 to 1000 events")
