"""Catalogue row M007: calls of agents in an order, through a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from services.tasks.workflow.agent import AGENT
from tandem.tasks.config.v1 import workflow_pb2 as cfg
from tandem.tasks.v1 import workflow_pb2 as nouns
from tandem.tasks.v1 import workflow_service_pb2 as pb
from tandem.tasks.v1 import workflow_service_pb2_grpc as rpc
from tandem.utility.v1 import text_pb2 as text
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tests.unit.services.tasks.workflow.asking import (
    Stub,
    came,
    ended,
    ended_again,
    page,
    refusal,
    states,
    waits,
)
from tests.unit.services.tasks.workflow.toolbox import (
    Toolbox,
    call,
    node,
    start,
    undone,
    value,
)

pytestmark = pytest.mark.timeout(60)


async def test_m007_branches_run_at_the_same_time_and_each_behind_what_it_needs(
    workflows: Stub, toolbox: Toolbox
) -> None:
    """A diamond: one, two at once, one; the keys name workflow and node."""
    await workflows.StartWorkflow(
        start("d", node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c"))
    )
    found = await ended(workflows, "d")
    assert found.state == nouns.WORKFLOW_STATE_SUCCEEDED
    assert toolbox.keys[0] == "d--a"
    assert sorted(toolbox.keys[1:3]) == ["d--b", "d--c"]
    assert toolbox.keys[3:] == ["d--d"]
    assert toolbox.at_once_max == 2


async def test_values_go_from_responses_into_requests(workflows: Stub, toolbox: Toolbox) -> None:
    """Whoever takes one waits for it without being told to."""
    taking = node("b", inputs=[value("a", "text", "text")], call=call())
    await workflows.StartWorkflow(start("v", taking, node("a")))
    await ended(workflows, "v")
    assert toolbox.came == [("v--a", "a"), ("v--b", "<a>")]
    asked = pb.GetNodeOutputRequest(name="workflows/v", node="b")
    output = (await workflows.GetNodeOutput(asked)).response
    assert text.NormalizeTextResponse.FromString(output).text == "<<a>>"


async def test_a_call_that_fails_for_a_while_is_made_again(
    workflows: Stub, toolbox: Toolbox, clock: FakeClock
) -> None:
    """With the same key, behind a pause that doubles."""
    # Not UNAVAILABLE, which the mesh itself tries once more.
    toolbox.code, toolbox.failing["r--a"] = grpc.StatusCode.DEADLINE_EXCEEDED, 2
    await workflows.StartWorkflow(start("r", node("a")))
    for attempts, wait_s in ((1, 1), (2, 2)):
        await came(toolbox, "r--a", attempts)
        await waits(workflows, "r")
        await clock.advance(wait_s)
    found = await ended(workflows, "r")
    assert (states(found), found.nodes[0].attempts) == ({"a": "done"}, 3)
    assert toolbox.keys == ["r--a"] * 3


async def test_m007_what_is_done_is_taken_back_where_the_rest_fails(
    workflows: Stub, toolbox: Toolbox
) -> None:
    """The latest first, only what happened, and the values that it gave are known to its way
    back.
    """
    toolbox.code, toolbox.failing["s--d"] = grpc.StatusCode.FAILED_PRECONDITION, 1
    first = undone("a", compensation_inputs=[value("a", "text", "text")])
    plan = (first, undone("b", "a"), node("c", "b"), undone("d", "c"), undone("e", "d"))
    await workflows.StartWorkflow(start("s", *plan))
    found = await ended(workflows, "s")
    assert found.state == nouns.WORKFLOW_STATE_FAILED
    assert found.cause == "node d: it was told to fail"
    assert toolbox.came[4:] == [("s--b--undo", "undo b"), ("s--a--undo", "<a>")]
    assert states(found) == {
        "a": "compensated",
        "b": "compensated",
        "c": "done",
        "d": "failed",
        "e": "skipped",
    }


async def test_an_optional_node_takes_only_what_needs_it_along(
    workflows: Stub, toolbox: Toolbox
) -> None:
    """The rest succeeds, and nothing is taken back."""
    toolbox.code, toolbox.failing["o--b"] = grpc.StatusCode.INVALID_ARGUMENT, 1
    plan = (undone("a"), node("b", optional=True), node("c", "b"), node("d", "a"))
    await workflows.StartWorkflow(start("o", *plan))
    found = await ended(workflows, "o")
    assert found.state == nouns.WORKFLOW_STATE_SUCCEEDED
    assert states(found) == {"a": "done", "b": "failed", "c": "skipped", "d": "done"}


async def test_a_workflow_that_is_cancelled_waits_for_its_calls_and_goes_back(
    workflows: Stub, toolbox: Toolbox
) -> None:
    """What was called may have happened, so it is heard of first."""
    held = toolbox.hold("x--b")
    await workflows.StartWorkflow(start("x", undone("a"), undone("b", "a"), node("c", "b")))
    await came(toolbox, "x--b")
    asked = pb.CancelWorkflowRequest(name="workflows/x", reason="changed my mind")
    for _ in range(2):
        told = (await workflows.CancelWorkflow(asked)).workflow
        assert (told.state, told.cancelled) == (nouns.WORKFLOW_STATE_COMPENSATING, True)
    assert toolbox.keys == ["x--a", "x--b"]
    held.set()
    found = await ended(workflows, "x")
    assert (found.state, found.cause) == (nouns.WORKFLOW_STATE_CANCELLED, "changed my mind")
    assert toolbox.keys[2:] == ["x--b--undo", "x--a--undo"]
    assert (await workflows.CancelWorkflow(asked)).workflow == found


async def test_a_workflow_whose_way_back_fails_is_stuck_until_somebody_has_it_go_on(
    workflows: Stub, toolbox: Toolbox
) -> None:
    """What else can be taken back is; then the same, again."""
    toolbox.code = grpc.StatusCode.FAILED_PRECONDITION
    toolbox.failing |= {"k--c": 1, "k--b--undo": 1}
    await workflows.StartWorkflow(start("k", undone("a"), undone("b", "a"), node("c", "b")))
    found = await ended(workflows, "k")
    assert found.state == nouns.WORKFLOW_STATE_STUCK
    assert states(found) == {"a": "compensated", "b": "compensation_failed", "c": "failed"}
    asked = pb.ResumeWorkflowRequest(name="workflows/k")
    await workflows.ResumeWorkflow(asked)
    assert (await ended(workflows, "k")).state == nouns.WORKFLOW_STATE_FAILED
    assert (await refusal(workflows.ResumeWorkflow(asked))).reason == "WORKFLOW_NOT_STUCK"


async def test_a_workflow_whose_time_is_over_fails(
    workflows: Stub, toolbox: Toolbox, clock: FakeClock
) -> None:
    """What is still called is heard of, and then taken back."""
    held = toolbox.hold("t--a")
    request = start("t", undone("a"), node("b", "a"))
    request.plan.time_max.FromSeconds(60)
    await workflows.StartWorkflow(request)
    await came(toolbox, "t--a")
    await clock.advance(61)
    held.set()
    found = await ended(workflows, "t")
    assert (found.state, found.cause) == (nouns.WORKFLOW_STATE_FAILED, "its time is over")
    assert states(found) == {"a": "compensated", "b": "skipped"}


async def test_no_more_calls_are_made_at_once_than_the_plan_says(
    workflows: Stub, toolbox: Toolbox
) -> None:
    """Of ten that need nothing."""
    nodes = [node(f"n{number}") for number in range(10)]
    await workflows.StartWorkflow(start("p", *nodes, parallel_max=3))
    found = await ended(workflows, "p")
    assert found.state == nouns.WORKFLOW_STATE_SUCCEEDED
    assert (len(toolbox.came), toolbox.at_once_max) == (10, 3)


async def test_another_life_goes_on_with_what_is_open(
    tmp_path: Path, clock: FakeClock, toolbox: Toolbox
) -> None:
    """The call whose end nobody heard is made again with its key, what is done is not; and what had
    ended is still known.
    """
    held, beside = toolbox.hold("l--b"), (toolbox.agent,)
    async with serving(AGENT, beside=beside, state_dir=tmp_path, clock=clock) as channel:
        stub: Stub = rpc.WorkflowServiceStub(channel)
        await stub.StartWorkflow(start("e", node("a")))
        await ended(stub, "e")
        await stub.StartWorkflow(start("l", node("a"), node("b", "a"), node("c", "b")))
        await came(toolbox, "l--b")
    held.set()
    async with serving(AGENT, beside=beside, state_dir=tmp_path, clock=clock) as channel:
        stub = rpc.WorkflowServiceStub(channel)
        found = await ended_again(stub, "l", clock)
        assert found.state == nouns.WORKFLOW_STATE_SUCCEEDED
        assert toolbox.keys == ["e--a", "l--a", "l--b", "l--b", "l--c"]
        assert (await ended(stub, "e")).state == nouns.WORKFLOW_STATE_SUCCEEDED


async def test_a_call_that_may_be_made_once_is_not_made_again(
    tmp_path: Path, clock: FakeClock, toolbox: Toolbox
) -> None:
    """Where nobody heard its end it counts as failed, and is taken back, for it may have
    happened.
    """
    held, beside = toolbox.hold("q--a"), (toolbox.agent,)
    async with serving(AGENT, beside=beside, state_dir=tmp_path, clock=clock) as channel:
        stub: Stub = rpc.WorkflowServiceStub(channel)
        await stub.StartWorkflow(start("q", undone("a", at_most_once=True)))
        await came(toolbox, "q--a")
    held.set()
    async with serving(AGENT, beside=beside, state_dir=tmp_path, clock=clock) as channel:
        found = await ended_again(rpc.WorkflowServiceStub(channel), "q", clock)
        assert (found.state, states(found)) == (nouns.WORKFLOW_STATE_FAILED, {"a": "compensated"})
        assert toolbox.keys == ["q--a", "q--a--undo"]


async def test_what_ended_long_ago_is_forgotten_and_too_many_at_once_are_refused(
    tmp_path: Path, clock: FakeClock, toolbox: Toolbox
) -> None:
    """So that neither disk nor memory grows without end."""
    settings = cfg.WorkflowSettings(workflows_max=1, ended_max=2)
    held, beside = toolbox.hold("w4--a"), (toolbox.agent,)
    async with serving(
        AGENT, settings=settings, beside=beside, state_dir=tmp_path, clock=clock
    ) as channel:
        stub: Stub = rpc.WorkflowServiceStub(channel)
        for number in range(4):
            await stub.StartWorkflow(start(f"w{number}", node("a")))
            await ended(stub, f"w{number}")
            await clock.advance(1)
        await stub.StartWorkflow(start("w4", node("a")))
        found = await refusal(stub.StartWorkflow(start("w5", node("a"))))
        assert (found.reason, found.code) == (
            "WORKFLOWS_FULL",
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        )
        async with asyncio.timeout(10):
            names: list[str] = []
            while names != ["workflows/w2", "workflows/w3", "workflows/w4"]:
                names = [one.name for one in (await page(stub)).workflows]
        first = await page(stub, page_size=2)
        assert first.next_page_token
        rest = await page(stub, page_size=2, page_token=first.next_page_token)
        assert [one.name for one in rest.workflows] == ["workflows/w4"]
        assert (await refusal(page(stub, page_token="x"))).reason == "PAGE_TOKEN_INVALID"
        held.set()
