"""Plans that are refused before anything is called, and those that are there already."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import workflow_pb2 as nouns
from tandem.tasks.v1 import workflow_service_pb2 as pb
from tests.unit.services.tasks.workflow.asking import Stub, ended, refusal
from tests.unit.services.tasks.workflow.toolbox import Toolbox, node, once, start, value


def _of(method: str) -> calls.AgentCall:
    return calls.AgentCall(method=method)


@pytest.mark.parametrize(
    ("nodes", "reason", "field"),
    [
        ((node("a", "b"), node("b", "a")), "WORKFLOW_REFUSED", "plan.nodes"),
        ((node("a"), node("a")), "WORKFLOW_REFUSED", "plan.nodes"),
        ((node("a", "z"),), "WORKFLOW_REFUSED", "plan.nodes[0].after"),
        (
            (node("a"), node("b", inputs=[value("a", "nothing", "text")])),
            "WORKFLOW_REFUSED",
            "plan.nodes[1].inputs[0]",
        ),
        (
            (node("a"), node("b", inputs=[value("a", "", "text")])),
            "WORKFLOW_REFUSED",
            "plan.nodes[1].inputs[0]",
        ),
        (
            (node("a", compensation_inputs=[value("a", "text", "text")]),),
            "WORKFLOW_REFUSED",
            "plan.nodes[0]",
        ),
        (
            (node("a", call=_of("/tandem.tale.v1.TellService/Tell")),),
            "METHOD_UNKNOWN",
            "plan.nodes[0].call.method",
        ),
        ((node("a", call=once()),), "METHOD_NOT_REPEATABLE", "plan.nodes[0].call.method"),
        (
            (node("a", call=_of("/tandem.utility.v1.ToolboxService/DigestStream")),),
            "METHOD_STREAMS",
            "plan.nodes[0].call.method",
        ),
    ],
)
async def test_a_plan_that_cannot_be_executed_is_refused_before_anything_is_called(
    workflows: Stub, toolbox: Toolbox, nodes: Any, reason: str, field: str
) -> None:
    """With the place of what is wrong."""
    found = await refusal(workflows.StartWorkflow(start("no", *nodes)))
    assert (found.reason, list(found.violations)) == (reason, [field])
    asked = pb.GetWorkflowRequest(name="workflows/no")
    assert (await refusal(workflows.GetWorkflow(asked))).reason == "WORKFLOW_NOT_FOUND"
    assert toolbox.came == []


async def test_the_same_id_is_the_same_workflow(workflows: Stub, toolbox: Toolbox) -> None:
    """A caller who did not hear the answer asks again; another plan is refused."""
    await workflows.StartWorkflow(start("i", node("a")))
    await ended(workflows, "i")
    again = await workflows.StartWorkflow(start("i", node("a")))
    assert again.workflow.state == nouns.WORKFLOW_STATE_SUCCEEDED
    assert toolbox.keys == ["i--a"]
    found = await refusal(workflows.StartWorkflow(start("i", node("b"))))
    assert found.reason == "WORKFLOW_EXISTS"


async def test_a_response_is_asked_for_by_the_name_of_a_node(workflows: Stub) -> None:
    """What could be none is refused like all that breaks the contract."""
    await workflows.StartWorkflow(start("i", node("a")))
    for name in ("", "a b", "n" * 300):
        asked = pb.GetNodeOutputRequest(name="workflows/i", node=name)
        assert (await refusal(workflows.GetNodeOutput(asked))).reason == "INVALID_REQUEST"
