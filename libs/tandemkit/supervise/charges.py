"""One child in its supervisor's care: what it is doing, and what it is to do next."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass

from tandemkit.supervise.children import Child, ChildFailure, Life
from tandemkit.supervise.reports import Asked, Cancelled, Cause, Raised, Returned


class State(enum.StrEnum):
    """Where a child is. Only UP is of use to others."""

    WAITING = "waiting"
    STARTING = "starting"
    UP = "up"
    # It is to stop, once those behind it have.
    FALLING = "falling"
    STOPPING = "stopping"
    # Its work is done.
    ENDED = "ended"
    SUSPENDED = "suspended"
    REMOVED = "removed"


_FINALITY = (State.WAITING, State.SUSPENDED, State.REMOVED)
# Nobody waits for a child that is in one of these.
SETTLED = frozenset({State.UP, State.ENDED, State.SUSPENDED, State.REMOVED})


# What a child has to have done by its `due_s`.
TIMED = frozenset({State.WAITING, State.STARTING, State.STOPPING})


@dataclass(slots=True, eq=False)
class Charge:
    """The child's state. `due_s` is when it may start, must be ready, or must have stopped."""

    child: Child
    # One that comes later starts at once; the first ones start in order.
    is_late: bool = False
    state: State = State.WAITING
    task: asyncio.Task[None] | None = None
    due_s: float = 0.0
    # What it is after it has stopped, and when it may then start again.
    then: State = State.WAITING
    again_s: float = 0.0
    cause: Cause | None = None
    lives: int = 0
    failures: int = 0
    up_since_s: float | None = None
    is_ready: bool = False
    has_been_up: bool = False

    @property
    def name(self) -> str:
        return self.child.name

    @property
    def holds_up(self) -> bool:
        """Whether those behind it in the first start wait for it."""
        return not (self.is_late or self.has_been_up or self.state in SETTLED)

    def anew(self) -> None:
        """As it is when its supervisor begins, also for the second time."""
        if self.state is not State.SUSPENDED:
            self.state = State.WAITING
        self.due_s, self.failures, self.cause = 0.0, 0, None
        self.is_late = self.has_been_up = False
        self.up_since_s = None

    def wait(self, until_s: float) -> None:
        self.state, self.due_s = State.WAITING, until_s

    def fall(self, cause: Cause, then: State, again_s: float = 0.0) -> None:
        """Is to stop. One that waits has nothing to stop, and one that stops already goes on."""
        self.again_s = max(self.again_s, again_s)
        if self.state in (State.STARTING, State.UP):
            self.state, self.then, self.cause = State.FALLING, then, cause
        elif self.state in (State.FALLING, State.STOPPING):
            # Of two things that it is to be, the more final one.
            self.then = max(self.then, then, key=_FINALITY.index)
        elif self.state is State.WAITING:
            self.state, self.due_s = then, max(self.due_s, again_s)

    def put_down(self, asked: Asked, then: State) -> None:
        """Falls alone, on purpose; one that is down already is just called otherwise."""
        self.fall(asked, then)
        if self.task is None:
            self.state = then

    def take_up(self, now_s: float) -> bool:
        """Whether it was, or was to be, suspended; it is not any more."""
        if self.state is State.SUSPENDED:
            self.wait(now_s)
            return True
        if self.state in (State.FALLING, State.STOPPING) and self.then is State.SUSPENDED:
            self.then = State.WAITING
            return True
        return False

    def start(self, path: str, now_s: float, wake: Callable[[], None]) -> None:
        """Begins a new life; `wake` is called when it is ready, and when it ends."""
        self.lives += 1
        life = self.lives

        def ready() -> None:
            if self.lives == life and self.state is State.STARTING:
                self.is_ready = True
                wake()

        self.state, self.is_ready, self.up_since_s = State.STARTING, False, None
        self.due_s, self.again_s = now_s + self.child.ready_within_s, 0.0
        work = _living(self.child, Life(path, ready))
        self.task = asyncio.get_running_loop().create_task(work, name=path)
        self.task.add_done_callback(lambda _task: wake())

    def stop(self, now_s: float) -> None:
        self.state, self.due_s = State.STOPPING, now_s + self.child.grace_s
        if self.task is not None:
            self.task.cancel()

    def has_stopped(self) -> None:
        """Becomes what it was to become."""
        self.task = None
        self.state, self.due_s, self.again_s = self.then, self.again_s, 0.0


def outcome(task: asyncio.Task[None]) -> tuple[Cause, BaseException | None]:
    """How a task ended, for the record and for what is raised because of it."""
    if task.cancelled():
        return Cancelled(), None
    error = task.exception()
    if error is None:
        return Returned(), None
    return (error.cause if isinstance(error, ChildFailure) else Raised.of(error)), error


async def _living(child: Child, life: Life) -> None:
    # Inside of the task, so that a `run` that raises at once is the child's failure too.
    await child.run(life)
