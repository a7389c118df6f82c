"""Sessions whose writes take their time, and whose callers give up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from services.memory.session_memory.matter import Matter
from services.memory.session_memory.sessions import Bounds, Sessions
from services.memory.session_memory.shelf import Shelf
from tandem.memory.config.v1.session_memory_pb2 import SessionMemorySettings
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.protocol import Change
from tandemkit.storage.state.sqlite import SqliteState
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.unit.services.memory.session_memory.talk import SESSION, turn

_BYTES_MAX = 1_000_000
_TTL_S = 30 * 86_400.0


class SlowState(SqliteState):
    """Tells of its writes late: only while `told` is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.told, self.written = asyncio.Event(), asyncio.Event()
        self.told.set()

    async def write(self, changes: Sequence[Change]) -> int:
        version = await super().write(changes)
        self.written.set()
        await self.told.wait()
        return version

    def hold(self) -> None:
        self.told.clear()
        self.written.clear()


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[SlowState]:
    async with Tasks() as tasks:
        store = SlowState(tmp_path / "state.sqlite")
        tasks.spawn("state", store.run())
        yield store
    store.close()


async def test_a_turn_that_comes_as_its_session_ends_is_kept(state: SlowState) -> None:
    """It is acknowledged, so the end that was due meanwhile is none."""
    clock, shelf = FakeClock(), Shelf(State(state), _BYTES_MAX)
    sessions = Sessions(shelf, Bounds.of(SessionMemorySettings()), clock)
    async with Tasks() as tasks:
        tasks.spawn("expire", sessions.expire())
        await sessions.append(turn(1, "It begins."))
        state.hold()
        async with asyncio.TaskGroup() as group:
            second = group.create_task(sessions.append(turn(2, "It goes on.")))
            await state.written.wait()
            await clock.advance(_TTL_S)
            state.told.set()
        assert second.result().turn.number == 2
        window = await sessions.window(SESSION, 1000, "")
    assert [one.number for one in window.turns] == [1, 2]


async def test_a_subject_is_deleted_where_the_first_turn_was_given_up(state: SlowState) -> None:
    """Nobody was told of the session, but it is on disk and would be there after a restart."""
    shelf = Shelf(State(state), _BYTES_MAX)
    sessions = Sessions(shelf, Bounds.of(SessionMemorySettings()), FakeClock())
    state.hold()
    async with asyncio.TaskGroup() as group:
        given_up = group.create_task(sessions.append(turn(1, "Of her.", subjects=("Ada",))))
        await state.written.wait()
        given_up.cancel()
    state.told.set()
    assert await Matter(shelf).forget("default", lambda said: "Ada" in said.subjects) == 1
    later = Shelf(State(state), _BYTES_MAX)
    await later.restore()
    async with later.alone(SESSION):
        assert not (await later.dialogue(SESSION)).turns
