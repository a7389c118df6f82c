"""tandem.tasks.v1.JobService over the book, the desk and the workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Final

from services.tasks.job import course, refusal
from services.tasks.job.book import STATES, Book, Unfit, is_over
from services.tasks.job.desk import NAME, Desk
from services.tasks.job.queues import Lanes
from services.tasks.job.work import Workers
from tandem.tasks.v1 import job_pb2
from tandem.tasks.v1 import job_service_pb2 as pb
from tandem.tasks.v1 import job_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Unreachable
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import token_after

_NO_TIME: Final = timedelta()
_PAGE, _PAGE_MAX, _COUNT_MAX = 100, 1000, 10_000
# Another instance may change a job without a word.
_LOOK_S: Final = 1.0


class Jobs(rpc.JobServiceServicer):
    def __init__(
        self, book: Book, desk: Desk, workers: Workers, lanes: Lanes, clock: Clock
    ) -> None:
        self._book, self._desk, self._workers = book, desk, workers
        self._lanes, self._clock = lanes, clock

    async def SubmitJob(
        self, request: pb.SubmitJobRequest, _context: Context
    ) -> pb.SubmitJobResponse:
        job, was_there = await self._desk.accept(request)
        return pb.SubmitJobResponse(job=job, was_there=was_there)

    async def GetJob(self, request: pb.GetJobRequest, _context: Context) -> pb.GetJobResponse:
        job = await self._job(request.name)
        job_id = request.name.removeprefix(NAME)
        with refusal.storing():
            call = await self._book.call_of(job_id)
            answer = await self._book.answer_of(job_id) if is_over(job) else None
        return pb.GetJobResponse(job=job, call=call, answer=answer)

    async def WatchJob(
        self, request: pb.WatchJobRequest, _context: Context
    ) -> AsyncIterator[pb.WatchJobResponse]:
        told = 0
        with self._book.watched(request.name.removeprefix(NAME)) as news:
            while True:
                news.clear()
                job = await self._job(request.name)
                if job.version != told:
                    told = job.version
                    yield pb.WatchJobResponse(job=job)
                if is_over(job):
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await news.wait()

    async def CancelJob(
        self, request: pb.CancelJobRequest, _context: Context
    ) -> pb.CancelJobResponse:
        job_id, now = request.name.removeprefix(NAME), self._clock.now()
        with refusal.storing(), suppress(Unfit):
            await self._book.change(job_id, lambda record: course.cancel(record, now))
        with self._book.watched(job_id) as news:
            self._workers.attempts.give_up(job_id)
            job = await self._job(request.name)
            if job.state == job_pb2.JOB_STATE_RUNNING:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await news.wait()
                job = await self._job(request.name)
        return pb.CancelJobResponse(job=job)

    async def ListJobs(self, request: pb.ListJobsRequest, _context: Context) -> pb.ListJobsResponse:
        state = request.state or job_pb2.JOB_STATE_WAITING
        scope, size = f"jobs:{state}", min(request.page_size or _PAGE, _PAGE_MAX)
        after = refusal.page_start(request.page_token, scope)
        with refusal.storing():
            page = await self._book.listed(state, after, size)
            records = await asyncio.gather(*(self._book.find(one.job_id) for one in page))
        jobs = [one.job for one in records if one is not None and one.job.state == state]
        more = len(page) == size
        token = token_after(page[-1].line, scope) if more else ""
        return pb.ListJobsResponse(jobs=jobs, next_page_token=token)

    async def RequeueJob(
        self, request: pb.RequeueJobRequest, _context: Context
    ) -> pb.RequeueJobResponse:
        return pb.RequeueJobResponse(job=await self._desk.requeue(request.name))

    async def GetQueue(
        self, _request: pb.GetQueueRequest, _context: Context
    ) -> pb.GetQueueResponse:
        told = pb.GetQueueResponse(
            backend=self._lanes.backend,
            workers=self._workers.count,
            busy=self._workers.busy,
            submitted_last_minute=self._desk.submitted.last_minute(),
            ended_last_minute=self._workers.ended.last_minute(),
        )
        with refusal.storing():
            for state in STATES:
                if jobs := await self._count(state):
                    told.counts.add(state=state, jobs=jobs)
            oldest = await self._book.listed(job_pb2.JOB_STATE_WAITING, limit=1)
        if oldest:
            told.oldest_wait.FromTimedelta(max(self._clock.now() - oldest[0].moment, _NO_TIME))
        with suppress(Unreachable):
            told.queued = await self._lanes.open_count()
        return told

    async def _count(self, state: job_pb2.JobState.ValueType) -> int:
        count, after = 0, ""
        while count < _COUNT_MAX and (page := await self._book.listed(state, after)):
            count, after = count + len(page), page[-1].line
        return count

    async def _job(self, name: str) -> job_pb2.Job:
        with refusal.storing():
            record = await self._book.find(name.removeprefix(NAME))
        if record is None:
            raise refusal.missing(name)
        return record.job
