"""Catalogue row M009: tasks and who does them, through a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from services.tasks.assignment.agent import AGENT
from tandem.tasks.v1 import assignment_pb2 as nouns
from tandem.tasks.v1 import assignment_service_pb2 as pb
from tandem.tasks.v1 import assignment_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import Failure, failure_of
from tests.cluster.eventually import eventually
from tests.unit.services.tasks.assignment.desks import (
    TOOLBOX,
    Registry,
    ask,
    host,
    task,
    worker,
)

CODE = grpc.StatusCode
Desk: TypeAlias = "rpc.AssignmentServiceAsyncStub"
NAME = "assignments/one"
FIRST, SECOND = "hosts/first/utility-toolbox", "hosts/second/utility-toolbox"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry() -> Registry:
    return Registry(host("first", "mainpc", TOOLBOX), host("second", "pc2", TOOLBOX))


@pytest.fixture
async def desk(tmp_path: Path, clock: FakeClock, registry: Registry) -> AsyncIterator[Desk]:
    beside = (registry.agent,)
    async with serving(AGENT, beside=beside, state_dir=tmp_path, clock=clock) as channel:
        yield rpc.AssignmentServiceStub(channel)


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


def seats(assignment: nouns.Assignment) -> dict[str, str]:
    return {one.task.id: one.worker for one in assignment.tasks}


async def assigned(
    desk: Desk, clock: FakeClock, request: pb.AssignTasksRequest
) -> nouns.Assignment:
    """Once the registry has told who is there."""

    async def ask_again() -> nouns.Assignment | None:
        await clock.advance(1)
        try:
            return (await desk.AssignTasks(request)).assignment
        except grpc.aio.AioRpcError as error:
            assert failure_of(error).reason == "FLEET_UNKNOWN"
            return None

    found = await eventually(ask_again)
    assert found is not None
    return found


async def fetched(desk: Desk, name: str = NAME) -> nouns.Assignment:
    return (await desk.GetAssignment(pb.GetAssignmentRequest(name=name))).assignment


async def test_m009_tasks_go_to_those_who_are_capable(desk: Desk, clock: FakeClock) -> None:
    """And of those to the one where the data is; a retry finds it done."""
    far = task("far", "utility-toolbox")
    far.inputs.add(machine="pc2", size_bytes=10**9)
    request = ask("one", [far, task("here", TOOLBOX, "machine/mainpc")])
    found = await assigned(desk, clock, request)
    assert seats(found) == {"far": SECOND, "here": FIRST}
    again = await assigned(desk, clock, request)
    assert (again.version, again.tasks) == (found.version, found.tasks)
    request.tasks[0].cost.seconds = 9
    failed = await refusal(desk.AssignTasks(request))
    assert (failed.code, failed.reason) == (CODE.ALREADY_EXISTS, "ASSIGNMENT_EXISTS")


async def test_m009_a_task_that_nobody_can_do_is_refused_with_what_is_missing(
    desk: Desk, clock: FakeClock
) -> None:
    """What no worker has; or all of it, where nobody has it together."""
    await assigned(desk, clock, ask("zero", [task("a")]))
    request = ask("one", [task("a", TOOLBOX), task("b", TOOLBOX, "gpu", "tpu")])
    failed = await refusal(desk.AssignTasks(request))
    assert (failed.code, failed.reason) == (CODE.FAILED_PRECONDITION, "NO_CAPABLE_WORKER")
    assert failed.metadata == {"task": "b", "missing": "gpu, tpu", "workers": "2"}
    request = ask("one", [task("b", "machine/mainpc", "machine/pc2")])
    failed = await refusal(desk.AssignTasks(request))
    assert failed.metadata["missing"] == "machine/mainpc, machine/pc2"
    assert (await refusal(fetched(desk))).reason == "ASSIGNMENT_NOT_FOUND"


async def test_workers_take_no_more_than_they_have_room_for(desk: Desk) -> None:
    """Over all assignments, until tasks are completed."""
    able = [worker("w", "x", capacity=3)]
    await desk.AssignTasks(ask("one", [task(one, "x") for one in "ab"], able))
    request = ask("two", [task(one, "x") for one in "cd"], able)
    failed = await refusal(desk.AssignTasks(request))
    assert (failed.code, failed.reason) == (CODE.RESOURCE_EXHAUSTED, "WORKERS_FULL")
    assert failed.metadata == {"without": "1", "first": failed.metadata["first"], "workers": "1"}
    done = await desk.CompleteTasks(pb.CompleteTasksRequest(name=NAME, task_ids=["a", "z"]))
    assert done.left == 1
    found = (await desk.AssignTasks(request)).assignment
    assert seats(found) == {"c": "w", "d": "w"}
    assert sorted(one.position for one in found.tasks) == [1, 2]


async def test_names_that_come_twice_are_refused(desk: Desk) -> None:
    """Of tasks and of workers."""
    for request in (
        ask("one", [task("a"), task("a")], [worker("w")]),
        ask("one", [task("a")], [worker("w"), worker("w")]),
    ):
        assert (await refusal(desk.AssignTasks(request))).reason == "ASSIGNMENT_AMBIGUOUS"


async def test_m009_what_a_lost_worker_had_is_assigned_anew(
    desk: Desk, clock: FakeClock, registry: Registry
) -> None:
    """To who is left; nobody else's task moves, and what nobody is left for waits for somebody."""
    tasks = [task(f"t{number}", TOOLBOX) for number in range(6)]
    tasks.append(task("there", "machine/pc2"))
    before = seats(await assigned(desk, clock, ask("one", tasks)))
    assert set(before.values()) == {FIRST, SECOND}
    watch = desk.WatchAssignment(pb.WatchAssignmentRequest(name=NAME)).__aiter__()
    assert (await anext(watch)).assignment.version == 1
    registry.lose("hosts/second")
    await eventually(lambda: _settled(desk, clock, 2))
    moved = (await anext(watch)).assignment
    after = {one.task.id: one for one in moved.tasks}
    assert after["there"].worker == ""
    assert list(after["there"].missing) == ["machine/pc2"]
    for name, held in before.items():
        if name != "there":
            assert after[name].worker == FIRST
            assert after[name].losses == (held == SECOND)
    registry.put(host("third", "pc2", TOOLBOX))
    await eventually(lambda: _settled(desk, clock, 3))
    found = {one.task.id: one.worker for one in (await anext(watch)).assignment.tasks}
    assert found == {**dict.fromkeys(found, FIRST), "there": "hosts/third/utility-toolbox"}


