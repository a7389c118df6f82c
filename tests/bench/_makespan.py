"""When the last of a recorded workload's tasks is over, by ways of choosing workers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from services.tasks.assignment.matching import Bench, Work, duration_s, match
from tests.bench._workload import TASKS, WORKERS

BYTES_PER_S = 100e6
_MIB = 2**20
# Tasks by worker, in their order there.
Queues = list[list[int]]


def works() -> list[Work]:
    """What is known before."""
    return [
        Work(one.thought_s, frozenset({one.kind}), ((one.machine, one.data_mib * _MIB),))
        for one in TASKS
    ]


def benches() -> list[Bench]:
    return [
        Bench(
            frozenset(one.kinds),
            one.machine,
            one.capacity,
            latency_s=one.latency_s,
            speed=one.speed,
        )
        for one in WORKERS
    ]


def matched(order: list[int]) -> Queues:
    """As the agent does."""
    known = works()
    seats = match([known[number] for number in order], benches(), BYTES_PER_S)
    queues: Queues = [[] for _ in WORKERS]
    places = [
        (seat.worker, seat.position, number)
        for seat, number in zip(seats, order, strict=True)
        if seat
    ]
    for worker, _, number in sorted(places):
        queues[worker].append(number)
    return queues


def in_turn(order: list[int]) -> Queues:
    """Round robin over the workers that are capable and have room."""
    queues: Queues = [[] for _ in WORKERS]
    known, offered, turn = works(), benches(), 0
    for number in order:
        while True:
            worker = turn % len(offered)
            turn += 1
            has_room = len(queues[worker]) < offered[worker].room
            if has_room and known[number].needs <= offered[worker].can:
                queues[worker].append(number)
                break
    return queues


def shortest_queue(order: list[int]) -> Queues:
    """Each to whoever has the fewest tasks."""
    queues: Queues = [[] for _ in WORKERS]
    known, offered = works(), benches()
    for number in order:
        able = [
            worker
            for worker, bench in enumerate(offered)
            if known[number].needs <= bench.can and len(queues[worker]) < bench.room
        ]
        queues[min(able, key=lambda worker: len(queues[worker]))].append(number)
    return queues


WAYS: Mapping[str, Callable[[list[int]], Queues]] = {
    "matched": matched,
    "round robin": in_turn,
    "shortest queue": shortest_queue,
}


def makespan_s(queues: Queues) -> float:
    """With what the tasks took in truth, which nobody knew."""
    offered = benches()
    took = [Work(one.took_s, frozenset(), ((one.machine, one.data_mib * _MIB),)) for one in TASKS]
    return max(
        sum(duration_s(took[number], offered[worker], BYTES_PER_S) for number in queue)
        for worker, queue in enumerate(queues)
    )


def orders(count: int) -> list[list[int]]:
    """Orders in which the tasks come: as recorded, and drawn."""
    rng = random.Random(9)
    recorded = list(range(len(TASKS)))
    return [recorded, *(rng.sample(recorded, len(recorded)) for _ in range(count - 1))]
