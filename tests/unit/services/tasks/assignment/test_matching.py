"""Who does what: the least that is possible, by comparison with every other way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tasks.assignment.hungarian import assign
from services.tasks.assignment.matching import Bench, Seat, Work, duration_s, match
from tests.bench._makespan import WAYS, makespan_s, orders

BYTES_PER_S = 100.0
COSTS = st.integers(0, 50).map(float)
KINDS = st.frozensets(st.sampled_from("abc"), max_size=2)
WORKS = st.builds(
    Work,
    st.floats(0.1, 20),
    KINDS,
    st.tuples(st.tuples(st.sampled_from(["one", "two"]), st.integers(0, 900))),
)
BENCHES = st.builds(
    Bench,
    st.frozensets(st.sampled_from("abc")),
    st.sampled_from(["one", "two", ""]),
    st.integers(0, 3),
    st.floats(0, 30),
    st.floats(0, 2),
    st.floats(0.2, 5),
)


@given(st.integers(0, 5), st.integers(0, 2), st.data())
def test_rows_find_the_cheapest_columns(rows: int, more: int, data: st.DataObject) -> None:
    """No other way of giving each row a column of its own costs less."""
    columns = rows + more
    row = st.lists(COSTS, min_size=columns, max_size=columns)
    costs = data.draw(st.lists(row, min_size=rows, max_size=rows))
    found = assign(costs)
    assert len(set(found)) == rows
    least = min(
        sum(costs[number][column] for number, column in enumerate(way))
        for way in permutations(range(columns), rows)
    )
    assert sum(costs[number][column] for number, column in enumerate(found)) == least


def ways(works: Sequence[Work], benches: Sequence[Bench]) -> Iterator[tuple[int, float]]:
    """Every way of giving tasks to workers: how many have one, and the sum of their ends."""
    for way in product(range(-1, len(benches)), repeat=len(works)):
        total_s = 0.0
        for worker, bench in enumerate(benches):
            mine = [work for work, chosen in zip(works, way, strict=True) if chosen == worker]
            if len(mine) > bench.room or not all(work.needs <= bench.can for work in mine):
                total_s = inf
                break
            # The shortest first is the best order of any.
            takes = sorted(duration_s(work, bench, BYTES_PER_S) for work in mine)
            total_s += sum(bench.free_in_s + sum(takes[: n + 1]) for n in range(len(takes)))
        if total_s < inf:
            yield sum(chosen >= 0 for chosen in way), total_s


@settings(deadline=None, max_examples=150)
@given(st.lists(WORKS, max_size=5), st.lists(BENCHES, min_size=1, max_size=3))
def test_the_sum_of_all_ends_is_the_least_that_is_possible(
    works: list[Work], benches: list[Bench]
) -> None:
    """By load, speed, latency, room and where the data is; nobody who could have a seat is left
    without, and nobody does what he is not capable of.
    """
    seats = match(works, benches, BYTES_PER_S)
    queues: dict[int, list[tuple[int, float]]] = {}
    for work, seat in zip(works, seats, strict=True):
        if seat is not None:
            bench = benches[seat.worker]
            assert work.needs <= bench.can
            assert seat.duration_s == duration_s(work, bench, BYTES_PER_S)
            queues.setdefault(seat.worker, []).append((seat.position, seat.duration_s))
    total_s = 0.0
    for worker, queue in queues.items():
        queue.sort()
        assert [position for position, _ in queue] == list(range(1, len(queue) + 1))
        assert len(queue) <= benches[worker].room
        for number in range(len(queue)):
            total_s += benches[worker].free_in_s + sum(took for _, took in queue[: number + 1])
    most = max(count for count, _ in ways(works, benches))
    assert sum(seat is not None for seat in seats) == most
    least = min(total for count, total in ways(works, benches) if count == most)
    assert total_s == pytest.approx(least)


def test_load_latency_and_locality_each_decide() -> None:
    """All else being the same."""
    task = Work(1.0, frozenset("a"), (("one", 1000),))
    plain = Bench(frozenset("a"), "one", 9)
    far = Bench(frozenset("a"), "two", 9)
    busy = Bench(frozenset("a"), "one", 9, free_in_s=1.0)
    slow = Bench(frozenset("a"), "one", 9, latency_s=0.5)
    weak = Bench(frozenset("a"), "one", 9, speed=0.5)
    unable = Bench(frozenset("b"), "one", 9)
    for worse in (far, busy, slow, weak, unable):
        for number, both in enumerate(([plain, worse], [worse, plain])):
            assert match([task], both, BYTES_PER_S) == [Seat(number, 1, 1.0)]


def test_m009_it_beats_round_robin_on_a_recorded_workload() -> None:
    """The last task is over sooner than in the best order that round robin has, in any order."""
    ours, theirs = (
        [makespan_s(WAYS[way](order)) for order in orders(8)] for way in ("matched", "round robin")
    )
    assert max(ours) < min(theirs)
    assert sum(ours) < 0.7 * sum(theirs)