async def _settled(desk: Desk, clock: FakeClock, version: int) -> bool:
    await clock.advance(0.5)
    return (await fetched(desk)).version == version


async def test_an_instance_that_does_not_serve_is_nobodys_worker(
    desk: Desk, registry: Registry, clock: FakeClock
) -> None:
    """Its tasks are assigned to others, as if its host were gone."""
    await assigned(desk, clock, ask("one", [task("a", "machine/pc2", TOOLBOX), task("b")]))
    registry.put(host("second", "pc2", TOOLBOX, serving=False))
    await eventually(lambda: _settled(desk, clock, 2))
    assert seats(await fetched(desk))["a"] == ""


async def test_a_worker_of_ones_own_is_lost_when_one_says_so(desk: Desk) -> None:
    """Nobody else could know; to say it twice changes nothing."""
    able = [worker("v", "x"), worker("w", "x")]
    asked = ask("one", [task("a"), *(task(one, "x") for one in "bcd")], able)
    await desk.AssignTasks(asked)
    request = pb.ReportWorkerLostRequest(name=NAME, worker="v")
    found = (await desk.ReportWorkerLost(request)).assignment
    assert set(seats(found).values()) == {"w"}
    assert sorted(one.losses for one in found.tasks) == [0, 0, 1, 1]
    assert (await desk.ReportWorkerLost(request)).assignment == found
    request.worker = "w"
    found = (await desk.ReportWorkerLost(request)).assignment
    assert set(seats(found).values()) == {""}
    assert (await desk.AssignTasks(asked)).assignment.tasks == found.tasks


async def test_an_assignment_ends_with_its_term(desk: Desk, clock: FakeClock) -> None:
    """Unless it is renewed, and what it held is free again."""
    able = [worker("w", "x", capacity=1)]
    request = ask("one", [task("a", "x")], able)
    request.term.seconds = 60
    await desk.AssignTasks(request)
    await clock.advance(50)
    await desk.RenewAssignment(pb.RenewAssignmentRequest(name=NAME))
    await clock.advance(50)
    assert seats(await fetched(desk)) == {"a": "w"}
    await clock.advance(11)

    async def is_there() -> bool:
        try:
            await fetched(desk)
        except grpc.aio.AioRpcError as error:
            assert failure_of(error).reason == "ASSIGNMENT_NOT_FOUND"
            return False
        return True

    await eventually(is_there, lambda there: not there)
    await desk.AssignTasks(ask("two", [task("b", "x")], able))
    await desk.ReleaseAssignment(pb.ReleaseAssignmentRequest(name="assignments/two"))
    await desk.ReleaseAssignment(pb.ReleaseAssignmentRequest(name="assignments/two"))
    await desk.AssignTasks(ask("three", [task("c", "x")], able))


async def test_m009_a_restart_knows_who_has_what(tmp_path: Path, clock: FakeClock) -> None:
    """Also which room is taken."""
    able = [worker("w", "x", capacity=1)]
    async with serving(AGENT, state_dir=tmp_path, clock=clock) as channel:
        stub: Desk = rpc.AssignmentServiceStub(channel)
        await stub.AssignTasks(ask("one", [task("a", "x")], able))
    async with serving(AGENT, state_dir=tmp_path, clock=clock) as channel:
        stub = rpc.AssignmentServiceStub(channel)
        assert seats(await fetched(stub)) == {"a": "w"}
        failed = await refusal(stub.AssignTasks(ask("two", [task("b", "x")], able)))
        assert failed.reason == "WORKERS_FULL"


async def test_many_tasks_are_matched_in_another_process(desk: Desk) -> None:
    """The host's loop goes on meanwhile."""
    able = [worker(f"w{number}", "x", speed=1 + number) for number in range(8)]
    tasks = [task(f"t{number}", "x", cost_s=1 + number % 7) for number in range(60)]
    found = (await desk.AssignTasks(ask("one", tasks, able))).assignment
    assert all(one.worker for one in found.tasks)
