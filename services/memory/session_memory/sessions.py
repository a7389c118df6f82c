"""What may be done with sessions, one at a time with each."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from services.memory.session_memory import digest, refusal
from services.memory.session_memory.dialogue import CHAPTER
from services.memory.session_memory.records import copy_of, turn_digest, with_only
from services.memory.session_memory.shelf import Shelf
from services.memory.session_memory.window import Window, window_of
from tandem.memory.config.v1.session_memory_pb2 import SessionMemorySettings
from tandem.memory.v1.session_memory_service_pb2 import AppendTurnRequest
from tandem.memory.v1.session_pb2 import SessionDigest, SessionRecord, Turn
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.ml.text.tokens import estimated_tokens
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.failure import Damaged
from tandemkit.supervise.in_threads import to_its_end
from tandemkit.supervise.terms import Terms
from tandemkit.telemetry.exposition import GAUGE, Family, Sample

_AGAIN_S: Final = 1.0
# What is damaged mends itself seldom.
_DAMAGED_AGAIN_S: Final = 3600.0
_LOGGER = logging.getLogger("services.memory.session_memory")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, and for how long."""

    turns_max: int
    text_bytes_max: int
    sessions_max: int
    ttl: timedelta

    @classmethod
    def of(cls, settings: SessionMemorySettings) -> Bounds:
        return cls(
            # A chapter makes room at a time, and another one stays.
            max(settings.turns_max or 2000, 2 * CHAPTER),
            settings.text_bytes_max or 4 * 1024 * 1024,
            settings.sessions_max or 10_000,
            settings.ttl.ToTimedelta() or timedelta(days=30),
        )


@dataclass(frozen=True, slots=True)
class Appended:
    """A turn as it is kept, and its session."""

    turn: Turn
    record: SessionRecord
    was_there: bool


