"""What is taken back of a workflow that failed: each node behind all those that needed it."""

from __future__ import annotations

from collections.abc import Iterator

from services.tasks.workflow.graph import dependents
from tandem.tasks.v1 import workflow_pb2 as pb

# It happened, or may have.
_HAPPENED = {pb.NODE_STATE_DONE, pb.NODE_STATE_UNKNOWN}
# Until it is known what becomes of it, nobody before it is taken back.
_UNCLEAR = {pb.NODE_STATE_RUNNING, pb.NODE_STATE_COMPENSATING}


def key_of(key: str) -> str:
    """Of the compensation, by that of the call."""
    return f"{key}--undo"


def put_back(node: pb.NodeStanding) -> None:
    """To wait for another attempt to take it back. That it happened is no longer sure."""
    node.state = pb.NODE_STATE_UNKNOWN


def due(workflow: pb.Workflow) -> Iterator[pb.NodeStanding]:
    """Those that may be taken back now, in the plan's order."""
    waiting = _waiting(workflow)
    held = waiting | {node.id for node in workflow.nodes if node.state in _UNCLEAR}
    behind = dependents(workflow.plan)
    for node in workflow.nodes:
        if node.id in waiting and not _reached(node.id, behind) & held:
            yield node


def end(workflow: pb.Workflow) -> pb.WorkflowState.ValueType | None:
    """The state that it ends in; None where something is still to be done, or heard of. What failed
    for good keeps nothing else from being taken back.
    """
    if _waiting(workflow) or any(node.state in _UNCLEAR for node in workflow.nodes):
        return None
    if any(node.state == pb.NODE_STATE_COMPENSATION_FAILED for node in workflow.nodes):
        return pb.WORKFLOW_STATE_STUCK
    return pb.WORKFLOW_STATE_CANCELLED if workflow.cancelled else pb.WORKFLOW_STATE_FAILED


def unstick(workflow: pb.Workflow) -> bool:
    """Has failed compensations tried again; False where it is not stuck."""
    if workflow.state != pb.WORKFLOW_STATE_STUCK:
        return False
    workflow.state = pb.WORKFLOW_STATE_COMPENSATING
    workflow.ClearField("end_time")
    for node in workflow.nodes:
        if node.state == pb.NODE_STATE_COMPENSATION_FAILED:
            put_back(node)
            node.undo_attempts = 0
    return True


def _waiting(workflow: pb.Workflow) -> set[str]:
    has_way_back = {node.id for node in workflow.plan.nodes if node.HasField("compensation")}
    return {
        node.id for node in workflow.nodes if node.state in _HAPPENED and node.id in has_way_back
    }


def _reached(name: str, behind: dict[str, frozenset[str]]) -> set[str]:
    """All that needed it, directly or not."""
    found: set[str] = set()
    waiting = list(behind[name])
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(behind[one])
    return found
