"""What callers of workflows ask, and wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeAlias

import grpc
import pytest

from services.tasks.workflow.course import has_ended
from tandem.tasks.v1 import workflow_pb2 as nouns
from tandem.tasks.v1 import workflow_service_pb2 as pb
from tandem.tasks.v1 import workflow_service_pb2_grpc as rpc
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import Failure, failure_of
from tests.unit.services.tasks.workflow.toolbox import Toolbox

Stub: TypeAlias = "rpc.WorkflowServiceAsyncStub"


async def ended(stub: Stub, name: str) -> nouns.Workflow:
    """As its last message has it."""
    asked = pb.WatchWorkflowRequest(name=f"workflows/{name}")
    told: Any = stub.WatchWorkflow(asked)
    found: nouns.Workflow = [one.workflow async for one in told][-1]
    return found


async def ended_again(stub: Stub, name: str, clock: FakeClock) -> nouns.Workflow:
    """In another life, whose first calls may come before those whom they are for: time passes."""
    asked = pb.GetWorkflowRequest(name=f"workflows/{name}")
    async with asyncio.timeout(20):
        while True:
            found = (await stub.GetWorkflow(asked)).workflow
            if has_ended(found):
                return found
            await clock.advance(0.1)


async def refusal(wanted: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await wanted
    return failure_of(raised.value)


def states(workflow: nouns.Workflow) -> dict[str, str]:
    return {
        one.id: nouns.NodeState.Name(one.state).removeprefix("NODE_STATE_").lower()
        for one in workflow.nodes
    }


async def page(stub: Stub, **asked: Any) -> pb.ListWorkflowsResponse:
    return await stub.ListWorkflows(pb.ListWorkflowsRequest(**asked))


async def came(toolbox: Toolbox, key: str, times: int = 1) -> None:
    async with asyncio.timeout(10):
        while toolbox.keys.count(key) < times:
            await asyncio.to_thread(lambda: None)


async def waits(stub: Stub, name: str) -> None:
    """Until it is written down that a call is made again."""
    told: Any = stub.WatchWorkflow(pb.WatchWorkflowRequest(name=f"workflows/{name}"))
    async for one in told:
        if one.workflow.nodes[0].HasField("retry_time"):
            told.cancel()
            return
