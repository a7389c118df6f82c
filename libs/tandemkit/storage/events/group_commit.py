"""Appends that wait at the same time share one write: the disk is slow by the write, not by the
event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from tandemkit.core.errors import Failure
from tandemkit.storage.events.protocol import (
    Appended,
    Event,
    IdTaken,
    NewEvent,
    StreamConflict,
    Unreachable,
)

_EVENTS_MAX = 2000


@dataclass(frozen=True, slots=True)
class Append:
    """What one caller wants written."""

    stream: str
    events: tuple[NewEvent, ...]
    expected: int | None = None


Outcome = Appended | Failure


def settled(wanted: Append, version: int, known: Mapping[str, Event]) -> Outcome | None:
    """What comes of an append without a write, in a stream of that version; None where it is to be
    written.
    """
    if known:
        found = [known.get(event.id) for event in wanted.events]
        last = found[-1]
        if last is not None and all(
            there is not None
            and (there.stream, there.kind, there.content)
            == (wanted.stream, event.kind, event.content)
            and there.version == last.version - len(found) + number
            for number, (there, event) in enumerate(zip(found, wanted.events, strict=True), 1)
        ):
            return Appended(last.version, last.position)
        return IdTaken("an id is another event's already", id=next(iter(known)))
    if wanted.expected is not None and wanted.expected != version:
        return StreamConflict(wanted.stream, wanted.expected, version)
    return None


class GroupCommit:
    """`commit` writes many appends at once and says what came of each, in their order; a Failure
    that it raises is everybody's.
    """

    def __init__(self, commit: Callable[[Sequence[Append]], Awaitable[Sequence[Outcome]]]) -> None:
        self._commit = commit
        self._waiting: list[tuple[Append, asyncio.Future[Outcome]]] = []
        self._due = asyncio.Event()
        self._closed = False

    async def append(self, wanted: Append) -> Appended:
        """May happen though its caller gave up."""
        if self._closed:
            raise Unreachable("the event store is closed")
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, answer))
        self._due.set()
        outcome = await answer
        if isinstance(outcome, Failure):
            raise outcome
        return outcome

    async def run(self) -> None:
        """Writes what is wanted, until cancelled."""
        batch: list[tuple[Append, asyncio.Future[Outcome]]] = []
        try:
            while True:
                await self._due.wait()
                batch = self._next()
                _tell(batch, await self._outcomes([wanted for wanted, _ in batch]))
        finally:
            self._closed = True
            left = [*batch, *self._waiting]
            _tell(left, [Unreachable("the event store closed")] * len(left))

    def _next(self) -> list[tuple[Append, asyncio.Future[Outcome]]]:
        count = events = 0
        for wanted, _ in self._waiting:
            events += len(wanted.events)
            if count and events > _EVENTS_MAX:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        if not self._waiting:
            self._due.clear()
        return batch

    async def _outcomes(self, batch: Sequence[Append]) -> Sequence[Outcome]:
        try:
            return await self._commit(batch)
        except Unreachable as error:
            return [error] * len(batch)


def _tell(
    batch: Sequence[tuple[Append, asyncio.Future[Outcome]]], outcomes: Sequence[Outcome]
) -> None:
    for (_, answer), outcome in zip(batch, outcomes, strict=True):
        if not answer.done():
            answer.set_result(outcome)
