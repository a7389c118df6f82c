"""Tasks get workers: messages to the matching and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

from services.tasks.assignment import refusal
from services.tasks.assignment.matching import Bench, Seat, Work
from tandem.tasks.v1.assignment_pb2 import AssignableTask, AssignedTask, Assignment, TaskWorker

_CAPACITY: Final = 16
_COST_S: Final = 1.0

Match = Callable[[Sequence[Work], Sequence[Bench], float], Awaitable[list[Seat | None]]]


class Known(Protocol):
    """The fleet, as far as it is needed here."""

    def workers(self) -> dict[str, TaskWorker]:
        """By name."""


class Seating:
    """Knows who is there, and has somebody who matches."""

    def __init__(self, fleet: Known, match: Match) -> None:
        self._fleet, self._match = fleet, match

    def workers(self, assignment: Assignment) -> dict[str, TaskWorker]:
        """By name: its own that are not lost, or the fleet's. Raises NotKnown."""
        if assignment.workers:
            return {one.name: one for one in assignment.workers if one.name not in assignment.lost}
        return self._fleet.workers()

    async def seat(
        self, assignment: Assignment, tasks: Sequence[AssignedTask], others: Sequence[Assignment]
    ) -> list[AssignedTask]:
        """Gives each of some tasks a worker; those are returned for whom there is none. What
        workers have of `others` takes their room and time.
        """
        workers = list(self.workers(assignment).values())
        works = [_work(one.task) for one in tasks]
        taken = _taken((assignment, *others))
        benches = [_bench(one, taken[one.name]) for one in workers]
        seats = await self._match(works, benches, float(assignment.bandwidth))
        ahead = {one.worker: 0 for one in assignment.tasks}
        for one in assignment.tasks:
            ahead[one.worker] = max(ahead[one.worker], one.position)
        without = []
        for one, seat in zip(tasks, seats, strict=True):
            del one.missing[:]
            one.ClearField("duration")
            if seat is None:
                one.position = 0
                one.missing.extend(refusal.missing(one.task, workers))
                without.append(one)
            else:
                one.worker = workers[seat.worker].name
                one.position = ahead.get(one.worker, 0) + seat.position
                one.duration.FromNanoseconds(round(seat.duration_s * 1e9))
        return without


def _taken(assignments: Iterable[Assignment]) -> dict[str, list[float]]:
    """How long each task takes that a worker has, by worker."""
    found: dict[str, list[float]] = defaultdict(list)
    for assignment in assignments:
        for one in assignment.tasks:
            found[one.worker].append(one.duration.ToNanoseconds() / 1e9)
    return found


def _bench(worker: TaskWorker, taken_s: Sequence[float]) -> Bench:
    return Bench(
        can=frozenset(worker.capabilities),
        machine=worker.machine,
        room=max(0, (worker.capacity or _CAPACITY) - len(taken_s)),
        free_in_s=sum(taken_s) + worker.backlog.ToNanoseconds() / 1e9,
        latency_s=worker.latency.ToNanoseconds() / 1e9,
        speed=worker.speed or 1.0,
    )


def _work(task: AssignableTask) -> Work:
    cost_s = task.cost.ToNanoseconds() / 1e9 if task.HasField("cost") else _COST_S
    inputs = tuple((one.machine, one.size_bytes) for one in task.inputs)
    return Work(cost_s, frozenset(task.capabilities), inputs)
