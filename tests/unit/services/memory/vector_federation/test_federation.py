"""Several stores as one: side by side, in time, and honest about who is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.memory.vector_federation import refusal
from services.memory.vector_federation.asking import (
    ANSWERED,
    FAILED,
    LACKING,
    LATE,
    SKIPPED,
    Outcome,
    Store,
)
from services.memory.vector_federation.federation import Federation, merged
from services.memory.vector_federation.source import OtherSpace, OwnSource
from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.vectors.memory import MemoryCollection, MemoryVectors
from tandemkit.storage.vectors.protocol import (
    CollectionMissing,
    Hit,
    Plan,
    Query,
    VectorStore,
)
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.unit.services.memory.vector_federation.scripted import (
    COLLECTION,
    QUERY,
    SPACE,
    Scripted,
    hits,
    stores,
)

WAIT_S = 0.3
AWAY = Unreachable("it does not answer")


async def searched(
    federation: Federation, rest_s: float | None = None
) -> dict[str, tuple[int, int]]:
    """By store: what came of it, and how many hits."""
    outcomes = await federation.search(COLLECTION, QUERY, federation.stores, rest_s)
    return {one.store: (one.state, len(one.hits)) for one in outcomes}


async def test_m055_all_stores_are_asked_at_the_same_time() -> None:
    """None waits for another's answer: each answers only once all are asked."""
    sources = {f"s{number}": Scripted("a") for number in range(6)}
    together = asyncio.Event()
    for source in sources.values():
        source.may_answer = together
    federation = Federation(stores(FakeClock(), **sources), WAIT_S)

    async def open_when_all_are_asked() -> None:
        async with asyncio.timeout(5):
            while sum(source.asked for source in sources.values()) < len(sources):
                await FakeClock().advance(0)
        together.set()

    found, _ = await asyncio.gather(searched(federation), open_when_all_are_asked())
    assert set(found.values()) == {(ANSWERED, 1)}


async def test_m055_what_is_late_or_fails_leaves_the_rest_and_is_marked() -> None:
    """Under one deadline, which is a share of the caller's."""
    sources = {
        "good": Scripted("a", "b"),
        "late": Scripted(),
        "away": Scripted(),
        "closed": Scripted(),
        "empty": Scripted(),
        "other": Scripted(),
    }
    sources["late"].answer = None
    sources["away"].answer, sources["closed"].answer = AWAY, Refused("no login")
    sources["empty"].answer = CollectionMissing("notes")
    sources["other"].answer = OtherSpace("of another space")
    federation = Federation(stores(FakeClock(), **sources), 30.0)
    async with asyncio.timeout(5):
        assert await searched(federation, rest_s=0.1) == {
            "good": (ANSWERED, 2),
            "late": (LATE, 0),
            "away": (FAILED, 0),
            "closed": (FAILED, 0),
            "empty": (LACKING, 0),
            "other": (FAILED, 0),
        }
    shut = [one.name for one in federation.stores if not one.gate.is_open]
    # A caller in a hurry says nothing of a store, nor does one with vectors of another space.
    assert shut == ["away", "closed"]


async def test_a_dead_store_costs_one_slow_call() -> None:
    """Then it is tried beside the searches, seldomer each time, until it answers."""
    clock, dead, good = FakeClock(), Scripted(), Scripted("a")
    dead.answer = None
    federation = Federation(stores(clock, dead=dead, good=good), WAIT_S)
    assert (await searched(federation))["dead"] == (LATE, 0)
    for _ in range(5):
        assert (await searched(federation))["dead"] == (SKIPPED, 0)
    assert dead.asked == 1
    dead.answer = AWAY
    for pause_s, tries in ((1.0, 2), (1.0, 2), (1.0, 3), (3.9, 3), (0.1, 4)):
        await clock.advance(pause_s)
        assert (await searched(federation))["dead"] == (SKIPPED, 0)
        await clock.advance(0)
        assert dead.asked == tries
    dead.answer = hits("b")
    await clock.advance(8)
    assert (await searched(federation))["dead"] == (SKIPPED, 0)
    await clock.advance(0)
    assert (await searched(federation))["dead"] == (ANSWERED, 1)
    await federation.aclose()


async def test_one_try_at_a_time_is_made_of_a_store_that_is_left_alone() -> None:
    """A hundred searches do not send it a hundred."""
    clock, dead = FakeClock(), Scripted()
    dead.answer = AWAY
    federation = Federation(stores(clock, dead=dead, good=Scripted("a")), WAIT_S)
    await searched(federation)
    dead.answer = None
    await clock.advance(1)
    for _ in range(5):
        await searched(federation)
        await clock.advance(0)
    assert dead.asked == 2
    await federation.aclose()


