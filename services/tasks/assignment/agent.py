"""Who does what. Contract: tandem.tasks.v1.AssignmentService."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from services.tasks.assignment.desk import Desk
from services.tasks.assignment.fleet import Fleet
from services.tasks.assignment.matching import Bench, Seat, Work, match
from services.tasks.assignment.seating import Seating
from services.tasks.assignment.servicer import Assignments
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.tasks.v1 import assignment_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope

# Up to there it is a matter of a millisecond, and another process one of many.
_INLINE_MAX = 12
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.1, 2.0


@asynccontextmanager
async def build(scope: Scope, _settings: None) -> AsyncIterator[Assignments]:
    workshop = scope.workers()

    async def matched(
        works: Sequence[Work], benches: Sequence[Bench], bytes_per_s: float
    ) -> list[Seat | None]:
        if len(works) <= _INLINE_MAX and len(benches) <= _INLINE_MAX:
            return match(works, benches, bytes_per_s)
        return await workshop.run(match, works, benches, bytes_per_s)

    fleet = Fleet()
    desk = Desk(await scope.state(), Seating(fleet, matched), scope.clock)
    await desk.restore()
    scope.spawn("fleet", _following(scope, fleet, desk))
    scope.spawn("heed", desk.heed())
    scope.spawn("expire", desk.expire())
    yield Assignments(desk)


async def _following(
    scope: Scope, fleet: Fleet, desk: Desk, draw: Callable[[], float] = random.random
) -> None:
    """Tells the fleet who is there, until cancelled. What it was told stands while nobody tells:
    who is gone meanwhile the next snapshot shows.
    """
    stub = scope.stub(registry_rpc.RegistryServiceStub)
    failures = 0
    while True:
        call: Any = stub.WatchHosts(registry.WatchHostsRequest())
        try:
            async for told in call:
                failures = 0
                fleet.take(told)
                desk.stir()
        except grpc.aio.AioRpcError:
            failures += 1
        finally:
            call.cancel()
        doubled_s = min(_PAUSE_S_MAX, _PAUSE_S_MIN * 2.0 ** min(failures, 10))
        await scope.clock.sleep(doubled_s * (0.5 + draw() / 2))


AGENT = Agent(contract=pb.DESCRIPTOR, soft_calls=(registry.DESCRIPTOR,), build=build)
main = AGENT.main
