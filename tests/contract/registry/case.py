"""What a backend brings to the suite, and how the suite waits and watches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

from tandemkit.core.clock import Clock
from tandemkit.registry.protocol import Changed, Entry, Event, Registry, Removed, Snapshot
from tandemkit.supervise.tasks import Tasks
from tests.cluster.eventually import eventually


class Case(Protocol):
    """One backend under test, empty at first. The fixture `case` yields it, and closes what it
    opened.
    """

    @property
    def ttl_s(self) -> float:
        """The shortest time to live that the backend keeps to."""

    @property
    def late_s(self) -> float:
        """What is not renewed has surely ended this long after its time to live."""

    @property
    def clock(self) -> Clock:
        """Its `sleep` lets the backend's time pass: SystemClock for a real server."""

    async def open(self) -> Registry:
        """A client that shares nothing with the others, as another control would; where the
        backend lives in this process, the one that there is.
        """


class Restartable(Case, Protocol):
    """A backend that has a process, or is in one."""

    async def kill_and_restart(self) -> None:
        """Ends it as kill -9 would and starts it on what it had on disk. A client of before need
        not live on where it was in the same process: the suite opens a new one.
        """


class Severable(Restartable, Protocol):
    """A backend behind a network."""

    async def cut(self) -> None:
        """From now on nothing passes between any client and the backend; nobody is told."""

    async def heal(self) -> None:
        """What is sent from now on passes again."""


class Watched:
    """What a watcher knows: every event it had, and what follows from them."""

    def __init__(self, view: dict[str, Entry] | None = None) -> None:
        self.events: list[Event] = []
        self.view = dict(view or {})
        self.revision = 0

    async def follow(self, changes: AsyncGenerator[Event, None]) -> None:
        async with aclosing(changes):
            async for event in changes:
                self._take(event)

    def values(self) -> dict[str, bytes]:
        return {key: entry.value for key, entry in self.view.items()}

    def _take(self, event: Event) -> None:
        assert event.revision >= self.revision, "revisions went back"
        self.revision = event.revision
        match event:
            case Snapshot():
                self.view = {entry.key: entry for entry in event.entries}
                assert len(self.view) == len(event.entries), "a key twice in a snapshot"
            case Changed():
                assert self.view.get(event.entry.key) != event.entry, "a change that is none"
                self.view[event.entry.key] = event.entry
            case Removed():
                assert self.view.pop(event.key, None), "removed what was not there"
        self.events.append(event)


@asynccontextmanager
async def watching(case: Case, registry: Registry) -> AsyncIterator[Watched]:
    """A watcher that has its first Snapshot."""
    watched = Watched()
    async with Tasks() as tasks:
        tasks.spawn("watch", watched.follow(registry.watch()))
        await until(case, lambda: bool(watched.events))
        yield watched


@asynccontextmanager
async def resuming(registry: Registry, known: Watched, since: int) -> AsyncIterator[Watched]:
    """A watcher that knows what `known` knows, and asks for what came after `since`."""
    watched = Watched(known.view)
    async with Tasks() as tasks:
        tasks.spawn("watch", watched.follow(registry.watch(since)))
        yield watched


async def until(case: Case, holds: Callable[[], bool], *, within_s: float = 0.0) -> None:
    """Lets time pass until it holds: for twice as long as the backend may take to end a lease,
    where `within_s` says no other.
    """
    limit_s = within_s or 2 * (case.ttl_s + case.late_s)

    async def look() -> bool:
        return holds()

    await eventually(look, within_s=limit_s, clock=case.clock)


async def outlive(case: Case, ttl_s: float) -> None:
    """Lets everything end that is not renewed and had `ttl_s` to live."""
    await case.clock.sleep(ttl_s + case.late_s)
