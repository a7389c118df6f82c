"""What a backend brings to the suite, and short ways to say what a test does with it."""

from __future__ import annotations

from contextlib import aclosing
from typing import Protocol

from tandemkit.storage.events.protocol import Event, EventStore, Head, NewEvent
from tandemkit.storage.events.verify import Verdict, verified

KIND = "tandem.trial.v1.Told"


class Case(Protocol):
    """One backend under test, empty at first. The fixture `case` yields it, and closes what it
    opened.
    """

    async def open(self) -> EventStore:
        """A client as another process would have one; where one process owns the store, the one
        that there is.
        """

    async def reopen(self) -> EventStore:
        """A client of what is on disk, when every earlier one is gone."""

    async def spoil(self, statement: str) -> None:
        """Changes what is stored behind the store's back: SQL on the tables `events`, `head` and
        `snapshots`, by whoever may do everything. {bytes} stands for the type of content.
        """


def told(*numbers: int) -> list[NewEvent]:
    """Events that only their number tells apart."""
    return [NewEvent(f"event-{number}", KIND, f"content {number}".encode()) for number in numbers]


def contents(events: tuple[Event, ...]) -> list[str]:
    return [event.content.decode() for event in events]


async def first(store: EventStore, count: int, after: int = 0, prefix: str = "") -> list[Event]:
    """The first `count` events that a follower sees."""
    found: list[Event] = []
    async with aclosing(store.follow(after, prefix)) as events:
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


async def verdict_of(store: EventStore, noted: Head | None = None) -> Verdict:
    """The last one, which counts."""
    return [verdict async for verdict in verified(store, noted)][-1]
