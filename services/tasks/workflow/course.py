"""What becomes of a workflow as its calls end: pure, on the record that is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from services.tasks.workflow import undoing
from services.tasks.workflow.graph import needs
from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import workflow_pb2 as pb

PREFIX: Final = "workflows/"
_PARALLEL_MAX, _ATTEMPTS_MAX = 16, 3
_TIME_MAX = timedelta(hours=1)
_FIRST_WAIT, _WAIT_MAX = timedelta(seconds=1), timedelta(minutes=1)
# A call whose orchestrator dies each time is not what keeps it from dying.
_LIVES_MAX = 40
_ENDED = {
    pb.WORKFLOW_STATE_SUCCEEDED,
    pb.WORKFLOW_STATE_FAILED,
    pb.WORKFLOW_STATE_CANCELLED,
    pb.WORKFLOW_STATE_STUCK,
}
_OPEN = {pb.NODE_STATE_WAITING, pb.NODE_STATE_RUNNING}
_CALLED = {pb.NODE_STATE_RUNNING, pb.NODE_STATE_COMPENSATING}
# Of a call that may have happened, also where it must not be made again.
_UNHEARD = {code_pb2.CANCELLED, code_pb2.UNKNOWN, code_pb2.DEADLINE_EXCEEDED, code_pb2.UNAVAILABLE}
_LOST = {pb.NODE_STATE_FAILED, pb.NODE_STATE_UNKNOWN, pb.NODE_STATE_SKIPPED}


def begun(name: str, plan: pb.WorkflowPlan, now: datetime) -> pb.Workflow:
    """A plan that is executed from now on."""
    made = pb.Workflow(name=name, plan=plan, state=pb.WORKFLOW_STATE_RUNNING)
    made.create_time.FromDatetime(now)
    for node in plan.nodes:
        # No id has two hyphens in a row.
        key = f"{name.removeprefix(PREFIX)}--{node.id}"
        made.nodes.add(id=node.id, state=pb.NODE_STATE_WAITING, key=key)
    return made


def has_ended(workflow: pb.Workflow) -> bool:
    return workflow.state in _ENDED


def resume(workflow: pb.Workflow) -> None:
    """As another life finds it: nobody makes its calls any more."""
    plans = plans_of(workflow)
    for node in workflow.nodes:
        if node.state == pb.NODE_STATE_COMPENSATING:
            undoing.put_back(node)
        elif node.state == pb.NODE_STATE_RUNNING:
            is_last = plans[node.id].at_most_once or node.attempts >= _LIVES_MAX
            is_over = is_last or workflow.state == pb.WORKFLOW_STATE_COMPENSATING
            node.state = pb.NODE_STATE_UNKNOWN if is_over else pb.NODE_STATE_WAITING
            if is_over:
                node.failure.code = code_pb2.UNKNOWN
                node.failure.message = "the orchestrator died before it heard the end of the call"


def settle(workflow: pb.Workflow, now: datetime) -> None:
    """Draws all conclusions: what is skipped, whether it failed, and whether it is over."""
    if workflow.state == pb.WORKFLOW_STATE_RUNNING:
        _skip_lost(workflow)
        cause = _cause(workflow, now)
        if cause:
            _turn_back(workflow, cause)
        elif not any(node.state in _OPEN for node in workflow.nodes):
            workflow.state = pb.WORKFLOW_STATE_SUCCEEDED
            workflow.end_time.FromDatetime(now)
    if workflow.state == pb.WORKFLOW_STATE_COMPENSATING:
        end = undoing.end(workflow)
        if end is not None:
            workflow.state = end
            workflow.end_time.FromDatetime(now)


def due(workflow: pb.Workflow, now: datetime) -> Iterator[pb.NodeStanding]:
    """Nodes to call now: forward, or back."""
    limit = workflow.plan.parallel_max or _PARALLEL_MAX
    room = limit - sum(node.state in _CALLED for node in workflow.nodes)
    if workflow.state == pb.WORKFLOW_STATE_COMPENSATING:
        candidates = undoing.due(workflow)
    else:
        candidates = _callable(workflow)
    for node in candidates:
        if room > 0 and (not node.HasField("retry_time") or moment(node.retry_time) <= now):
            room -= 1
            yield node


def next_time(workflow: pb.Workflow) -> datetime | None:
    """When to look again, whatever else happens."""
    times = [moment(node.retry_time) for node in workflow.nodes if node.HasField("retry_time")]
    if workflow.state == pb.WORKFLOW_STATE_RUNNING:
        times.append(_latest(workflow))
    return min(times, default=None)


def begin(workflow: pb.Workflow, node: pb.NodeStanding, now: datetime) -> None:
    """Its call is made, once that is on disk."""
    node.ClearField("retry_time")
    if workflow.state == pb.WORKFLOW_STATE_COMPENSATING:
        node.state = pb.NODE_STATE_COMPENSATING
        node.undo_attempts += 1
        return
    node.state = pb.NODE_STATE_RUNNING
    node.attempts += 1
    if not node.HasField("begin_time"):
        node.begin_time.FromDatetime(now)


def conclude(
    workflow: pb.Workflow, node: pb.NodeStanding, answer: calls.AgentAnswer, now: datetime
) -> None:
    """Its call ended so."""
    plan = plans_of(workflow)[node.id]
    undone = node.state == pb.NODE_STATE_COMPENSATING
    if not answer.HasField("failure"):
        node.ClearField("failure")
        node.state = pb.NODE_STATE_COMPENSATED if undone else pb.NODE_STATE_DONE
    else:
        node.failure.CopyFrom(answer.failure)
        pause = _pause(plan.retry, node.undo_attempts if undone else node.attempts)
        is_forward = workflow.state == pb.WORKFLOW_STATE_RUNNING and not plan.at_most_once
        if answer.failure.may_retry and pause is not None and (undone or is_forward):
            wait = max(pause, answer.failure.retry_after.ToTimedelta())
            node.retry_time.FromDatetime(now + wait)
            if undone:
                undoing.put_back(node)
            else:
                node.state = pb.NODE_STATE_WAITING
            return
        # What might pass may have happened all the same.
        is_unclear = answer.failure.may_retry or answer.failure.code in _UNHEARD
        lost = pb.NODE_STATE_UNKNOWN if is_unclear else pb.NODE_STATE_FAILED
        node.state = pb.NODE_STATE_COMPENSATION_FAILED if undone else lost
    if not undone:
        node.end_time.FromDatetime(now)


def cancel(workflow: pb.Workflow, reason: str) -> bool:
    """False where it has ended, or is taken back already."""
    if workflow.state != pb.WORKFLOW_STATE_RUNNING:
        return False
    workflow.cancelled = True
    _turn_back(workflow, reason or "somebody cancelled it")
    return True


def plans_of(workflow: pb.Workflow) -> Mapping[str, pb.WorkflowNode]:
    return {node.id: node for node in workflow.plan.nodes}


def moment(told: Timestamp) -> datetime:
    return told.ToDatetime(UTC)


def _callable(workflow: pb.Workflow) -> Iterator[pb.NodeStanding]:
    done = {node.id for node in workflow.nodes if node.state == pb.NODE_STATE_DONE}
    plans = plans_of(workflow)
    for node in workflow.nodes:
        if node.state == pb.NODE_STATE_WAITING and needs(plans[node.id]) <= done:
            yield node


def _skip_lost(workflow: pb.Workflow) -> None:
    """Whoever needs what will never be done; a skip may cause another one."""
    plans = plans_of(workflow)
    lost = {node.id for node in workflow.nodes if node.state in _LOST}
    found = True
    while found:
        found = False
        for node in workflow.nodes:
            if node.state == pb.NODE_STATE_WAITING and needs(plans[node.id]) & lost:
                node.state = pb.NODE_STATE_SKIPPED
                node.ClearField("retry_time")
                lost.add(node.id)
                found = True


def _cause(workflow: pb.Workflow, now: datetime) -> str:
    """Why it cannot go on; empty where it can. An optional node takes with it what needs it."""
    plans = plans_of(workflow)
    for node in workflow.nodes:
        is_lost = node.state in {pb.NODE_STATE_FAILED, pb.NODE_STATE_UNKNOWN}
        if is_lost and not plans[node.id].optional:
            return f"node {node.id}: {node.failure.message}"
    if now >= _latest(workflow) and any(node.state in _OPEN for node in workflow.nodes):
        return "its time is over"
    return ""


def _turn_back(workflow: pb.Workflow, cause: str) -> None:
    workflow.state, workflow.cause = pb.WORKFLOW_STATE_COMPENSATING, cause
    for node in workflow.nodes:
        if node.state == pb.NODE_STATE_WAITING:
            # An attempt that failed, or that nobody heard the end of, may have happened.
            node.state = pb.NODE_STATE_UNKNOWN if node.attempts else pb.NODE_STATE_SKIPPED
            node.ClearField("retry_time")


def _latest(workflow: pb.Workflow) -> datetime:
    plan = workflow.plan
    time_max = plan.time_max.ToTimedelta() if plan.HasField("time_max") else _TIME_MAX
    return moment(workflow.create_time) + time_max


def _pause(said: pb.NodeRetry, attempts: int) -> timedelta | None:
    """How long to wait after so many attempts; None: they are used up."""
    if attempts >= (said.attempts_max or _ATTEMPTS_MAX):
        return None
    first = said.backoff.ToTimedelta() if said.HasField("backoff") else _FIRST_WAIT
    longest = said.backoff_max.ToTimedelta() if said.HasField("backoff_max") else _WAIT_MAX
    return min(first * (1 << (attempts - 1)), max(first, longest))
