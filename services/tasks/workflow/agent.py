"""Calls of agents in an order. Contract: tandem.tasks.v1.WorkflowService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.tasks.workflow.execution import Means
from services.tasks.workflow.running import Running
from services.tasks.workflow.servicer import Workflows
from services.tasks.workflow.shelf import Shelf
from tandem.tasks.config.v1 import workflow_pb2 as cfg
from tandem.tasks.v1 import workflow_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope

_WORKFLOWS_MAX, _CALLS_MAX, _ENDED_MAX = 1000, 100, 1000


@asynccontextmanager
async def build(scope: Scope, settings: cfg.WorkflowSettings) -> AsyncIterator[Workflows]:
    shelf, caller = Shelf(await scope.state()), scope.caller()
    seats = asyncio.Semaphore(settings.calls_max or _CALLS_MAX)
    running = Running(
        Means(shelf, caller, scope.clock, seats),
        scope.spawn,
        settings.workflows_max or _WORKFLOWS_MAX,
        settings.ended_max or _ENDED_MAX,
    )
    await running.resume()
    scope.spawn("forget", running.forget())
    try:
        yield Workflows(running, shelf, caller, scope.clock)
    finally:
        await running.end()


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.WorkflowSettings, calls_any=True, build=build)
main = AGENT.main
