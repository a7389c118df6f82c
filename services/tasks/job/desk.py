"""Jobs are accepted, and tried again: the message is in the queue first, then the record says so.

A message without a record is nobody's job: whoever submitted it was told nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Final

from services.tasks.job import course, refusal
from services.tasks.job.book import Book, Unfit, is_over
from services.tasks.job.queues import Lanes
from services.tasks.job.rate import Rate
from services.tasks.job.work import Workers
from tandem.tasks.v1 import job_pb2, job_service_pb2
from tandemkit.core import ids
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Bug
from tandemkit.hosting.agent_caller import AgentCaller

NAME: Final = "jobs/"
_AHEAD_MAX: Final = timedelta(days=30)


class Desk:
    """Raises CallerError and TransientError, in the words of the contract."""

    def __init__(
        self, book: Book, lanes: Lanes, workers: Workers, caller: AgentCaller, clock: Clock
    ) -> None:
        self._book, self._lanes, self._workers = book, lanes, workers
        self._caller, self._clock = caller, clock
        self.submitted = Rate(clock)

    async def accept(self, request: job_service_pb2.SubmitJobRequest) -> tuple[job_pb2.Job, bool]:
        """The job, and whether it was accepted before."""
        job_id = _id_of(request.request_id)
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        if request.request_id:
            found = await self._known(job_id, digest)
            if found is not None:
                return found, True
        record = self._record(request, job_id, digest)
        await self._caller.check(request.call, job_id, at_most_once=request.at_most_once)
        accepting = self._workers.accepting[job_id] = asyncio.Event()
        try:
            await self._publish(job_id, record.job)
            with refusal.storing():
                is_new = await self._book.add(job_id, record, request.call)
        finally:
            accepting.set()
            self._workers.accepting.pop(job_id, None)
        if not is_new:
            first = await self._known(job_id, digest)
            if first is None:
                raise Bug("a job is there and is not", job=job_id)
            return first, True
        self.submitted.add()
        return record.job, False

    async def requeue(self, name: str) -> job_pb2.Job:
        job_id = name.removeprefix(NAME)
        with refusal.storing():
            record = await self._book.find(job_id)
            if record is not None and record.job.state == job_pb2.JOB_STATE_DEAD:
                try:
                    record = await self._book.change(job_id, course.again)
                except Unfit:
                    record = await self._book.find(job_id)
        if record is None:
            raise refusal.missing(name)
        if is_over(record.job):
            raise refusal.over(name)
        # Also where it waited already: its message may be lost, and one more does no harm.
        await self._publish(job_id, record.job)
        return record.job

    async def republish(self) -> int:
        """Where the queue is empty and should not be, for its backend has lost what it had: how
        many there were. Raises Unreachable.
        """
        count = 0
        if await self._lanes.open_count() == 0:
            for state in (job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_WAITING):
                async for job_id in self._book.every(state):
                    record = await self._book.find(job_id)
                    if record is not None and not is_over(record.job):
                        wait_s = course.rest_s(record.job, self._clock.now())
                        await self._lanes.of(record.job.priority).publish(job_id, b"", wait_s)
                        count += 1
        return count

    async def _known(self, job_id: str, digest: bytes) -> job_pb2.Job | None:
        with refusal.storing():
            found = await self._book.find(job_id)
        if found is not None and found.digest != digest:
            raise refusal.id_taken(found.job.name)
        return found.job if found else None

    async def _publish(self, job_id: str, job: job_pb2.Job) -> None:
        wait_s = course.rest_s(job, self._clock.now())
        with refusal.queueing():
            await self._lanes.of(job.priority).publish(job_id, b"", wait_s)

    def _record(
        self, request: job_service_pb2.SubmitJobRequest, job_id: str, digest: bytes
    ) -> job_pb2.JobRecord:
        now = self._clock.now()
        job = job_pb2.Job(
            name=NAME + job_id,
            state=job_pb2.JOB_STATE_WAITING,
            method=request.call.method,
            priority=request.priority or job_pb2.JOB_PRIORITY_NORMAL,
            retry=course.policy(request.retry),
            at_most_once=request.at_most_once,
            submitter=request.submitter,
        )
        job.submit_time.FromDatetime(now)
        if request.HasField("due_time") and course.moment(request.due_time) > now:
            if course.moment(request.due_time) > now + _AHEAD_MAX:
                raise refusal.untimely("due_time", "it is more than 30 days ahead")
            job.due_time.CopyFrom(request.due_time)
        if request.HasField("expire_time"):
            job.expire_time.CopyFrom(request.expire_time)
            if course.moment(request.expire_time) <= now + timedelta(
                seconds=course.rest_s(job, now)
            ):
                raise refusal.untimely("expire_time", "it is over before the job begins")
        return job_pb2.JobRecord(job=job, digest=digest)


def _id_of(request_id: str) -> str:
    """The same for the same `request_id`; a key that every `request_id` of ours takes."""
    if request_id:
        return hashlib.sha256(request_id.encode()).hexdigest()[:32]
    return ids.event_id()
