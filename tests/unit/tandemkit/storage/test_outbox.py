"""Events that wait in a file until the event store has them: none lost, none twice."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.errors import Failure
from tandemkit.reach.failure import Unreachable
from tandemkit.storage import outbox as module
from tandemkit.storage.events.protocol import EventStore, IdTaken, NewEvent
from tandemkit.storage.events.sqlite import sqlite_events
from tandemkit.storage.forwarding import Forwarding
from tandemkit.storage.outbox import Outbox
from tandemkit.storage.sqlite_file import owned
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock

KIND = "tandem.trial.v1.Told"


def told(number: int, size: int = 0) -> NewEvent:
    return NewEvent(f"event-{number}", KIND, f"content {number}".encode().ljust(size))


@asynccontextmanager
async def opened(path: Path, clock: Clock | None = None) -> AsyncIterator[Outbox]:
    box = Outbox(path, clock or SystemClock())
    async with Tasks() as tasks:
        tasks.spawn("outbox", box.run())
        yield box


async def turn() -> None:
    """Lets all that is due now run once."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_soon(over.set)
    await over.wait()


class Moody:
    """An event store that refuses when a test says so."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.moods: list[Failure] = []
        self.sizes: list[int] = []

    async def append(self, stream: str, events: Sequence[NewEvent]) -> object:
        if self.moods:
            raise self.moods.pop(0)
        self.sizes.append(len(events))
        return await self._store.append(stream, events)


async def test_what_is_put_is_there_after_the_process(tmp_path: Path) -> None:
    """Also what was put at the very end, in the order in which it came."""
    async with opened(tmp_path / "box") as box:
        box.put("hosts/a", told(1))
        await box.keep("hosts/b", told(2))
        box.put("hosts/a", told(3))
    async with opened(tmp_path / "box") as box:
        await box.filled.wait()
        kept = await box.first(10)
    assert [(one.stream, one.event) for one in kept] == [
        ("hosts/a", told(1)),
        ("hosts/b", told(2)),
        ("hosts/a", told(3)),
    ]


async def test_what_is_being_written_as_it_ends_is_written(tmp_path: Path) -> None:
    """The disk has its turn with somebody else at that moment: the last write of all has it."""
    box, busy = Outbox(tmp_path / "box", SystemClock()), threading.Event()
    with ThreadPoolExecutor(1) as only:
        asyncio.get_running_loop().set_default_executor(only)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(box.run())
            await box.keep("hosts/a", told(1))
            only.submit(busy.wait, 5)
            box.put("hosts/a", told(2))
            await turn()
            running.cancel()
            await turn()
            busy.set()
        async with opened(tmp_path / "box") as again:
            await again.filled.wait()
            assert [one.event for one in await again.first(10)] == [told(1), told(2)]


async def test_there_is_no_file_where_there_are_no_events(tmp_path: Path) -> None:
    """A process to which nothing happens costs no disk."""
    clock = FakeClock()
    async with opened(tmp_path / "deep" / "box", clock):
        await clock.advance(60)
    assert not (tmp_path / "deep").exists()


async def test_an_event_is_kept_once(tmp_path: Path) -> None:
    """By its id, as in the store that it is for."""
    async with opened(tmp_path / "box") as box:
        await box.keep("hosts/a", told(1))
        await box.keep("hosts/a", told(1))
        assert len(await box.first(10)) == 1


async def test_a_file_that_another_process_still_has_is_waited_for(tmp_path: Path) -> None:
    """The one that ends and the one that begins in its place overlap."""
    clock = FakeClock()
    with owned(tmp_path / "box"):
        async with Tasks() as tasks:
            box = Outbox(tmp_path / "box", clock)
            box.put("hosts/a", told(1))
            tasks.spawn("outbox", box.run())
            await clock.advance(60)
            assert not box.filled.is_set()
    async with opened(tmp_path / "box") as box:
        await box.keep("hosts/a", told(2))
        assert [one.event for one in await box.first(10)] == [told(2)]


async def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    """For somebody to look at, and what comes from now on is kept."""
    (tmp_path / "box").write_bytes(b"no database" * 100)
    async with opened(tmp_path / "box") as box:
        await box.keep("hosts/a", told(1))
    assert (tmp_path / "box.damaged").read_bytes() == b"no database" * 100


async def test_a_disk_that_refuses_is_said_to_who_waits(tmp_path: Path) -> None:
    """What nobody waits for is tried again, and comes in order."""
    async with opened(tmp_path / "box") as box:
        await box.keep("hosts/a", told(1))
        with sqlite3.connect(tmp_path / "box") as other:
            other.execute("ALTER TABLE outbox RENAME TO elsewhere")
        box.put("hosts/a", told(2))
        with pytest.raises(Unreachable):
            await box.keep("hosts/a", told(3))
        with sqlite3.connect(tmp_path / "box") as other:
            other.execute("ALTER TABLE elsewhere RENAME TO outbox")
        await box.keep("hosts/a", told(4))
        assert [one.event for one in await box.first(10)] == [told(1), told(2), told(4)]


async def test_the_oldest_go_where_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that never comes back does not fill the disk."""
    monkeypatch.setattr(module, "EVENTS_MAX", 3)
    async with opened(tmp_path / "box") as box:
        for number in range(1, 6):
            await box.keep("hosts/a", told(number))
        assert [one.event for one in await box.first(10)] == [told(3), told(4), told(5)]


