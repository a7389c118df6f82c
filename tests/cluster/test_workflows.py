"""Catalogue row M007: an orchestrator that is killed with `kill -9`, and whom it calls."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tandem.tasks.v1 import workflow_pb2 as nouns
from tandem.tasks.v1 import workflow_service_pb2 as pb
from tandem.tasks.v1 import workflow_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.testing.parts import short_folder
from tests.cluster import noting_host, workflow_host
from tests.cluster.aloud import Tell
from tests.cluster.controlled import Controlled, controlled
from tests.cluster.eventually import eventually
from tests.cluster.mesh.trial_contract import ALPHA, Question

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
ORCHESTRATOR = "orchestrator"
WORKFLOWS, LAYERS, WIDTH, KILLS = 10, 4, 3, 6
_CLOCK = SystemClock()


class Orchestrated:
    """A control, an orchestrator and whom it calls, each a process."""

    def __init__(self, fleet: Controlled) -> None:
        self._fleet = fleet
        self._notes = fleet.folder / noting_host.NOTES
        self._notes.touch()

    @property
    def keys(self) -> list[str]:
        """Of the calls that began, in their order."""
        return self._notes.read_text("ascii").splitlines()

    async def start(self) -> None:
        await self._fleet.start_agents(
            "noting", noting_host, {noting_host.AGENT.name: {"text": str(self._notes)}}
        )
        await self._fleet.until_serving("noting", service=ALPHA)
        await self.start_orchestrator()

    async def start_orchestrator(self) -> None:
        await self._fleet.start_agents(ORCHESTRATOR, workflow_host, {})

    async def kill(self) -> None:
        await self._fleet.kill(ORCHESTRATOR)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[rpc.WorkflowServiceAsyncStub]:
        async with self._fleet.at(ORCHESTRATOR) as channel:
            yield rpc.WorkflowServiceStub(channel)

    async def begin(self, name: str, plan: nouns.WorkflowPlan) -> None:
        async with self.client() as client:
            request = pb.StartWorkflowRequest(workflow_id=name, plan=plan)
            await client.StartWorkflow(request, wait_for_ready=True)

    async def get(self, name: str) -> nouns.Workflow:
        asked: Any = pb.GetWorkflowRequest(name=f"workflows/{name}")
        async with self.client() as client:
            return (await client.GetWorkflow(asked, wait_for_ready=True)).workflow

    async def is_over(self, name: str) -> bool:
        return (await self.get(name)).HasField("end_time")


@pytest.fixture
async def it() -> AsyncIterator[Orchestrated]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        found = Orchestrated(await stack.enter_async_context(controlled(Path(folder))))
        await found.start()
        yield found


def node(name: str, *after: str, takes_s: float, **more: Any) -> nouns.WorkflowNode:
    made = nouns.WorkflowNode(id=name, after=after, **more)
    made.call.method = f"/{ALPHA}/Ask"
    made.call.request = Question(text=str(takes_s)).SerializeToString()
    return made


def layered(takes_s: float) -> nouns.WorkflowPlan:
    """Each node of a layer needs all of the one before."""
    plan = nouns.WorkflowPlan()
    for layer in range(LAYERS):
        after = [f"n{layer - 1}-{n}" for n in range(WIDTH)] if layer else []
        plan.nodes.extend(
            node(f"n{layer}-{number}", *after, takes_s=takes_s) for number in range(WIDTH)
        )
    return plan


async def test_m007_killed_mid_run_it_resumes_and_finishes_exactly_once_per_node(
    it: Orchestrated, tell: Tell
) -> None:
    """Killed at random moments while workflows run: all succeed, and the callee sees one key for
    each node, which tells it that a second call of it is the same, and no other.
    """
    rng = random.Random(7)
    names = [f"w{number}" for number in range(WORKFLOWS)]
    for name in names:
        await it.begin(name, layered(takes_s=0.3))
    for _ in range(KILLS):
        await _CLOCK.sleep(rng.uniform(0.2, 0.8))
        await it.kill()
        await it.start_orchestrator()
    for name in names:
        await eventually(partial(it.is_over, name), within_s=60)
    found = [await it.get(name) for name in names]
    came = Counter(it.keys)
    wanted = {f"{name}--{one.id}" for name in names for one in found[0].plan.nodes}
    again = sum(came.values()) - len(came)
    tell("nodes", f"{len(came)} of {len(wanted)}, {KILLS} kills, {again} called again")
    assert {one.state for one in found} == {nouns.WORKFLOW_STATE_SUCCEEDED}
    assert set(came) == wanted
    # Only calls under way at a kill are made again.
    assert again <= KILLS * WORKFLOWS * WIDTH
    _check_order(it.keys)


def _check_order(keys: list[str]) -> None:
    """The first call of a node is behind the first call of each that it needs."""
    first = {key: keys.index(key) for key in keys}
    for key, at in first.items():
        name, node_name = key.split("--", 1)
        layer = int(node_name[1])
        for number in range(WIDTH) if layer else ():
            assert first[f"{name}--n{layer - 1}-{number}"] < at
