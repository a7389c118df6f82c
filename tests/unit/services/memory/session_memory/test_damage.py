"""Sessions of which the disk gives back something else than was written."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.memory.session_memory.sessions import Bounds, Sessions
from services.memory.session_memory.shelf import Shelf
from tandem.memory.config.v1.session_memory_pb2 import SessionMemorySettings
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.cluster.eventually import eventually
from tests.unit.services.memory.session_memory.talk import turn

_TTL_S = 30 * 86_400.0
_NAMES = tuple(f"namespaces/default/sessions/{one}" for one in ("one", "two", "three"))
_STUCK = """
CREATE TRIGGER stuck BEFORE DELETE ON state WHEN OLD.key LIKE '%sessions/one%'
BEGIN SELECT RAISE(ABORT, 'as a damaged page does'); END
"""
_GARBLED = "UPDATE state SET content = x'ff' WHERE key LIKE 'turns/%sessions/two/%'"


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    async with sqlite_state(tmp_path / "state.sqlite") as store:
        yield Shelf(State(store), held_bytes_max=1)


def _break(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / "state.sqlite") as database:
        for one in statements:
            database.execute(one)


async def test_damaged_sessions_keep_no_others_from_their_end(
    shelf: Shelf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be read is deleted all the same; what cannot be deleted is told, counted, and
    tried again much later.
    """
    clock = FakeClock()
    sessions = Sessions(shelf, Bounds.of(SessionMemorySettings()), clock)
    for name in _NAMES:
        await sessions.append(turn(1, "It begins.", session=name))
    _break(tmp_path, _STUCK, _GARBLED)
    async with Tasks() as tasks:
        tasks.spawn("expire", sessions.expire())
        await clock.advance(_TTL_S)

        async def left() -> list[str]:
            return shelf.names("default")

        assert await eventually(left, lambda names: len(names) == 1) == [_NAMES[0]]
        assert sessions.damaged == {_NAMES[0]}
        told = [one for one in caplog.messages if one == "sessions.damaged"]
        assert len(told) == 1
        _break(tmp_path, "DROP TRIGGER stuck")
        await clock.advance(3600.0)
        await eventually(left, lambda names: not names)
        assert not sessions.damaged
