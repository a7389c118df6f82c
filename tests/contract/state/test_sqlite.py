"""State in SQLite, held to the suite and to what a file of one process adds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tandemkit.core.lock import InUse
from tandemkit.storage.state.protocol import Change, StateStore
from tandemkit.storage.state.sqlite import SqliteState, sqlite_state
from tests.contract.state.following import FollowingSuite
from tests.contract.state.suite import Case, StateSuite


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = AsyncExitStack()
        self._store: SqliteState | None = None

    async def open(self) -> StateStore:
        if self._store is None:
            self._store = await self._stack.enter_async_context(sqlite_state(self._path))
        return self._store

    async def reopen(self) -> StateStore:
        await self.close()
        return await self.open()

    async def close(self) -> None:
        self._store = None
        await self._stack.aclose()


class TestSqlite(StateSuite, FollowingSuite):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[Case]:
        file = _File(tmp_path / "state.sqlite")
        yield file
        await file.close()


async def test_a_file_has_one_owner(tmp_path: Path) -> None:
    """A second process is told so at once, and the first one's writes stay."""
    path = tmp_path / "state.sqlite"
    async with sqlite_state(path) as store:
        await store.write([Change("a", b"x")])
        with pytest.raises(InUse):
            async with sqlite_state(path):
                pass
    async with sqlite_state(path) as store:
        assert await store.get("a") is not None


async def test_what_was_deleted_is_in_no_file_of_the_store(tmp_path: Path) -> None:
    """Neither in a freed page nor in the write-ahead log; what was replaced is gone alike."""
    path = tmp_path / "state.sqlite"
    async with sqlite_state(path) as store:
        await store.write([Change("a", b"zweibrueggen" * 1000), Change("b", b"zweibrueggen")])
        await store.write([Change("a", None), Change("b", b"other")])
        assert await store.scrub() == ()
        files = _contents(tmp_path)
    assert not [file for file in files if b"zweibr" in file]
    assert any(b"other" in file for file in files)


def _contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir()]
