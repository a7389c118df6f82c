"""A plan as a graph: who waits for whom, and what makes it contradict itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1 import workflow_pb2 as pb
from tandemkit.core.errors import CallerError


def needs(node: pb.WorkflowNode) -> frozenset[str]:
    """Nodes that have to be done before it is called."""
    return frozenset((*node.after, *(one.node for one in node.inputs)))


def in_order(plan: pb.WorkflowPlan) -> tuple[pb.WorkflowNode, ...]:
    """Each behind all that it needs. Raises CallerError where there is no such order."""
    nodes = {node.id: node for node in plan.nodes}
    for twice in (
        one for one, count in Counter(each.id for each in plan.nodes).items() if count > 1
    ):
        raise refused(f"two nodes are called {twice}", "plan.nodes")
    for number, node in enumerate(plan.nodes):
        for field, name in _named(node):
            if name not in nodes:
                raise refused(f"there is no node {name}", f"plan.nodes[{number}].{field}")
    graph = TopologicalSorter({node.id: sorted(needs(node)) for node in plan.nodes})
    try:
        return tuple(nodes[name] for name in graph.static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise refused(f"nodes wait for each other: {circle}", "plan.nodes") from error


def dependents(plan: pb.WorkflowPlan) -> dict[str, frozenset[str]]:
    """Who needs each node."""
    return {
        node.id: frozenset(other.id for other in plan.nodes if node.id in needs(other))
        for node in plan.nodes
    }


def refused(message: str, field: str) -> CallerError:
    return CallerError(errors.ERROR_REASON_WORKFLOW_REFUSED, message, field=field)


def _named(node: pb.WorkflowNode) -> Iterator[tuple[str, str]]:
    yield from (("after", name) for name in node.after)
    yield from (("inputs", one.node) for one in node.inputs)
    yield from (("compensation_inputs", one.node) for one in node.compensation_inputs)
