"""Calls at times. Contract: tandem.tasks.v1.SchedulerService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from services.tasks.scheduler.agenda import Agenda
from services.tasks.scheduler.book import Book
from services.tasks.scheduler.firing import Firing, Terms
from services.tasks.scheduler.servicer import Scheduler
from tandem.tasks.config.v1 import scheduler_pb2 as cfg
from tandem.tasks.v1 import scheduler_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope

_HOLD = timedelta(seconds=10)
_CALLS_MAX, _FIRINGS_KEPT = 500, 10


@asynccontextmanager
async def build(scope: Scope, settings: cfg.SchedulerSettings) -> AsyncIterator[Scheduler]:
    book, caller = Book((await scope.state()).store), scope.caller()
    agenda = Agenda(book, scope.clock)
    firing = Firing(book, agenda, caller, scope.clock, _terms(settings))
    scope.spawn("fire", firing.run())
    scope.spawn("renew", firing.renew())
    if settings.HasField("look_again"):
        period_s = settings.look_again.ToTimedelta().total_seconds()
        scope.spawn("look", _looking(agenda, scope.clock, period_s))
    try:
        yield Scheduler(book, agenda, caller, scope.clock)
    finally:
        await agenda.end()


def _terms(settings: cfg.SchedulerSettings) -> Terms:
    hold = settings.hold.ToTimedelta() if settings.HasField("hold") else _HOLD
    return Terms(hold, settings.calls_max or _CALLS_MAX, settings.firings_kept or _FIRINGS_KEPT)


async def _looking(agenda: Agenda, clock: Clock, period_s: float) -> None:
    while True:
        await clock.sleep(period_s)
        agenda.look_again()


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.SchedulerSettings, calls_any=True, build=build)
main = AGENT.main
