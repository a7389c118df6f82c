"""Events in SQLite, held to the suite and to what a file of one process adds."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandemkit.core.clock import SystemClock
from tandemkit.core.lock import InUse
from tandemkit.reach.failure import Unreachable
from tandemkit.storage.events.protocol import PAGE_EVENTS_MAX, Event, EventStore
from tandemkit.storage.events.sqlite import SqliteEvents, sqlite_events
from tandemkit.storage.events.verify import Verdict
from tandemkit.storage.failure import Damaged
from tandemkit.supervise.tasks import Tasks
from tests.contract.events.case import Case, first, told, verdict_of
from tests.contract.events.suite import EventStoreSuite

_UNGUARDED = "DROP TRIGGER events_are_not_changed; DROP TRIGGER events_are_not_deleted;"


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = AsyncExitStack()
        self._store: SqliteEvents | None = None

    async def open(self) -> EventStore:
        if self._store is None:
            events = sqlite_events(self._path, SystemClock())
            self._store = await self._stack.enter_async_context(events)
        return self._store

    async def reopen(self) -> EventStore:
        await self.close()
        return await self.open()

    async def spoil(self, statement: str) -> None:
        with sqlite3.connect(self._path) as database, suppress(sqlite3.OperationalError):
            database.executescript(_UNGUARDED)
        with sqlite3.connect(self._path) as database:
            database.executescript(statement.format(bytes="BLOB"))

    async def close(self) -> None:
        self._store = None
        await self._stack.aclose()


class _Noted(SqliteEvents):
    """Notes behind what it was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SystemClock())
        self.read_behind: asyncio.Queue[int] = asyncio.Queue()

    async def read_all(
        self, after: int = 0, prefix: str = "", limit: int = PAGE_EVENTS_MAX
    ) -> tuple[Event, ...]:
        page = await super().read_all(after, prefix, limit)
        self.read_behind.put_nowait(after)
        return page


class TestSqlite(EventStoreSuite):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[Case]:
        file = _File(tmp_path / "events.sqlite")
        yield file
        await file.close()


async def test_a_file_has_one_owner(tmp_path: Path) -> None:
    """A second process is told so at once, before it reads a byte."""
    path = tmp_path / "events.sqlite"
    async with sqlite_events(path, SystemClock()):
        with pytest.raises(InUse):
            async with sqlite_events(path, SystemClock()):
                pass


async def test_a_follower_of_few_streams_reads_nothing_twice(tmp_path: Path) -> None:
    """However much of other streams came since its last event."""
    store = _Noted(tmp_path / "events.sqlite")
    async with asyncio.timeout(20), Tasks() as tasks:
        tasks.spawn("commit", store.run())
        await store.append("policy", told(1, 2, 3))
        async with asyncio.TaskGroup() as group:
            follower = group.create_task(first(store, 1, 0, "hosts/"))
            assert await store.read_behind.get() == 0
            await store.append("policy", told(4))
            assert await store.read_behind.get() == 3
            await store.append("hosts/a", told(5))
        assert [event.position for event in follower.result()] == [5]
    store.close()


def test_sql_cannot_change_what_was_recorded(tmp_path: Path) -> None:
    """The file itself refuses, whoever opens it."""
    path = tmp_path / "events.sqlite"

    async def write() -> None:
        async with sqlite_events(path, SystemClock()) as store:
            await store.append("hosts/a", told(1))

    asyncio.run(write())
    with sqlite3.connect(path) as database:
        for statement in ("UPDATE events SET version = 2", "DELETE FROM events"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(statement)


async def test_a_file_that_is_none_is_damaged(tmp_path: Path) -> None:
    """It is not overwritten: somebody may still get something out of it."""
    path = tmp_path / "events.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(Damaged):
        async with sqlite_events(path, SystemClock()):
            pass
    assert path.read_bytes().startswith(b"no database")


async def test_a_full_disk_loses_only_what_was_refused(tmp_path: Path) -> None:
    """What was acknowledged stays readable, and writing goes on once there is room."""
    async with sqlite_events(tmp_path / "events.sqlite", SystemClock()) as store:
        await store.append("hosts/a", told(1))
        with _no_file_beyond(200_000), pytest.raises(Unreachable):
            for number in range(2, 200):
                await store.append("hosts/a", told(number))
        count = len(await store.read("hosts/a"))
        assert count > 1
        await store.append("hosts/a", told(1000), expected=count)
        assert await verdict_of(store) == Verdict(await store.head())


@contextmanager
def _no_file_beyond(bytes_max: int) -> Iterator[None]:
    """No file of this process grows beyond: to SQLite it is a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that holds events of three streams, and a snapshot."""
    path = tmp_path_factory.mktemp("events") / "events.sqlite"

    async def write() -> None:
        async with sqlite_events(path, SystemClock()) as store:
            for number in range(40):
                await store.append(f"hosts/{number % 3}", told(number))

    asyncio.run(write())
    return path


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_flipped_bit_goes_unnoticed(written: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Wherever it is in the file: either it is found, or nothing that is read is other."""
    content = bytearray(written.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1), "byte")
    content[place] ^= 1 << data.draw(st.integers(0, 7), "bit")
    path = tmp_path / "flipped.sqlite"
    path.write_bytes(content)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    read = asyncio.run(_verified_events(path))
    assert read is None or read == asyncio.run(_verified_events(written))


async def _verified_events(path: Path) -> tuple[Event, ...] | None:
    """None where the file is found to be spoilt."""
    try:
        async with sqlite_events(path, SystemClock()) as store:
            found = await verdict_of(store)
            return await store.read_all() if found.broken is None else None
    except (Damaged, Unreachable):
        return None
