"""Whether a plan can be executed at all: its graph, its calls, and the values between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.tasks.workflow.execution import Caller
from services.tasks.workflow.graph import in_order, refused
from services.tasks.workflow.shelf import PLAN_BYTES_MAX
from services.tasks.workflow.wiring import Unwired, Wire, check
from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import workflow_pb2 as pb
from tandemkit.core.errors import CallerError
from tandemkit.rpc.contract import Method

_KEY_OF_ALL = "workflow"


async def admit(plan: pb.WorkflowPlan, caller: Caller) -> None:
    """Raises CallerError with what is wrong first, and TransientError where it cannot be told."""
    if plan.ByteSize() > PLAN_BYTES_MAX:
        raise refused(f"the plan is larger than {PLAN_BYTES_MAX} bytes", "plan")
    in_order(plan)
    methods: dict[str, Method] = {}
    undone: dict[str, Method] = {}
    for number, node in enumerate(plan.nodes):
        place = f"plan.nodes[{number}]"
        forward = _Asked(node.call, f"{place}.call", node.at_most_once, not node.inputs)
        methods[node.id] = await forward.checked(caller)
        if node.HasField("compensation"):
            whole = not node.compensation_inputs
            back = _Asked(node.compensation, f"{place}.compensation", False, whole)
            undone[node.id] = await back.checked(caller)
        elif node.compensation_inputs:
            raise refused("values for a compensation that there is not", place)
    for number, node in enumerate(plan.nodes):
        place = f"plan.nodes[{number}]"
        _wire(node.inputs, methods[node.id], methods, f"{place}.inputs")
        if node.id in undone:
            where = f"{place}.compensation_inputs"
            _wire(node.compensation_inputs, undone[node.id], methods, where)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call of the plan: where it stands, and whether it may be tried once only, and is whole."""

    call: calls.AgentCall
    field: str
    once: bool
    whole: bool

    async def checked(self, caller: Caller) -> Method:
        """What is wrong names the place in the plan."""
        try:
            return await caller.check(
                self.call, _KEY_OF_ALL, at_most_once=self.once, complete=self.whole
            )
        except CallerError as error:
            place = {"field": f"{self.field}.{error.field or 'method'}"}
            raise CallerError(error.reason, error.message, **{**error.metadata, **place}) from error


def _wire(
    inputs: Iterable[pb.NodeInput], target: Method, methods: Mapping[str, Method], field: str
) -> None:
    for number, one in enumerate(inputs):
        try:
            check([Wire(one, methods[one.node].response)], target.request)
        except Unwired as error:
            raise refused(str(error), f"{field}[{number}]") from error