class Sessions:
    """Raises CallerError, and what the store raises."""

    def __init__(self, shelf: Shelf, bounds: Bounds, clock: Clock) -> None:
        self._shelf, self._bounds, self._clock = shelf, bounds, clock
        self._terms = Terms(clock)
        # Those that are over and cannot be deleted, for what is kept of them is damaged.
        self.damaged: set[str] = set()

    def families(self) -> Iterator[Family]:
        """For Prometheus."""
        meaning, count = "Sessions that are over and cannot be deleted.", len(self.damaged)
        yield Family("tandem_session_memory_damaged", GAUGE, meaning, [Sample(count, {})])

    async def restore(self) -> None:
        """What an earlier life wrote, with what is left of its time."""
        await self._shelf.restore()
        for name, record in self._shelf.records.items():
            left = record.session.expire_time.ToDatetime(self._clock.now().tzinfo)
            self._terms.begin(name, (left - self._clock.now()).total_seconds())

    async def append(self, request: AppendTurnRequest) -> Appended:
        name = request.session
        async with self._shelf.alone(name):
            known = self._shelf.records.get(name)
            if known is None and len(self._shelf.records) >= self._bounds.sessions_max:
                raise refusal.full(self._bounds.sessions_max)
            dialogue = await self._shelf.dialogue(name)
            if found := dialogue.found(request.turn_id):
                if not _is_same(found, request):
                    raise refusal.taken(request.turn_id)
                return Appended(found, self._shelf.record(name), was_there=True)
            record = copy_of(known or SessionRecord())
            _check_open(record, request)
            turn = self._turn(request, record.session.last_number + 1)
            self._count(record, request, turn)
            term_s = record.session.ttl.ToTimedelta().total_seconds()
            if known is None:
                # The end of its first write may not be heard.
                self._terms.begin(name, term_s)
            await self._shelf.append(name, record, turn)
            self._terms.begin(name, term_s)
            await self._make_room(name)
            return Appended(turn, self._shelf.record(name), was_there=False)

    async def window(self, name: str, tokens_max: int, query: str) -> Window:
        async with self._shelf.alone(name):
            self._shelf.record(name)
            dialogue = await self._shelf.dialogue(name)
            # Of a long dialogue it takes some milliseconds.
            return await to_its_end(window_of, dialogue, tokens_max, query)

    async def recall(self, name: str, query: str, limit: int) -> list[tuple[Turn, float]]:
        """Turns that have words of it, the best first."""
        async with self._shelf.alone(name):
            self._shelf.record(name)
            dialogue = await self._shelf.dialogue(name)
            found = dialogue.searched(query)[:limit]
            return [(dialogue.turns[number], score) for number, score in found]

    async def close(self, name: str) -> SessionRecord:
        async with self._shelf.alone(name):
            record = copy_of(self._shelf.record(name))
            if not record.session.is_closed:
                record.session.is_closed = True
                await self._shelf.write(name, record)
            return record

    async def delete(self, name: str) -> None:
        """Harmless where there is none."""
        async with self._shelf.alone(name):
            await self._delete(name)

    async def expire(self) -> None:
        """Deletes what nobody used for long enough, until cancelled. One that is damaged keeps no
        other from its end.
        """
        while True:
            for name in await self._terms.ended():
                try:
                    await self._expire(name)
                except Damaged as error:
                    self.damaged.add(name)
                    self._terms.begin(name, _DAMAGED_AGAIN_S)
                    log.event(_LOGGER, logging.ERROR, "sessions.damaged", cause=str(error))
                except (Unreachable, Refused) as error:
                    log.event(_LOGGER, logging.WARNING, "sessions.not_expired", cause=str(error))
                    await self._clock.sleep(_AGAIN_S)

    async def _expire(self, name: str) -> None:
        async with self._shelf.alone(name):
            # Who had it until now may have used it.
            if self._terms.left_s(name) <= 0:
                await self._delete(name)

    async def _delete(self, name: str) -> None:
        if name in self._shelf.records:
            await self._shelf.delete(name)
        self._terms.drop(name)
        self.damaged.discard(name)

    def _turn(self, request: AppendTurnRequest, number: int) -> Turn:
        turn = Turn(
            number=number,
            turn_id=request.turn_id,
            role=request.role,
            text=request.text,
            subjects=request.subjects,
            tokens=estimated_tokens(request.text),
        )
        turn.time.FromDatetime(self._clock.now())
        return turn

    def _count(self, record: SessionRecord, request: AppendTurnRequest, turn: Turn) -> None:
        session = record.session
        if not session.name:
            session.name = request.session
            session.create_time.CopyFrom(turn.time)
            session.ttl.FromTimedelta(self._bounds.ttl)
        if request.HasField("ttl"):
            session.ttl.CopyFrom(request.ttl)
        session.append_time.CopyFrom(turn.time)
        session.expire_time.FromDatetime(self._clock.now() + session.ttl.ToTimedelta())
        session.last_number = turn.number
        session.turns += 1
        session.text_bytes += len(turn.text.encode())

    async def _make_room(self, name: str) -> None:
        """The oldest chapter goes; what was central to it stays."""
        dialogue = await self._shelf.dialogue(name)
        while self._is_over(self._shelf.record(name)):
            going = dialogue.first_chapter()
            said = [*dialogue.forgotten, *digest.chapter(going)]
            kept = digest.condensed(said, digest.FORGOTTEN_TOKENS)
            numbers = [turn.number for turn in going]
            record = with_only(self._shelf.record(name), dialogue.but(numbers))
            record.session.forgotten_turns += len(going)
            await self._shelf.remove(name, record, numbers, SessionDigest(sentences=kept))

    def _is_over(self, record: SessionRecord) -> bool:
        """The chapter that is being said is never the one that goes."""
        session = record.session
        if session.turns <= CHAPTER:
            return False
        bounds = self._bounds
        return session.turns > bounds.turns_max or session.text_bytes > bounds.text_bytes_max


def _check_open(record: SessionRecord, request: AppendTurnRequest) -> None:
    if record.session.is_closed:
        raise refusal.closed(request.session)
    if turn_digest(request.turn_id) in record.deleted_turns:
        raise refusal.deleted(request.turn_id)


def _is_same(turn: Turn, request: AppendTurnRequest) -> bool:
    return (turn.role, turn.text, list(turn.subjects)) == (
        request.role,
        request.text,
        list(request.subjects),
    )
