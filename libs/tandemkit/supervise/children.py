"""What a supervisor is told of a child: how to run it, and what to do when it ends."""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from tandemkit.core.errors import Failure
from tandemkit.supervise.reports import Cause


class Restart(enum.Enum):
    """When a child that ended by itself is started again."""

    ALWAYS = "permanent"
    ON_FAILURE = "transient"
    NEVER = "temporary"


@dataclass(frozen=True, slots=True)
class Life:
    """One run of a child: where it stands among the supervisors, and whom it tells that it is
    ready. Those behind it in order wait for that.
    """

    path: str
    ready: Callable[[], None]


Run = Callable[[Life], Coroutine[object, object, None]]
Work = Callable[[], Coroutine[object, object, None]]


@dataclass(frozen=True, slots=True)
class Child:
    """A coroutine to keep running, whatever it runs: `task`, `thread`, `process` and a supervisor's
    own `child` make one. `run` is called for each life and says `ready()` within `ready_within_s`,
    or fails; cancelled, it ends within `grace_s`.
    """

    name: str
    run: Run
    restart: Restart = Restart.ALWAYS
    grace_s: float = 5.0
    ready_within_s: float = 30.0


class ChildFailure(Failure):
    """A failure that knows what a supervisor's report says of it."""

    def __init__(self, message: str, cause: Cause, **metadata: object) -> None:
        super().__init__(message, **metadata)
        self.cause = cause


class Unmendable(Failure):
    """A child raises it where another life would be of no use: its supervisor gives up at once."""


def task(
    name: str, work: Work, restart: Restart = Restart.ALWAYS, *, grace_s: float = 5.0
) -> Child:
    """A child that is ready as soon as it runs: `work` makes a new coroutine for each life."""

    async def run(life: Life) -> None:
        life.ready()
        await work()

    return Child(name, run, restart, grace_s)
