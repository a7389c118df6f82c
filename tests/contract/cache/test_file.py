"""The embedded tier, held to the suite and to what a file adds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.memory.cache.file_rows import Room
from services.memory.cache.file_tier import FILE, FileTier, file_tier
from services.memory.cache.keeping import Place, epoch_ms
from services.memory.cache.tier import Which
from tandemkit.testing.clock import FakeClock
from tests.contract.cache.leases import LeaseSuite
from tests.contract.cache.suite import Case, TierSuite, value_of, wanted, write

PLANTED = b"zanzibarian-quux"


class _File:
    def __init__(self, folder: Path) -> None:
        self.clock, self.path = FakeClock(), folder / FILE
        self.bytes_max, self.frequent = 1024 * 1024, False
        self.evicted: list[tuple[str, int]] = []
        self._opened = AsyncExitStack()
        self._tier: FileTier | None = None

    async def open(self) -> FileTier:
        self._tier = self._tier or await self._open()
        return self._tier

    async def reopen(self) -> FileTier:
        await self.close()
        self._tier = await self._open()
        return self._tier

    async def close(self) -> None:
        await self._opened.aclose()

    async def _open(self) -> FileTier:
        def evicted(namespace: str, count: int) -> None:
            self.evicted.append((namespace, count))

        room = Room(self.bytes_max, lambda _: self.frequent, evicted)
        return await self._opened.enter_async_context(file_tier(self.path, room, self.clock))


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[_File]:
    case = _File(tmp_path)
    yield case
    await case.close()


class TestFile(TierSuite, LeaseSuite):
    @pytest.fixture
    def case(self, file: _File) -> Case:
        return file


async def test_entries_outlive_a_restart_and_leases_do_not(file: _File) -> None:
    """Whoever held one puts nothing, and the next one gets another."""
    tier = await file.open()
    version = await tier.put(write(file.clock, "kept"))
    await tier.take(wanted(file.clock, "one"))
    tier = await file.reopen()
    found = (await tier.take(wanted(file.clock, key="kept"))).kept
    assert found is not None
    assert found.entry.version == version
    assert (await tier.take(wanted(file.clock, "two"))).is_granted
    assert await tier.put(write(file.clock, "kept")) > version


@pytest.mark.parametrize("frequent", [False, True], ids=["lru", "lfu"])
async def test_the_file_holds_its_bytes_and_lets_the_least_used_go(
    file: _File, *, frequent: bool
) -> None:
    """What is read stays; the room of what is gone is used again."""
    file.bytes_max, file.frequent = 100_000, frequent
    tier = await file.open()
    for number in range(300):
        await file.clock.advance(0.001)
        await tier.put(write(file.clock, f"k{number}", bytes(2000), ttl_ms=100_000))
        assert value_of(await tier.take(wanted(file.clock, key="k0"))) is not None
        assert (tier.bytes_of("default") or 0) <= file.bytes_max
    assert sum(count for _, count in file.evicted) > 200
    assert value_of(await tier.take(wanted(file.clock, key="k299"))) is not None
    assert value_of(await tier.take(wanted(file.clock, key="k1"))) is None
    assert file.path.stat().st_size < 3 * file.bytes_max


async def test_what_is_over_leaves_the_file_with_the_next_write(file: _File) -> None:
    """Nobody has to look for it."""
    tier = await file.open()
    await tier.put(write(file.clock, "old", namespace="old"))
    await file.clock.advance(1.5)
    await tier.put(write(file.clock, "new"))
    assert tier.bytes_of("old") == 0


async def test_what_is_deleted_is_in_no_file(file: _File) -> None:
    """Neither in the database nor in its log."""
    tier = await file.open()
    await tier.put(write(file.clock, "a", PLANTED * 500, subjects=["Ann"]))
    await tier.put(write(file.clock, "b", PLANTED, subjects=["Ann"]))
    assert any(PLANTED in path.read_bytes() for path in file.path.parent.iterdir())
    assert await tier.sweep(Which("default", subject="Ann"), epoch_ms(file.clock)) == 2
    assert not any(PLANTED in path.read_bytes() for path in file.path.parent.iterdir())


async def test_a_damaged_file_is_begun_anew(file: _File) -> None:
    """What is in a cache is nowhere's only copy."""
    file.path.write_bytes(b"no database, surely" * 100)
    tier = await file.open()
    await tier.put(write(file.clock))
    assert value_of(await tier.take(wanted(file.clock))) == b"v"
    assert await tier.delete(Place("default", "k"), None, epoch_ms(file.clock))
