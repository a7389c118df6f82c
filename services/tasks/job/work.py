"""Workers: they take messages from the queue, look at the job, and try it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from services.tasks.job import course
from services.tasks.job.attempts import Attempts
from services.tasks.job.book import Book, Unfit, is_over
from services.tasks.job.holders import LEASE_S, Holders
from services.tasks.job.queues import Lanes
from services.tasks.job.rate import Rate
from tandem.tasks.v1 import job_pb2
from tandemkit.core import log
from tandemkit.hosting.agent_caller import AgentCaller
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.storage.queue.protocol import Delivery
from tandemkit.supervise.tasks import Tasks

_AGAIN_S: Final = 1.0
# One that is tried here, or whose record is about to be written elsewhere, is looked at again.
_BUSY_S: Final = 2.0
_LOOKS_MAX: Final = 8
_GRACE_S: Final = 5.0
_LOGGER = logging.getLogger("services.tasks")


class Workers:
    """As many attempts at a time as `count`, those of urgent jobs first."""

    def __init__(
        self, book: Book, lanes: Lanes, holders: Holders, caller: AgentCaller, count: int
    ) -> None:
        self._book, self._lanes, self._holders = book, lanes, holders
        self.count = count
        self.ended = Rate(clock := holders.clock)
        self._clock = clock
        # Accepted by this process in a moment: the message may be here before the record is there.
        self.accepting: dict[str, asyncio.Event] = {}
        self.attempts = Attempts(book, holders, caller)
        self._waiting: dict[int, deque[Delivery]] = {each: deque() for each in lanes.queues}
        self._news = asyncio.Semaphore(0)
        self._is_over = False
        # Jobs that a worker is at: with two of them one would take the other's attempt for lost.
        self._at: set[str] = set()
        self._idle = asyncio.Event()

    @property
    def busy(self) -> int:
        return len(self.attempts.trying)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Attempts in progress may end when the block does, for a while; the others are given up
        and begun again by who comes next.
        """
        await self._holders.begin()
        async with Tasks() as tasks, AsyncExitStack() as stack:
            tasks.spawn("hold", self._holders.keep())
            for priority, queue in self._lanes.queues.items():
                taken = await stack.enter_async_context(queue.consume(self.count))
                tasks.spawn(f"lane:{priority}", self._feed(priority, taken))
            for number in range(self.count):
                tasks.spawn(f"worker:{number}", self._work())
            try:
                yield
            finally:
                self._is_over = True
                await self.attempts.end(_GRACE_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_GRACE_S if self._at else 0):
                        await self._idle.wait()
                await tasks.end()
                await self._holders.leave()

    async def _feed(self, priority: int, taken: AsyncIterator[Delivery]) -> None:
        async for delivery in taken:
            self._waiting[priority].append(delivery)
            self._news.release()

    async def _work(self) -> None:
        while not self._is_over:
            await self._news.acquire()
            delivery = next(lane for lane in self._waiting.values() if lane).popleft()
            job_id = delivery.message.id
            if job_id in self._at:
                # Of two messages of a job the one that is looked at decides.
                await self._settled(_retry(delivery, _BUSY_S))
                continue
            self._at.add(job_id)
            self._idle.clear()
            try:
                await self._handle(delivery)
            finally:
                self._at.discard(job_id)
                if not self._at:
                    self._idle.set()

    async def _handle(self, delivery: Delivery) -> None:
        try:
            settle = await self._looked_at(delivery)
        except (Unreachable, Refused):
            settle = _retry(delivery, _AGAIN_S)
        await self._settled(settle)

    async def _settled(self, settle: Callable[[], Awaitable[None]]) -> None:
        """However long the backend of the queue takes to come back."""
        while True:
            try:
                await settle()
            except Unreachable:
                await self._clock.sleep(_AGAIN_S)
            else:
                return

    async def _looked_at(self, delivery: Delivery) -> Callable[[], Awaitable[None]]:
        """What is to be done with the message, after what there was to do for the job."""
        job_id = delivery.message.id
        if job_id in self.accepting:
            await self.accepting[job_id].wait()
        record = await self._book.find(job_id)
        if record is None:
            # Nobody was told that it is accepted, unless its record is in another store.
            if delivery.message.attempt < _LOOKS_MAX:
                return _retry(delivery, _AGAIN_S)
            log.event(_LOGGER, logging.WARNING, "job.unknown", job=job_id)
            return lambda: delivery.bury("no such job")
        with suppress(Unfit):
            return await self._acted(delivery, job_id, record)
        return _retry(delivery, 0.0)

    async def _acted(
        self, delivery: Delivery, job_id: str, record: job_pb2.JobRecord
    ) -> Callable[[], Awaitable[None]]:
        """Raises Unfit where somebody else changed the record meanwhile."""
        now, job = self._clock.now(), record.job
        if is_over(job):
            return delivery.ack
        if job.state == job_pb2.JOB_STATE_RUNNING:
            if await self._holders.is_alive(record.holder):
                return _retry(delivery, LEASE_S / 3)
            was = record.holder, job.attempts

            def lost(found: job_pb2.JobRecord) -> None:
                course.held_by(found, *was)
                course.lost(found, now)

            return await self._after(delivery, await self._book.change(job_id, lost))
        if course.is_expired(job, now):
            return await self._after(
                delivery, await self._book.change(job_id, lambda found: course.expire(found, now))
            )
        if wait_s := course.rest_s(job, now):
            return _retry(delivery, wait_s)
        begun = await self._book.change(
            job_id, lambda found: course.begin(found, self._holders.own, now)
        )
        if begun is None:
            return delivery.ack
        return await self._after(delivery, await self.attempts.tried(job_id, begun.job))

    async def _after(
        self, delivery: Delivery, record: job_pb2.JobRecord | None
    ) -> Callable[[], Awaitable[None]]:
        """The message goes with a job that is over; one that waits is looked at when it is due."""
        if record is None or is_over(record.job):
            self.ended.add()
            if record is not None and record.job.state == job_pb2.JOB_STATE_DEAD:
                _tell_dead(record.job)
            return delivery.ack
        return _retry(delivery, course.rest_s(record.job, self._clock.now()))


def _tell_dead(job: job_pb2.Job) -> None:
    why = job_pb2.DeadReason.Name(job.dead_reason).removeprefix("DEAD_REASON_")
    said = {"job": job.name, "rpc": job.method, "why": why, "reason": job.last_failure.reason}
    log.event(_LOGGER, logging.WARNING, "job.dead", **said)


def _retry(delivery: Delivery, delay_s: float) -> Callable[[], Awaitable[None]]:
    return lambda: delivery.retry(delay_s)
