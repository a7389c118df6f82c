"""Messages to the book of schedules and back. Contract: tandem.tasks.v1.SchedulerService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final, Protocol

from services.tasks.scheduler import course
from services.tasks.scheduler.agenda import Agenda
from services.tasks.scheduler.book import Book, Kept
from services.tasks.scheduler.plans import PREFIX, moment, trigger_of
from services.tasks.scheduler.refusal import exists, expect, missing, page_start, storing
from services.tasks.scheduler.triggers import times
from tandem.tasks.v1 import agent_call_pb2 as call
from tandem.tasks.v1 import schedule_pb2 as nouns
from tandem.tasks.v1 import scheduler_service_pb2 as pb
from tandem.tasks.v1 import scheduler_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import token_after
from tandemkit.storage.state.protocol import VersionConflict

_PAGE, _PAGE_MAX = 100, 1000
# Of the 4 MiB that a message may have: the last one that begins below it still fits.
_PAGE_BYTES: Final = 3 * 1024 * 1024
_TIMES, _TIMES_MAX = 10, 1000
_KEY_OF_ALL: Final = "schedule"

Edit = Callable[[nouns.ScheduleRecord], bool]


class Checker(Protocol):
    """`tandemkit.hosting.agent_caller.AgentCaller`, as far as it is needed here."""

    def check(
        self, call: call.AgentCall, key: str, *, at_most_once: bool = False
    ) -> Awaitable[object]:
        """Raises CallerError, TransientError for what could never be called."""


class Scheduler(rpc.SchedulerServiceServicer):
    def __init__(self, book: Book, agenda: Agenda, checker: Checker, clock: Clock) -> None:
        self._book, self._agenda, self._checker, self._clock = book, agenda, checker, clock

    async def CreateSchedule(
        self, request: pb.CreateScheduleRequest, _context: Context
    ) -> pb.CreateScheduleResponse:
        record = await self._planned(PREFIX + request.schedule_id, request.plan)
        with storing():
            try:
                kept = await self._agenda.noted(self._book.write(record, None))
            except VersionConflict as error:
                # Somebody may have written it whom the store told nothing.
                kept = await self._agenda.noted(self._found(record.schedule.name))
                if kept.record.schedule.plan != request.plan:
                    raise exists(record.schedule.name) from error
        return pb.CreateScheduleResponse(schedule=kept.record.schedule)

    async def UpdateSchedule(
        self, request: pb.UpdateScheduleRequest, _context: Context
    ) -> pb.UpdateScheduleResponse:
        planned = await self._planned(request.name, request.plan)

        def edit(record: nouns.ScheduleRecord) -> bool:
            expect(record.schedule, request.expected_version)
            record.schedule.plan.CopyFrom(request.plan)
            record.plan_time.CopyFrom(planned.plan_time)
            record.cursor.CopyFrom(planned.cursor)
            return True

        return pb.UpdateScheduleResponse(schedule=await self._changed(request.name, edit))

    async def DeleteSchedule(
        self, request: pb.DeleteScheduleRequest, _context: Context
    ) -> pb.DeleteScheduleResponse:
        with storing():
            while kept := await self._book.get(request.name.removeprefix(PREFIX)):
                if request.expected_version:
                    expect(kept.record.schedule, request.expected_version)
                try:
                    await self._book.remove(kept)
                except VersionConflict:
                    continue
                return pb.DeleteScheduleResponse(was_there=True)
        return pb.DeleteScheduleResponse()

    async def PauseSchedule(
        self, request: pb.PauseScheduleRequest, _context: Context
    ) -> pb.PauseScheduleResponse:
        def edit(record: nouns.ScheduleRecord) -> bool:
            was_paused, record.schedule.paused = record.schedule.paused, True
            return not was_paused

        return pb.PauseScheduleResponse(schedule=await self._changed(request.name, edit))

    async def ResumeSchedule(
        self, request: pb.ResumeScheduleRequest, _context: Context
    ) -> pb.ResumeScheduleResponse:
        def edit(record: nouns.ScheduleRecord) -> bool:
            was_paused, record.schedule.paused = record.schedule.paused, False
            if was_paused:
                record.cursor.FromDatetime(self._clock.now())
            return was_paused

        return pb.ResumeScheduleResponse(schedule=await self._changed(request.name, edit))

    async def GetSchedule(
        self, request: pb.GetScheduleRequest, _context: Context
    ) -> pb.GetScheduleResponse:
        with storing():
            kept = await self._found(request.name)
        return pb.GetScheduleResponse(schedule=kept.record.schedule)

    async def ListSchedules(
        self, request: pb.ListSchedulesRequest, _context: Context
    ) -> pb.ListSchedulesResponse:
        size, left_bytes = min(request.page_size or _PAGE, _PAGE_MAX), _PAGE_BYTES
        after = page_start(request.page_token, request.id_prefix)
        told = pb.ListSchedulesResponse()
        while len(told.schedules) < size and left_bytes > 0:
            with storing():
                part = await self._book.page(request.id_prefix, after, size - len(told.schedules))
            if not part:
                return told
            for one in part:
                told.schedules.append(one)
                after = one.name.removeprefix(PREFIX)
                left_bytes -= one.ByteSize()
                if left_bytes <= 0:
                    break
        with storing():
            if await self._book.page(request.id_prefix, after, 1):
                told.next_page_token = token_after(after, request.id_prefix)
        return told

    async def PreviewTimes(
        self, request: pb.PreviewTimesRequest, _context: Context
    ) -> pb.PreviewTimesResponse:
        now = self._clock.now()
        if request.HasField("schedule"):
            with storing():
                trigger = course.trigger((await self._found(request.schedule)).record)
        else:
            trigger = trigger_of(request.trigger, now, field="trigger")
        after = moment(request.after) if request.HasField("after") else now
        told = pb.PreviewTimesResponse()
        for one in islice(times(trigger, after), min(request.times_max or _TIMES, _TIMES_MAX)):
            told.times.add().FromDatetime(one)
        return told

    async def ListFirings(
        self, request: pb.ListFiringsRequest, _context: Context
    ) -> pb.ListFiringsResponse:
        with storing():
            record = (await self._found(request.schedule)).record
        current = [record.current] if record.HasField("current") else []
        return pb.ListFiringsResponse(firings=[*current, *record.firings])

    async def _planned(self, name: str, plan: nouns.SchedulePlan) -> nouns.ScheduleRecord:
        """A new record. Raises what is wrong with the plan, its call included."""
        record = course.new_record(name, plan, self._clock.now())
        await self._checker.check(plan.call, _KEY_OF_ALL, at_most_once=plan.at_most_once)
        return record

    async def _changed(self, name: str, edit: Edit) -> nouns.Schedule:
        def by_caller(record: nouns.ScheduleRecord) -> bool:
            if not edit(record):
                return False
            record.schedule.version += 1
            record.schedule.update_time.FromDatetime(self._clock.now())
            course.plan_wake(record)
            return True

        with storing():
            kept = await self._agenda.noted(self._book.change(name.removeprefix(PREFIX), by_caller))
        if kept is None:
            raise missing(name)
        return kept.record.schedule

    async def _found(self, name: str) -> Kept:
        kept = await self._book.get(name.removeprefix(PREFIX))
        if kept is None:
            raise missing(name)
        return kept