async def test_nothing_known_is_not_nothing_found() -> None:
    """All lack the collection, all have another space, the request is at fault, or nobody knows."""
    cases: dict[int, list[Exception]] = {
        errors.ERROR_REASON_COLLECTION_NOT_FOUND: [CollectionMissing("notes")] * 2,
        errors.ERROR_REASON_SPACE_MISMATCH: [OtherSpace("another"), CollectionMissing("notes")],
        errors.ERROR_REASON_VECTOR_INVALID: [ValueError("no length"), AWAY],
        errors.ERROR_REASON_STORES_UNREACHABLE: [AWAY, CollectionMissing("notes")],
    }
    for reason, answers in cases.items():
        one, other = Scripted(), Scripted()
        one.answer, other.answer = answers
        federation = Federation(stores(FakeClock(), one=one, other=other), WAIT_S)
        outcomes = await federation.search(COLLECTION, QUERY, federation.stores, None)
        failure = refusal.unanswered(outcomes, COLLECTION)
        assert failure is not None
        assert failure.reason == reason
        if reason == errors.ERROR_REASON_STORES_UNREACHABLE:
            told = "one: it does not answer; other: no such collection"
            assert failure.metadata["stores"] == told
    nothing = [Outcome("one", ANSWERED), Outcome("other", FAILED, cause="away")]
    assert refusal.unanswered(nothing, COLLECTION) is None


def test_m055_hits_are_merged_by_reciprocal_rank_and_say_who_had_them() -> None:
    """An id of several stores is one hit, with the labels of where it ranks best."""
    one = Outcome("one", ANSWERED, hits=hits("a", "b", "c"))
    other = Outcome("other", ANSWERED, hits=hits("b", "d"))
    late = Outcome("late", LATE)
    found = merged([one, late, other], [1.0, 5.0, 1.0], 3)
    assert [hit.hit.id for hit in found] == ["b", "a", "d"]
    assert found[0].score == pytest.approx(1 / 62 + 1 / 61)
    assert found[0].ranks == [("other", 1, 1.0), ("one", 2, 0.99)]
    weighed = merged([one, late, other], [9.0, 5.0, 1.0], 2)
    assert [hit.hit.id for hit in weighed] == ["b", "a"]


@given(
    rankings=st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8), max_size=4),
    limit=st.integers(1, 8),
)
def test_what_is_merged_is_what_the_stores_found(rankings: list[list[str]], limit: int) -> None:
    """Nothing is invented or told twice, and what all rank first is first."""
    outcomes = [
        Outcome(str(number), ANSWERED, hits=hits(*ids)) for number, ids in enumerate(rankings)
    ]
    found = merged(outcomes, [1.0] * len(outcomes), limit)
    ids = [one.hit.id for one in found]
    known = {one for ranking in rankings for one in ranking}
    assert len(ids) == len(set(ids)) == min(limit, len(known))
    assert set(ids) <= known
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        had = {
            str(n): ranking.index(one.hit.id) + 1
            for n, ranking in enumerate(rankings)
            if one.hit.id in ranking
        }
        assert {store: rank for store, rank, _ in one.ranks} == had


def test_a_store_that_was_skipped_says_why() -> None:
    """In words that an operator can act on."""
    store = Store("one", 1.0, Scripted(), FakeClock())
    store.gate.failed("its login is refused")
    assert store.skip().cause == "it is left alone for a while: its login is refused"


class Together(MemoryCollection):
    """Answers two searches at once."""

    def __init__(self) -> None:
        super().__init__("default.notes", Plan(SPACE))
        self._both = asyncio.Barrier(2)

    async def search(self, query: Query) -> tuple[Hit, ...]:
        await self._both.wait()
        return await super().search(query)


async def test_a_dropped_collection_is_lacking_for_all_who_search_it_at_once() -> None:
    """Each learns it from the store, and none stumbles over another who did."""
    memory = MemoryVectors()
    memory._collections["default.notes"] = Together()

    @asynccontextmanager
    async def opening() -> AsyncIterator[VectorStore]:
        yield memory

    source = OwnSource("memory", opening, FakeClock())
    store = Store("own", 1.0, source, FakeClock())

    async def both() -> list[int]:
        asked = (store.ask(COLLECTION, QUERY, 5) for _ in range(2))
        return [one.state for one in await asyncio.gather(*asked)]

    async with Tasks() as tasks:
        tasks.spawn("store", source.run())
        assert await both() == [ANSWERED, ANSWERED]
        await memory.drop("default.notes")
        assert await both() == [LACKING, LACKING]
        await tasks.end()
