"""Values that somebody watches. No backend tells of a value's change, so they are looked at: once
for all watchers of a key, and not at all after a write of our own, which says it by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

from tandemkit.core.clock import Clock, until_next_s
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.registry.protocol import Versioned, check_name

Read = Callable[[str], Awaitable[Versioned | None]]
# Rises once what was written can be read; None where a backend knows of no such number.
Mark = Callable[[], int | None]
# Two looks a second cost an embedded registry one comparison, and Consul 1 ms of CPU time.
LOOK_AGAIN_S = 0.5


@dataclass(eq=False)
class _Watched:
    """One key as it was seen last, for all who watch it."""

    watchers_count: int = 0
    found: Versioned | None = None
    failure: Unreachable | Refused | None = None
    # Of what was seen; a look that began before another one ended may be the older of the two.
    number: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def version(self) -> int:
        return self.found.version if self.found else 0

    def saw(self, found: Versioned | None) -> None:
        self.number += 1
        was = self.version
        self.found, self.failure = found, None
        if self.version != was:
            self.wake()

    def wake(self) -> None:
        """Each change has an event of its own, so that nobody who is busy can miss one."""
        self.changed.set()
        self.changed = asyncio.Event()


class WatchedValues:
    """The one event loop makes this safe without a lock."""

    def __init__(self, read: Read, clock: Clock, mark: Mark) -> None:
        self._read, self._clock, self._mark = read, clock, mark
        self._watched: dict[str, _Watched] = {}

    async def run(self) -> None:
        """Looks at what is watched, until cancelled."""
        seen: int | None = None
        while True:
            await self._clock.sleep(until_next_s(self._clock, LOOK_AGAIN_S))
            mark = self._mark()
            if mark is not None and mark == seen:
                continue
            seen = mark
            for key, one in tuple(self._watched.items()):
                try:
                    await self._look(key, one)
                except (Unreachable, Refused) as error:
                    one.failure = error
                    one.wake()

    def wrote(self, key: str, found: Versioned | None) -> None:
        """Tells watchers at once what was written here."""
        one = self._watched.get(key)
        # Answers to two writers may come in either order, and versions only rise.
        if one is not None and (found is None or found.version > one.version):
            one.saw(found)

    async def watch(self, key: str) -> AsyncGenerator[Versioned | None, None]:
        """The value as it is, and again when it is another one. Raises Unreachable and Refused, and
        ValueError for what is no key.
        """
        check_name(key)
        one = self._watched.setdefault(key, _Watched())
        one.watchers_count += 1
        try:
            await self._look(key, one)
            told: int | None = None
            while True:
                changed = one.changed
                if one.failure is not None:
                    raise type(one.failure)(str(one.failure)) from one.failure
                if one.version != told:
                    told = one.version
                    yield one.found
                else:
                    await changed.wait()
        finally:
            one.watchers_count -= 1
            if not one.watchers_count:
                del self._watched[key]

    async def _look(self, key: str, one: _Watched) -> None:
        number = one.number
        found = await self._read(key)
        if number == one.number:
            one.saw(found)
