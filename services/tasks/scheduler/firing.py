"""Fires what is due: takes a schedule up on disk, makes the call, and writes down how it ended.

Whoever dies in between leaves a record that says so. It is taken up again, with the same key, by
the first who looks at it behind the end of the hold.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from google.rpc import code_pb2

from services.tasks.scheduler import course
from services.tasks.scheduler.agenda import Agenda
from services.tasks.scheduler.book import Book, Kept, Wake, wake_of
from services.tasks.scheduler.course import Deed
from tandem.tasks.v1 import agent_call_pb2 as call
from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1 import schedule_pb2 as pb
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.core.ids import event_id
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.rpc import failure
from tandemkit.supervise.tasks import Tasks

_LOGGER = logging.getLogger("services.tasks.scheduler")
_PAUSE_S = 1.0
_UNKNOWN = errors.ERROR_REASON_METHOD_UNKNOWN


class Caller(Protocol):
    """`tandemkit.hosting.agent_caller.AgentCaller`, as far as it is needed here."""

    async def call(self, call: call.AgentCall, key: str) -> call.AgentAnswer:
        """How the call ended. Raises CallerError, TransientError."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a firing is held without a word, how many calls are made at once, and how many
    firings each schedule remembers.
    """

    hold: timedelta
    calls_max: int
    firings_kept: int


class Firing:
    """One life of a scheduler."""

    def __init__(
        self, book: Book, agenda: Agenda, caller: Caller, clock: Clock, terms: Terms
    ) -> None:
        self._book, self._agenda, self._caller = book, agenda, caller
        self._clock, self._terms = clock, terms
        self._life = event_id()
        self._seats = asyncio.Semaphore(terms.calls_max)
        # Schedules that are looked at, and whether to look once more.
        self._busy: dict[str, bool] = {}
        # Firings whose calls are made, by schedule, with the moment of their last word.
        self._held: dict[str, tuple[str, float]] = {}
        self._holds = asyncio.Event()

    async def run(self) -> None:
        """Fires, until cancelled; calls in progress are then left to the next life."""
        async with Tasks() as looks:
            while True:
                await self._seats.acquire()
                schedule_id = await self._agenda.next()
                if schedule_id in self._busy:
                    self._busy[schedule_id] = True
                    self._seats.release()
                else:
                    self._busy[schedule_id] = False
                    looks.spawn(f"look at {schedule_id}", self._look_at(schedule_id))

    async def renew(self) -> None:
        """Tells of calls that take long that somebody still makes them, until cancelled."""
        silence_s = self._terms.hold.total_seconds() / 4
        while True:
            await self._holds.wait()
            await self._clock.sleep(silence_s)
            now_s = self._clock.monotonic_s()
            for schedule_id, (key, said_s) in tuple(self._held.items()):
                if now_s - said_s >= silence_s:
                    await self._say(schedule_id, key)
            if not self._held:
                self._holds.clear()

    async def _look_at(self, schedule_id: str) -> None:
        try:
            await self._advance(schedule_id)
        except (Unreachable, Refused) as error:
            _warn("schedules.store_failed", schedule=schedule_id, cause=str(error))
            await self._clock.sleep(_PAUSE_S)
            self._busy[schedule_id] = True
        finally:
            self._seats.release()
            if self._busy.pop(schedule_id):
                self._agenda.note(Wake(self._clock.now(), schedule_id))

    async def _advance(self, schedule_id: str) -> None:
        """As far as it goes now: a firing, and another one where that is due too."""
        kept = await self._book.get(schedule_id)
        deed = Deed.NOTE
        while kept is not None and deed is not Deed.NOTHING:

            def edit(record: pb.ScheduleRecord) -> bool:
                nonlocal deed
                deed = course.take_up(record, self._clock.now(), self._life, self._terms.hold)
                course.trim(record, self._terms.firings_kept)
                return deed is not Deed.NOTHING

            kept = await self._book.change(schedule_id, edit, kept)
            if kept is not None and deed is Deed.CALL:
                kept = await self._fire(schedule_id, kept)
        if kept is not None and (wake := wake_of(kept.record)):
            self._agenda.note(wake)

    async def _fire(self, schedule_id: str, kept: Kept) -> Kept | None:
        key = kept.record.current.key
        self._held[schedule_id] = (key, self._clock.monotonic_s())
        self._holds.set()
        try:
            answer = await self._answer(kept.record.schedule.plan.call, key)
            return await self._conclude(schedule_id, kept, answer)
        finally:
            del self._held[schedule_id]

    async def _conclude(
        self, schedule_id: str, kept: Kept, answer: call.AgentAnswer
    ) -> Kept | None:
        """Writes down how it ended, however long the store is away: nobody else knows."""
        key = kept.record.current.key

        def edit(record: pb.ScheduleRecord) -> bool:
            if not self._is_mine(record, key):
                _warn("schedules.hold_lost", schedule=schedule_id, key=key)
                return False
            course.conclude(record, answer, self._clock.now())
            course.trim(record, self._terms.firings_kept)
            return True

        while True:
            try:
                return await self._book.change(schedule_id, edit, kept)
            except Unreachable as error:
                _warn("schedules.store_failed", schedule=schedule_id, cause=str(error))
                await self._clock.sleep(_PAUSE_S)

    async def _answer(self, wanted: call.AgentCall, key: str) -> call.AgentAnswer:
        """A callee that was known when the schedule was made, and is not now, may come back."""
        try:
            return await self._caller.call(wanted, key)
        except (CallerError, TransientError) as error:
            refusal = failure.of_agent(error, errors.ErrorReason.DESCRIPTOR)
            failed = call.CallFailure(
                code=code_pb2.Code.Name(refusal.code.value[0]),
                reason=refusal.reason,
                domain=refusal.domain,
                message=refusal.message,
                may_retry=isinstance(error, TransientError) or error.reason == _UNKNOWN,
            )
            return call.AgentAnswer(failure=failed)

    async def _say(self, schedule_id: str, key: str) -> None:
        """Begins the hold anew."""

        def edit(record: pb.ScheduleRecord) -> bool:
            if not self._is_mine(record, key):
                return False
            record.wake_time.FromDatetime(self._clock.now() + self._terms.hold)
            return True

        try:
            await self._book.change(schedule_id, edit)
        except (Unreachable, Refused) as error:
            _warn("schedules.store_failed", schedule=schedule_id, cause=str(error))
        else:
            if schedule_id in self._held:
                self._held[schedule_id] = (key, self._clock.monotonic_s())

    def _is_mine(self, record: pb.ScheduleRecord, key: str) -> bool:
        return record.holder == self._life and record.current.key == key


def _warn(name: str, **fields: object) -> None:
    log.event(_LOGGER, logging.WARNING, name, **fields)
