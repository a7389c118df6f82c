"""A history that the registry keeps becomes events, each change once. Nothing is lost while the
event store is away, and of several agents that share the history whoever comes first tells it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.message import Message

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.storage.events.protocol import Event, NewEvent

_LOGGER = logging.getLogger("tandemkit.hosting")
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.5, 30.0


@dataclass(frozen=True, slots=True)
class Past:
    """One change: its number, when it was made, and the message that says it all."""

    version: int
    time_ns: int
    message: Message


class History(Protocol):
    """Changes by their versions, from 1 on. All but `read` raise Failure."""

    # The stream that they become events of, and how many are kept.
    stream: str
    kept_max: int

    def latest(self) -> AsyncGenerator[int, None]:
        """The latest version, now and whenever it is another one; 0 where there is none."""

    async def change(self, version: int) -> Past | None:
        """None where it is no longer kept."""

    def read(self, content: bytes) -> Past:
        """As it stands in an event."""


class Store(Protocol):
    """The part of the event store that is needed for it. Both raise Failure."""

    async def append(self, stream: str, events: Sequence[NewEvent]) -> object:
        """As `tandemkit.storage.events.protocol.EventStore` does."""

    async def read(self, stream: str, after: int) -> Sequence[Event]:
        """A page behind that version; none where there are no more."""


class HistoryRecording:
    def __init__(
        self,
        history: History,
        store: Store,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._history, self._store, self._clock, self._draw = history, store, clock, draw
        # The latest change that the store has, if it has any; it is asked once.
        self._told: Past | None = None
        self._has_asked = False
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled. It is nobody's health: a change holds whether or not it is recorded."""
        while True:
            try:
                async with aclosing(self._history.latest()) as versions:
                    async for version in versions:
                        await self._tell(version)
                        self._failures = 0
            except Failure as error:
                self._has_asked = False
                if not self._failures:
                    said = {"stream": self._history.stream, "cause": str(error)}
                    log.event(_LOGGER, logging.WARNING, "history.unrecorded", **said)
            self._failures += 1
            await self._clock.sleep(self._pause_s())

    async def _tell(self, latest: int) -> None:
        """One by one, so that each is known by its id whatever was sent with it before."""
        if not latest:
            return
        if not self._has_asked:
            self._told, self._has_asked = await self._last(), True
        oldest = max(1, latest - self._history.kept_max + 1)
        for version in range(max(await self._first(), oldest), latest + 1):
            change = await self._history.change(version)
            if change is not None:
                await self._store.append(self._history.stream, [self._event(change)])
                self._told = change

    async def _first(self) -> int:
        """The first one to tell: all of them where what was told last is of no history that there
        is, but of a registry that there was before.
        """
        told = self._told
        if told is None or await self._history.change(told.version) != told:
            return 1
        return told.version + 1

    async def _last(self) -> Past | None:
        last: Past | None = None
        after = 0
        while page := await self._store.read(self._history.stream, after):
            after, last = page[-1].version, self._history.read(page[-1].content)
        return last

    def _pause_s(self) -> float:
        doubled_s = _PAUSE_S_MIN * 2.0 ** min(self._failures, 10)
        return min(_PAUSE_S_MAX, doubled_s) * (0.5 + self._draw() / 2)

    def _event(self, change: Past) -> NewEvent:
        # A registry that was made anew counts from 1 again; its changes are others.
        name = f"{self._history.stream}/{change.version}/{change.time_ns}"
        content = change.message.SerializeToString(deterministic=True)
        return NewEvent(name, change.message.DESCRIPTOR.full_name, content)