async def test_what_no_store_takes_is_refused_at_once(tmp_path: Path) -> None:
    """Or it would be in the way of all behind it."""
    box = Outbox(tmp_path / "box", SystemClock())
    with pytest.raises(ValueError, match="not a name"):
        box.put("no stream!", told(1))
    with pytest.raises(ValueError, match="exceeds"):
        box.put("hosts/a", told(1, size=2 * 1024 * 1024))


async def test_events_arrive_once_the_store_is_back(tmp_path: Path) -> None:
    """All of them, in their order, however often it refused before."""
    clock = FakeClock()
    async with sqlite_events(tmp_path / "store", clock) as store:
        moody = Moody(store)
        moody.moods = [Unreachable("away")] * 5
        async with opened(tmp_path / "box", clock) as box, Tasks() as tasks:
            for number in range(1, 4):
                await box.keep("hosts/a", told(number))
            tasks.spawn("forwarding", Forwarding(box, moody, clock, lambda: 0.0).run())
            while moody.moods or await box.first(1):
                await clock.advance(0.1)
            box.put("hosts/b", told(4))
            while not await store.read("hosts/b"):
                await clock.advance(0.1)
        assert [one.id for one in await store.read_all()] == [f"event-{n}" for n in (1, 2, 3, 4)]
        assert moody.sizes == [3, 1]


async def test_a_lost_answer_doubles_nothing(tmp_path: Path) -> None:
    """Not even where more was put behind those that had arrived unheard."""
    clock = SystemClock()
    async with sqlite_events(tmp_path / "store", clock) as store, opened(tmp_path / "box") as box:
        for number in (1, 2):
            await box.keep("hosts/a", told(number))
        await store.append("hosts/a", [one.event for one in await box.first(10)])
        await box.keep("hosts/a", told(3))
        assert await Forwarding(box, store, clock).forward()
        assert [one.id for one in await store.read("hosts/a")] == ["event-1", "event-2", "event-3"]
        assert await box.first(10) == ()


async def test_an_event_whose_id_is_another_ones_holds_up_nobody(tmp_path: Path) -> None:
    """It can never arrive; the log has it, and those behind it do."""
    clock = SystemClock()
    async with sqlite_events(tmp_path / "store", clock) as store, opened(tmp_path / "box") as box:
        await store.append("elsewhere", [told(1)])
        for number in (1, 2):
            await box.keep("hosts/a", told(number))
        await Forwarding(box, store, clock).forward()
        assert [one.id for one in await store.read("hosts/a")] == ["event-2"]
        with pytest.raises(IdTaken):
            await store.append("hosts/a", [told(1)])


async def test_large_events_are_sent_in_several_messages(tmp_path: Path) -> None:
    """Each of them fits into what a server takes."""
    clock = SystemClock()
    async with sqlite_events(tmp_path / "store", clock) as store, opened(tmp_path / "box") as box:
        moody = Moody(store)
        for number in range(6):
            await box.keep("hosts/a", told(number, size=1024 * 1024))
        await Forwarding(box, moody, clock).forward()
        assert moody.sizes == [3, 3]
