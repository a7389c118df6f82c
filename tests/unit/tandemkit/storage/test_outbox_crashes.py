"""A process that is killed anywhere between keeping an event and the store's word for it."""

from __future__ import annotations

import asyncio
import enum
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import Failure
from tandemkit.storage.events.protocol import EventStore, NewEvent
from tandemkit.storage.events.sqlite import sqlite_events
from tandemkit.storage.forwarding import Forwarding
from tandemkit.storage.outbox import Outbox
from tandemkit.supervise.tasks import Tasks


class Killed(Failure):
    """Stands for the end of the process: nothing behind it happens in this life."""


class Fate(enum.Enum):
    """What becomes of one message to the store."""

    ARRIVES = "arrives"
    IS_LOST = "is lost"
    ARRIVES_UNHEARD = "arrives, and its sender is killed before it hears so"


STREAMS = ("hosts/a", "hosts/b")
# A step keeps an event of that stream, or sends what is kept to these fates.
KEEP = st.sampled_from(STREAMS)
SEND = st.lists(st.sampled_from(Fate), max_size=3)
STEPS = st.lists(KEEP | SEND, min_size=1, max_size=25)
Step: TypeAlias = str | list[Fate]


class Fateful:
    """An event store behind a line that does with each message what fate says."""

    def __init__(self, store: EventStore, fates: Sequence[Fate]) -> None:
        self._store, self._fates = store, list(fates)

    async def append(self, stream: str, events: Sequence[NewEvent]) -> object:
        fate = self._fates.pop(0) if self._fates else Fate.ARRIVES
        if fate is Fate.IS_LOST:
            raise Killed("the message was lost")
        done = await self._store.append(stream, events)
        if fate is Fate.ARRIVES_UNHEARD:
            raise Killed("the answer was lost")
        return done


@asynccontextmanager
async def life(path: Path) -> AsyncIterator[Outbox]:
    """One process that has the outbox. Leaving it writes nothing that `keep` had not written."""
    box = Outbox(path, SystemClock())
    async with Tasks() as tasks:
        tasks.spawn("outbox", box.run())
        if await asyncio.to_thread(path.exists):
            await box.filled.wait()
        yield box


async def outcome(steps: Sequence[Step], folder: Path) -> None:
    kept: dict[str, list[str]] = {stream: [] for stream in STREAMS}
    async with sqlite_events(folder / "store", SystemClock()) as store:
        remaining = list(enumerate(steps))
        while remaining:
            async with life(folder / "box") as box:
                while remaining:
                    number, step = remaining.pop(0)
                    if isinstance(step, str):
                        event = NewEvent(f"event-{number}", "tandem.trial.v1.Told", b"x")
                        await box.keep(step, event)
                        kept[step].append(event.id)
                        continue
                    try:
                        await sent(box, Fateful(store, step))
                    except Killed:
                        break
        async with life(folder / "box") as box:
            await sent(box, store)
        for stream, ids in kept.items():
            assert [one.id for one in await store.read(stream)] == ids


async def sent(box: Outbox, store: Fateful | EventStore) -> None:
    forwarding = Forwarding(box, store, SystemClock())
    while await forwarding.forward():
        pass


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_kill_9_between_journal_and_store_loses_and_doubles_nothing(
    steps: list[Step],
) -> None:
    """Whatever is lost or unheard in whichever order, the store has each kept event once and in
    its order.
    """
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(outcome(steps, Path(folder)))
