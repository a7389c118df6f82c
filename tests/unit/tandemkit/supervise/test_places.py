from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.supervise.places import NoPlace, Places

RANKS = st.integers(1, 3)


async def outcome(places: Places, rank: int, order: list[int]) -> bool:
    """Whether it had a place, which it gives back at once."""
    try:
        await places.take(rank)
    except NoPlace:
        return False
    order.append(rank)
    places.give()
    return True


@given(ranks=st.lists(RANKS, max_size=30), waiting_max=st.integers(0, 10))
async def test_m028_those_who_wait_go_by_rank_and_the_greatest_is_refused_first(
    ranks: list[int], waiting_max: int
) -> None:
    """Nobody who was refused has a lesser rank than one who was not, and all others have their
    turn, the lesser rank first.
    """
    places, order = Places(1, waiting_max), list[int]()
    await places.take(0)
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(outcome(places, rank, order)) for rank in ranks]
        if asking:
            await asyncio.wait(asking, timeout=0)
        places.give()
    had = [rank for rank, task in zip(ranks, asking, strict=True) if task.result()]
    assert order == sorted(ranks)[: len(had)] == sorted(had)
    assert len(had) == min(len(ranks), waiting_max)


async def test_a_place_that_comes_with_a_cancellation_is_not_lost() -> None:
    """Whoever is cancelled while his turn comes gives it to the next."""
    places, order = Places(1, 5), list[int]()
    await places.take(0)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(outcome(places, 1, order))
        second = tasks.create_task(outcome(places, 2, order))
        await asyncio.wait([first], timeout=0)
        places.give()
        first.cancel()
        assert await second
    assert (order, places.waiting) == ([2], 0)
    await places.take(0)


async def test_a_queue_of_none_refuses_at_once() -> None:
    """There is a place or there is not."""
    places = Places(1, 0)
    await places.take(0)
    with pytest.raises(NoPlace):
        await places.take(0)
    places.give()
    await places.take(0)
