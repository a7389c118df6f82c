"""One attempt at a job: the call, and what the record says behind it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from google.rpc import code_pb2

from services.tasks.job import course
from services.tasks.job.book import Book
from services.tasks.job.holders import Holders
from tandem.tasks.v1 import agent_call_pb2, job_pb2
from tandem.tasks.v1 import errors_pb2 as errors
from tandemkit.core import log
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent_caller import AgentCaller
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc import failure
from tandemkit.supervise.errands import Errands

_AGAIN_S: Final = 1.0
_LOGGER = logging.getLogger("services.tasks")


class Attempts:
    """Those in progress in this process, by the id of the job."""

    def __init__(
        self,
        book: Book,
        holders: Holders,
        caller: AgentCaller,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._book, self._holders, self._caller, self._draw = book, holders, caller, draw
        self._clock = holders.clock
        self.trying: dict[str, asyncio.Task[None]] = {}
        self._errands = Errands()

    async def end(self, grace_s: float) -> None:
        """Those in progress may end by themselves for so long."""
        await self._errands.end(grace_s)

    def give_up(self, job_id: str) -> None:
        """The one in progress here, if there is one: somebody cancelled the job."""
        if job_id in self.trying:
            self.trying[job_id].cancel()

    async def tried(self, job_id: str, job: job_pb2.Job) -> job_pb2.JobRecord | None:
        """The record after the attempt."""
        found: list[agent_call_pb2.AgentAnswer] = []

        async def attempt() -> None:
            found.append(await self._answer(job_id, job))

        task = self.trying[job_id] = self._errands.start(attempt())
        try:
            await asyncio.wait([task])
        finally:
            del self.trying[job_id]
        if not task.cancelled() and (defect := task.exception()) is not None:
            said = {"job": job_id, "cause": repr(defect)}
            log.event(_LOGGER, logging.ERROR, "job.defect", **said)
        while True:
            try:
                return await self._noted(job_id, job, found[0] if found else None)
            except Unreachable:
                # What happened must not be forgotten because the store is away for a moment.
                await self._clock.sleep(_AGAIN_S)

    async def _noted(
        self, job_id: str, job: job_pb2.Job, answer: agent_call_pb2.AgentAnswer | None
    ) -> job_pb2.JobRecord | None:
        now, draw = self._clock.now(), self._draw()

        def edit(record: job_pb2.JobRecord) -> None:
            course.held_by(record, self._holders.own, job.attempts)
            if answer is None:  # cancelled, given up as this process ends, or a defect
                course.lost(record, now)
            elif answer.HasField("failure"):
                course.failed(record, answer.failure, now, draw)
                waits = record.job.state == job_pb2.JOB_STATE_WAITING
                if waits and course.is_expired(record.job, now):
                    course.expire(record, now)
            else:
                course.answered(record, answer.response, now)

        kept = answer
        if answer is not None and len(answer.response) > course.RESPONSE_BYTES_MAX:
            kept = None
        return await self._book.change(job_id, edit, kept)

    async def _answer(self, job_id: str, job: job_pb2.Job) -> agent_call_pb2.AgentAnswer:
        """How the call ended. What keeps it from being made is a failure that may pass: its agent
        may be away.
        """
        try:
            call = await self._book.call_of(job_id)
            async with asyncio.timeout(self._time_left_s(job)):
                return await self._caller.call(call, job_id, at_most_once=job.at_most_once)
        except (CallerError, TransientError) as error:
            told = _unmade(error)
        except (TimeoutError, Unreachable) as error:
            told = agent_call_pb2.CallFailure(
                code=code_pb2.DEADLINE_EXCEEDED,
                message="the job's time is over" if isinstance(error, TimeoutError) else str(error),
                may_retry=not job.at_most_once,
            )
        return agent_call_pb2.AgentAnswer(failure=told)

    def _time_left_s(self, job: job_pb2.Job) -> float | None:
        if not job.HasField("expire_time"):
            return None
        return (course.moment(job.expire_time) - self._clock.now()).total_seconds()


def _unmade(error: CallerError | TransientError) -> agent_call_pb2.CallFailure:
    """A call that was not made. Nobody may have the method because its agent is away."""
    refusal = failure.of_agent(error, errors.ErrorReason.DESCRIPTOR)
    passes = error.reason == errors.ERROR_REASON_METHOD_UNKNOWN
    return agent_call_pb2.CallFailure(
        code=code_pb2.Code.Name(refusal.code.value[0]),
        reason=refusal.reason,
        domain=refusal.domain,
        message=refusal.message,
        may_retry=passes or isinstance(error, TransientError),
    )
