"""Calls that nobody waits for. Contract: tandem.tasks.v1.JobService."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.tasks.job.book import Book
from services.tasks.job.desk import Desk
from services.tasks.job.holders import Holders
from services.tasks.job.queues import lanes
from services.tasks.job.retention import Retention, Terms
from services.tasks.job.servicer import Jobs
from services.tasks.job.work import Workers
from tandem.tasks.config.v1 import job_pb2 as cfg
from tandem.tasks.v1 import job_service_pb2 as pb
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.reach.failure import Refused, Unreachable

_WORKERS = 8
_AGAIN_S = 2.0
_LOGGER = logging.getLogger("services.tasks")


@asynccontextmanager
async def build(scope: Scope, settings: cfg.JobSettings) -> AsyncIterator[Jobs]:
    state, caller, clock = await scope.state(), scope.caller(), scope.clock
    book, holders = Book(state, clock), Holders(state, clock)
    async with lanes(settings, scope) as chosen:
        scope.ready_when(chosen.check)
        workers = Workers(book, chosen, holders, caller, settings.workers or _WORKERS)
        desk = Desk(book, chosen, workers, caller, clock)
        scope.spawn("keep", Retention(book, Terms.of(settings), clock).run())
        scope.spawn("republish", _republish(desk, clock))
        async with workers.running():
            yield Jobs(book, desk, workers, chosen, clock)


async def _republish(desk: Desk, clock: Clock) -> None:
    """Once, as soon as the queue's backend answers."""
    while True:
        try:
            count = await desk.republish()
        except (Unreachable, Refused):
            await clock.sleep(_AGAIN_S)
            continue
        if count:
            log.event(_LOGGER, logging.WARNING, "queue.refilled", jobs=count)
        return


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.JobSettings, calls_any=True, build=build)
main = AGENT.main
