"""Many callers of one model: batches, lanes, what is computed once, and what is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from services.memory.embedding.batching import Full
from services.memory.embedding.desk import Bounds, Desk, Keep
from services.memory.embedding.keeping import Shelf
from tandemkit.ml.embedding.protocol import Embedded, Lane, Space, TextRefused
from tandemkit.reach.failure import Unreachable
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.cluster.eventually import eventually
from tests.unit.services.memory.embedding.gated import POISON, GatedEmbedder

BOUNDS = Bounds(cache_bytes=1_000_000, waiting=100, idle_s=300.0)


@pytest.fixture
def embedder() -> GatedEmbedder:
    return GatedEmbedder()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@asynccontextmanager
async def open_desk(
    embedder: GatedEmbedder, clock: FakeClock, path: Path, bounds: Bounds = BOUNDS
) -> AsyncIterator[Desk]:
    shelf = Shelf(path / "embeddings.sqlite")
    async with Tasks() as tasks:
        desk = Desk(embedder, bounds, shelf, clock)
        for lane in Lane:
            tasks.spawn(lane.name, desk.run(lane))
        tasks.spawn("rest", desk.rest())
        yield desk
    await shelf.close()


@pytest.fixture
async def desk(embedder: GatedEmbedder, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(embedder, clock, tmp_path) as opened:
        yield opened


async def asked(desk: Desk, *texts: str, lane: Lane = Lane.PROMPT) -> list[Embedded]:
    return await desk.embed(texts, lane, Keep.PROCESS)


async def outcomes(*calls: Awaitable[list[Embedded]]) -> list[list[Embedded] | BaseException]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def joined(desk: Desk, texts: int) -> None:
    """Until so many texts wait, or are computed."""

    async def have() -> bool:
        return desk.waiting >= texts

    await eventually(have)


async def waiting(embedder: GatedEmbedder, batches: int) -> None:
    """Until so many batches have begun."""

    async def begun() -> bool:
        return len(embedder.batches) >= batches

    await eventually(begun)


async def test_m060_what_waits_meanwhile_goes_together(desk: Desk, embedder: GatedEmbedder) -> None:
    """Twelve callers at once are two calls of the backend, and each gets its own vector."""
    embedder.gate.clear()
    texts = [f"text {number}" for number in range(13)]
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(asked(desk, text)) for text in texts[:1]]
        await waiting(embedder, 1)
        calls += [group.create_task(asked(desk, text)) for text in texts[1:]]
        await joined(desk, 13)
        embedder.gate.set()
    assert [len(batch) for _, batch in embedder.batches] == [1, 8, 4]
    alone = GatedEmbedder()
    assert [call.result() for call in calls] == [await alone.embed([text]) for text in texts]


async def test_equal_texts_are_computed_once(desk: Desk, embedder: GatedEmbedder) -> None:
    """In one call, of callers that wait at the same time, and of one that comes later."""
    embedder.gate.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(asked(desk, "a", "b", "a"))
        await waiting(embedder, 1)
        second = group.create_task(asked(desk, "b", "c"))
        await joined(desk, 3)
        embedder.gate.set()
    one, two, again = first.result()
    assert one == again
    assert second.result()[0] == two
    assert await asked(desk, "c", "a") == [second.result()[1], one]
    assert [batch for _, batch in embedder.batches] == [("a", "b"), ("c",)]


async def test_bulk_work_delays_no_prompt_call(desk: Desk, embedder: GatedEmbedder) -> None:
    """Each lane computes for itself; a text that waits in bulk is sooner where it is urgent."""
    embedder.gate.clear()
    async with asyncio.TaskGroup() as group:
        bulk = [f"bulk {number}" for number in range(20)]
        group.create_task(asked(desk, *bulk, lane=Lane.BULK))
        await waiting(embedder, 1)
        group.create_task(asked(desk, "now", "bulk 19"))
        await waiting(embedder, 2)
        assert embedder.batches[1] == (Lane.PROMPT, ("now", "bulk 19"))
        embedder.gate.set()
    assert sum(len(batch) for _, batch in embedder.batches) == 21


async def test_a_call_with_many_texts_lets_others_in_between(
    desk: Desk, embedder: GatedEmbedder
) -> None:
    """The text of a small call is in the next batch, not behind all of the big one."""
    embedder.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(asked(desk, *(f"big {number}" for number in range(40))))
        await waiting(embedder, 1)
        group.create_task(asked(desk, "small"))
        await joined(desk, 41)
        embedder.gate.set()
    assert "small" in embedder.batches[1][1]


async def test_nobody_computes_what_nobody_waits_for(desk: Desk, embedder: GatedEmbedder) -> None:
    """A caller that gave up leaves nothing behind but what is being computed, which is kept."""
    embedder.gate.clear()
    async with asyncio.TaskGroup() as group:
        call = group.create_task(asked(desk, *(f"text {number}" for number in range(20))))
        await waiting(embedder, 1)
        call.cancel()
    embedder.gate.set()
    await asked(desk, "other", "text 0")
    assert [batch for _, batch in embedder.batches[1:]] == [("other",)]


async def test_m060_a_failure_is_every_waiting_callers_and_the_next_call_is_well(
    desk: Desk, embedder: GatedEmbedder
) -> None:
    """It is told as it is, nothing of it is kept, and nobody hangs."""
    embedder.failure = Unreachable("the server is away")
    found = await outcomes(*(asked(desk, f"text {number}") for number in range(12)))
    assert [type(one) for one in found] == [Unreachable] * 12
    embedder.failure = None
    assert len(await asked(desk, "text 1")) == 1


async def test_one_text_that_is_refused_fails_its_caller_alone(
    desk: Desk, embedder: GatedEmbedder
) -> None:
    """The others of its batch are embedded without it."""
    embedder.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(asked(desk, "first"))
        await waiting(embedder, 1)
        texts = ["well", "so far", POISON, "too", "and also", "this"]
        calls = (asked(desk, text) for text in texts)
        found = group.create_task(outcomes(*calls))
        await joined(desk, 7)
        embedder.gate.set()
    assert [type(one) for one in found.result()] == [list, list, TextRefused, list, list, list]


async def test_more_than_may_wait_is_refused(
    embedder: GatedEmbedder, clock: FakeClock, tmp_path: Path
) -> None:
    """Before anything of the call is computed."""
    async with open_desk(embedder, clock, tmp_path, replace(BOUNDS, waiting=3)) as desk:
        with pytest.raises(Full):
            await asked(desk, "a", "b", "c", "d")
        assert len(await asked(desk, "a", "b", "c")) == 3
    assert len(embedder.batches) == 1


async def test_what_nobody_uses_leaves_memory(
    desk: Desk, embedder: GatedEmbedder, clock: FakeClock
) -> None:
    """The model and what was computed, after the last call; the next call has both again."""
    await asked(desk, "a")
    await clock.advance(200)
    await asked(desk, "a")
    await clock.advance(200)
    assert embedder.unloaded == 0
    await clock.advance(101)

    async def is_unloaded() -> bool:
        return embedder.unloaded == 1

    await eventually(is_unloaded)
    await asked(desk, "a")
    assert len(embedder.batches) == 2


async def test_what_there_is_no_room_for_is_forgotten_first(
    embedder: GatedEmbedder, clock: FakeClock, tmp_path: Path
) -> None:
    """The vector that was used longest ago; and one that may not be kept never is."""
    async with open_desk(embedder, clock, tmp_path, replace(BOUNDS, cache_bytes=1000)) as desk:
        await asked(desk, "a", "b")
        await asked(desk, "a")
        await asked(desk, "c")
        await desk.embed(["d"], Lane.PROMPT, Keep.NEVER)
        embedder.batches.clear()
        await asked(desk, "a")
        assert embedder.batches == []
        await asked(desk, "b")
        await asked(desk, "d")
        assert [batch for _, batch in embedder.batches] == [("b",), ("d",)]


async def test_public_texts_are_kept_for_all_fleets_of_the_user(
    embedder: GatedEmbedder, clock: FakeClock, tmp_path: Path
) -> None:
    """Another process finds them by space and hash; no text is in the file."""
    text = "how to plant a word"
    async with open_desk(embedder, clock, tmp_path) as desk:
        (found,) = await desk.embed([text], Lane.BULK, Keep.MACHINE)
    other = GatedEmbedder()
    async with open_desk(other, clock, tmp_path) as desk:
        assert await desk.embed([text], Lane.PROMPT, Keep.MACHINE) == [found]
        assert await desk.embed([text], Lane.PROMPT, Keep.PROCESS) == [found]
        assert other.batches == []
        other.space = Space("words", "another", 16)
        await desk.embed([text + "s", text], Lane.PROMPT, Keep.NEVER)
    assert len(other.batches) == 1
    files = await asyncio.to_thread(lambda: [path.read_bytes() for path in tmp_path.iterdir()])
    assert files
    assert not any(b"plant" in one for one in files)


async def test_a_shelf_that_is_damaged_costs_time_alone(
    embedder: GatedEmbedder, clock: FakeClock, tmp_path: Path
) -> None:
    """Vectors are computed as without it, and the next process has a new one."""
    path = tmp_path / "embeddings.sqlite"
    path.write_bytes(b"no database at all" * 100)
    for batches in (1, 2):
        async with open_desk(embedder, clock, tmp_path) as desk:
            assert len(await desk.embed(["a"], Lane.PROMPT, Keep.MACHINE)) == 1
        assert len(embedder.batches) == batches
    async with open_desk(embedder, clock, tmp_path) as desk:
        await desk.embed(["a"], Lane.PROMPT, Keep.MACHINE)
    assert len(embedder.batches) == 2
