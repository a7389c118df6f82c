"""Which worker does which task, and in which order: pure, and run in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.tasks.assignment.hungarian import assign

# A way that is none: more than all real ones together.
_NEVER: Final = 1e12
_DURATION_S_MAX: Final = 1e8


@dataclass(frozen=True, slots=True)
class Work:
    """A task: how long it takes at speed 1, what it needs, and what it reads where."""

    cost_s: float
    needs: frozenset[str]
    inputs: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Bench:
    """A worker: how much room it has, when it is free, and how it works."""

    can: frozenset[str]
    machine: str
    room: int
    free_in_s: float = 0.0
    latency_s: float = 0.0
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Seat:
    """A task's worker by its number, its place there from 1, and how long it takes."""

    worker: int
    position: int
    duration_s: float


def duration_s(work: Work, bench: Bench, bytes_per_s: float) -> float:
    """What a task takes at a worker, the way and the moving of data included."""
    moved = sum(size for machine, size in work.inputs if machine != bench.machine)
    return min(_DURATION_S_MAX, bench.latency_s + moved / bytes_per_s + work.cost_s / bench.speed)


def match(works: Sequence[Work], benches: Sequence[Bench], bytes_per_s: float) -> list[Seat | None]:
    """A seat for each task so that the sum of the times at which they are over is least; None for
    those that nobody has room for.

    A task that is k-th from the end at its worker delays k of them by what it takes. So each worker
    offers places counted from its end, and the cost of a place is that of what it delays. Offering
    one more than are taken is enough: a place nearer to the end is never dearer.
    """
    offered = [min(bench.room, len(works) // max(1, len(benches)) + 2) for bench in benches]
    while True:
        places = [(number, k + 1) for number, count in enumerate(offered) for k in range(count)]
        taken = _places(works, benches, places, bytes_per_s)
        used = [0] * len(benches)
        for place in taken:
            if place is not None:
                used[place[0]] += 1
        short = any(place is None for place in taken)
        more = [
            min(bench.room, len(works), 2 * count) if used[number] == count or short else count
            for number, (bench, count) in enumerate(zip(benches, offered, strict=True))
        ]
        if more == offered:
            return _seats(works, benches, taken, bytes_per_s)
        offered = more


def _places(
    works: Sequence[Work],
    benches: Sequence[Bench],
    places: Sequence[tuple[int, int]],
    bytes_per_s: float,
) -> list[tuple[int, int] | None]:
    spare = max(0, len(works) - len(places))
    while True:
        costs = [_row(work, benches, places, bytes_per_s) + [_NEVER] * spare for work in works]
        found = assign(costs)
        if spare == len(works) or all(
            costs[row][column] < _NEVER for row, column in enumerate(found)
        ):
            break
        # Whoever finds no place shall not take one that somebody else can use.
        spare = len(works)
    return [
        places[column] if costs[row][column] < _NEVER else None for row, column in enumerate(found)
    ]


def _row(
    work: Work, benches: Sequence[Bench], places: Sequence[tuple[int, int]], bytes_per_s: float
) -> list[float]:
    takes = [
        duration_s(work, bench, bytes_per_s) if work.needs <= bench.can else None
        for bench in benches
    ]
    return [
        _NEVER if (taken := takes[number]) is None else k * taken + benches[number].free_in_s
        for number, k in places
    ]


def _seats(
    works: Sequence[Work],
    benches: Sequence[Bench],
    taken: Sequence[tuple[int, int] | None],
    bytes_per_s: float,
) -> list[Seat | None]:
    """Places counted from the beginning."""
    counts = [0] * len(benches)
    for place in taken:
        if place is not None:
            counts[place[0]] = max(counts[place[0]], place[1])
    return [
        Seat(
            place[0],
            counts[place[0]] - place[1] + 1,
            duration_s(work, benches[place[0]], bytes_per_s),
        )
        if place is not None
        else None
        for work, place in zip(works, taken, strict=True)
    ]
