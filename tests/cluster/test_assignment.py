"""Catalogue row M009: a worker of the fleet is killed with `kill -9`."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest

from tandem.tasks.v1 import assignment_pb2 as nouns
from tandem.tasks.v1 import assignment_service_pb2 as pb
from tandem.tasks.v1 import assignment_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.testing.parts import short_folder
from tests.cluster import assignment_host
from tests.cluster.aloud import Tell
from tests.cluster.controlled import Controlled, controlled
from tests.cluster.eventually import eventually
from tests.cluster.mesh.trial_contract import ALPHA

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
DESK, NAME, HOSTS, TASKS = "desk", "assignments/one", ("one", "two", "three"), 12
_CLOCK = SystemClock()


@pytest.fixture
async def fleet() -> AsyncIterator[Controlled]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        found = await stack.enter_async_context(controlled(folder))
        for name in HOSTS:
            await found.start_host(name)
        await found.start_agents(DESK, assignment_host, {})
        await found.until_serving(*HOSTS)
        yield found


@asynccontextmanager
async def desk_of(fleet: Controlled) -> AsyncIterator[rpc.AssignmentServiceAsyncStub]:
    async with fleet.at(DESK) as channel:
        yield rpc.AssignmentServiceStub(channel)


async def held(desk: rpc.AssignmentServiceAsyncStub) -> Counter[str]:
    """How many tasks each host has."""
    found = await desk.GetAssignment(pb.GetAssignmentRequest(name=NAME), wait_for_ready=True)
    return Counter(one.worker.split("/")[1] if one.worker else "" for one in found.assignment.tasks)


async def test_m009_what_a_killed_agent_had_is_assigned_anew(fleet: Controlled, tell: Tell) -> None:
    """To those that are left, by what the registry sees; also while the desk itself is down."""
    tasks = [nouns.AssignableTask(id=f"t{one}", capabilities=[ALPHA]) for one in range(TASKS)]
    request = pb.AssignTasksRequest(assignment_id="one", tasks=tasks)
    async with desk_of(fleet) as desk:

        async def assigned() -> bool:
            try:
                await desk.AssignTasks(request, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE
                return False
            return True

        await eventually(assigned)
        assert await held(desk) == {name: TASKS // len(HOSTS) for name in HOSTS}
        began_s = _CLOCK.monotonic_s()
        await fleet.kill("two")
        await eventually(lambda: held(desk), lambda found: found == {"one": 6, "three": 6})
        tell("tasks of a killed agent are others' after", f"{_CLOCK.monotonic_s() - began_s:.1f} s")
    await fleet.kill(DESK)
    await fleet.kill("three")
    await fleet.start_agents(DESK, assignment_host, {})
    async with desk_of(fleet) as desk:
        await eventually(lambda: held(desk), lambda found: found == {"one": TASKS})
