"""From an outbox to an event store, each event once: it is sent until the store confirms it, and
the store knows by its id one that it has.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.storage.events.protocol import IdTaken, NewEvent
from tandemkit.storage.outbox import Kept, Outbox

_EVENTS_MAX = 100
# Of the 4 MiB that a message may have, with room for an event that begins below it.
_BYTES_MAX = 2 * 1024 * 1024
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.1, 10.0
_LOGGER = logging.getLogger("tandemkit.storage")


class Appends(Protocol):
    """The part of an event store that is needed for it."""

    async def append(self, stream: str, events: Sequence[NewEvent]) -> object:
        """As `tandemkit.storage.events.protocol.EventStore` does. Raises IdTaken, and any other
        Failure where the same may be appended again.
        """


class Forwarding:
    """Takes from the outbox what the store has. Of two events of a stream the earlier one is
    recorded first.
    """

    def __init__(
        self,
        outbox: Outbox,
        store: Appends,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._outbox, self._store, self._clock, self._draw = outbox, store, clock, draw
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled. It does nothing while there is nothing to send."""
        while True:
            await self._outbox.filled.wait()
            self._outbox.filled.clear()
            try:
                while await self.forward():
                    self._failures = 0
            except Failure as error:
                self._outbox.filled.set()
                self._failures += 1
                if self._failures == 1:
                    log.event(_LOGGER, logging.WARNING, "events.unsent", cause=str(error))
                await self._clock.sleep(self._pause_s())

    async def forward(self) -> bool:
        """Sends the oldest, and returns whether there were any. Raises what the store does."""
        kept = await self._outbox.first(_EVENTS_MAX)
        for run in _runs(kept):
            await self._send(run)
            await self._outbox.forget(run[-1].number)
        return bool(kept)

    async def _send(self, run: Sequence[Kept]) -> None:
        stream, events = run[0].stream, [one.event for one in run]
        try:
            await self._store.append(stream, events)
        except IdTaken:
            # It has some of them: an answer was lost, and the outbox went on.
            for event in events:
                await self._send_alone(stream, event)

    async def _send_alone(self, stream: str, event: NewEvent) -> None:
        try:
            await self._store.append(stream, [event])
        except IdTaken as error:
            # Whatever the store has under this id, this one will never get in.
            said = {"stream": stream, "id": event.id, "cause": str(error)}
            log.event(_LOGGER, logging.ERROR, "events.refused", **said)

    def _pause_s(self) -> float:
        doubled_s = _PAUSE_S_MIN * 2.0 ** min(self._failures, 10)
        return min(_PAUSE_S_MAX, doubled_s) * (0.5 + self._draw() / 2)


def _runs(kept: Iterable[Kept]) -> Iterator[list[Kept]]:
    """Neighbours of one stream, as many as one message takes."""
    for _, neighbours in groupby(kept, key=lambda one: one.stream):
        run: list[Kept] = []
        size = 0
        for one in neighbours:
            if size > _BYTES_MAX:
                yield run
                run, size = [], 0
            run.append(one)
            size += len(one.event.content)
        yield run
